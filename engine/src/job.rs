//! A job: a graph of streams, and what it takes to run it.

use std::cell::RefCell;
use std::rc::Rc;

use crate::checkpoint::manifest::Schema;
use crate::config::Config;
use crate::error::Result;
use crate::graph::{Graph, Layout, Node, SharedGraph};
use crate::handle::{JobControl, JobHandle, Report, Shared};
use crate::host::CoreMain;
use crate::metrics::Metrics;
use crate::plan::Plan;
use crate::reference::{Compute, Event, Inputs};
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
        let make = move |layout: &Layout<'_>| match layout.hands {
            Some(hands) => making.seed(hands.input::<T>(making.name()), layout),
            None => making.seed(source.clone(), layout),
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

    /// Runs the job to the end of its input.
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
        let plan = self.plan(config)?;
        let (shared, metrics) = (Shared::new(Supervision::none()), Metrics::new(config.cores));
        let control = JobControl { shared, metrics };
        control.shared.supervision.begin(config.cores);
        let mains = plan.mains(config.cores, 0, &control, self.graph.borrow().hands.as_ref());
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
        Ok(Attempts::new(self.plan(config)?))
    }

    fn plan(&self, config: &Config) -> Result<Plan> {
        Plan::new(&self.name, &mut self.graph.borrow_mut(), config)
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
