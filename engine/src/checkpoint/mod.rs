//! Checkpoints: who triggers them, what they consist of, and how a job comes back from one.
//!
//! The coordinator runs beside the driver of core 0. It orders a barrier at the sources of every core, collects
//! each core's share, writes the manifest, and only then tells the sinks to commit: a checkpoint is complete when
//! its manifest is durable under its final name, and not before. There is one checkpoint at a time, by design: as a
//! checkpoint only writes what has changed since the one before, two that overlap would write much of it twice.
//!
//! A [savepoint](crate::JobControl::savepoint) is a checkpoint that was copied, with all its files, to a directory of
//! its own: nothing of the job removes it, it may be moved, and another job, changed or not, may
//! [start from it](crate::Config::from_savepoint).

pub mod description;
pub mod inspect;
pub mod manifest;
pub mod plan;
pub mod read;
pub mod remote;
pub mod request;

pub(crate) mod control;
pub(crate) mod coordinator;
pub(crate) mod directory;
pub(crate) mod transfer;
