//! Runs a replay: gives the sources their turns, until all is read that was asked for.

use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use millstream_storage::disk::{Disk, block_on};

use super::gate::Gate;
use super::origin::Origin;
use super::output::Output;
use super::report::{ReplayEnd, ReplayReport, SplitReplay};
use super::until::{Until, splits_of};
use super::{Replay, ReplayEnds};
use crate::checkpoint::inspect::Checkpoints;
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
    let output = replay.settings.output.as_deref().map(Output::make).transpose()?;
    let out = match &output {
        Some(output) => Some(output.rows()?),
        None => replay.writer.take(),
    };
    let disk = origin.overlay(&replay, output.as_ref().map(|output| output.path().to_owned()))?;
    let splits = replay.settings.until_checkpoint.map(|_| splits_of(&until));
    let ends = ReplayEnds::new(origin.epoch(), out, splits);
    let mut driver = start(job, config, &replay, &origin, (&ends, &disk))?;
    let (ended, failure) = match driver.run(&until) {
        Ok(ended) => (ended, None),
        Err(Halt::Finished) => (ReplayEnd::Finished, None),
        Err(Halt::Failed(error)) => (ReplayEnd::Failed, Some(error.to_string())),
        Err(Halt::Refused(error)) => {
            if let Some(output) = output.filter(|_| ends.rows.is_empty()) {
                output.clear();
            }
            return Err(error);
        }
    };
    ends.rows.flush()?;
    let state = match failure {
        None => driver.state(&replay, &origin.kept(), output.as_ref(), &disk)?,
        Some(_) => None,
    };
    let of = (origin.manifest.job.as_str(), driver.cores, replay.settings.seed);
    let report = report(&ends, &driver, (ended, failure, state), of);
    if let Some(output) = &output {
        output.write(&report)?;
    }
    Ok(report)
}

/// Lays the job out, and starts its cores. Nothing runs yet.
fn start(
    job: &Job,
    config: Config,
    replay: &Replay,
    origin: &Origin,
    (ends, disk): (&ReplayEnds, &Rc<dyn Disk>),
) -> Result<Driver> {
    let cores = replay.settings.cores.unwrap_or(origin.manifest.shards);
    let plan = job.plan(&origin.config(config, cores))?;
    let control = JobControl { shared: Shared::new(Supervision::none()), metrics: Metrics::new(cores) };
    control.shared.supervision.begin(cores);
    let mains = plan.mains(cores, 0, &control, Ends::Replayed(ends));
    let seed = replay.settings.seed;
    let draws = |seed: u64| (replay.settings.seed > 0).then(|| Draws::new(seed));
    let world = Rc::new(World::new(disk.clone(), origin.manifest.taken.unwrap_or(0), draws(seed)));
    world.start(mains);
    Ok(Driver {
        world: Ended(world),
        gate: ends.gate.clone(),
        control,
        cores,
        pace: replay.settings.pace,
        records: replay.settings.records.unwrap_or(u64::MAX),
        draws: draws(!seed),
        next: 0,
    })
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
    cores: usize,
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
        let refused = |halt| match halt {
            // What fails of the job's own functions before anything is read fails by what was restored.
            Halt::Failed(error) if error.kind() != ErrorKind::User => Halt::Refused(error),
            halt => halt,
        };
        self.settle().map_err(refused)?;
        // The source of a topic that a writer holds looks again a little later.
        let limit = self.world.0.now() + PATIENCE;
        while self.gate.is_opening() && self.wait(limit).map_err(refused)? {}
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
                let wall = self.world.0.wall_millis();
                self.world.0.set_now(now + LOOK);
                self.world.0.set_wall_millis(wall);
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

    /// Takes a checkpoint, if the job has not ended with one. Returns its number.
    fn checkpoint(&mut self) -> Result<u64> {
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
        Ok(job.last_epoch.get())
    }

    /// Sees to the state in the end. Returns a number of it, if that was asked for.
    fn state(
        &mut self,
        replay: &Replay,
        checkpoints: &Path,
        output: Option<&Output>,
        disk: &Rc<dyn Disk>,
    ) -> Result<Option<u64>> {
        if !replay.hash_state && !replay.settings.save_state {
            return Ok(None);
        }
        let epoch = self.checkpoint()?;
        let kept = Checkpoints::at(disk.clone(), checkpoints);
        let manifest = block_on(kept.manifest(epoch))?;
        if let Some(output) = output.filter(|_| replay.settings.save_state) {
            let (disk, from, to) = (disk.clone(), checkpoints.to_owned(), output.path().join("state"));
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
