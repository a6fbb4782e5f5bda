//! Runs a replay: gives the sources their turns, until all is read that was asked for.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use millstream_storage::disk::{Disk, block_on};

use super::gate::Gate;
use super::overlay::Overlay;
use super::report::{ReplayEnd, ReplayReport, SplitReplay};
use super::until::{Until, positions_of};
use super::{Replay, ReplayEnds};
use crate::checkpoint::inspect::Checkpoints;
use crate::checkpoint::manifest::Manifest;
use crate::checkpoint::transfer;
use crate::config::Config;
use crate::error::{Error, ErrorKind, Result};
use crate::graph::Ends;
use crate::handle::{JobControl, Shared};
use crate::job::Job;
use crate::metrics::Metrics;
use crate::supervise::Supervision;
use crate::testing::job::world::{Draws, World};

/// How long nothing may come, by the clock of the replay, until it is taken for granted that there is nothing more.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long an answer from outside is waited for before the clock is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// With a seed, the most records of a turn, and the most tasks that run before the next one.
const MOST_AT_ONCE: u64 = 16;

/// Replays a job.
pub(crate) fn run(job: &Job, config: Config, mut replay: Replay) -> Result<ReplayReport> {
    let origin = Origin::find(&replay)?;
    let until = origin.until(&replay)?;
    let output = replay.settings.output.clone();
    let own = output.as_deref().map(empty_directory).transpose()?;
    let out = match &own {
        Some(own) => Some(Box::new(create(&own.join("rows.ndjson"))?) as Box<dyn Write + Send>),
        None => replay.writer.take(),
    };
    let disk = origin.overlay(&replay, own.clone())?;
    let ends = ReplayEnds::new(origin.manifest.epoch, out);
    let cores = replay.settings.cores.unwrap_or(origin.manifest.shards);
    let config = origin.config(config, cores);
    let plan = job.plan(&config)?;
    let control = JobControl { shared: Shared::new(Supervision::none()), metrics: Metrics::new(cores) };
    control.shared.supervision.begin(cores);
    let mains = plan.mains(cores, 0, &control, Ends::Replayed(&ends));
    let seed = replay.settings.seed;
    let order = (seed > 0).then(|| Draws::new(seed));
    let world = Rc::new(World::new(disk.clone(), origin.manifest.taken.unwrap_or(0), order));
    world.start(mains);
    let mut driver = Driver {
        world: Ended(world),
        gate: ends.gate.clone(),
        control,
        pace: replay.settings.pace,
        records: replay.settings.records.unwrap_or(u64::MAX),
        draws: (seed > 0).then(|| Draws::new(!seed)),
        next: 0,
    };
    let (ended, failure) = match driver.run(&until) {
        Ok(ended) => (ended, None),
        Err(Halt::Finished) => (ReplayEnd::Finished, None),
        Err(Halt::Failed(error)) => (ReplayEnd::Failed, Some(error.to_string())),
        Err(Halt::Refused(error)) => return Err(error),
    };
    let state = match failure {
        None => driver.state(&replay, &origin.directory, own.as_deref(), &disk)?,
        Some(_) => None,
    };
    ends.rows.flush()?;
    let report = report(&ends, &driver, (ended, failure, state), (&origin.manifest.job, cores, seed));
    if let Some(own) = &own {
        let path = own.join("report.json");
        let json = serde_json::to_string_pretty(&report).expect("a report has string keys only");
        fs::write(&path, format!("{json}\n")).map_err(|error| unwritten(&path, error))?;
    }
    Ok(report)
}

/// What a replay begins with.
pub(super) struct Origin {
    pub(super) directory: PathBuf,
    pub(super) manifest: Manifest,
}

impl Origin {
    pub(super) fn find(replay: &Replay) -> Result<Origin> {
        let directory = replay.settings.checkpoint.clone();
        let checkpoints = Checkpoints::at(replay.disk.clone(), &directory);
        let epochs = block_on(checkpoints.epochs())?;
        let refuse =
            |what: String| Err(Error::new(ErrorKind::Restore, format!("{}: {what}", directory.display())));
        let Some(id) = replay.settings.id else {
            for &epoch in epochs.iter().rev() {
                let manifest = block_on(checkpoints.manifest(epoch))?;
                if !manifest.finished {
                    return Ok(Origin { directory, manifest });
                }
            }
            return refuse("holds no checkpoint to replay from".to_owned());
        };
        if !epochs.contains(&id) {
            return refuse(not_there(id, &epochs));
        }
        let manifest = block_on(checkpoints.manifest(id))?;
        if manifest.finished {
            let earlier: Vec<u64> = epochs.into_iter().filter(|epoch| *epoch < id).collect();
            let which = if earlier.is_empty() { "none".to_owned() } else { list(&earlier) };
            return refuse(format!(
                "the job had ended with checkpoint {id}: nothing follows; earlier ones are {which}"
            ));
        }
        Ok(Origin { directory, manifest })
    }

    /// Where it is to end.
    fn until(&self, replay: &Replay) -> Result<Vec<Until>> {
        let mut until: Vec<Until> = replay.settings.until.iter().cloned().map(Until::Text).collect();
        let Some(id) = replay.settings.until_checkpoint else { return Ok(until) };
        let checkpoints = Checkpoints::at(replay.disk.clone(), &self.directory);
        let epochs = block_on(checkpoints.epochs())?;
        let refuse = |what: String| {
            Err(Error::new(ErrorKind::Config, format!("{}: {what}", self.directory.display())))
        };
        if !epochs.contains(&id) {
            return refuse(not_there(id, &epochs));
        }
        if id <= self.manifest.epoch {
            let from = self.manifest.epoch;
            return refuse(format!("checkpoint {id}, where the replay is to end, is not later than {from}"));
        }
        until.extend(positions_of(&block_on(checkpoints.manifest(id))?));
        Ok(until)
    }

    /// The disk, with the files of the checkpoint held open: the job may remove them.
    fn overlay(&self, replay: &Replay, own: Option<PathBuf>) -> Result<Rc<dyn Disk>> {
        let checkpoints = Checkpoints::at(replay.disk.clone(), &self.directory);
        let overlay = Overlay::new(replay.disk.clone(), self.directory.clone(), own);
        let names = self.manifest.files().into_iter().map(|name| checkpoints.data_path().join(name));
        for path in names.chain([checkpoints.manifest_path(self.manifest.epoch)]) {
            block_on(overlay.keep(path.clone())).map_err(|error| {
                let message = format!(
                    "{}: cannot be opened; if the job runs, it may have removed the checkpoint: take a later one",
                    path.display()
                );
                Error::new(ErrorKind::Restore, message).caused_by(error)
            })?;
        }
        Ok(Rc::new(overlay))
    }

    fn config(&self, config: Config, cores: usize) -> Config {
        let mut config = config.cores(cores).checkpoints(&self.directory).checkpoint_at_end_only();
        config.savepoint = None;
        config.restart = crate::restart::Restart::none();
        if config.max_parallelism.is_none() {
            // It follows from the cores of the machine that the job ran on.
            config.max_parallelism = Some(self.manifest.max_parallelism);
        }
        // The state in the end is taken at rest.
        config.unaligned_after = None;
        config
    }
}

fn not_there(id: u64, epochs: &[u64]) -> String {
    let which =
        if epochs.is_empty() { "there is none".to_owned() } else { format!("there are {}", list(epochs)) };
    format!(
        "checkpoint {id} is not there (any more): {which}; `Config::retained_checkpoints` says how many are kept, and a \
         savepoint stays"
    )
}

fn list(epochs: &[u64]) -> String {
    epochs.iter().map(u64::to_string).collect::<Vec<_>>().join(", ")
}

/// Why a replay goes no further.
enum Halt {
    /// The job has ended, with its input.
    Finished,
    /// The job has failed.
    Failed(Error),
    /// It cannot be replayed so.
    Refused(Error),
}

impl From<Error> for Halt {
    fn from(error: Error) -> Halt {
        Halt::Refused(error)
    }
}

/// A world whose tasks are dropped in the end, wherever they are.
struct Ended(Rc<World>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.stop();
    }
}

struct Driver {
    world: Ended,
    gate: Gate,
    control: JobControl,
    pace: Duration,
    /// The most that are read.
    records: u64,
    /// Nothing with seed 0.
    draws: Option<Draws>,
    /// The reader whose turn it is next.
    next: usize,
}

impl Driver {
    fn run(&mut self, until: &[Until]) -> Result<ReplayEnd, Halt> {
        self.settle().map_err(|halt| match halt {
            // What fails of the job's own functions before anything is read fails by what was restored.
            Halt::Failed(error) if error.kind() != ErrorKind::User => Halt::Refused(error),
            halt => halt,
        })?;
        self.gate.aim(until)?;
        let mut quiet_since = self.world.0.now();
        loop {
            if self.gate.is_reached() || self.left() == 0 {
                self.settle()?;
                return Ok(ReplayEnd::Reached);
            }
            if self.turn()? {
                self.pass_time()?;
                quiet_since = self.world.0.now();
            } else if !self.wait(quiet_since + PATIENCE)? {
                return match until.is_empty() {
                    true => Ok(ReplayEnd::Exhausted),
                    false => Err(Halt::Refused(self.gate.unreached())),
                };
            }
        }
    }

    fn left(&self) -> u64 {
        self.records.saturating_sub(self.gate.read())
    }

    /// Lets a source give a record, or some. Returns whether one had any.
    fn turn(&mut self) -> Result<bool, Halt> {
        let readers = self.gate.open();
        let count = readers.len() as u64;
        let first = match &mut self.draws {
            Some(draws) => usize::try_from(draws.below(count)).expect("it is below a length"),
            None => readers.iter().position(|reader| *reader >= self.next).unwrap_or(0),
        };
        for k in 0..readers.len() {
            let reader = readers[(first + k) % readers.len()];
            self.next = reader + 1;
            let most = self.draws.as_mut().map_or(1, |draws| 1 + draws.below(MOST_AT_ONCE));
            self.gate.grant(reader, most.min(self.left()));
            if let Some(draws) = &mut self.draws {
                // The next may have its turn before all is done that this one has begun.
                self.world.0.turn(draws.below(4 * MOST_AT_ONCE));
                self.ended()?;
                if self.gate.used()? {
                    return Ok(true);
                }
            }
            self.settle()?;
            if self.gate.used()? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Lets the job do what it can, and waits for the answers to its requests.
    fn settle(&mut self) -> Result<(), Halt> {
        loop {
            self.world.0.settle()?;
            self.ended()?;
            if self.control.metrics().sum(|shard| &shard.in_flight) == 0 {
                return Ok(());
            }
            let now = self.world.0.now();
            if !self.world.0.wait(LOOK) && !self.pass(now + LOOK) {
                self.world.0.set_now(now + LOOK);
            }
        }
    }

    /// Whether the job has ended.
    fn ended(&self) -> Result<(), Halt> {
        match self.control.outcome() {
            None => Ok(()),
            Some(Ok(_)) => {
                // It may have ended before it came where it was to.
                self.gate.used()?;
                Err(Halt::Finished)
            }
            Some(Err(error)) => Err(Halt::Failed(error)),
        }
    }

    /// The time of a record passes.
    fn pass_time(&mut self) -> Result<(), Halt> {
        if self.pace.is_zero() {
            return Ok(());
        }
        let until = self.world.0.now() + self.pace;
        while self.world.0.wake_next(until) {
            self.settle()?;
        }
        self.world.0.set_now(until);
        self.settle()
    }

    /// Goes on to the next that sleeps, but for the wall clock.
    fn pass(&self, until: Duration) -> bool {
        let wall = self.world.0.wall_millis();
        let woken = self.world.0.wake_next(until);
        self.world.0.set_wall_millis(wall);
        woken
    }

    /// As [`Driver::pass`], and lets the job do what it can then.
    fn wait(&mut self, until: Duration) -> Result<bool, Halt> {
        let woken = self.pass(until);
        self.settle()?;
        Ok(woken)
    }

    /// Sees to the state in the end. Returns a number of it, if that was asked for.
    fn state(
        &mut self,
        replay: &Replay,
        checkpoints: &Path,
        own: Option<&Path>,
        disk: &Rc<dyn Disk>,
    ) -> Result<Option<u64>> {
        if !replay.hash_state && !replay.settings.save_state {
            return Ok(None);
        }
        let before = self.control.metrics().job().checkpoints.get();
        self.control.shared.want_checkpoint();
        let until = self.world.0.now() + PATIENCE;
        let mut waited = self.settle().map(|()| true);
        while let Ok(true) = waited
            && self.control.metrics().job().checkpoints.get() == before
        {
            waited = self.wait(until);
        }
        match waited {
            Ok(_) | Err(Halt::Finished) => {}
            Err(Halt::Failed(error) | Halt::Refused(error)) => return Err(error.at("the state in the end")),
        }
        let job = self.control.metrics().job();
        if job.checkpoints.get() == before && job.last_epoch.get() == 0 {
            let why =
                self.control.last_trouble().unwrap_or_else(|| "the job does not come to rest".to_owned());
            let error = Error::new(ErrorKind::Checkpoint, "the state in the end cannot be kept");
            return Err(error.caused_by(why));
        }
        let kept = Checkpoints::at(disk.clone(), checkpoints);
        let manifest = block_on(kept.manifest(job.last_epoch.get()))?;
        if let Some(own) = own.filter(|_| replay.settings.save_state) {
            let (disk, from, to) = (disk.clone(), checkpoints.to_owned(), own.join("state"));
            block_on(transfer::save(disk, from, to, manifest.clone()))?;
        }
        replay.hash_state.then(|| block_on(kept.state_hash(&manifest))).transpose()
    }
}

fn report(
    ends: &ReplayEnds,
    driver: &Driver,
    (ended, failure, state): (ReplayEnd, Option<String>, Option<u64>),
    (job, cores, seed): (&str, usize, u64),
) -> ReplayReport {
    let mut read = BTreeMap::<String, BTreeMap<_, _>>::new();
    for (source, split) in ends.gate.splits() {
        let replayed = SplitReplay { from: split.from, to: split.at, records: split.records };
        read.entry(source).or_default().insert(split.name, replayed);
    }
    let (rows, unshown) = ends.rows.counts();
    let trace = ends.gate.trace(|trace| {
        trace.note(&[
            b"ended",
            ended.to_string().as_bytes(),
            failure.as_deref().unwrap_or_default().as_bytes(),
        ]);
        trace.hash()
    });
    let metrics = driver.control.metrics();
    ReplayReport {
        job: job.to_owned(),
        checkpoint: ends.checkpoint,
        cores,
        seed,
        read,
        rows,
        unshown,
        late: metrics.sum(|shard| &shard.late),
        poison: metrics.sum(|shard| &shard.poison),
        ended,
        last: ends.gate.last(),
        failure,
        trace,
        state,
    }
}

/// A directory with nothing in it, made if there is none.
fn empty_directory(path: &Path) -> Result<PathBuf> {
    let made = fs::create_dir_all(path).and_then(|()| fs::read_dir(path)?.next().transpose());
    match made.map_err(|error| unwritten(path, error))? {
        None => Ok(path.to_owned()),
        Some(entry) => {
            let (path, name) = (path.display(), entry.file_name().display().to_string());
            let message =
                format!("{path}: is not empty, it holds `{name}`; a replay needs a directory of its own");
            Err(Error::new(ErrorKind::Config, message))
        }
    }
}

fn create(path: &Path) -> Result<BufWriter<fs::File>> {
    fs::File::create_new(path).map(BufWriter::new).map_err(|error| unwritten(path, error))
}

fn unwritten(path: &Path, error: std::io::Error) -> Error {
    Error::new(ErrorKind::Sink, format!("{}: the replay cannot write there", path.display())).caused_by(error)
}
