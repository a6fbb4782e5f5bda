//! A job that is ready to be laid out on cores: its graph, its settings known. It is laid out each time that the job starts, on
//! as many cores as it then has, with new rings and everything else new but the counters.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use millstream_ring::Bell;

use crate::checkpoint::control::{CoreLink, Line, lines};
use crate::checkpoint::coordinator::{CoordinatorSeed, RecoverSink, coordinate};
use crate::checkpoint::description::JobDescription;
use crate::config::Config;
use crate::driver::{ShardSeed, drive};
use crate::error::{Error, Result};
use crate::exchange::edge::Mesh;
use crate::exchange::route::bells;
use crate::graph::{Ends, Graph, Layout, Node};
use crate::handle::{Closing, JobControl};
use crate::host::{Class, CoreMain, Host, LocalFuture};
use crate::key_group::Placements;
use crate::shard::StepLimits;
use crate::source::alignment::Groups;

/// Everything that is needed to start a job, as often as it takes. It does not stay with the thread that built the job.
pub(crate) struct Plan {
    job: JobDescription,
    nodes: Vec<Node>,
    config: Config,
}

impl Plan {
    /// # Errors
    /// If the job or its settings are not well formed.
    pub(crate) fn new(job: JobDescription, graph: &mut Graph, config: &Config) -> Result<Plan> {
        let here = |error: Error| error.at(format_args!("job `{}`", job.job));
        graph.set_mode(config.batch).map_err(here)?;
        graph.check_parallelism(&config.parallelism)?;
        graph.check_unaligned(config.unaligned_after.is_some()).map_err(here)?;
        // Fixed now, whatever the number of cores is later.
        let config = config.clone().max_parallelism(config.groups());
        Ok(Plan { job, nodes: std::mem::take(&mut graph.nodes), config })
    }

    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    /// What to run on each core. `attempt` counts from 0.
    pub(crate) fn mains(
        &self,
        cores: usize,
        attempt: u64,
        control: &JobControl,
        ends: Ends<'_>,
    ) -> Vec<CoreMain> {
        let Config { ring_depth: depth, batch_size, .. } = self.config;
        let mesh = Mesh { bells: bells(cores), depth, batch_size };
        let placements = Placements::new(self.config.groups(), cores, &self.config.parallelism);
        let alignments = Groups::default();
        control.metrics.begin(cores);
        let (lines, links) = lines(control.shared.coordinator(), &mesh.bells);
        let mut coordinator = Some(self.coordinator(attempt, lines, control, ends));
        let core_main = |(core, link)| {
            let layout = Layout { mesh: &mesh, placements: &placements, core, alignments: &alignments, ends };
            core_main(self.shard(&layout, link, control), coordinator.take())
        };
        links.into_iter().enumerate().map(core_main).collect()
    }

    fn shard(&self, layout: &Layout<'_>, link: CoreLink, control: &JobControl) -> ShardSeed {
        let config = &self.config;
        ShardSeed {
            core: layout.core,
            cores: layout.mesh.cores(),
            link,
            bell: layout.mesh.bells[layout.core].clone(),
            stages: self.nodes.iter().map(|node| (Arc::from(&*node.name), (node.make)(layout))).collect(),
            placements: layout.placements.clone(),
            limits: StepLimits {
                budget: config.step_budget,
                batch_size: config.batch_size,
                memory: config.memory,
            },
            checkpoints: config.checkpoints.clone(),
            metrics: control.metrics.clone(),
        }
    }

    fn coordinator(
        &self,
        attempt: u64,
        lines: Vec<Line>,
        control: &JobControl,
        ends: Ends<'_>,
    ) -> CoordinatorSeed {
        let config = &self.config;
        let sinks = self.nodes.iter().filter_map(|node| {
            let make = node.recover.as_ref()?;
            // Nothing is written to sinks that were replaced.
            let recover: RecoverSink = match ends {
                Ends::Own => make(),
                Ends::Held(_) | Ends::Replayed(_) => Box::new(|_, _| Box::pin(async { Ok(()) })),
            };
            Some((node.name.clone(), recover))
        });
        CoordinatorSeed {
            job: self.job.clone(),
            attempt,
            narrow: config.parallelism.clone(),
            sinks: sinks.collect(),
            lines,
            bell: control.shared.coordinator().clone(),
            closing: Closing::new(control.shared.clone()),
            shared: control.shared.clone(),
            metrics: control.metrics.clone(),
            checkpoints: config.checkpoints.clone(),
            remote: config.remote.clone(),
            savepoint: config.savepoint.clone(),
            replayed: match ends {
                Ends::Replayed(ends) => ends.restored(),
                Ends::Own | Ends::Held(_) => None,
            },
            every: config.checkpoint_every,
            min_pause: config.min_pause,
            unaligned_after: config.unaligned_after,
            timeout: config.checkpoint_timeout,
            tolerated_failures: config.tolerated_failures,
            retained: config.retained,
        }
    }
}

/// What runs on a core: its shard and, on the first, the coordinator.
fn core_main(seed: ShardSeed, coordinator: Option<CoordinatorSeed>) -> CoreMain {
    Box::new(move |host| {
        Box::pin(async move {
            let coordinated =
                coordinator.map(|seed| started(&*host, Box::pin(coordinate(seed, host.clone()))));
            drive(seed, host).await;
            // It outlives all shards, and this core's other tasks with it: these end with this future, and so does the lease.
            if let Some(coordinated) = coordinated {
                let _directory = coordinated.await;
            }
        })
    })
}

/// Starts a task; what is returned is ready when the task has ended, and gives what it has returned.
fn started<T: 'static>(host: &dyn Host, task: LocalFuture<T>) -> LocalFuture<T> {
    let (bell, over) = (Arc::new(Bell::new()), Rc::new(RefCell::new(None)));
    let (ringing, ended) = (bell.clone(), over.clone());
    host.spawn(
        Class::Records,
        Box::pin(async move {
            let returned = task.await;
            ended.replace(Some(returned));
            ringing.ring();
        }),
    );
    Box::pin(async move {
        loop {
            if let Some(returned) = over.take() {
                return returned;
            }
            bell.wait(|| over.borrow().is_some()).await;
        }
    })
}
