//! Deterministic simulation: the shipped engine, in a world where every choice comes from a seed.
//!
//! Jobs of your own are tested by [`check`] and [`explore()`]: [`simulation`] shows how, and `sim/TESTING.md` tells all of it.
//!
//! # The rooms
//! - [`simulation`]: what a test says of a user's job, and how findings are told;
//! - [`random`]: one named stream of random numbers per concern;
//! - [`world`]: virtual cores, clocks and timers in one thread, and processes that are killed and restarted in it;
//! - [`disk`]: what a disk may do to what was not synced, and to the rest;
//! - [`faults`]: what may go wrong, and what each fault promises; [`coverage`]: what it struck;
//! - [`trace`]: the hash that tells whether two runs were the same, and the log of one;
//! - [`feed`] and [`collected`]: a source and a sink that jobs can be simulated with; [`mishaps`]: what they do wrong;
//!   [`postgres`]: a database server; [`broker`]: a transactional broker, with a source and a sink;
//! - [`scenario`]: what is run in a world and how it is judged; [`swarm`]: many seeds of it; [`explore`](mod@explore): every
//!   point at which it can be killed; [`timeline`]: a run as a page to look at;
//! - [`tape`]: what was drawn in a run, to be played again with changes; [`tape_file`]: that in a file; [`shrink`]: the
//!   least of a failing run that fails;
//! - [`planted`]: the bugs that it must find; [`cli`]: the command line over all of it.

pub mod broker;
pub mod cli;
pub mod collected;
pub mod coverage;
pub mod disk;
pub mod explore;
pub mod faults;
pub mod feed;
mod harness;
pub mod mishaps;
pub mod objects;
mod outside;
pub mod planted;
pub mod postgres;
pub mod random;
pub mod scenario;
pub mod shrink;
pub mod simulation;
pub mod swarm;
pub mod tape;
pub mod tape_file;
pub mod timeline;
pub mod trace;
pub mod world;

pub use simulation::{Check, Simulation, check, explore};

/// What most tests need.
pub mod prelude {
    pub use crate::faults::FaultPlan;
    pub use crate::random::{Chance, Random};
    pub use crate::simulation::{
        Check, Found, Look, SimFeed, SimOutput, SimSink, Simulation, assert_beginning, assert_same,
        assert_unique, check, explore,
    };
}
