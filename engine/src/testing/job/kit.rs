//! The kit: a job, its clock, and what it has come to.

use std::cell::{Ref, RefCell};
use std::rc::Rc;
use std::time::Duration;

use super::ends::{Input, Output};
use super::hands::{Act, Hands};
use super::world::World;
use crate::config::Config;
use crate::error::{Error, ErrorKind, Result};
use crate::handle::{JobControl, Report};
use crate::job::Job;
use crate::metrics::Metrics;
use crate::time::Timestamp;

/// Where the checkpoints are, on a disk that is in memory.
pub(super) const CHECKPOINTS: &str = "kit";

/// Drives a whole job: a test takes the place of its sources, moves its clock, takes what its sinks are given, and looks
/// at everything. The [module](crate::testing) has examples.
///
/// What runs is the shipped engine, shards, exchange, checkpoints and all, on cores that are no threads: in one thread,
/// without a disk, and the same each time. It begins with the clock at 0.
pub struct JobKit {
    pub(super) running: Rc<Running>,
}

/// The job that is driven, by its kit and by the inputs that this has given out.
pub(super) struct Running {
    build: RefCell<Box<dyn Fn() -> Job>>,
    config: RefCell<Config>,
    world: Rc<World>,
    hands: Hands,
    control: RefCell<JobControl>,
    end: RefCell<End>,
}

/// What has come of the job.
enum End {
    Open,
    Finished(Report),
    Failed(String),
}

impl JobKit {
    /// The job on one core. Its sources are never opened, and nothing is written to its sinks.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// use millstream::testing::JobKit;
    ///
    /// let job = || {
    ///     let job = Job::new("doc");
    ///     job.source("names", files::<String>(["names.ndjson"])).sink("out", ndjson_dir("greetings"));
    ///     job
    /// };
    /// let kit = JobKit::new(job)?;
    /// kit.input("names").push("Ada".to_owned())?;
    /// assert_eq!(kit.output::<String>("out").take(), ["Ada"]);
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// If the job is not well formed.
    pub fn new(build: impl Fn() -> Job + 'static) -> Result<JobKit> {
        JobKit::with(Config::new().cores(1), build)
    }

    /// The job with its settings. Of these the runtime and the directory of checkpoints count for nothing: checkpoints are
    /// kept in memory, and none is taken but those that the kit needs.
    ///
    /// # Errors
    /// If the job or its settings are not well formed.
    pub fn with(config: Config, build: impl Fn() -> Job + 'static) -> Result<JobKit> {
        let groups = config.groups();
        let config = config.checkpoints(CHECKPOINTS).checkpoint_at_end_only().max_parallelism(groups);
        let (world, hands) = (Rc::<World>::default(), Hands::default());
        let control = start(&build, &config, &world, &hands)?;
        let running = Running {
            build: RefCell::new(Box::new(build)),
            config: RefCell::new(config),
            world,
            hands,
            control: RefCell::new(control),
            end: RefCell::new(End::Open),
        };
        running.settle()?;
        Ok(JobKit { running: Rc::new(running) })
    }

    /// A source by its name, to be handed records.
    ///
    /// # Panics
    /// If the job has no such source, or one of other records.
    #[track_caller]
    pub fn input<T: Send + 'static>(&self, source: &str) -> Input<T> {
        let feed = self.running.hands.held_input(source);
        Input { running: self.running.clone(), name: source.to_owned(), feed }
    }

    /// A sink by its name, to take what it was given.
    ///
    /// # Panics
    /// If the job has no such sink, or one of other records.
    #[track_caller]
    pub fn output<T: Send + 'static>(&self, sink: &str) -> Output<T> {
        Output { captured: self.running.hands.held_output(sink) }
    }

    /// Time passes, and whatever waits for it happens at its time: timers of the clock fire, requests are given up, silent
    /// sources become idle.
    ///
    /// # Errors
    /// What the job ends with, if it fails; or if it has failed before.
    pub fn advance_clock(&self, by: Duration) -> Result<()> {
        let Running { world, hands, .. } = &*self.running;
        self.running.settle()?;
        let until = world.now().saturating_add(by);
        while self.running.is_open() && world.wake_next(until) {
            self.running.settle()?;
        }
        world.set_now(until);
        hands.all(Act::Wake);
        self.running.settle()
    }

    /// The wall clock jumps to this time, in milliseconds since the epoch, forwards or, as clocks do, backwards. Timers that
    /// are due now fire all at this time.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// use millstream::testing::JobKit;
    ///
    /// let kit = JobKit::with(Config::new().cores(2), || {
    ///     let job = Job::new("doc");
    ///     job.source("clicks", topic::<u64>("clicks"))
    ///         .key_by(|_| 'k')
    ///         .window(Tumbling::of(secs(10)).processing_time())
    ///         .reduce("sum", |sum, n| *sum += n)
    ///         .map(|w| (w.window.start, w.value))
    ///         .sink("sums", discard());
    ///     job
    /// })?;
    /// kit.set_clock(1_000_000_004_000)?;
    /// kit.input("clicks").push_all([1_u64, 2])?;
    /// kit.advance_clock(millis(5_999))?;
    /// assert!(kit.output::<(i64, u64)>("sums").take().is_empty());
    /// kit.set_clock(kit.clock() + 1)?;
    /// assert_eq!(kit.output::<(i64, u64)>("sums").take(), [(1_000_000_000_000, 3)]);
    /// assert_eq!(kit.metrics().sum(|shard| &shard.records_out), 1);
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`JobKit::advance_clock`].
    pub fn set_clock(&self, now: Timestamp) -> Result<()> {
        self.running.world.set_wall_millis(now);
        self.running.hands.all(Act::Wake);
        self.running.settle()
    }

    /// The wall clock, in milliseconds since the epoch.
    pub fn clock(&self) -> Timestamp {
        self.running.world.wall_millis()
    }

    /// Lets the job do what it can do now. Only needed when something else than the kit has given it something to do: the
    /// test has answered a request of [`async_map`](crate::stream::Stream::async_map), say.
    ///
    /// ```
    /// # use std::future::poll_fn;
    /// # use std::io;
    /// # use std::sync::{Arc, Mutex};
    /// # use std::task::{Poll, Waker};
    /// # use millstream::prelude::*;
    /// use millstream::async_map::AsyncOptions;
    /// use millstream::testing::JobKit;
    ///
    /// /// The answer of the test, and who waits for it.
    /// type Answer = Arc<Mutex<(Option<u64>, Option<Waker>)>>;
    /// let answer = Answer::default();
    /// let given = answer.clone();
    /// let kit = JobKit::new(move || {
    ///     let (job, answer) = (Job::new("doc"), answer.clone());
    ///     let ask = move |question: u64, _| {
    ///         let answer = answer.clone();
    ///         poll_fn(move |cx| {
    ///             let mut answer = answer.lock().unwrap();
    ///             answer.1 = Some(cx.waker().clone());
    ///             answer.0.map_or(Poll::Pending, |n| Poll::Ready(Ok::<_, io::Error>(question + n)))
    ///         })
    ///     };
    ///     job.source("questions", from_vec(vec![]))
    ///         .async_map("ask", AsyncOptions::ordered(), ask)
    ///         .sink("out", discard());
    ///     job
    /// })?;
    /// kit.input("questions").push(40_u64)?;
    /// assert!(kit.output::<u64>("out").take().is_empty());
    ///
    /// given.lock().unwrap().0 = Some(2);
    /// given.lock().unwrap().1.take().unwrap().wake();
    /// kit.settle()?;
    /// assert_eq!(kit.output::<u64>("out").take(), [42]);
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`JobKit::advance_clock`].
    pub fn settle(&self) -> Result<()> {
        self.running.settle()
    }

    /// Ends all sources that have not ended yet. Event-time timers and windows fire, timers of the clock are dropped, and
    /// the job takes its last checkpoint.
    ///
    /// # Errors
    /// As [`JobKit::advance_clock`], and if the job waits for something that the test has not given it.
    pub fn end(&self) -> Result<Report> {
        self.running.settle()?;
        self.running.hands.all(Act::End);
        self.running.settle()?;
        match &*self.running.end.borrow() {
            End::Finished(report) => Ok(report.clone()),
            _ => Err(waiting("come to its end")),
        }
    }

    /// Whether the job has ended: all of its sources have, and what it has put out is committed.
    pub fn is_finished(&self) -> bool {
        self.running.is_finished()
    }

    /// The job's counters, since it was started or restarted.
    pub fn metrics(&self) -> Metrics {
        self.running.control.borrow().metrics().clone()
    }

    /// The watermark of a source, a step or a sink, of the core that is furthest behind.
    ///
    /// # Panics
    /// If the job has no step of this name.
    #[track_caller]
    pub fn watermark(&self, step: &str) -> Timestamp {
        let of = self.metrics().watermarks().into_iter().filter(|of| of.step == step && of.split.is_none());
        of.map(|of| of.watermark).min().unwrap_or_else(|| panic!("the job has no step `{step}`"))
    }

    /// Takes a checkpoint, stops, and goes on from it on `cores` cores. Inputs and outputs stay what they are.
    ///
    /// # Errors
    /// As [`JobKit::advance_clock`], if the job has ended, or there are no cores or more than it has key groups.
    pub fn restart(&self, cores: usize) -> Result<()> {
        self.running.stop_behind_checkpoint()?;
        let config = self.running.config.borrow().clone().cores(cores);
        self.running.start(config)
    }

    /// As [`JobKit::restart`], with another version of the job: it is compared with the checkpoint, and states are upgraded
    /// where it says how. What was handed to a source and not yet read goes to the one of the same name and type.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// use millstream::testing::JobKit;
    ///
    /// /// Counts letters, in steps.
    /// fn letters(step: u64) -> Job {
    ///     let job = Job::new("doc");
    ///     job.source("letters", from_vec(Vec::<char>::new()))
    ///         .map(move |c| (c, step))
    ///         .key_by(|of| of.0)
    ///         .reduce("count", |count, next| count.1 += next.1)
    ///         .sink("out", discard());
    ///     job
    /// }
    ///
    /// let kit = JobKit::new(|| letters(1))?;
    /// kit.input("letters").push_all(['a', 'a'])?;
    /// kit.restart_as(|| letters(10), 2)?;
    /// kit.input("letters").push('a')?;
    /// assert_eq!(kit.output::<(char, u64)>("out").take(), [('a', 1), ('a', 2), ('a', 12)]);
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`JobKit::restart`], and if the checkpoint is not one of such a job.
    pub fn restart_as(&self, build: impl Fn() -> Job + 'static, cores: usize) -> Result<()> {
        *self.running.build.borrow_mut() = Box::new(build);
        self.restart(cores)
    }
}

impl Running {
    /// Lets the job do what it can, and sees what has come of it.
    pub(super) fn settle(&self) -> Result<()> {
        self.check()?;
        let settled = self.world.settle();
        let outcome = settled.and_then(|()| self.control.borrow().outcome().transpose());
        if let Some(report) = outcome.inspect_err(|error| self.fail(error))? {
            *self.end.borrow_mut() = End::Finished(report);
        }
        Ok(())
    }

    /// # Errors
    /// If the job has failed.
    pub(super) fn check(&self) -> Result<()> {
        match &*self.end.borrow() {
            End::Failed(what) => {
                Err(Error::new(ErrorKind::Job, format!("the job has failed before: {what}")))
            }
            _ => Ok(()),
        }
    }

    fn fail(&self, error: &Error) {
        *self.end.borrow_mut() = End::Failed(error.to_string());
    }

    fn is_open(&self) -> bool {
        matches!(*self.end.borrow(), End::Open)
    }

    pub(super) fn is_finished(&self) -> bool {
        matches!(*self.end.borrow(), End::Finished(_))
    }

    fn start(&self, config: Config) -> Result<()> {
        let started = start(&*self.build.borrow(), &config, &self.world, &self.hands);
        *self.control.borrow_mut() = started.inspect_err(|error| self.fail(error))?;
        *self.config.borrow_mut() = config;
        self.hands.all(Act::Hold(false));
        self.settle()
    }

    fn stop_behind_checkpoint(&self) -> Result<()> {
        self.settle()?;
        if self.is_finished() {
            return Err(Error::new(ErrorKind::Job, "the job has ended: there is nothing to go on with"));
        }
        // What was read behind the checkpoint would be lost.
        self.hands.all(Act::Hold(true));
        self.checkpoint().inspect_err(|_| self.hands.all(Act::Hold(false)))?;
        self.world.stop();
        Ok(())
    }

    /// Takes a checkpoint.
    pub(super) fn checkpoint(&self) -> Result<()> {
        let control = self.control.borrow().clone();
        let before = control.metrics().job().checkpoints.get();
        control.shared.want_checkpoint();
        self.settle()?;
        if control.metrics().job().checkpoints.get() > before {
            return Ok(());
        }
        let error = waiting("complete a checkpoint");
        Err(match control.last_trouble() {
            Some(trouble) => error.caused_by(trouble),
            None => error,
        })
    }

    pub(super) fn control(&self) -> Ref<'_, JobControl> {
        self.control.borrow()
    }

    pub(super) fn world(&self) -> &World {
        &self.world
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.world.stop();
    }
}

fn start(build: &dyn Fn() -> Job, config: &Config, world: &Rc<World>, hands: &Hands) -> Result<JobControl> {
    let job = build();
    job.hold(hands.clone());
    let (mains, control) = job.into_mains(config)?;
    world.start(mains);
    Ok(control)
}

fn waiting(what: &str) -> Error {
    let message = format!(
        "the job cannot {what} now: it waits for something that it is not given, such as time to pass or the answer \
         to a request"
    );
    Error::new(ErrorKind::Job, message)
}
