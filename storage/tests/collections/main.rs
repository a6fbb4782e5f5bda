//! Collections against `BTreeMap` and `Vec`, with seals, failed writes, and restores on other cores in between.

mod limits;
mod list;
mod map;
mod timeline;
mod world;
