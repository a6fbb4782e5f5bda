//! What the whole-system tests share: the example's job, what it must compute, and the example as a process.

pub mod example;
pub mod flights;
#[path = "../../engine/examples/flights/job.rs"]
pub mod job;
pub mod postgres;
pub mod random;
pub mod readers;
pub mod rules;
pub mod shop;
#[path = "../../engine/examples/flights/topics.rs"]
pub mod topics;
#[path = "../../engine/examples/weather/job.rs"]
pub mod weather;

/// The README's code compiles and runs.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
