//! Whole jobs driven by hand.

mod clock;
mod ends;
mod fails;
mod requests;
mod restart;
mod state;
mod steps;
