//! What the project's own benchmarks and those beside other engines share: the table of figures, the disk
//! alone, and the work of the state store.

pub mod raw_disk;
pub mod report;
pub mod store;
