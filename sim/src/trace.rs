//! The rolling hash of everything that was decided, and on demand the list of it.
//!
//! Two runs with the same hash made the same decisions in the same order at the same virtual times. Marks are in the list
//! only: what follows from the decisions, for people to read.

use std::fmt;
use std::time::Duration;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum What {
    /// A process started: its number, its cores.
    Start = 1,
    /// A task was made: core, task.
    Spawn,
    /// A task ran: core, task.
    Poll,
    /// A timer went off: its number.
    Timer,
    /// A core was stalled: core, nanoseconds.
    Stall,
    /// The wall clock jumped: by milliseconds.
    Jump,
    /// A disk operation was issued: its number, its latency in nanoseconds.
    Issue,
    /// A disk operation took effect: its number, a digest of its outcome.
    Complete,
    /// A fault was injected: which, at which site. A mark.
    Fault,
    /// The process was killed: kind, point.
    Crash,
    /// What became of a disk operation in flight, or of unsynced data, in a crash: number, outcome.
    Aftermath,
    /// A process ended: its number, how.
    End,
    /// A remark of the scenario: two numbers of its own.
    Note,
    /// A checkpoint was triggered: its number. A mark.
    Triggered,
    /// A checkpoint became durable as a whole: its number. A mark.
    Completed,
    /// A checkpoint was given up: its number. A mark.
    Aborted,
    /// Every sink had committed a checkpoint: its number. A mark.
    Committed,
    /// Something went wrong outside the machine: in an object store, a database, the code of users. A mark.
    Outside,
    /// What a job said of its own end: whether it failed. A mark.
    Outcome,
    /// A process was frozen: its number, what stands still.
    Freeze,
    /// A frozen process woke: its number, nanoseconds that it was frozen.
    Wake,
}

/// One entry of the log.
#[derive(Clone, Debug)]
pub struct Event {
    /// Virtual time.
    pub at: Duration,
    /// What happened.
    pub what: What,
    /// The numbers that go with it.
    pub numbers: [u64; 2],
    /// Details for people; not part of the hash.
    pub text: String,
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b] = self.numbers;
        write!(
            f,
            "{:>14.6} ms  {:<9} {a:>6} {b:>12}",
            self.at.as_secs_f64() * 1e3,
            format!("{:?}", self.what)
        )?;
        if self.text.is_empty() { Ok(()) } else { write!(f, "  {}", self.text) }
    }
}

/// The rolling hash, and the log if it is kept.
#[derive(Debug)]
pub struct Trace {
    hash: u64,
    count: u64,
    log: Option<Vec<Event>>,
}

impl Trace {
    /// An empty trace; `keep` also keeps the list of events.
    pub fn new(keep: bool) -> Trace {
        Trace { hash: 0x9e37_79b9_7f4a_7c15, count: 0, log: keep.then(Vec::new) }
    }

    /// Adds an event. `text` is only made when the log is kept.
    pub fn note(&mut self, at: Duration, what: What, numbers: [u64; 2], text: impl FnOnce() -> String) {
        let nanos = at.as_nanos() as u64;
        for word in [nanos ^ ((what as u64) << 56), numbers[0], numbers[1]] {
            self.hash = mix(self.hash, word);
        }
        self.count += 1;
        if let Some(log) = &mut self.log {
            log.push(Event { at, what, numbers, text: text() });
        }
    }

    /// Adds what the last event was about: what is in the hash and nowhere else.
    ///
    /// ```
    /// use millstream_sim::trace::{Trace, digest};
    /// let mut trace = Trace::new(false);
    /// let before = trace.hash();
    /// trace.fold(digest(b"what was written"));
    /// assert_ne!(trace.hash(), before);
    /// ```
    pub fn fold(&mut self, word: u64) {
        self.hash = mix(self.hash, word);
    }

    /// Adds a mark, at its place in time: often it is known only later.
    pub fn mark(&mut self, at: Duration, what: What, numbers: [u64; 2], text: impl FnOnce() -> String) {
        if let Some(log) = &mut self.log {
            let place = log.partition_point(|event| event.at <= at);
            log.insert(place, Event { at, what, numbers, text: text() });
        }
    }

    /// Whether the list of events is kept.
    pub fn keeps_log(&self) -> bool {
        self.log.is_some()
    }

    /// The hash of everything so far.
    pub fn hash(&self) -> u64 {
        mix(self.hash, self.count)
    }

    /// The number of events so far.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The events so far; empty unless they are kept.
    pub fn events(&self) -> &[Event] {
        self.log.as_deref().unwrap_or(&[])
    }
}

/// Folds a word into a hash: the 128-bit product of wyhash, both halves.
pub fn mix(hash: u64, word: u64) -> u64 {
    let product = u128::from(hash ^ 0xa076_1d64_78bd_642f) * u128::from(word ^ 0xe703_7ed1_a0b4_28db);
    (product as u64 ^ (product >> 64) as u64).wrapping_add(hash.rotate_left(29))
}

/// The hash of some bytes, to put contents into a trace.
pub fn digest(bytes: &[u8]) -> u64 {
    let mut words = bytes.chunks_exact(8);
    let hash = words.by_ref().fold(bytes.len() as u64, |hash, word| {
        mix(hash, u64::from_le_bytes(word.try_into().expect("chunks of 8 bytes")))
    });
    let mut last = [0; 8];
    last[..words.remainder().len()].copy_from_slice(words.remainder());
    mix(hash, u64::from_le_bytes(last))
}
