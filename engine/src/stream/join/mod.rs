//! Joining two keyed streams.

mod append;
mod interval;
mod table;
