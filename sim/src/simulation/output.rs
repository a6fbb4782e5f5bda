//! What a simulated job puts out: where its committed records are read, and what they are compared with.

use std::cell::RefCell;
use std::fmt::Debug;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use millstream::Result;
use millstream::host::LocalFuture;
use millstream::job::Job;
use millstream::reference::Inputs;
use millstream::sink::{Prepared, Sink, SinkContext, Writer};

use super::refuse;
use super::troubles::Troubles;
use crate::collected::Collected;
use crate::harness::expected::Expected;
use crate::scenario::Finding;

/// How the records of a sink are compared with the reference's.
#[derive(Clone, Default)]
pub(super) struct Compare(Arc<Mutex<How>>);

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum How {
    /// Those of a key, in their order.
    #[default]
    PerKey,
    /// Each as often, in whatever order.
    Unordered,
    /// Not at all.
    Not,
}

impl Compare {
    fn set(&self, how: How) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = how;
    }

    fn how(&self) -> How {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A sink for a simulated job, made by [`Simulation::sink`](super::Simulation::sink): a system with transactions outside
/// the machine, which takes its time for each request and outlives every crash.
///
/// ```
/// use millstream::prelude::*;
/// use millstream_sim::prelude::*;
///
/// let found = Check::new().seeds(3).find("doc", |sim| {
///     let letters = sim.feed("letters", |random| (0..200).map(|_| *random.pick(&['a', 'b'])).collect());
///     let out = sim.sink("out", |letter: &char| *letter).unordered();
///     sim.run(|| {
///         let job = Job::new("doc");
///         job.source("letters", letters.clone()).sink("out", out.clone());
///         job
///     });
///     assert_eq!(out.committed().len(), 200);
/// });
/// assert!(found.is_none());
/// ```
pub struct SimSink<T> {
    name: String,
    collected: Collected<T>,
    compare: Compare,
    troubles: Troubles,
}

impl<T> SimSink<T> {
    pub(super) fn new(sink: &str, longest: Duration, compare: Compare, troubles: Troubles) -> SimSink<T>
    where
        T: Debug,
    {
        SimSink { name: sink.to_owned(), collected: Collected::new(longest).debugged(), compare, troubles }
    }

    /// Up to `most` of its requests fail, before they have taken effect or after, and the process with them: as those of a
    /// database do whose connection is lost. See [`SimFeed::failing`](super::SimFeed::failing) for an example.
    pub fn failing(self, most: u64) -> SimSink<T> {
        let mishaps = self.troubles.of(&format!("sink {}", self.name), most);
        SimSink { collected: self.collected.failing(mishaps), ..self }
    }

    /// The order of its records is open, also of those of a key: each must come as often as the reference puts it out. Which is
    /// which is told by what `Debug` prints, and that they are equal by `PartialEq`: a record with a `NaN` in it equals none.
    pub fn unordered(self) -> SimSink<T> {
        self.compare.set(How::Unordered);
        self
    }

    /// Its records are not compared with the reference's: what is to be asked of them, the test asks.
    pub fn unchecked(self) -> SimSink<T> {
        self.compare.set(How::Not);
        self
    }
}

impl<T: Clone + 'static> SimSink<T> {
    /// What is committed, in the order of the commits.
    pub fn committed(&self) -> Vec<T> {
        self.collected.committed()
    }

    /// What belongs to the checkpoints behind one, up to another.
    pub(super) fn rows(&self) -> Rows
    where
        T: Send,
    {
        let collected = self.collected.clone();
        Rc::new(move |from, to| collected.rows_between(from, to))
    }

    /// How what is committed is read.
    pub(super) fn reading(&self) -> Read<T> {
        let collected = self.collected.clone();
        Rc::new(move |_| match collected.broken() {
            Some(what) => Err(Finding::new("sinks are asked for what is possible", what)),
            None => Ok(collected.committed()),
        })
    }
}

impl<T> Clone for SimSink<T> {
    fn clone(&self) -> SimSink<T> {
        let (name, collected) = (self.name.clone(), self.collected.clone());
        SimSink { name, collected, compare: self.compare.clone(), troubles: self.troubles.clone() }
    }
}

impl<T: Send + 'static> Sink<T> for SimSink<T> {
    fn describe(&self) -> String {
        self.collected.describe()
    }

    fn recover(self, cx: SinkContext, prepared: Vec<Prepared>) -> LocalFuture<Result<()>> {
        self.collected.recover(cx, prepared)
    }

    fn show(&self, record: &T, json: &mut Vec<u8>) -> Result<bool> {
        self.collected.show(record, json)
    }

    fn open(self, cx: SinkContext) -> LocalFuture<Result<Box<dyn Writer<T>>>> {
        self.collected.open(cx)
    }
}

/// What a sink of the job's own has made visible: in a topic, in files, or in a system that the test knows how to read.
/// Made by [`Simulation::topic_sink`](super::Simulation::topic_sink),
/// [`Simulation::files_sink`](super::Simulation::files_sink) and [`Simulation::output`](super::Simulation::output).
///
/// ```
/// use millstream::prelude::*;
/// use millstream_sim::prelude::*;
///
/// let found = Check::new().seeds(3).find("doc", |sim| {
///     let numbers = sim.feed("numbers", |random| (0..random.range(1, 300)).collect::<Vec<u64>>());
///     numbers.in_files("input");
///     let tens = sim.files_sink("tens", "output/tens", |n: &u64| n % 100).unordered();
///     sim.always({
///         let tens = tens.clone();
///         move |_| assert!(tens.committed().iter().all(|n| n % 10 == 0))
///     });
///     sim.run(|| {
///         let job = Job::new("doc");
///         job.source("numbers", files(["input"])).map(|n: u64| n * 10).sink("tens", ndjson_dir("output/tens"));
///         job
///     });
/// });
/// assert!(found.is_none());
/// ```
pub struct SimOutput<T> {
    read: Read<T>,
    compare: Compare,
}

impl<T> SimOutput<T> {
    pub(super) fn new(read: Read<T>, compare: Compare) -> SimOutput<T> {
        SimOutput { read, compare }
    }

    /// The order of its records is open, also of those of a key: each must come as often as the reference puts it out. Which is
    /// which is told by what `Debug` prints, and that they are equal by `PartialEq`: a record with a `NaN` in it equals none.
    pub fn unordered(self) -> SimOutput<T> {
        self.compare.set(How::Unordered);
        self
    }

    /// Its records are not compared with the reference's: what is to be asked of them, the test asks.
    pub fn unchecked(self) -> SimOutput<T> {
        self.compare.set(How::Not);
        self
    }

    /// What is committed. That it cannot be read is a finding, and ends the run.
    pub fn committed(&self) -> Vec<T> {
        (self.read)(false).unwrap_or_else(|finding| refuse(finding))
    }
}

impl<T> Clone for SimOutput<T> {
    fn clone(&self) -> SimOutput<T> {
        SimOutput { read: self.read.clone(), compare: self.compare.clone() }
    }
}

/// Reads what is committed; of a job that is done, nothing may be pending.
pub(super) type Read<T> = Rc<dyn Fn(bool) -> std::result::Result<Vec<T>, Finding>>;

/// Tells what belongs to the checkpoints behind one, up to another, as JSON.
pub(super) type Rows = Rc<dyn Fn(u64, u64) -> Vec<String>>;

/// The output of a job's sink, whatever its type.
pub(super) trait Output {
    /// The name of the sink.
    fn name(&self) -> &str;

    /// Whether it is compared with the reference's.
    fn is_compared(&self) -> bool;

    /// Whether the order of a key's records is compared, too.
    fn is_in_order(&self) -> bool;

    /// What belongs to the checkpoints behind one, up to another, if it can tell.
    fn rows(&self, from: u64, to: u64) -> Option<Vec<String>>;

    /// Has the reference say what is to come.
    fn expect(&self, job: &Job, inputs: &Inputs);

    /// Whether what is committed is right so far; complete, too, if the job is done.
    fn check(&self, done: bool) -> std::result::Result<(), Finding>;

    /// How the reference's answers to two inputs differ, if they do.
    fn differs(&self, job: &Job, one: &Inputs, other: &Inputs) -> Option<String>;
}

/// A sink, how its output is read and by what its records are told apart.
pub(super) struct Watched<T> {
    pub(super) sink: String,
    pub(super) key: Rc<dyn Fn(&T) -> String>,
    pub(super) read: Read<T>,
    pub(super) rows: Option<Rows>,
    pub(super) compare: Compare,
    pub(super) expected: RefCell<Option<Expected<T>>>,
}

impl<T: PartialEq + Debug + 'static> Watched<T> {
    /// What the reference puts out, to be compared as it was said.
    fn expected(&self, job: &Job, inputs: &Inputs) -> Expected<T> {
        Expected::new(self.sink.clone(), self.keying(), job.expected(&self.sink, inputs))
    }

    fn keying(&self) -> impl Fn(&T) -> String + 'static + use<T> {
        let (key, how) = (self.key.clone(), self.compare.how());
        // Each record is a key of its own where there is no order.
        move |record| if how == How::Unordered { format!("{record:?}") } else { key(record) }
    }
}

impl<T: PartialEq + Debug + 'static> Output for Watched<T> {
    fn name(&self) -> &str {
        &self.sink
    }

    fn is_compared(&self) -> bool {
        self.compare.how() != How::Not
    }

    fn is_in_order(&self) -> bool {
        self.compare.how() == How::PerKey
    }

    fn rows(&self, from: u64, to: u64) -> Option<Vec<String>> {
        self.rows.as_ref().map(|rows| rows(from, to))
    }

    fn expect(&self, job: &Job, inputs: &Inputs) {
        *self.expected.borrow_mut() = Some(self.expected(job, inputs));
    }

    fn check(&self, done: bool) -> std::result::Result<(), Finding> {
        let committed = (self.read)(done)?;
        self.expected.borrow().as_ref().map_or(Ok(()), |expected| expected.check(committed, done))
    }

    fn differs(&self, job: &Job, one: &Inputs, other: &Inputs) -> Option<String> {
        let other = job.expected(&self.sink, other);
        self.expected(job, one).check(other, true).err().map(|finding| finding.seen)
    }
}
