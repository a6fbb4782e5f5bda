//! Process functions beyond state and timers: side outputs, two inputs, broadcast, partitioning, and the life of one.

mod broadcast;
mod life;
mod parallelism;
mod partitions;
mod sides;
