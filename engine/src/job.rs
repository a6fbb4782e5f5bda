//! A job: a graph of streams, and what it takes to run it.

use std::cell::RefCell;
use std::path::PathBuf;
use std::rc::Rc;

use millstream_storage::disk::{StdDisk, block_on};

use crate::checkpoint::description::JobDescription;
use crate::checkpoint::inspect::Checkpoints;
use crate::checkpoint::manifest::Schema;
use crate::checkpoint::plan::{RestorePlan, own_refusal};
use crate::checkpoint::remote::peek::last_link;
use crate::checkpoint::transfer::read_savepoint;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::graph::{Ends, Graph, Layout, Node, SharedGraph};
use crate::handle::{JobControl, JobHandle, Report, Shared};
use crate::host::CoreMain;
use crate::metrics::Metrics;
use crate::plan::Plan;
use crate::reference::{Compute, Event, Inputs};
use crate::replay::{self, Replay, ReplayReport};
use crate::source::Source;
use crate::stream::chain::Identity;
use crate::stream::{FromSource, SourceSpec, Stream};
use crate::supervise::{Attempts, Supervision, start};
use crate::testing::Hands;

/// A stream processing job. Its methods add streams; [`Job::run`] runs it.
///
/// ```
/// use millstream::prelude::*;
///
/// let job = Job::new("hello");
/// let (sink, greetings) = collect();
/// job.source("names", from_vec(vec!["Ada", "Grace"])).map(|name| format!("hello {name}")).sink("out", sink);
/// let report = job.run(Config::new().cores(1))?;
/// assert_eq!(greetings.take(), ["hello Ada", "hello Grace"]);
/// assert_eq!(report.records_in, 2);
/// # Ok::<(), millstream::Error>(())
/// ```
pub struct Job {
    name: String,
    graph: SharedGraph,
}

impl Job {
    /// An empty job. Its checkpoints carry the name.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// let error = Job::new("nothing").run(Config::new()).unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::Job);
    /// assert!(error.to_string().starts_with("job `nothing`: the job has no sink"));
    /// ```
    pub fn new(name: &str) -> Job {
        Job { name: name.to_owned(), graph: Rc::new(RefCell::new(Graph::default())) }
    }

    /// The records of a source. The name is for ever: positions are found by it.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// let job = Job::new("doc");
    /// job.source("squares", generator(1_000, |n| n * n)).sink("nowhere", discard());
    /// assert_eq!(job.run(Config::new().cores(2))?.records_in, 1_000);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn source<T, S>(&self, name: &str, source: S) -> Stream<T, Identity<T, FromSource>>
    where
        T: Send + 'static,
        S: Source<T>,
    {
        let spec = SourceSpec::new(name, self.graph.borrow().mode.clone());
        if !source.is_bounded() {
            self.graph.borrow_mut().unbounded.push((name.to_owned(), source.describe()));
        }
        let schema = Schema::new("source", &[("of", std::any::type_name::<T>().to_owned())]);
        let making = spec.clone();
        let make = move |layout: &Layout<'_>| match layout.ends {
            Ends::Own => making.seed(source.clone(), layout),
            Ends::Held(hands) => making.seed(hands.input::<T>(making.name()), layout),
            Ends::Replayed(ends) => making.seed(ends.source(&source, making.name(), making.idles()), layout),
        };
        let node = Node { name: name.to_owned(), schema, make: Box::new(make), recover: None };
        self.graph.borrow_mut().nodes.push(node);
        let computing = spec.clone();
        let compute: Compute<T> = Rc::new(move |inputs| computing.compute(inputs));
        Stream {
            graph: self.graph.clone(),
            outlet: spec.outlet.clone(),
            chain: Identity::new(),
            compute,
            extra: Some(Rc::new(spec)),
        }
    }

    /// Runs the job to the end of its input. If the environment [says so](crate::replay::VARIABLE), it is replayed instead, and
    /// the process ends with that.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// let job = Job::new("doc");
    /// let (sink, numbers) = collect();
    /// job.source("numbers", from_vec(vec![1, 2, 3])).sink("out", sink);
    /// job.run(Config::new().cores(1))?;
    /// assert_eq!(numbers.take(), [1, 2, 3]);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    ///
    /// # Errors
    /// If the job or its settings are not well formed, the machine refuses what they need, a checkpoint cannot be
    /// restored, or a source, a sink or the user's code fails.
    pub fn run(self, config: Config) -> Result<Report> {
        self.start(config)?.wait()
    }

    /// Starts the job, and returns while it runs.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// let job = Job::new("doc");
    /// job.source("numbers", generator(1_000, |n| n)).sink("nowhere", discard());
    /// let running = job.start(Config::new().cores(1))?;
    /// while !running.is_over() {
    ///     std::thread::yield_now();
    /// }
    /// assert_eq!(running.wait()?.records_in, 1_000);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    ///
    /// # Errors
    /// If the job or its settings are not well formed, or the machine refuses what they need.
    pub fn start(self, config: Config) -> Result<JobHandle> {
        replay::obey(&self, &config)?;
        let attempts = self.into_attempts(&config)?;
        Ok(JobHandle::new(attempts.control(), start(attempts, config.runtime)?))
    }

    /// What to run on each core, for a host of one's own. It is run once, whatever the settings say of
    /// [restarts](Config::restart); [`Job::into_attempts`] runs it as often as they say.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// use millstream::host::{RuntimeConfig, launch};
    ///
    /// let job = Job::new("doc");
    /// job.source("numbers", generator(10, |n| n)).sink("nowhere", discard());
    /// let (mains, control) = job.into_mains(&Config::new().cores(2))?;
    /// assert_eq!(mains.len(), 2);
    /// launch(&RuntimeConfig::default(), mains)?.join()?;
    /// assert_eq!(control.metrics().sum(|shard| &shard.records_out), 10);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// If the job or its settings are not well formed.
    pub fn into_mains(self, config: &Config) -> Result<(Vec<CoreMain>, JobControl)> {
        replay::refuse()?;
        let plan = self.plan(config)?;
        let (shared, metrics) = (Shared::new(Supervision::none()), Metrics::new(config.cores));
        let control = JobControl { shared, metrics };
        control.shared.supervision.begin(config.cores);
        let graph = self.graph.borrow();
        let ends = graph.hands.as_ref().map_or(Ends::Own, Ends::Held);
        let mains = plan.mains(config.cores, 0, &control, ends);
        Ok((mains, control))
    }

    /// The job's starts, one after the other, for a host of one's own: the simulator's, for example. See
    /// [`Attempts`] for how they are driven.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// # let job = Job::new("doc");
    /// # job.source("numbers", generator(10, |n| n)).sink("nowhere", discard());
    /// let attempts = job.into_attempts(&Config::new().cores(2))?;
    /// assert_eq!(attempts.control().cores(), 0, "none has started yet");
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// If the job or its settings are not well formed.
    pub fn into_attempts(self, config: &Config) -> Result<Attempts> {
        replay::refuse()?;
        Ok(Attempts::new(self.plan(config)?))
    }

    pub(crate) fn plan(&self, config: &Config) -> Result<Plan> {
        Plan::new(self.describe(config)?, &mut self.graph.borrow_mut(), config)
    }

    /// What the job is, as far as its checkpoints are concerned. A program that writes it to a file lets
    /// `millstream checkpoint check` tell whether the program can start from a checkpoint or a savepoint.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// let job = Job::new("doc");
    /// job.source("numbers", generator(10, |n| n)).sink("nowhere", discard());
    /// let description = job.describe(&Config::new().cores(1))?;
    /// assert_eq!(description.to_json()["steps"]["numbers"]["schema"]["kind"], "source");
    /// # Ok::<(), millstream::Error>(())
    /// ```
    ///
    /// # Errors
    /// If the job or its settings are not well formed.
    pub fn describe(&self, config: &Config) -> Result<JobDescription> {
        config.check()?;
        let here = |error: Error| error.at(format_args!("job `{}`", self.name));
        let mut schemas = self.graph.borrow().check().map_err(here)?;
        if config.batch {
            // What a batch has put off, nothing else would put out.
            let mode = || ("mode".to_owned(), "batch".to_owned());
            schemas.values_mut().for_each(|schema| schema.detail.extend([mode()]));
        }
        let changes = config.changes.clone();
        changes.check(&schemas).map_err(here)?;
        Ok(JobDescription { job: self.name.clone(), max_parallelism: config.groups(), schemas, changes })
    }

    /// Whether the job could start with these settings, from its last checkpoint or else from the savepoint, and what would
    /// become of each step. Nothing is run, locked or changed; a job that runs meanwhile is not disturbed.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// # let dir = tempfile::tempdir()?;
    /// let config = Config::new().cores(1).checkpoints(dir.path());
    /// let job = Job::new("doc");
    /// job.source("numbers", generator(10, |n| n)).sink("nowhere", discard());
    /// assert_eq!(job.check_restore(&config)?.epoch, None);
    /// job.run(config.clone())?;
    ///
    /// let job = Job::new("doc");
    /// job.source("numbers", generator(10, |n| n as u32)).sink("nowhere", discard());
    /// let plan = job.check_restore(&config)?;
    /// assert!(!plan.is_possible());
    /// assert!(plan.steps["numbers"].to_string().contains("of u64"), "{plan}");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// If the job or its settings are not well formed, or what it would start from cannot be read.
    pub fn check_restore(&self, config: &Config) -> Result<RestorePlan> {
        let job = self.describe(config)?;
        if let Some(remote) = &config.remote
            && let Some(held) = last_link(&**remote, &job.job)?.and_then(|link| link.checkpoint)
        {
            let mut plan = RestorePlan::of(Some(&held.manifest), &job);
            plan.refused.extend(own_refusal(&held.manifest));
            return Ok(plan);
        }
        let at = |path: &PathBuf| Checkpoints::at(Rc::new(StdDisk), path);
        if let Some(path) = config.checkpoints.as_ref().filter(|path| path.exists()) {
            let checkpoints = at(path);
            if let Some(last) = block_on(checkpoints.epochs())?.into_iter().max() {
                let mut plan = block_on(checkpoints.plan(&job))?;
                plan.refused.extend(own_refusal(&block_on(checkpoints.manifest(last))?));
                return Ok(plan);
            }
        }
        if let Some(path) = &config.savepoint {
            block_on(read_savepoint(&StdDisk, path))?;
            return block_on(at(path).plan(&job));
        }
        Ok(RestorePlan::of(None, &job))
    }

    /// Runs the job again from a checkpoint that is still there, for an incident to be looked into: the same each time, without
    /// writing anything. See [`replay`](crate::replay) for an example, and for a program that need not be changed.
    ///
    /// Of the settings those count that say what the job does; where its checkpoints are, when they are taken, what drives its
    /// cores and how it restarts does not.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// use millstream::replay::Replay;
    /// # let dir = tempfile::tempdir()?;
    /// # let (state, saved) = (dir.path().join("state"), dir.path().join("saved"));
    /// let job = || {
    ///     let job = Job::new("doc");
    ///     job.source("numbers", generator(u64::MAX, |n| n)).sink("nowhere", discard());
    ///     job
    /// };
    /// let config = Config::new().cores(1).checkpoints(state);
    /// let running = job().start(config.clone())?;
    /// let epoch = running.stop_with_savepoint(&saved).wait()?.epoch;
    /// let report = job().replay(config, Replay::from(&saved, epoch).records(1))?;
    /// assert_eq!(report.rows["nowhere"], 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// If the job cannot go on from the checkpoint, the input that follows is not there any more, or what was asked for is not
    /// to be had. That the job itself fails is no error: the [report](ReplayReport::failure) tells.
    pub fn replay(self, config: Config, replay: Replay) -> Result<ReplayReport> {
        replay::run(&self, config, replay)
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Puts what a test holds in the place of the sources and sinks.
    pub(crate) fn hold(&self, hands: Hands) {
        self.graph.borrow_mut().hands = Some(hands);
    }

    /// What the sink named `sink` should be given, computed from all of the input by the
    /// [reference interpreter](crate::reference).
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// use millstream::reference::Inputs;
    /// let job = Job::new("doc");
    /// job.source("numbers", from_vec(vec![1, 2])).map(|n| n + 1).sink("out", collect().0);
    /// let inputs = Inputs::new().with("numbers", || vec![vec![10, 20]]);
    /// assert_eq!(job.expected::<i32>("out", &inputs), [11, 21]);
    /// ```
    ///
    /// # Panics
    /// If there is no such sink of that type, or a source was given no input.
    pub fn expected<T: 'static>(&self, sink: &str, inputs: &Inputs) -> Vec<T> {
        let graph = self.graph.borrow();
        let compute = graph.outputs.get::<T>(sink);
        let compute = compute.unwrap_or_else(|| panic!("the job has no sink `{sink}` of that type")).clone();
        drop(graph);
        let events = compute(inputs);
        events
            .into_iter()
            .filter_map(|event| match event {
                Event::Record(_, record) => Some(record),
                Event::Watermark(_) => None,
            })
            .collect()
    }
}
