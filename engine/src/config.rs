//! Settings of a run.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::checkpoint::description::Changes;
use crate::checkpoint::remote::Remote;
use crate::error::{Error, ErrorKind, Result};
use crate::host::{RuntimeConfig, RuntimeKind};
use crate::key_group::{MAX_KEY_GROUPS, default_max_parallelism};
use crate::restart::Restart;

/// Less memory holds no state worth having, in bytes.
const LEAST_MEMORY: u64 = 256 << 10;

/// How a job is run. Everything has a default.
///
/// ```
/// # use millstream::prelude::*;
/// # let dir = tempfile::tempdir().unwrap();
/// # let state = dir.path();
/// let config = Config::new()
///     .cores(2)
///     .checkpoints(state)
///     .checkpoint_every(secs(1))
///     .checkpoint_timeout(minutes(1))
///     .tolerated_checkpoint_failures(3)
///     .retained_checkpoints(5);
///
/// let job = Job::new("squares");
/// job.source("numbers", generator(1_000, |n| n * n)).sink("nowhere", discard());
/// assert!(job.run(config)?.checkpoints >= 1);
/// # Ok::<(), millstream::Error>(())
/// ```
///
/// Latency, throughput and memory are traded by these:
///
/// ```
/// # use millstream::prelude::*;
/// # use std::time::Duration;
/// let config = Config::new()
///     .cores(1)
///     .pin(false)
///     .spin(Duration::from_micros(50))
///     .batch_size(256)
///     .ring_depth(4)
///     .step_budget(4_096);
///
/// let job = Job::new("squares");
/// job.source("numbers", generator(1_000, |n| n * n)).sink("nowhere", discard());
/// assert_eq!(job.run(config)?.records_out, 1_000);
/// # Ok::<(), millstream::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Config {
    pub(crate) cores: usize,
    pub(crate) runtime: RuntimeConfig,
    pub(crate) checkpoints: Option<PathBuf>,
    pub(crate) remote: Option<Arc<dyn Remote>>,
    pub(crate) checkpoint_every: Option<Duration>,
    pub(crate) checkpoint_timeout: Duration,
    pub(crate) unaligned_after: Option<Duration>,
    pub(crate) min_pause: Option<Duration>,
    pub(crate) savepoint: Option<PathBuf>,
    pub(crate) changes: Changes,
    pub(crate) tolerated_failures: u32,
    pub(crate) retained: usize,
    pub(crate) max_parallelism: Option<u32>,
    /// By step, where it is not all cores.
    pub(crate) parallelism: BTreeMap<String, usize>,
    pub(crate) batch_size: usize,
    pub(crate) ring_depth: usize,
    pub(crate) step_budget: usize,
    pub(crate) memory: Option<u64>,
    pub(crate) batch: bool,
    pub(crate) restart: Restart,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            runtime: RuntimeConfig { kind: RuntimeKind::Auto, spin: None, pin: true },
            checkpoints: None,
            remote: None,
            checkpoint_every: Some(Duration::from_secs(1)),
            checkpoint_timeout: Duration::from_secs(600),
            unaligned_after: None,
            min_pause: None,
            savepoint: None,
            changes: Changes::default(),
            tolerated_failures: 10,
            retained: 2,
            max_parallelism: None,
            parallelism: BTreeMap::new(),
            batch_size: 1024,
            ring_depth: 16,
            step_budget: 16 * 1024,
            memory: None,
            batch: false,
            restart: Restart::none(),
        }
    }
}

impl Config {
    /// The defaults: all cores, the runtime that the machine allows, no checkpoint directory.
    pub fn new() -> Config {
        Config::default()
    }

    /// The number of cores, each with one shard. Default: all that the process may use.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// let refused = Job::new("doc").run(Config::new().cores(0)).unwrap_err();
    /// assert_eq!(refused.kind(), ErrorKind::Config);
    /// ```
    pub fn cores(mut self, cores: usize) -> Config {
        self.cores = cores;
        self
    }

    /// What drives the cores. Default: io_uring where it is allowed, else plain threads.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// # let job = Job::new("doc");
    /// # job.source("numbers", generator(10, |n| n)).sink("nowhere", discard());
    /// let running = job.start(Config::new().cores(1).runtime(RuntimeKind::Threads))?;
    /// assert_eq!(running.runtime(), RuntimeKind::Threads);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn runtime(mut self, kind: RuntimeKind) -> Config {
        self.runtime.kind = kind;
        self
    }

    /// Keep looking for work for this long before a core sleeps. Default: sleep at once, and be woken in some
    /// tens of microseconds; spinning saves these at the price of a busy core.
    pub fn spin(mut self, spin: Duration) -> Config {
        self.runtime.spin = Some(spin);
        self
    }

    /// Whether each shard stays on one CPU. Default: yes.
    pub fn pin(mut self, pin: bool) -> Config {
        self.runtime.pin = pin;
        self
    }

    /// Where checkpoints are kept. A job started with the same directory goes on from the last one. Without it,
    /// a job that dies starts from the beginning.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// # let dir = tempfile::tempdir().unwrap();
    /// let run = || {
    ///     let job = Job::new("doc");
    ///     job.source("numbers", generator(10, |n| n)).sink("nowhere", discard());
    ///     job.run(Config::new().cores(1).checkpoints(dir.path()))
    /// };
    /// assert_eq!(run()?.records_in, 10);
    /// assert!(run()?.already_finished);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn checkpoints(mut self, directory: impl Into<PathBuf>) -> Config {
        self.checkpoints = Some(directory.into());
        self
    }

    /// Where checkpoints are complete: in an object store, besides the directory of [checkpoints](Config::checkpoints),
    /// which a start prefers for what it finds there and fills up from the store. So the job goes on after its machine is
    /// lost, on any other one. Of two that run it in one place the later one goes on; the other ends at its next
    /// checkpoint, and commits nothing. [`checkpoint::remote`](crate::checkpoint::remote) tells how.
    ///
    /// Stores are in the crate `millstream-objects`: S3, Google Cloud Storage, Azure. Each job needs a place of its own
    /// there. Output becomes visible when the upload is done; only files that are new are uploaded, while records go on.
    /// Savepoints are not: copy their directories. What sinks write into local files is lost with the machine; rows for
    /// PostgreSQL, which wait beside the checkpoints, are not.
    ///
    /// A store that does not answer is asked again: while the job runs, until the checkpoint's
    /// [timeout](Config::checkpoint_timeout), and longer only if nobody knows whether it is complete; at a start, each
    /// request for so long. [`JobControl::last_trouble`](crate::JobControl::last_trouble) says so meanwhile, and the job
    /// can be cancelled, also while it starts: then between two tries.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// use millstream::checkpoint::remote::Memory;
    /// # let dir = tempfile::tempdir().unwrap();
    ///
    /// let remote = Memory::new("a shelf");
    /// let job = Job::new("doc");
    /// job.source("numbers", generator(10, |n| n)).sink("nowhere", discard());
    /// job.run(Config::new().cores(1).checkpoints(dir.path()).checkpoints_to(remote.clone()))?;
    /// assert!(remote.names().iter().any(|name| name.starts_with("chain/")));
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn checkpoints_to(mut self, remote: impl Remote) -> Config {
        self.remote = Some(Arc::new(remote));
        self
    }

    /// How often a checkpoint starts, and with it output becomes visible. There is one at a time: the next one waits until
    /// the last is over, and for a [pause](Config::min_pause_between_checkpoints) behind it. Default: every second.
    pub fn checkpoint_every(mut self, interval: Duration) -> Config {
        self.checkpoint_every = Some(interval);
        self
    }

    /// No checkpoint but the last, at the end of the input.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let job = Job::new("doc");
    /// # job.source("numbers", generator(10, |n| n)).sink("nowhere", discard());
    /// let report = job.run(Config::new().cores(1).checkpoints(dir.path()).checkpoint_at_end_only())?;
    /// assert_eq!(report.checkpoints, 1);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn checkpoint_at_end_only(mut self) -> Config {
        self.checkpoint_every = None;
        self
    }

    /// A checkpoint that takes longer than this is aborted. Default: 10 minutes.
    pub fn checkpoint_timeout(mut self, timeout: Duration) -> Config {
        self.checkpoint_timeout = timeout;
        self
    }

    /// How long the barriers of a checkpoint may wait behind records before they overtake them, where that is
    /// [allowed](crate::stream::Keyed::unaligned); with `Duration::ZERO` they do at once. Default: they never do, and a
    /// checkpoint takes as long as all that waits when it starts.
    ///
    /// A step is passed between two records, never in the middle of what a watermark makes it put out. Barriers wait behind
    /// the records before sinks, whose output is part of the checkpoint, on the way to every core, and on the way to a step
    /// on the same core; those of a savepoint everywhere, so that nothing is on its way in it. What is overtaken takes memory beside the limit of
    /// [`memory_per_core`](Config::memory_per_core): some times what the rings hold.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// # let dir = tempfile::tempdir().unwrap();
    /// let job = Job::new("doc");
    /// job.source("numbers", generator(10, |n| n)).sink("nowhere", discard());
    /// let refused = job.run(Config::new().checkpoints(dir.path()).unaligned_after(secs(1))).unwrap_err();
    /// assert!(refused.to_string().contains("`unaligned()`"));
    /// ```
    pub fn unaligned_after(mut self, patience: Duration) -> Config {
        self.unaligned_after = Some(patience);
        self
    }

    /// How long at least no checkpoint is under way, from the completion or the abort of one to the trigger of the next: a
    /// rest for a slow disk. Once it is set the interval counts from trigger to trigger, so that checkpoints that take
    /// longer than that are followed by the next after this pause. The last checkpoint of a job and its savepoints do not
    /// wait for it. Default: as long as the interval, which so counts from the end of the one before.
    ///
    /// There is no setting for how many checkpoints are under way at once: one, by design, as each of them writes what has
    /// changed since the one before.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// # let dir = tempfile::tempdir()?;
    /// let job = Job::new("doc");
    /// job.source("numbers", generator(100_000, |n| n)).sink("nowhere", discard());
    /// let config = Config::new()
    ///     .cores(1)
    ///     .checkpoints(dir.path())
    ///     .checkpoint_every(millis(1))
    ///     .min_pause_between_checkpoints(millis(2));
    /// let running = job.start(config)?;
    /// let control = running.control();
    /// running.wait()?;
    /// let taken = control.metrics().checkpoint_history();
    /// let (_, others) = taken.split_last().expect("there was one at the end");
    /// assert!(others.iter().filter_map(|of| of.pause).all(|pause| pause >= millis(2)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn min_pause_between_checkpoints(mut self, pause: Duration) -> Config {
        self.min_pause = Some(pause);
        self
    }

    /// Starts from a [savepoint](crate::JobControl::savepoint) if the [directory of checkpoints](Config::checkpoints) holds
    /// no checkpoint yet: it is copied there, checked, and is the directory's first. From then on the newest checkpoint
    /// there is what the job goes on from, and the savepoint is not looked at again, so that a program that is started
    /// again with the same settings does not go back. It is left as it is, and may be used by other jobs: each needs a
    /// directory of checkpoints and, where the sinks keep what they were given, output of its own.
    ///
    /// The job may differ from the one that was saved. It may run on another number of cores, but for the same
    /// [number of key groups](Config::max_parallelism). Steps that are new start empty, and sources that are new at their
    /// beginning; those that are gone must be [allowed to be](Config::allow_removed), and new names
    /// [be told](Config::renamed). [`Job::check_restore`](crate::Job::check_restore) tells before the start what will
    /// become of each step.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// # let dir = tempfile::tempdir()?;
    /// # let (saved, first, second) = (dir.path().join("saved"), dir.path().join("1"), dir.path().join("2"));
    /// let job = || {
    ///     let job = Job::new("doc");
    ///     job.source("numbers", generator(u64::MAX, |n| n)).sink("nowhere", discard());
    ///     job
    /// };
    /// let running = job().start(Config::new().cores(2).checkpoints(first))?;
    /// let saved = running.stop_with_savepoint(saved).wait()?;
    /// running.wait()?;
    ///
    /// let config = Config::new().cores(1).checkpoints(second).from_savepoint(&saved.path);
    /// let running = job().start(config)?;
    /// running.cancel();
    /// assert_eq!(running.wait()?.restored, Some(saved.epoch));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn from_savepoint(mut self, directory: impl Into<PathBuf>) -> Config {
        self.savepoint = Some(directory.into());
        self
    }

    /// Allows a checkpoint or a savepoint to hold a step that the job has no more: its state is left behind. Without this
    /// such a checkpoint is refused. Of a sink that is removed, the output must be committed: only a savepoint promises
    /// that.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// # let dir = tempfile::tempdir()?;
    /// # let (saved, first, second) = (dir.path().join("saved"), dir.path().join("1"), dir.path().join("2"));
    /// let job = Job::new("doc");
    /// let numbers = job.source("numbers", generator(u64::MAX, |n| n));
    /// numbers.clone().sink("nowhere", discard());
    /// numbers.sink("archive", discard());
    /// let running = job.start(Config::new().cores(1).checkpoints(first))?;
    /// running.stop_with_savepoint(&saved).wait()?;
    ///
    /// let job = Job::new("doc");
    /// job.source("numbers", generator(u64::MAX, |n| n)).sink("nowhere", discard());
    /// let config = Config::new().cores(1).checkpoints(second).from_savepoint(saved);
    /// assert!(!job.check_restore(&config)?.is_possible());
    /// assert!(job.check_restore(&config.allow_removed("archive"))?.is_possible());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn allow_removed(mut self, step: &str) -> Config {
        self.changes.removed.insert(step.to_owned());
        self
    }

    /// Says that the step `new` was called `old` in checkpoints and savepoints that were taken before: it takes its state
    /// over from there. It may stay in the program: checkpoints that know the new name are not concerned. The job may not
    /// have a step of the old name.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// # let dir = tempfile::tempdir()?;
    /// let run = |name: &str, config: Config| {
    ///     let job = Job::new("doc");
    ///     let numbers = job.source("numbers", generator(10, |n| n)).key_by(|_| 0);
    ///     numbers.reduce(name, |n, m| *n += m).sink("nowhere", discard());
    ///     job.run(config.cores(1).checkpoints(dir.path()))
    /// };
    /// run("total", Config::new())?;
    /// let refused = run("sum", Config::new()).unwrap_err();
    /// assert!(refused.to_string().contains("`total`"), "{refused}");
    /// assert!(run("sum", Config::new().renamed("total", "sum"))?.already_finished);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn renamed(mut self, old: &str, new: &str) -> Config {
        self.changes.renamed.insert(old.to_owned(), new.to_owned());
        self
    }

    /// How many checkpoints in a row may fail before the job does. Default: 10.
    pub fn tolerated_checkpoint_failures(mut self, n: u32) -> Config {
        self.tolerated_failures = n;
        self
    }

    /// How many complete checkpoints are kept. Default: 2.
    pub fn retained_checkpoints(mut self, n: usize) -> Config {
        self.retained = n;
        self
    }

    /// The number of key groups: the greatest number of cores that the job can ever use, fixed by its first
    /// checkpoint. Default: 128, or more for many cores.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// let refused = Job::new("doc").run(Config::new().max_parallelism(4).cores(5)).unwrap_err();
    /// assert!(refused.to_string().contains("a core would own no key group"));
    /// ```
    pub fn max_parallelism(mut self, groups: u32) -> Config {
        self.max_parallelism = Some(groups);
        self
    }

    /// Gives a step fewer cores than the job has: the first `cores` of them. A source reads there, a step with keys has its
    /// keys there, and to `rebalance`, `shuffle` or `partition` is to deal out to these. It may be another number
    /// whenever the job is started again. More cores than the job has are all of them. Other steps stay on the cores of
    /// the step before them; [`Stream::rescale`](crate::stream::Stream::rescale) takes records to fewer cores.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// # let job = Job::new("doc");
    /// # let (sink, sums) = collect();
    /// job.source("numbers", generator(100, |n| n))
    ///     .event_time(|n| *n as Timestamp, Watermarks::monotonous())
    ///     .key_by(|n| n % 5)
    ///     .window(Tumbling::of(secs(1)))
    ///     .reduce("sums", |sum, n| *sum += n)
    ///     .sink("out", sink);
    /// job.run(Config::new().cores(4).parallelism("numbers", 2).parallelism("sums", 1))?;
    /// assert_eq!(sums.take().len(), 5);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn parallelism(mut self, step: &str, cores: usize) -> Config {
        self.parallelism.insert(step.to_owned(), cores);
        self
    }

    /// The most records in a batch. A batch also ends with the step that fills it. Default: 1024.
    pub fn batch_size(mut self, records: usize) -> Config {
        self.batch_size = records;
        self
    }

    /// The batches that may wait between two stages. Default: 16.
    pub fn ring_depth(mut self, batches: usize) -> Config {
        self.ring_depth = batches;
        self
    }

    /// The records that a stage works on in one step. Default: 16 384.
    pub fn step_budget(mut self, records: usize) -> Config {
        self.step_budget = records;
        self
    }

    /// The memory that the keyed state of one core may take, in bytes. What does not fit is kept in the directory of
    /// the checkpoints, and read back before it is needed; where nothing can be evicted in time, input waits. Keys are
    /// always indexed in memory, with 15 to 30 bytes each, and so are timers: the index must fit. A limit below some
    /// 128 MiB per stateful step also limits the length of values: a 64th of a step's share is the longest. All lists,
    /// maps and timelines of a key are read before its function is called: those of one key must fit into the step's
    /// share together, or the job ends. It ends, too, if memory is used up and nothing can be written for a minute, because
    /// the disk is full or the process has no descriptors left. A step that upgrades its state from an older type has no
    /// limit until the next start. Default: no limit.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// # let directory = tempfile::tempdir().unwrap();
    /// let job = Job::new("doc");
    /// let (sink, sums) = collect();
    /// job.source("numbers", generator(10_000, |n| n))
    ///     .event_time(|n| *n as Timestamp, Watermarks::monotonous())
    ///     .key_by(|n| n % 5_000)
    ///     .window(Tumbling::of(secs(10)))
    ///     .reduce("sums", |sum, n| *sum += n)
    ///     .map(|sum| sum.value)
    ///     .sink("out", sink);
    /// job.run(Config::new().cores(1).checkpoints(directory.path()).memory_per_core(256 << 10))?;
    /// assert_eq!(sums.take().len(), 5_000);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn memory_per_core(mut self, bytes: u64) -> Config {
        self.memory = Some(bytes);
        self
    }

    /// Runs the job as a batch: over input that ends, for its final results alone. The job itself stays what it is.
    ///
    /// No watermark comes before the end of all input. So nothing is late, however out of order it is; a window that
    /// follows event time puts out one result, at the end; so do temporal and interval joins. What otherwise puts out a
    /// result with every record ([`reduce`](crate::stream::Keyed::reduce), [`aggregate`](crate::stream::Keyed::aggregate),
    /// [`deduplicate`](crate::stream::Keyed::deduplicate), [`top`](crate::stream::Keyed::top),
    /// [`table_aggregate`](crate::stream::Keyed::table_aggregate)) puts out the last one of each key, with the time of the
    /// key's latest record; a changelog, the rows that are there in the end. State is kept as always, and may be larger than
    /// [memory](Config::memory_per_core); but all of it stays until the end, and each open window and each key with a
    /// result to come has a timer in memory; such a key has a time beside its state, indexed as that is.
    ///
    /// What does not wait for the end: a table join that is not an inner one takes rows back that it has put out, and so
    /// does any table join whose inputs do; triggers on counts fire as they count; timers and windows of the clock, and
    /// state that expires, follow the clock, and timers that are pending at the end are dropped. A trigger that fires
    /// [every so often](crate::window::trigger::Every) in event time has its times all at once, at the end.
    ///
    /// A checkpoint is taken at the end only, and all output becomes visible with it: a batch that was killed begins anew.
    /// One that is to go on where it was asks for [`checkpoint_every`](Config::checkpoint_every) behind this. A batch goes on
    /// from checkpoints of a batch only, and a job that is none from those of one that was none.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// let words = |config: Config| -> Result<Vec<(char, u64)>> {
    ///     let job = Job::new("doc");
    ///     let (sink, counts) = collect();
    ///     job.source("words", from_vec(vec!["to", "be", "to", "two"]))
    ///         .map(|word| (word.chars().next().unwrap(), 1))
    ///         .key_by(|word| word.0)
    ///         .reduce("count", |count, word| count.1 += word.1)
    ///         .sink("out", sink);
    ///     job.run(config.cores(1)).map(|_| counts.take())
    /// };
    /// assert_eq!(words(Config::new())?, [('t', 1), ('b', 1), ('t', 2), ('t', 3)]);
    /// let mut last = words(Config::new().batch())?;
    /// last.sort();
    /// assert_eq!(last, [('b', 1), ('t', 3)]);
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// A source that does not end by itself is refused:
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// let job = Job::new("doc");
    /// job.source("readings", topic::<u64>("readings").follow()).sink("nowhere", discard());
    /// let refused = job.run(Config::new().batch()).unwrap_err();
    /// assert!(refused.to_string().starts_with("job `doc`: source `readings`"), "{refused}");
    /// ```
    pub fn batch(mut self) -> Config {
        self.batch = true;
        self.checkpoint_at_end_only()
    }

    /// What becomes of the job when it fails: it is started again in the same process, from its last checkpoint, as often and
    /// as soon as the strategy says. Needs a directory of [checkpoints](Config::checkpoints). Default: it ends with its error.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// # let job = Job::new("doc");
    /// # job.source("numbers", generator(10, |n| n)).sink("nowhere", discard());
    /// let config = Config::new().restart(Restart::fixed_delay(3, secs(1)));
    /// let refused = job.run(config).unwrap_err();
    /// assert!(refused.to_string().contains("needs a directory of checkpoints"), "{refused}");
    /// ```
    pub fn restart(mut self, restart: Restart) -> Config {
        self.restart = restart;
        self
    }

    /// The number of key groups.
    pub(crate) fn groups(&self) -> u32 {
        self.max_parallelism.unwrap_or_else(|| default_max_parallelism(self.cores))
    }

    /// # Errors
    /// If a value is out of its range.
    pub(crate) fn check(&self) -> Result<()> {
        let refuse = |message: String| Err(Error::new(ErrorKind::Config, message));
        let groups = self.groups();
        if self.cores == 0 {
            return refuse("cores is 0; a job needs at least one".into());
        }
        if groups == 0 || groups > MAX_KEY_GROUPS {
            return refuse(format!("max_parallelism is {groups}; it must be from 1 to {MAX_KEY_GROUPS}"));
        }
        if let Some((step, _)) = self.parallelism.iter().find(|step| *step.1 == 0) {
            return refuse(format!("step `{step}` is given 0 cores; a step needs at least one"));
        }
        if self.cores > groups as usize {
            let cores = self.cores;
            return refuse(format!(
                "{cores} cores but max_parallelism {groups}: a core would own no key group"
            ));
        }
        if self.savepoint.is_some() && self.checkpoints.is_none() {
            return refuse(
                "from_savepoint needs a directory of checkpoints, to take the savepoint over".into(),
            );
        }
        if self.remote.is_some() && self.checkpoints.is_none() {
            return refuse(
                "checkpoints_to needs a directory of checkpoints, where they are written first".into(),
            );
        }
        if self.memory.is_some() && self.checkpoints.is_none() {
            return refuse(
                "memory_per_core needs a directory of checkpoints, to keep there what does not fit".into(),
            );
        }
        self.restart.check(self.checkpoints.is_some())?;
        if let Some(memory) = self.memory.filter(|memory| *memory < LEAST_MEMORY) {
            return refuse(format!("memory_per_core is {memory}; it must be at least {LEAST_MEMORY} bytes"));
        }
        for (name, value) in [
            ("batch_size", self.batch_size),
            ("ring_depth", self.ring_depth),
            ("step_budget", self.step_budget),
            ("retained_checkpoints", self.retained),
        ] {
            if value == 0 || value > 1 << 24 {
                return refuse(format!("{name} is {value}; it must be from 1 to 16 777 216"));
            }
        }
        Ok(())
    }
}
