//! An incident, once more: a job is run again from a checkpoint that is still there, up to a record of its input, in one
//! thread, in an order that is the same each time, so that it can be stepped through in a debugger.
//!
//! Nothing is touched of what the job has or writes, and it may run meanwhile:
//! - The checkpoint is only read. No lease is taken; its files are opened before anything else, and stay readable when the
//!   job removes them. What the replay itself keeps there is kept in memory.
//! - Sources are the job's own, and read what is there: of topics what is committed, whose writers are not disturbed.
//! - Sinks are neither recovered nor opened. Each row is shown as a line of JSON, with the sink's name and the record that was
//!   read last: by default on the standard output. How a row looks says [`Sink::show`](crate::sink::Sink::show).
//!
//! What the job's own functions do to the world outside, they do again: requests of
//! [`async_map`](crate::stream::Stream::async_map) and of joins by lookup are made, and answered with what is known now.
//!
//! A program need not be changed for it: `millstream replay --checkpoint DIR -- PROGRAM …` runs it with
//! [`MILLSTREAM_REPLAY`](VARIABLE) set, and [`Job::run`](crate::Job::run) and [`Job::start`](crate::Job::start) do what that
//! says. The process then ends with the replay: what the program does behind `run` is not done. A job of another name is
//! refused. In a program or a test of one's own it is [`Job::replay`](crate::Job::replay):
//!
//! ```
//! use millstream::prelude::*;
//! use millstream::replay::{Replay, ReplayEnd};
//! # let dir = tempfile::tempdir()?;
//! # let (state, saved) = (dir.path().join("state"), dir.path().join("saved"));
//!
//! let job = || {
//!     let job = Job::new("doc");
//!     job.source("numbers", generator(u64::MAX, |n| n)).map(|n| 2 * n).sink("out", stdout_ndjson());
//!     job
//! };
//! let config = Config::new().cores(1).checkpoints(state);
//! let running = job().start(config.clone())?;
//! let savepoint = running.stop_with_savepoint(&saved).wait()?;
//! # drop(running);
//!
//! let replay = || Replay::from(&saved, savepoint.epoch).records(3).writer(Vec::new());
//! let report = job().replay(config.clone(), replay())?;
//! assert_eq!((report.ended, report.rows["out"]), (ReplayEnd::Reached, 3));
//! assert_eq!(job().replay(config, replay())?, report, "it is the same each time");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The order
//! With seed 0, one record is read at a time, from one split after the other, and the next when the job has come to rest. So
//! all that happens is known to be done by the record that was read last. Other seeds draw whose turn it is, for how many
//! records, and which core goes on: for what depends on more than one record being on its way. The record that was read last
//! need not be the cause then.
//!
//! # The clock
//! The wall clock begins with the time at which the checkpoint was taken, and then stands still; by
//! [`pace`](Replay::pace) it moves on by so much with each record. Timers that are due fire then, in order. The clock by which
//! a job sleeps and loses patience moves on besides, when nothing else is left to do. A split that has nothing is idle at
//! once, if its source is to find that out at all.

mod gate;
mod origin;
mod output;
mod overlay;
mod program;
mod report;
mod run;
mod shown;
mod state;
mod trace;
mod until;

use std::fmt;
use std::io::{self, Write};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use millstream_storage::disk::{Disk, StdDisk};
use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result};
use gate::{Gate, Gated};
use shown::{Rows, Shown};
use until::Splits;

pub use program::VARIABLE;
pub(crate) use program::{obey, refuse};
pub use report::{ReplayEnd, ReplayReport, SplitReplay};
pub(crate) use run::run;

/// What is to be replayed, how far, and how. See the [module](crate::replay).
///
/// ```
/// use millstream::replay::Replay;
/// use millstream::time::millis;
///
/// let replay = Replay::from("state", 41)
///     .until("orders:partition-00003@88172")
///     .seed(7)
///     .pace(millis(1))
///     .output("incident")
///     .save_state();
/// let same = Replay::from_json(&replay.to_json())?;
/// assert_eq!(same.to_json(), replay.to_json());
/// # Ok::<(), millstream::Error>(())
/// ```
pub struct Replay {
    settings: Settings,
    writer: Option<Box<dyn Write + Send>>,
    hash_state: bool,
    disk: Rc<dyn Disk>,
}

/// What can be told to another process.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    checkpoint: PathBuf,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id: Option<u64>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    from_nothing: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    until: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    until_checkpoint: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    records: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cores: Option<usize>,
    #[serde(default)]
    seed: u64,
    #[serde(default)]
    pace: Duration,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    output: Option<PathBuf>,
    #[serde(default)]
    save_state: bool,
}

impl fmt::Debug for Replay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.settings.fmt(f)
    }
}

impl Replay {
    /// From a checkpoint in a job's directory of checkpoints, or from a savepoint, to the end of what its input has now.
    pub fn from(checkpoints: impl Into<PathBuf>, id: u64) -> Replay {
        Replay::from_last(checkpoints).at(id)
    }

    fn at(mut self, id: u64) -> Replay {
        self.settings.id = Some(id);
        self
    }

    /// From the last checkpoint in a directory that is not the end of the job.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// use millstream::replay::Replay;
    /// # let dir = tempfile::tempdir()?;
    ///
    /// let job = Job::new("doc");
    /// job.source("numbers", generator(10, |n| n)).sink("out", discard());
    /// let refused = job.replay(Config::new(), Replay::from_last(dir.path())).unwrap_err();
    /// assert!(refused.to_string().ends_with("holds no checkpoint to replay from"), "{refused}");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn from_last(checkpoints: impl Into<PathBuf>) -> Replay {
        let settings = Settings { checkpoint: checkpoints.into(), ..Settings::default() };
        Replay { settings, writer: None, hash_state: false, disk: Rc::new(StdDisk) }
    }

    /// From the beginning of the input, with no state, up to where a checkpoint was taken: what that holds must be what this
    /// comes to, whatever the job has been through until then. The input must still be there.
    ///
    /// ```
    /// # use std::rc::Rc;
    /// # use millstream::prelude::*;
    /// # use millstream_storage::disk::{StdDisk, block_on};
    /// use millstream::checkpoint::inspect::Checkpoints;
    /// use millstream::replay::Replay;
    /// # let dir = tempfile::tempdir()?;
    ///
    /// let job = || {
    ///     let job = Job::new("doc");
    ///     let numbers = job.source("numbers", generator(100, |n| n)).key_by(|n| n % 7);
    ///     numbers.reduce("sum", |sum, n| *sum += n).sink("out", discard());
    ///     job
    /// };
    /// let config = Config::new().cores(1).checkpoints(dir.path()).checkpoint_at_end_only();
    /// job().run(config.clone())?;
    ///
    /// let report = job().replay(config, Replay::from_the_beginning(dir.path(), 1).hash_state())?;
    /// let checkpoints = Checkpoints::at(Rc::new(StdDisk), dir.path());
    /// let kept = block_on(async { checkpoints.state_hash(&checkpoints.manifest(1).await?).await })?;
    /// assert_eq!((report.checkpoint, report.state), (0, Some(kept)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn from_the_beginning(checkpoints: impl Into<PathBuf>, until: u64) -> Replay {
        let mut replay = Replay::from_last(checkpoints).until_checkpoint(until);
        replay.settings.from_nothing = true;
        replay
    }

    /// Ends where a split has come so far: `SOURCE:SPLIT@OFFSET`, or as much of it as tells it from others. The number is the
    /// offset of a record, as messages name it, and that is the last that is read of the split: of a topic its offset, of a
    /// file the byte at which it begins or any of its others, of sources in memory its index. In the place of the number there
    /// may be a position as `millstream checkpoint show` prints it, `{"offset":…}`: the replay ends there, and what follows is
    /// not read. Where several splits are named, it ends when all of them have come so far; others are read in their turn until then.
    pub fn until(mut self, place: impl Into<String>) -> Replay {
        self.settings.until.push(place.into());
        self
    }

    /// Ends where a later checkpoint of the same directory was taken: what is shown is what belongs to it. If that was taken
    /// between a restart and the moment in which a split that had ended before said so again, the run still waited for it, and
    /// fired a little later what the replay shows.
    ///
    /// ```
    /// use millstream::replay::Replay;
    /// let between = Replay::from("state", 41).until_checkpoint(42);
    /// ```
    pub fn until_checkpoint(mut self, id: u64) -> Replay {
        self.settings.until_checkpoint = Some(id);
        self
    }

    /// Ends when so many records were read, if not before.
    pub fn records(mut self, most: u64) -> Replay {
        self.settings.records = Some(most);
        self
    }

    /// On so many cores, all in one thread. As many as had taken the checkpoint by default.
    ///
    /// ```
    /// use millstream::replay::Replay;
    /// let alone = Replay::from("state", 41).cores(1);
    /// ```
    pub fn cores(mut self, cores: usize) -> Replay {
        self.settings.cores = Some(cores);
        self
    }

    /// In another order; 0 by default. See the [module](crate::replay#the-order).
    pub fn seed(mut self, seed: u64) -> Replay {
        self.settings.seed = seed;
        self
    }

    /// How long a record takes by the wall clock. That stands still by default.
    pub fn pace(mut self, per_record: Duration) -> Replay {
        self.settings.pace = per_record;
        self
    }

    /// Writes into a directory, which must be empty or not there: the rows as `rows.ndjson`, and the report as `report.json`.
    pub fn output(mut self, directory: impl Into<PathBuf>) -> Replay {
        self.settings.output = Some(directory.into());
        self
    }

    /// Shows the rows here, and not on the standard output.
    pub fn writer(mut self, writer: impl Write + Send + 'static) -> Replay {
        self.writer = Some(Box::new(writer));
        self
    }

    /// Writes the state in the end, unless the job fails, as a savepoint in the directory `state` of the
    /// [output](Replay::output): for `millstream state read`.
    pub fn save_state(mut self) -> Replay {
        self.settings.save_state = true;
        self
    }

    /// Makes a [number](ReplayReport::state) of all state in the end, unless the job fails: all of it is read for that.
    ///
    /// ```
    /// use millstream::replay::Replay;
    /// let between = Replay::from("state", 41).until_checkpoint(42).hash_state();
    /// ```
    pub fn hash_state(mut self) -> Replay {
        self.hash_state = true;
        self
    }

    /// Reads from a disk of one's own: the simulator's, for example. Its operations must not wait.
    ///
    /// ```
    /// use std::rc::Rc;
    /// use millstream::replay::Replay;
    /// use millstream_storage::disk::StdDisk;
    /// let replay = Replay::from("state", 41).disk(Rc::new(StdDisk));
    /// ```
    pub fn disk(mut self, disk: Rc<dyn Disk>) -> Replay {
        self.disk = disk;
        self
    }

    /// As the value of [`MILLSTREAM_REPLAY`](VARIABLE), all but a writer, a disk, and whether the state is hashed.
    ///
    /// # Panics
    /// If a path is not UTF-8.
    pub fn to_json(&self) -> String {
        serde_json::to_string(&self.settings).expect("settings are plain data, and paths text")
    }

    /// What [`to_json`](Replay::to_json) has made.
    ///
    /// # Errors
    /// If it is something else.
    pub fn from_json(text: &str) -> Result<Replay> {
        let settings: Settings = serde_json::from_str(text).map_err(|error| {
            let message = format!(
                "{VARIABLE} does not say what is to be replayed; let `millstream replay`, of the version that the program is \
                 built with, set it"
            );
            Error::new(ErrorKind::Config, message).caused_by(error)
        })?;
        Ok(Replay { settings, ..Replay::from_last("") })
    }
}

/// What takes the place of a job's sources and sinks in a replay.
pub(crate) struct ReplayEnds {
    /// What it begins with; 0 is nothing.
    checkpoint: u64,
    gate: Gate,
    rows: Rows,
    /// The only splits that are read, if that is known.
    splits: Option<Splits>,
}

impl ReplayEnds {
    fn new(checkpoint: u64, out: Option<Box<dyn Write + Send>>, splits: Option<Splits>) -> ReplayEnds {
        let gate = Gate::default();
        let out = out.unwrap_or_else(|| Box::new(io::stdout()));
        ReplayEnds { checkpoint, rows: Rows::new(out, gate.clone()), gate, splits }
    }

    /// The checkpoint that it begins with, unless that is with nothing.
    pub(crate) fn restored(&self) -> Option<u64> {
        (self.checkpoint > 0).then_some(self.checkpoint)
    }

    pub(crate) fn source<S: Clone>(&self, source: &S, name: &str, idles: bool) -> Gated<S> {
        let (gate, opening) = (self.gate.clone(), self.gate.opening());
        let splits = self.splits.as_ref().map(|all| all.get(name).cloned().unwrap_or_default());
        Gated { source: source.clone(), name: name.to_owned(), idles, gate, splits, opening }
    }

    pub(crate) fn sink<S: Clone>(&self, sink: &S, name: &str) -> Shown<S> {
        Shown { sink: sink.clone(), name: name.to_owned(), rows: self.rows.clone() }
    }
}
