//! Joins of two keyed streams: process functions over [`Either`](crate::stream::Either).

pub(crate) mod interval;
