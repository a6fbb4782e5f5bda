//! What the conductor says to an engine's process, and what it answers: a line of JSON each.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::engine::{Scanned, Setup};

/// Work for an engine.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Command {
    /// Opens the engine.
    Open(Setup),
    /// Updates every key once.
    Fill,
    /// Updates random keys for some seconds.
    Update { seconds: f64, seed: u64 },
    /// Reads random keys for some seconds.
    Read { seconds: f64, seed: u64 },
    /// Visits everything.
    Scan,
    /// Tells the memory that the process holds, and what the engine accounts for.
    Memory,
    /// Takes snapshots, with updates between them.
    Snapshots { count: usize },
    /// Appends this many elements to the lists or maps of all keys, over and over in the order of a fill.
    Append { elements: u64 },
    /// Iterates over the lists or maps of random keys for some seconds.
    Iterate { seconds: f64, seed: u64 },
    /// Takes snapshots of our store, written out between them.
    Pauses { keys: u64, value_len: usize, count: usize, dir: PathBuf },
    /// Our store with and without checkpoints, and a hash map, in turn.
    Overhead { keys: u64, seconds: f64, rounds: usize, dir: PathBuf },
    /// Our checkpoints and recoveries, and the disk alone, in turn.
    Disk { work: DiskWork, dir: PathBuf },
    /// Restarts of our store with little memory, in turn with and without an index.
    Restart { work: RestartWork, dir: PathBuf },
}

/// What is restored.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct RestartWork {
    /// Of the records.
    pub(super) bytes: u64,
    pub(super) value_len: usize,
    /// Bytes of memory besides that of the keys.
    pub(super) memory: u64,
    pub(super) rounds: usize,
}

/// What is written and recovered.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct DiskWork {
    /// Of the records of all cores together.
    pub(super) bytes: u64,
    pub(super) value_len: usize,
    pub(super) rounds: usize,
    pub(super) cores: usize,
}

/// What came of it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Reply {
    /// Why it was not done.
    pub(super) error: Option<String>,
    /// Whether the engine cannot do what it was opened for.
    pub(super) unavailable: bool,
    /// Operations done.
    pub(super) operations: u64,
    /// Seconds they took.
    pub(super) seconds: f64,
    /// What was visited.
    pub(super) scanned: Scanned,
    /// Bytes that the process holds in memory, and those that the engine accounts for.
    pub(super) resident: u64,
    pub(super) accounted: Option<u64>,
    /// Measurements by name.
    pub(super) series: Vec<(String, Vec<f64>)>,
}

impl Reply {
    /// Operations per second.
    pub(super) fn rate(&self) -> f64 {
        self.operations as f64 / self.seconds
    }

    /// The measurements of a name.
    pub(super) fn series(&self, name: &str) -> Vec<f64> {
        let found = self.series.iter().find(|series| series.0 == name);
        found.map(|series| series.1.clone()).unwrap_or_default()
    }
}
