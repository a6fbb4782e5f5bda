//! Checkpoints: who triggers them, what they consist of, and how a job comes back from one.
//!
//! The coordinator runs beside the driver of core 0. It orders a barrier at the sources of every core, collects
//! each core's share, writes the manifest, and only then tells the sinks to commit: a checkpoint is complete when
//! its manifest is durable under its final name, and not before.

pub mod inspect;
pub mod manifest;
pub mod read;

pub(crate) mod control;
pub(crate) mod coordinator;
pub(crate) mod directory;
