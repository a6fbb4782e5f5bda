//! Joins of two keyed streams: process functions over [`Either`](crate::stream::Either).

pub(crate) mod append;
pub(crate) mod interval;
pub(crate) mod late;
pub(crate) mod lookup;
pub(crate) mod row;
pub(crate) mod shape;
pub(crate) mod table;
pub(crate) mod temporal;
#[cfg(test)]
mod testing;
pub(crate) mod window;
