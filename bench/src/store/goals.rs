//! What is to be reached beside whom.

/// One goal: beside this engine, at this work, our figure is to be so many times as good.
pub(super) struct Goal {
    pub(super) beside: &'static str,
    pub(super) times: f64,
}

const fn goal(beside: &'static str, times: f64) -> Goal {
    Goal { beside, times }
}

/// Values in memory. No goal is set for reads and scans alone; the same is asked of them.
pub(super) const IN_MEMORY: &[Goal] =
    &[goal("rocksdb", 50.0), goal("fjall", 20.0), goal("redb", 20.0), goal("hashbrown", 0.7)];
/// A state four times as large as its budget.
pub(super) const LARGER: &[Goal] = &[goal("rocksdb", 5.0), goal("fjall", 5.0)];
/// The hash map beside updates while checkpoints are taken.
pub(super) const WHILE_CHECKPOINTING: &[Goal] = &[goal("hashbrown", 0.7)];
/// No goal.
pub(super) const NONE: &[Goal] = &[];

/// Microseconds that a snapshot may stop the work.
pub(super) const PAUSE_MICROS: f64 = 20.0;
/// Bytes that a key with 16 bytes of state may take.
pub(super) const BYTES_PER_KEY: f64 = 60.0;
/// Parts of the disk's bandwidth.
pub(super) const WRITE: f64 = 0.9;
pub(super) const RECOVER: f64 = 0.8;

/// The part of the throughput that a checkpoint each second may take, by keys.
pub(super) fn overhead(keys: u64) -> f64 {
    if keys <= 1_000_000 { 0.01 } else { 0.08 }
}
