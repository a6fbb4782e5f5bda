//! The simulated machine: what it does to a process, and what it never does.

mod common;
mod disk;
mod every_point;
mod frozen;
mod world;
