//! What the project's own benchmarks and those beside other engines share: the table of figures, the disk
//! alone, the work of the state store, and the queries of Nexmark.

pub mod nexmark;
pub mod raw_disk;
pub mod report;
pub mod store;
