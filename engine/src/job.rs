//! A job: a graph of streams, and what it takes to run it.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use millstream_ring::Bell;

use crate::checkpoint::control::{Line, lines};
use crate::checkpoint::coordinator::{CoordinatorSeed, coordinate};
use crate::checkpoint::manifest::Schema;
use crate::config::Config;
use crate::driver::{ShardSeed, drive};
use crate::error::{Error, ErrorKind, Result};
use crate::exchange::edge::Mesh;
use crate::exchange::route::bells;
use crate::graph::{Graph, Layout, Node, SharedGraph};
use crate::handle::{JobControl, JobHandle, Report, Shared};
use crate::host::{Class, CoreMain, Host, LocalFuture, launch};
use crate::key_group::Placements;
use crate::metrics::Metrics;
use crate::reference::{Compute, Event, Inputs};
use crate::shard::StepLimits;
use crate::source::Source;
use crate::source::alignment::Groups;
use crate::stream::chain::Identity;
use crate::stream::{FromSource, SourceSpec, Stream};
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
        let (making, hands) = (spec.clone(), self.graph.borrow().hands.clone());
        let make = move |layout: &Layout<'_>| match &*hands.borrow() {
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
            extra: Some(spec),
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
        let (mains, control) = self.into_mains(&config)?;
        let cores = launch(&config.runtime, mains)
            .map_err(|error| Error::new(ErrorKind::Host, "the cores cannot be started").caused_by(error))?;
        Ok(JobHandle::new(control, cores))
    }

    /// What to run on each core, for a host of one's own: the simulator's, for example.
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
        config.check()?;
        let here = |error: Error| error.at(format_args!("job `{}`", self.name));
        let mut schemas = self.graph.borrow().check().map_err(here)?;
        self.graph.borrow().set_mode(config.batch).map_err(here)?;
        if config.batch {
            // What a batch has put off, nothing else would put out.
            let mode = || ("mode".to_owned(), "batch".to_owned());
            schemas.values_mut().for_each(|schema| schema.detail.extend([mode()]));
        }
        self.graph.borrow().check_parallelism(&config.parallelism)?;
        self.graph.borrow().check_unaligned(config.unaligned_after.is_some()).map_err(here)?;
        let cores = config.cores;
        let mesh = Mesh { bells: bells(cores), depth: config.ring_depth, batch_size: config.batch_size };
        let placements = Placements::new(config.groups(), cores, &config.parallelism);
        let coordinator_bell = Arc::new(Bell::new());
        let (lines, links) = lines(&coordinator_bell, &mesh.bells);
        let shared = Shared::new(coordinator_bell.clone());
        let metrics = Metrics::new(cores);
        let control = JobControl { shared: shared.clone(), metrics: metrics.clone() };

        let alignments = Groups::default();
        let mut mains: Vec<CoreMain> = Vec::with_capacity(cores);
        let coordinator = self.coordinator(config, schemas, lines, coordinator_bell, control.clone());
        let mut coordinator = Some(coordinator);
        for (core, link) in links.into_iter().enumerate() {
            let layout = Layout { mesh: &mesh, placements: &placements, core, alignments: &alignments };
            let graph = self.graph.borrow();
            let seed = ShardSeed {
                core,
                cores,
                link,
                bell: mesh.bells[core].clone(),
                stages: graph.nodes.iter().map(|node| (node.make)(&layout)).collect(),
                placements: placements.clone(),
                limits: StepLimits {
                    budget: config.step_budget,
                    batch_size: config.batch_size,
                    memory: config.memory,
                },
                checkpoints: config.checkpoints.clone(),
                metrics: metrics.clone(),
            };
            mains.push(core_main(seed, coordinator.take()));
        }
        Ok((mains, control))
    }

    /// Puts what a test holds in the place of the sources and sinks.
    pub(crate) fn hold(&self, hands: Hands) {
        *self.graph.borrow().hands.borrow_mut() = Some(hands);
    }

    fn coordinator(
        &self,
        config: &Config,
        schemas: BTreeMap<String, Schema>,
        lines: Vec<Line>,
        bell: Arc<Bell>,
        control: JobControl,
    ) -> CoordinatorSeed {
        let mut graph = self.graph.borrow_mut();
        let held = graph.hands.borrow().is_some();
        let sinks = graph.nodes.iter_mut().filter_map(|node| {
            let recover = node.recover.take()?;
            // Nothing is written to the sinks that a test has replaced.
            let recover = if held {
                Box::new(|_, _| -> LocalFuture<_> { Box::pin(async { Ok(()) }) })
            } else {
                recover
            };
            Some((node.name.clone(), recover))
        });
        CoordinatorSeed {
            job: self.name.clone(),
            max_parallelism: config.groups(),
            schemas,
            narrow: config.parallelism.clone(),
            sinks: sinks.collect(),
            lines,
            bell,
            shared: control.shared,
            metrics: control.metrics,
            checkpoints: config.checkpoints.clone(),
            every: config.checkpoint_every,
            timeout: config.checkpoint_timeout,
            unaligned_after: config.unaligned_after,
            tolerated_failures: config.tolerated_failures,
            retained: config.retained,
        }
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

/// What runs on a core: its shard and, on the first, the coordinator.
fn core_main(seed: ShardSeed, coordinator: Option<CoordinatorSeed>) -> CoreMain {
    Box::new(move |host| {
        Box::pin(async move {
            let coordinated =
                coordinator.map(|seed| started(&*host, Box::pin(coordinate(seed, host.clone()))));
            drive(seed, host).await;
            // It outlives all shards, and this core's other tasks with it.
            if let Some(coordinated) = coordinated {
                coordinated.await;
            }
        })
    })
}

/// Starts a task; what is returned is ready when the task has ended.
fn started(host: &dyn Host, task: LocalFuture<()>) -> LocalFuture<()> {
    let (bell, over) = (Arc::new(Bell::new()), Rc::new(Cell::new(false)));
    let (ringing, ended) = (bell.clone(), over.clone());
    host.spawn(
        Class::Records,
        Box::pin(async move {
            task.await;
            ended.set(true);
            ringing.ring();
        }),
    );
    Box::pin(async move { bell.wait(|| over.get()).await })
}
