//! A job that is run as a batch: one result for each, and the same as otherwise in the end.

mod ends;
mod same;
