//! What the sources and sinks of a test do wrong, and when: while faults are on, and no process is looked at.

use std::sync::{Arc, Mutex, PoisonError};

use crate::mishaps::Mishaps;
use crate::random::{Random, Streams};

/// All mishaps of a simulation. Its clones are the same.
#[derive(Clone)]
pub(super) struct Troubles {
    streams: Streams,
    all: Arc<Mutex<Vec<Mishaps>>>,
}

/// Whoever asks is struck once in so many times, at the most seldom: a source is asked for each batch.
const SELDOM: u64 = 600;

impl Troubles {
    pub(super) fn new(streams: Streams) -> Troubles {
        Troubles { streams, all: Arc::default() }
    }

    /// Those of a concern: up to `most`.
    pub(super) fn of(&self, concern: &str, most: u64) -> Mishaps {
        let mut random: Random = self.streams.stream(&format!("mishaps of {concern}"));
        let (most, one_in) = (random.below(most.saturating_add(1)), random.magnitude(SELDOM));
        let mishaps = Mishaps::new(random, most, one_in);
        self.all.lock().unwrap_or_else(PoisonError::into_inner).push(mishaps.clone());
        mishaps
    }

    /// Lets them begin, or ends them.
    pub(super) fn arm(&self, armed: bool) {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).iter().for_each(|of| of.arm(armed));
    }
}
