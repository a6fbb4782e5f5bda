//! How batches get from one stage to the next, on the same core or on another.
//!
//! Every edge is a set of rings. A forward edge has one ring per core, from the core to itself; a keyed edge has
//! one from every core to every core. The sending end is an [`outlet`], the receiving end an [`intake`].

pub(crate) mod codec;
pub(crate) mod cursor;
pub(crate) mod edge;
pub(crate) mod intake;
pub(crate) mod outlet;
pub(crate) mod overtaken;
pub(crate) mod port;
pub(crate) mod route;
