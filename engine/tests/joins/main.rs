//! Joins, changelogs and the ready steps as whole jobs: on several cores, against the reference and by hand.

mod lookup;
mod ready;
mod records;
mod retract;
mod tables;
