//! Feeds: the input of a simulated job, drawn by the seed, in the state in which input arrives.

use std::fmt::Debug;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use millstream::Result;
use millstream::host::LocalFuture;
use millstream::reference::Inputs;
use millstream::source::{Poison, Reader, Source, SourceContext};
use serde::Serialize;

use super::disorder::Disorder;
use super::laid;
use super::troubles::Troubles;
use crate::disk::DiskView;
use crate::feed::Feed;
use crate::mishaps::Mishaps;
use crate::random::{Chance, Random, Streams};
use crate::scenario::Finding;
use crate::trace::digest;

/// How long nothing comes from a split at most, if nothing else is said.
const PAUSE: Duration = Duration::from_millis(30);

/// The records of a source, which the seed draws; made by [`Simulation::feed`](super::Simulation::feed). It is the source
/// itself, or [lies in a topic](SimFeed::in_topic) or [in files](SimFeed::in_files) that the job reads.
///
/// What is said of it are the most that a seed may draw: some seeds shuffle little, and some not at all.
/// ```
/// use millstream::prelude::*;
/// use millstream_sim::prelude::*;
///
/// let found = Check::new().seeds(3).find("doc", |sim| {
///     let numbers = sim.feed("numbers", |random| (0..random.range(1, 300)).collect::<Vec<_>>());
///     let numbers = numbers.splits(2, |n| n % 10).shuffled(20).duplicated(1, 50).pausing(millis(5));
///     let sums = sim.sink("sums", |sum: &(u64, u64)| sum.0);
///     sim.run(|| {
///         let job = Job::new("doc");
///         let numbers = job.source("numbers", numbers.clone()).map(|n| (n % 10, n)).key_by(|n| n.0);
///         numbers.reduce("sums so far", |sum, n| sum.1 += n.1).sink("sums", sums.clone());
///         job
///     });
/// });
/// assert!(found.is_none());
/// ```
pub struct SimFeed<T>(Arc<Mutex<State<T>>>);

struct State<T> {
    name: String,
    streams: Streams,
    records: Vec<T>,
    splits: usize,
    split_of: Box<dyn Fn(&T) -> u64 + Send>,
    disorder: Vec<Disorder<T>>,
    longest_pause: Duration,
    troubles: Troubles,
    /// What goes wrong with it.
    failing: Option<Mishaps>,
    place: Option<Place<T>>,
    /// What all of it comes to, once a job is to run.
    made: Option<Made<T>>,
}

struct Made<T> {
    splits: Arc<Vec<Vec<T>>>,
    feed: Feed<T>,
}

/// Where the records lie, if the feed is not the source itself, and how each is written there.
struct Place<T> {
    kind: laid::Kind,
    path: PathBuf,
    encode: fn(&T) -> Vec<u8>,
}

impl<T> Clone for SimFeed<T> {
    fn clone(&self) -> SimFeed<T> {
        SimFeed(self.0.clone())
    }
}

impl<T> SimFeed<T> {
    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with(self, change: impl FnOnce(&mut State<T>)) -> SimFeed<T> {
        change(&mut self.state());
        self
    }

    /// Where a concern of this feed draws from.
    fn stream(state: &State<T>, concern: &str) -> Random {
        state.streams.stream(&format!("feed {} {concern}", state.name))
    }
}

impl<T: Clone + Send + Sync + 'static> SimFeed<T> {
    pub(super) fn new(
        name: &str,
        streams: Streams,
        troubles: Troubles,
        draw: impl FnOnce(&mut Random) -> Vec<T>,
    ) -> SimFeed<T> {
        let mut state = State {
            name: name.to_owned(),
            streams,
            records: Vec::new(),
            splits: 1,
            split_of: Box::new(|_| 0),
            disorder: Vec::new(),
            longest_pause: PAUSE,
            troubles,
            failing: None,
            place: None,
            made: None,
        };
        state.records = draw(&mut Self::stream(&state, "records"));
        SimFeed(Arc::new(Mutex::new(state)))
    }

    /// In so many splits: those of a key in one of them, as producers do that write into partitions by key. How they
    /// interleave is open, and the result of the job must not depend on it: see `sim/TESTING.md`.
    pub fn splits<K: Debug>(self, splits: usize, key: impl Fn(&T) -> K + Send + 'static) -> SimFeed<T> {
        self.with(|state| {
            state.splits = splits.max(1);
            state.split_of = Box::new(move |record| digest(format!("{:?}", key(record)).as_bytes()));
        })
    }

    /// Each record comes up to so many places later than it was drawn.
    pub fn shuffled(self, places: u64) -> SimFeed<T> {
        self.with(|state| state.disorder.push(Disorder::Shuffled { places }))
    }

    /// Each record comes up to so much later than its own time, in milliseconds: never too late for
    /// [`Watermarks::bounded`](millstream::source::watermarks::Watermarks::bounded) by as much.
    pub fn out_of_order(self, by: Duration, time: impl Fn(&T) -> i64 + Send + 'static) -> SimFeed<T> {
        self.with(|state| state.disorder.push(Disorder::OutOfOrder { by, time: Box::new(time) }))
    }

    /// About `n` records of `of` come up to so many places later: too late, perhaps.
    pub fn straggling(self, n: u32, of: u32, places: u64) -> SimFeed<T> {
        let chance = Chance::of(n, of);
        self.with(|state| state.disorder.push(Disorder::Straggling { chance, places }))
    }

    /// About `n` records of `of` come twice, as from producers that repeat what was not acknowledged.
    pub fn duplicated(self, n: u32, of: u32) -> SimFeed<T> {
        let chance = Chance::of(n, of);
        self.with(|state| state.disorder.push(Disorder::Duplicated { chance }))
    }

    /// Now and then nothing comes from a split for up to so long, by the clock: 30 ms, if nothing is said.
    pub fn pausing(self, longest: Duration) -> SimFeed<T> {
        self.with(|state| state.longest_pause = longest)
    }

    /// Up to `most` times it cannot be read, and the process that reads it fails: as a source does whose connection is lost.
    /// That is survived as a kill is; a job with a [strategy](millstream::Config::restart) starts again in its process. Not for a
    /// feed that lies on the disk, which has faults of its own.
    ///
    /// ```
    /// use millstream::prelude::*;
    /// use millstream_sim::prelude::*;
    ///
    /// let found = Check::new().seeds(10).find("doc", |sim| {
    ///     let numbers = sim.feed("numbers", |random| (0..random.range(50, 300)).collect::<Vec<_>>());
    ///     let (numbers, out) = (numbers.failing(3), sim.sink("out", |n: &u64| *n).failing(3));
    ///     sim.run(|| {
    ///         let job = Job::new("doc");
    ///         job.source("numbers", numbers.clone()).sink("out", out.clone());
    ///         job
    ///     });
    /// });
    /// assert!(found.is_none(), "{}", found.expect("just seen"));
    /// ```
    pub fn failing(self, most: u64) -> SimFeed<T> {
        self.with(|state| state.failing = Some(state.troubles.of(&format!("feed {}", state.name), most)))
    }

    /// The records, split by split, as they come.
    pub fn records(&self) -> Vec<Vec<T>> {
        self.made(|made| made.splits.to_vec())
    }

    fn made<R>(&self, look: impl FnOnce(&Made<T>) -> R) -> R {
        let mut state = self.state();
        let made = state.made.take().unwrap_or_else(|| make(&mut state));
        look(state.made.insert(made))
    }
}

fn make<T: Clone>(state: &mut State<T>) -> Made<T> {
    let mut splits = vec![Vec::new(); state.splits];
    for record in std::mem::take(&mut state.records) {
        let split = (state.split_of)(&record) % state.splits as u64;
        splits[split as usize].push(record);
    }
    for (at, disorder) in state.disorder.iter().enumerate() {
        let mut random = SimFeed::stream(state, &format!("disorder {at}"));
        let drawn = disorder.drawn(&mut random);
        splits = splits.into_iter().map(|records| drawn.apply(records, &mut random)).collect();
    }
    let mut random = SimFeed::stream(state, "pace");
    // Mostly slow enough for some checkpoints on the way.
    let one_in = *random.pick(&[0, 2, 3, 10]);
    let longest = state.longest_pause.as_micros() as u64;
    let longest = Duration::from_micros(random.below(longest + 1));
    let feed = match longest.is_zero() {
        true => Feed::new(splits.clone()),
        false => Feed::new(splits.clone()).pausing(one_in, longest),
    };
    let feed = match state.failing.clone() {
        Some(mishaps) => feed.failing(mishaps),
        None => feed,
    };
    Made { splits: Arc::new(splits), feed }
}

impl<T: Clone + Send + Sync + Serialize + 'static> SimFeed<T> {
    /// Its records lie in a topic of the simulated disk, as JSON, a partition for each split, before the job starts; that
    /// reads them by [`topic`](millstream::source::topic()) at the same path. Name it after the input, as in
    /// `input/sales`: media that rot spare what is called so.
    pub fn in_topic(self, path: impl Into<PathBuf>) -> SimFeed<T> {
        self.laid(laid::Kind::Topic, path)
    }

    /// Its records lie in files of a directory of the simulated disk, a line of JSON for each, a file for each split, before
    /// the job starts; that reads them by [`files`](millstream::source::files) at the same path.
    pub fn in_files(self, path: impl Into<PathBuf>) -> SimFeed<T> {
        self.laid(laid::Kind::Files, path)
    }

    fn laid(self, kind: laid::Kind, path: impl Into<PathBuf>) -> SimFeed<T> {
        let encode =
            |record: &T| serde_json::to_vec(record).expect("the records of a feed can be written as JSON");
        self.with(|state| state.place = Some(Place { kind, path: path.into(), encode }))
    }
}

impl<T: Clone + Send + Sync + 'static> Source<T> for SimFeed<T> {
    fn describe(&self) -> String {
        format!("the feed `{}`", self.state().name)
    }

    fn is_bounded(&self) -> bool {
        true
    }

    fn poison(&self) -> Poison {
        Poison::Fail
    }

    fn open(self, cx: SourceContext) -> LocalFuture<Result<Box<dyn Reader<T>>>> {
        self.made(|made| made.feed.clone()).open(cx)
    }
}

/// What a source is given, whatever its type: for the reference, and on the disk.
pub(super) trait Given {
    /// The name of the source.
    fn name(&self) -> String;

    /// How many splits it has.
    fn splits(&self) -> usize;

    /// Whether it lies on the disk, where all of it can be read at once.
    fn is_laid(&self) -> bool {
        false
    }

    /// Whether it can be read as often as one likes, and nobody outside takes notice.
    fn is_feed(&self) -> bool {
        false
    }

    /// Adds what is chosen of it to the reference's input.
    fn give(&self, inputs: Inputs, chosen: Chosen) -> Inputs;

    /// Puts it where the job reads it, if that is on the disk.
    fn lay(&self, disk: &DiskView) -> std::result::Result<(), Finding>;
}

/// What of an input the reference is given.
#[derive(Clone, Copy)]
pub(super) enum Chosen {
    /// All of it.
    All,
    /// All of it, the last split first.
    Reversed,
    /// One split, as if there were no other.
    Alone(usize),
    /// One split, and another one that is empty and ends last.
    Held(usize),
}

impl Chosen {
    pub(super) fn of<T: Clone>(self, splits: &[Vec<T>]) -> Vec<Vec<T>> {
        match self {
            Chosen::All => splits.to_vec(),
            Chosen::Reversed => splits.iter().rev().cloned().collect(),
            Chosen::Alone(split) => vec![splits[split].clone()],
            Chosen::Held(split) => vec![splits[split].clone(), Vec::new()],
        }
    }
}

impl<T: Clone + Send + Sync + 'static> Given for SimFeed<T> {
    fn name(&self) -> String {
        self.state().name.clone()
    }

    fn splits(&self) -> usize {
        self.made(|made| made.splits.len())
    }

    fn is_laid(&self) -> bool {
        self.state().place.is_some()
    }

    fn is_feed(&self) -> bool {
        true
    }

    fn give(&self, inputs: Inputs, chosen: Chosen) -> Inputs {
        let splits = self.made(|made| made.splits.clone());
        inputs.with(&self.name(), move || chosen.of(&splits))
    }

    fn lay(&self, disk: &DiskView) -> std::result::Result<(), Finding> {
        let splits = self.made(|made| made.splits.clone());
        let state = self.state();
        let Some(Place { kind, path, encode }) = &state.place else { return Ok(()) };
        if state.failing.is_some() {
            let seen = format!(
                "the feed `{}` lies on the disk, and fails by that alone: leave out `.failing`, or let it be the source itself",
                state.name
            );
            return Err(Finding::new(super::JUDGED, seen));
        }
        let encoded = splits.iter().map(|records| records.iter().map(encode).collect()).collect();
        laid::lay(*kind, path, encoded, &mut Self::stream(&state, "laid"), disk)
    }
}
