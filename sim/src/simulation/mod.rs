//! Jobs of your own, under faults: `sim/TESTING.md` is the way in.
//!
//! A test says what its job reads and writes, and [`check`] runs that in a hundred worlds, each drawn by a seed: processes
//! are killed at any point, the disk loses what was not synced, syncs fail, the disk is full or slow, cores stand still. The
//! job is started again until it is done. After every process, what it has committed must be a beginning of what the
//! [reference interpreter](millstream::reference) puts out, and in the end all of it: each record once.
//!
//! ```
//! use millstream::prelude::*;
//! use millstream::sink::Sink;
//! use millstream::source::Source;
//! use millstream_sim::prelude::*;
//!
//! type Sale = (i64, String, u64);
//! type Revenue = (String, i64, u64);
//!
//! /// Revenue per shop and minute.
//! fn revenue(sales: impl Source<Sale>, out: impl Sink<Revenue>) -> Job {
//!     let job = Job::new("revenue");
//!     job.source("sales", sales)
//!         .event_time(|sale| sale.0, Watermarks::bounded(secs(5)))
//!         .key_by(|sale| sale.1.clone())
//!         .window(Tumbling::of(minutes(1)))
//!         .reduce("sum", |sum, sale| sum.2 += sale.2)
//!         .map(|w| (w.key, w.window.start, w.value.2))
//!         .sink("revenue", out);
//!     job
//! }
//!
//! /// Five minutes of sales.
//! fn sales(random: &mut Random) -> Vec<Sale> {
//!     let shops = ["baker", "grocer"];
//!     (0..300).map(|n| (n * 1_000, random.pick(&shops).to_string(), random.range(1, 900))).collect()
//! }
//!
//! // In a `#[test]`:
//! check("revenue", |sim| {
//!     let sales = sim.feed("sales", sales).out_of_order(secs(10), |sale| sale.0).duplicated(1, 50);
//!     let rows = sim.sink("revenue", |row: &Revenue| row.0.clone());
//!     sim.run(|| revenue(sales.clone(), rows.clone()));
//! });
//! ```

mod asked;
mod check;
mod closer;
mod disorder;
mod env;
mod feed;
mod found;
mod given;
mod laid;
mod of_job;
mod output;
mod run;
mod seek;
mod settings;
mod troubles;
mod work;

use std::cell::RefCell;
use std::fmt::Debug;
use std::path::PathBuf;
use std::rc::Rc;

use millstream::Config;
use millstream::job::Job;
use serde::de::DeserializeOwned;

use crate::disk::DiskView;
use crate::random::Random;
use crate::scenario::{Finding, Options};
use crate::world::World;

pub use asked::{assert_beginning, assert_same, assert_unique};
pub use check::{Check, check, explore};
pub use feed::SimFeed;
pub use found::Found;
pub use output::{SimOutput, SimSink};

use feed::Given;
use output::{Compare, Output, Read, Rows, Watched};
use troubles::Troubles;

/// The rule of tests that ask for what cannot be judged: no finding about the job.
pub(crate) const JUDGED: &str = "the test can be judged";

/// What a process may take.
#[derive(Clone, Copy, Default)]
struct Budgets {
    memory: Option<u64>,
    files: Option<usize>,
}

type Configure = Box<dyn Fn(Config) -> Config>;
type Oracle = Box<dyn Fn(&Look<'_>)>;

/// The world of a seed, as a test sees it: it is told what the job reads and writes, and runs it.
///
/// [`check`] calls the test once for each seed, with a simulation of that seed.
pub struct Simulation<'a> {
    world: &'a mut World,
    options: &'a Options,
    given: Vec<Box<dyn Given>>,
    outputs: Vec<Box<dyn Output>>,
    always: Vec<Oracle>,
    at_end: Vec<Oracle>,
    configure: Configure,
    troubles: Troubles,
    budgets: Budgets,
    /// Replays show nothing.
    unreplayed: bool,
    /// The only legal end may be a loud stop.
    beyond: bool,
    /// Nothing goes wrong.
    calm: bool,
    /// The disk was handed out, so that there is no other world any more.
    begun: bool,
    ran: bool,
}

/// What is there when a process is over: see [`Simulation::always`].
pub struct Look<'a> {
    disk: &'a DiskView,
    done: bool,
}

impl Look<'_> {
    /// The disk, as it was left.
    pub fn disk(&self) -> &DiskView {
        self.disk
    }

    /// Whether the job has come to its end, and all of its output is there.
    pub fn done(&self) -> bool {
        self.done
    }
}

/// What ends the run of a seed in which the job has stopped for good, as it may.
struct Stopped;

/// Ends a run with a finding.
fn refuse(finding: Finding) -> ! {
    std::panic::resume_unwind(Box::new(finding))
}

/// Ends a run because of what the test asks for.
fn refuse_test(seen: impl Into<String>) -> ! {
    refuse(Finding::new(JUDGED, seen))
}

impl<'a> Simulation<'a> {
    fn new(world: &'a mut World, options: &'a Options) -> Simulation<'a> {
        let troubles = Troubles::new(world.streams());
        Simulation {
            world,
            options,
            given: Vec::new(),
            outputs: Vec::new(),
            always: Vec::new(),
            at_end: Vec::new(),
            configure: Box::new(|config| config),
            troubles,
            budgets: Budgets::default(),
            unreplayed: false,
            beyond: false,
            calm: false,
            begun: false,
            ran: false,
        }
    }

    /// What the job's source of this name reads: records that the seed draws, in the order in which they were made. See
    /// [`SimFeed`] for how they come out of order, late, twice, in splits, and by way of topics and files.
    pub fn feed<T, D>(&mut self, source: &str, draw: D) -> SimFeed<T>
    where
        T: Clone + Send + Sync + 'static,
        D: FnOnce(&mut Random) -> Vec<T>,
    {
        let feed = SimFeed::new(source, self.world.streams(), self.troubles.clone(), draw);
        self.given.push(Box::new(feed.clone()));
        feed
    }

    /// The records that the job's source of this name finds, split by split, when the test itself has laid them on the
    /// [disk](Self::disk), or the source is the job's own: the reference must know them.
    ///
    /// ```
    /// use millstream::prelude::*;
    /// use millstream_sim::prelude::*;
    ///
    /// let found = Check::new().seeds(3).find("doc", |sim| {
    ///     sim.disk().install("input/a.ndjson", "1\n2\n").expect("a new disk is empty");
    ///     sim.input("numbers", vec![vec![1_u64, 2]]);
    ///     let out = sim.sink("out", |n: &u64| *n);
    ///     sim.run(|| {
    ///         let job = Job::new("doc");
    ///         job.source("numbers", files(["input/a.ndjson"])).sink("out", out.clone());
    ///         job
    ///     });
    /// });
    /// assert!(found.is_none());
    /// ```
    pub fn input<T: Clone + Send + Sync + 'static>(&mut self, source: &str, splits: Vec<Vec<T>>) {
        self.given.push(Box::new(given::Known::new(source, splits)));
    }

    /// A sink for the job's sink of this name. Records of a `key` are compared in their order, and the order of
    /// records of different keys is open: it should be the last key that the job has routed by.
    pub fn sink<T, K>(&mut self, sink: &str, key: impl Fn(&T) -> K + 'static) -> SimSink<T>
    where
        T: Clone + PartialEq + Debug + Send + 'static,
        K: Debug,
    {
        let longest = laid::outside(&mut self.random(&format!("sink {sink}")));
        let compare = Compare::default();
        let made = SimSink::new(sink, longest, compare.clone(), self.troubles.clone());
        self.watch(sink, key, (made.reading(), Some(made.rows())), compare);
        made
    }

    /// The job's sink of this name writes JSON into the topic at `path`, by
    /// [`topic_sink`](millstream::sink::topic_sink). See [`sink`](Self::sink) for the key.
    pub fn topic_sink<T, K>(
        &mut self,
        sink: &str,
        path: impl Into<PathBuf>,
        key: impl Fn(&T) -> K + 'static,
    ) -> SimOutput<T>
    where
        T: PartialEq + Debug + DeserializeOwned + 'static,
        K: Debug,
    {
        let (disk, path) = (self.disk(), path.into());
        self.output_by(sink, key, Rc::new(move |_| laid::committed(&disk, &path)))
    }

    /// The job's sink of this name writes lines of JSON into files of the directory at `path`, by
    /// [`ndjson_dir`](millstream::sink::ndjson_dir). See [`sink`](Self::sink) for the key.
    pub fn files_sink<T, K>(
        &mut self,
        sink: &str,
        path: impl Into<PathBuf>,
        key: impl Fn(&T) -> K + 'static,
    ) -> SimOutput<T>
    where
        T: PartialEq + Debug + DeserializeOwned + 'static,
        K: Debug,
    {
        let (disk, path) = (self.disk(), path.into());
        self.output_by(sink, key, Rc::new(move |done| laid::visible(&disk, &path, done)))
    }

    /// The job's sink of this name is its own: `committed` reads what it has made visible, in its order. See
    /// [`sink`](Self::sink) for the key.
    ///
    /// ```
    /// use millstream::prelude::*;
    /// use millstream_sim::collected::Collected;
    /// use millstream_sim::prelude::*;
    ///
    /// let found = Check::new().seeds(3).find("doc", |sim| {
    ///     let numbers = sim.feed("numbers", |random| (0..random.range(50, 300)).collect::<Vec<_>>());
    ///     // A system outside, which the job writes to by a sink of its own.
    ///     let system = Collected::<u64>::new(millis(1));
    ///     let outside = system.clone();
    ///     let out = sim.output("out", |n: &u64| *n, move || outside.committed());
    ///     sim.run(|| {
    ///         let job = Job::new("doc");
    ///         job.source("numbers", numbers.clone()).sink("out", system.clone());
    ///         job
    ///     });
    ///     assert!(out.committed().len() >= 50);
    /// });
    /// assert!(found.is_none(), "{}", found.expect("just seen"));
    /// ```
    pub fn output<T, K>(
        &mut self,
        sink: &str,
        key: impl Fn(&T) -> K + 'static,
        committed: impl Fn() -> Vec<T> + 'static,
    ) -> SimOutput<T>
    where
        T: PartialEq + Debug + 'static,
        K: Debug,
    {
        self.output_by(sink, key, Rc::new(move |_| Ok(committed())))
    }

    fn output_by<T, K>(&mut self, sink: &str, key: impl Fn(&T) -> K + 'static, read: Read<T>) -> SimOutput<T>
    where
        T: PartialEq + Debug + 'static,
        K: Debug,
    {
        let compare = Compare::default();
        self.watch(sink, key, (read.clone(), None), compare.clone());
        SimOutput::new(read, compare)
    }

    fn watch<T, K>(
        &mut self,
        sink: &str,
        key: impl Fn(&T) -> K + 'static,
        (read, rows): (Read<T>, Option<Rows>),
        compare: Compare,
    ) where
        T: PartialEq + Debug + 'static,
        K: Debug,
    {
        let key: Rc<dyn Fn(&T) -> String> = Rc::new(move |record| format!("{:?}", key(record)));
        let expected = RefCell::new(None);
        self.outputs.push(Box::new(Watched { sink: sink.to_owned(), key, read, rows, compare, expected }));
    }

    /// Runs the job to its end, through whatever the seed has in store. It returns once all is as it should be, and
    /// otherwise ends the test's run of this seed; also where faults beyond tolerance have stopped the job for good.
    ///
    /// The function makes the job anew for each process, from clones of the feeds and sinks, as each start of your program
    /// does.
    pub fn run(&mut self, job: impl Fn() -> Job) {
        if std::mem::replace(&mut self.ran, true) {
            refuse_test("a simulation runs one job: call `sim.run` once");
        }
        self.begun = true;
        match run::run(self, &job) {
            Ok(true) => {}
            Ok(false) => std::panic::panic_any(Stopped),
            Err(finding) => refuse(finding),
        }
    }
}
