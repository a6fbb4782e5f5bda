//! Joining two keyed streams.

mod interval;
