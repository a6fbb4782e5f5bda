//! A job that its supervisor starts again: functions panic, the source and the sinks fail, and it is asked for other numbers of
//! cores, while the process is killed now and then besides. The supervisor is the shipped one, under virtual time.

use std::time::Duration;

use millstream::JobControl;
use millstream::host::{Class, CoreMain};
use millstream::job::Job;
use millstream::reference::Inputs;
use millstream::restart::{Backoff, Restart};
use millstream::source::watermarks::Watermarks;
use millstream::supervise::{Attempts, Moment, Next};

use super::data::{Event, Row, Total, events, feed, outside};
use super::expected::Expected;
use super::process::{Memory, Told, key_of, name_of};
use super::shelves::Beside;
use super::windows::{Shape, sound};
use super::{Finding, Knobs, Options, STATE, Tolerance, Work, judge, marks, scenario};
use crate::collected::Collected;
use crate::disk::DiskView;
use crate::feed::Feed;
use crate::mishaps::{MISHAP, Mishaps};
use crate::random::Random;
use crate::scenario::{LIVENESS, PROGRESS, Scenario};
use crate::world::{RunEnd, World};

pub(super) fn scenario_of_restarts() -> Scenario {
    let body = |world: &mut World, options: &Options| Ordeal::new(world, options).run(world);
    scenario(
        "restarts",
        "a job that is started again in its process, on the same cores or others",
        Box::new(body),
    )
}

/// A window and a process function behind a function that panics, between a source and sinks that fail.
struct Troubled {
    shape: Shape,
    /// Of functions and the source; of the sinks, which are asked less often.
    mishaps: [Mishaps; 2],
    feed: Feed<Event>,
    rows: Collected<Row<[u64; 3]>>,
    told: Collected<Told>,
    expected_rows: Expected<Row<[u64; 3]>>,
    expected_told: Expected<Told>,
}

impl Troubled {
    fn new(world: &World) -> Troubled {
        let mut random = world.streams().stream("workload");
        let (shape, most) = (Shape::draw(&mut random), random.below(12));
        let inside = Mishaps::new(world.streams().stream("mishaps"), most, random.range(1, 600));
        let (most, one_in) = (random.below(6), random.range(1, 60));
        let sinks = Mishaps::new(world.streams().stream("mishaps of sinks"), most, one_in);
        let events = events(&mut random, shape.disorder);
        let mut work = Troubled {
            shape,
            feed: feed(&mut random, vec![events.clone()]).failing(inside.clone()),
            rows: Collected::new(outside(&mut random)).failing(sinks.clone()),
            told: Collected::new(outside(&mut random)).failing(sinks.clone()),
            mishaps: [inside, sinks],
            expected_rows: Expected::new("rows", Row::name, Vec::new()),
            expected_told: Expected::new("told", name_of, Vec::new()),
        };
        let inputs = Inputs::new().with("events", move || vec![events.clone()]);
        let job = work.job();
        work.expected_rows = Expected::new("rows", Row::name, job.expected("rows", &inputs));
        work.expected_told = Expected::new("told", name_of, job.expected("told", &inputs));
        work
    }
}

impl Work for Troubled {
    fn job(&self) -> Job {
        let job = Job::new("restarts");
        let (in_chain, in_key) = (self.mishaps[0].clone(), self.mishaps[0].clone());
        let events = job
            .source("events", self.feed.clone())
            .event_time(|event| event.time, Watermarks::bounded(self.shape.bound))
            .map(move |event| {
                in_chain.may_panic();
                event
            });
        let key = move |event: &Event| {
            in_key.may_panic();
            key_of(event)
        };
        let told = events.clone().key_by(key).process("memory", Memory { weight: 0 });
        told.sink("told", self.told.clone());
        let totals = events.key_by(|event| event.key).window(self.shape.window).aggregate("totals", Total);
        totals.map(Row::new).sink("rows", self.rows.clone());
        job
    }

    fn check(&self, _: &DiskView, done: bool) -> Result<(), Finding> {
        sound(&self.rows)?;
        sound(&self.told)?;
        self.expected_rows.check(self.rows.committed(), done)?;
        self.expected_told.check(self.told.committed(), done)
    }

    fn most_cores(&self) -> usize {
        8
    }
}

/// One seed: processes one after the other, each with the attempts of its supervisor.
struct Ordeal {
    work: Troubled,
    knobs: Knobs,
    /// What the supervision is asked for, and when.
    random: Random,
    /// Where the checkpoints are complete, if that is not the directory.
    beside: Option<Beside>,
    chaos: u32,
    calm: bool,
}

/// A process that was started again so often is cancelled: a full disk is patient, and so may a strategy be.
const MOST_RESTARTS: u64 = 40;

/// How a process ended.
enum Process {
    Killed,
    Over,
}

impl Ordeal {
    fn new(world: &World, options: &Options) -> Ordeal {
        let work = Troubled::new(world);
        let knobs = Knobs::new(world, options, work.most_cores());
        let chaos = world.streams().stream("chaos").range(1, 4) as u32;
        let random = world.streams().stream("supervision");
        Ordeal { work, knobs, random, beside: Beside::draw(world), chaos, calm: false }
    }

    fn run(mut self, world: &mut World) -> Result<(), Finding> {
        const CALM: u32 = 4;
        for process in 0..self.chaos + CALM {
            self.calm = process >= self.chaos;
            if self.calm {
                world.end_faults();
            }
            self.work.mishaps.iter().for_each(|mishaps| mishaps.arm(!self.calm));
            // Not with a time for checkpoints in which none can be taken: the job would never get anywhere.
            let config = self.knobs.draw(true).restart(self.strategy());
            let config = match &mut self.beside {
                Some(beside) => beside.configure(config, &world.disk(), STATE, self.calm),
                None => config,
            };
            let job = self.work.job();
            let mut attempts = job.into_attempts(&config).expect("the job is well formed");
            let control = attempts.control();
            match self.process(world, &mut attempts)? {
                Process::Over if self.judge(world, &control)? => return Ok(()),
                Process::Over => {}
                Process::Killed => drop(marks::of_job(&world.marker(), &control)),
            }
            self.check(world, false)?;
        }
        Err(Finding::new(LIVENESS, format!("not after {CALM} calm processes")))
    }

    fn strategy(&mut self) -> Restart {
        let delay = Duration::from_micros(self.random.magnitude(2_000_000));
        match self.random.below(4) {
            0 => Restart::none(),
            1 => Restart::fixed_delay(self.random.below(6) as u32, delay),
            2 => Restart::failure_rate(self.random.below(4) as u32, 5 * delay, delay),
            _ => {
                Restart::exponential(Backoff { initial: delay, reset_after: 3 * delay, ..Backoff::default() })
            }
        }
    }

    /// Drives the attempts of one process, as the engine's own thread does.
    fn process(&mut self, world: &mut World, attempts: &mut Attempts) -> Result<Process, Finding> {
        let (control, mut again, mut told) = (attempts.control(), false, 0);
        loop {
            let random = self.random.next();
            let now = Moment { monotonic: world.now(), wall_millis: world.wall_millis(), random };
            let next = attempts.next(now);
            if !matches!(next, Next::Over) {
                marks::of_failures(&world.marker(), &control, &mut told);
            }
            let mains = match next {
                Next::Over => return Ok(Process::Over),
                Next::Wait(_) if control.metrics().job().restarts.get() >= MOST_RESTARTS => {
                    control.cancel();
                    continue;
                }
                Next::Wait(duration) => {
                    world.run_on(vec![Box::new(move |host| {
                        Box::pin(async move { host.sleep(duration).await })
                    })]);
                    continue;
                }
                Next::Start(mains) => mains,
            };
            if mains.len() != control.cores() {
                let seen = format!("{} instead of {}", mains.len(), control.cores());
                return Err(Finding::new("a job runs on the cores that it was asked to run on", seen));
            }
            // Where every attempt was killed, none would follow another.
            if self.random.one_in(3) {
                world.draw_crash();
            }
            let mains = self.disturbed(mains, &control);
            let end = if again { world.run_on(mains) } else { world.run(mains) };
            again = true;
            match end {
                RunEnd::Finished => {}
                RunEnd::Crashed(_) | RunEnd::Frozen(_) => return Ok(Process::Killed),
                stuck => return Err(Finding::new(PROGRESS, stuck.to_string())),
            }
            self.check(world, false)?;
        }
    }

    /// The cores of an attempt during which another number of them is asked for, at times.
    fn disturbed(&mut self, mut mains: Vec<CoreMain>, control: &JobControl) -> Vec<CoreMain> {
        // Without mishaps, too, but not for ever.
        if self.random.one_in(3) || control.metrics().job().rescales.get() > 5 {
            return mains;
        }
        let (at, of) = (self.random.index(mains.len()), self.random.below(10));
        let cores = if of == 0 { 0 } else { self.random.range(1, 8) as usize };
        let after = Duration::from_micros(self.random.magnitude(300_000));
        let control = control.clone();
        let main = mains.remove(at);
        let asks: CoreMain = Box::new(move |host| {
            let sleeping = host.clone();
            let ask = async move {
                sleeping.sleep(after).await;
                let asked = control.rescale(cores);
                assert_eq!(asked.is_ok(), cores > 0, "{asked:?}");
            };
            host.spawn(Class::Background, Box::pin(ask));
            main(host)
        });
        mains.insert(at, asks);
        mains
    }

    /// Whether the job has come to its end; if it has failed, it was by what was done to it.
    fn judge(&self, world: &World, control: &JobControl) -> Result<bool, Finding> {
        let outcome = marks::of_job(&world.marker(), control).expect("it is over");
        let (restarts, failures) = (control.metrics().job().restarts.get(), control.failures());
        if failures.len() as u64 != restarts + u64::from(outcome.is_err()) {
            let seen = format!("{restarts} restarts, {failures:?}");
            return Err(Finding::new("every failure is told", seen));
        }
        let report = match outcome {
            Ok(report) if report.cancelled && !self.calm => return Ok(false),
            Err(error) if error.to_string().contains(MISHAP) && !self.calm => return Ok(false),
            outcome => judge(Some(outcome), self.calm, Tolerance::Faults, &world.disk())?,
        };
        self.check(world, report.is_some())?;
        Ok(report.is_some())
    }

    fn check(&self, world: &World, done: bool) -> Result<(), Finding> {
        self.beside.as_ref().map_or(Ok(()), Beside::check)?;
        self.work.check(&world.disk(), done)
    }
}
