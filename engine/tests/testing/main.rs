//! The test kit shows what a job would do.

mod clock;
mod fed;
mod job;
mod restart;
