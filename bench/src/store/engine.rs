//! What an engine has to do to be measured.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::report::Outcome;

/// Opens an engine; `None` if it cannot do what the setup asks for.
pub type Opener = fn(&Setup) -> Outcome<Option<Box<dyn Engine>>>;

/// What an engine is opened for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Setup {
    /// Its name in the roster.
    pub engine: String,
    /// A directory of its own, empty.
    pub dir: PathBuf,
    /// Keys that it will hold.
    pub keys: u64,
    /// Bytes of a value, at least 16.
    pub value_len: usize,
    /// Bytes of memory for caches and write buffers together.
    pub budget: u64,
    /// What it will hold.
    pub state: State,
}

/// What kind of state an engine is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    /// A value per key, all within the budget.
    Values,
    /// A value per key, four times the budget together.
    LargeValues,
    /// A value per key, to take snapshots of.
    Snapshots,
    /// A list per key.
    Lists,
    /// A map per key.
    Maps,
}

/// An engine under load. Keys are numbers below [`Setup::keys`], stored as [`key_bytes`].
///
/// A batch may be split, and written in as many transactions as suits the engine, as long as a later read sees it.
pub trait Engine {
    /// Reads the value of each key, which is zeros if it is absent, changes it by [`add`], and writes it back.
    ///
    /// # Errors
    /// If the engine refuses.
    fn update(&mut self, keys: &[u64]) -> Outcome<()>;

    /// Reads the value of each key. Returns the sum of their counts.
    ///
    /// # Errors
    /// If the engine refuses.
    fn read(&mut self, keys: &[u64]) -> Outcome<u64>;

    /// Visits every key with its value.
    ///
    /// # Errors
    /// If the engine refuses.
    fn scan(&mut self) -> Outcome<Scanned>;

    /// Bytes of memory that the engine itself says it holds for the state.
    fn accounted_bytes(&self) -> Option<u64>;

    /// Takes a snapshot as a stream processor would, and returns how long it kept the caller from its work; `None`
    /// if the engine has no such thing.
    ///
    /// # Errors
    /// If the engine refuses.
    fn snapshot(&mut self) -> Outcome<Option<Duration>>;

    /// Appends eight bytes to the list of each key, or puts an entry with this number as its name into the map of
    /// each key. What is appended is `from` for the first, and one more for each further.
    ///
    /// # Errors
    /// If the engine refuses.
    fn append(&mut self, keys: &[u64], from: u64) -> Outcome<()>;

    /// Visits all elements of the lists, or all entries of the maps, of these keys.
    ///
    /// # Errors
    /// If the engine refuses.
    fn iterate(&mut self, keys: &[u64]) -> Outcome<Scanned>;
}

/// What was visited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scanned {
    /// Keys, elements or entries.
    pub entries: u64,
    /// Sum of the counts or numbers in them.
    pub sum: u64,
}

impl Scanned {
    /// Counts one more.
    pub fn see(&mut self, number: u64) {
        self.entries += 1;
        self.sum = self.sum.wrapping_add(number);
    }
}

/// A key as every engine stores it: in the order of the numbers.
#[inline]
pub fn key_bytes(key: u64) -> [u8; 8] {
    key.to_be_bytes()
}

/// A key and an element's number as one key, in the order of both.
#[inline]
pub fn composite(key: u64, number: u64) -> [u8; 16] {
    (u128::from(key) << 64 | u128::from(number)).to_be_bytes()
}

/// The update: a value begins with a count and a sum.
///
/// # Panics
/// If the value has fewer than 16 bytes.
#[inline]
pub fn add(value: &mut [u8], key: u64) {
    let (count, rest) = value.split_first_chunk_mut::<8>().expect("a value begins with a count");
    let sum = rest.first_chunk_mut::<8>().expect("and a sum");
    *count = (u64::from_le_bytes(*count) + 1).to_le_bytes();
    *sum = u64::from_le_bytes(*sum).wrapping_add(key & 0xff).to_le_bytes();
}

/// The first number in some bytes: the count of a value, or an element.
///
/// # Panics
/// If there are fewer than eight bytes.
#[inline]
pub fn number(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(*bytes.first_chunk::<8>().expect("it begins with a number"))
}
