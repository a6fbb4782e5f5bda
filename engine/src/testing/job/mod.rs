//! Drives a whole job by hand.

mod captured;
mod disk;
mod ends;
mod feed;
mod hands;
mod kit;
mod look;
mod world;

pub use ends::{Input, Output};
pub(crate) use hands::{Hands, SharedHands};
pub use kit::JobKit;
