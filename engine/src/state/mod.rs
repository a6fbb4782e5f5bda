//! State: typed handles over the log in which it lives.
//!
//! A process function [declares](crate::process::Process::declare) its state up front and gets a handle for each:
//! [`Value`], [`List`], [`Map`], [`Reducing`], [`Aggregating`] and [`Timeline`] for the current key, and
//! [`OperatorList`], [`UnionList`] and [`BroadcastState`] for the core. Reading borrows from the log where the value
//! lies; a value of fixed size is changed there, too. State can [expire](Ttl), and be [upgraded](Migrate) when its type
//! has changed.

pub(crate) mod backend;
pub(crate) mod check;
pub(crate) mod codec;
pub(crate) mod declare;
pub(crate) mod handle;
mod list;
pub(crate) mod log;
mod map;
pub(crate) mod operator;
pub(crate) mod present;
mod reducing;
pub(crate) mod restore;
pub(crate) mod schema;
pub(crate) mod spec;
mod timeline;
pub(crate) mod timers;
mod ttl;
mod value;

pub use codec::StateValue;
pub use list::List;
pub use map::Map;
pub use operator::{BroadcastState, OperatorList, UnionList};
pub use reducing::{Aggregating, Reducing};
pub use rkyv::option::ArchivedOption;
pub use schema::{StateSchema, StateTypes};
pub use spec::Migrate;
pub use timeline::Timeline;
pub use ttl::Ttl;
pub use value::Value;
