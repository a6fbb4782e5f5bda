//! Joining two keyed streams.

mod append;
mod interval;
mod lookup;
mod table;
mod temporal;
mod window;
