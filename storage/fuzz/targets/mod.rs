//! What is fuzzed: each target takes any bytes for what some file holds, and must come to an end without a panic, and
//! without more memory than the file's length explains. Used by libFuzzer, and by the tests of the storage crate.
//!
//! Checksums would keep nearly all inputs out. So a target can be told to put them right first, and with them the fields
//! that tell where something belongs: what is left to go wrong is then what the checksum covers.

mod disk;
mod heal;
mod index;
mod manifest;
mod spill;
mod state;
mod topic;

pub use index::index;
pub use manifest::{manifest, snapshot};
pub use spill::spill;
pub use state::state;
pub use topic::topic;
