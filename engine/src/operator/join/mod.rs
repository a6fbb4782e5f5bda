//! Joins of two keyed streams: process functions over [`Either`](crate::stream::Either).

pub(crate) mod append;
pub(crate) mod interval;
pub(crate) mod late;
pub(crate) mod row;
pub(crate) mod shape;
pub(crate) mod table;
