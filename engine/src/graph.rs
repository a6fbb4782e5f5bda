//! The graph of a job: what the builder made, before it is laid out on cores.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use crate::checkpoint::coordinator::RecoverSink;
use crate::checkpoint::manifest::Schema;
use crate::error::{Error, ErrorKind, Result};
use crate::exchange::edge::Mesh;
use crate::key_group::Placements;
use crate::reference::Outputs;
use crate::replay::ReplayEnds;
use crate::source::alignment::Groups;
use crate::stage::StageSeed;
use crate::stream::batch::Mode;
use crate::testing::Hands;

/// What a node needs to make its stages.
pub(crate) struct Layout<'a> {
    pub mesh: &'a Mesh,
    pub placements: &'a Placements,
    pub core: usize,
    pub alignments: &'a Groups,
    /// What takes the place of sources and sinks.
    pub ends: Ends<'a>,
}

/// Where records come from and go to.
#[derive(Clone, Copy)]
pub(crate) enum Ends<'a> {
    /// The job's own sources and sinks.
    Own,
    /// A test holds the job.
    Held(&'a Hands),
    /// The job's own sources, which give their records when they are told to, and nothing is written to its sinks.
    Replayed(&'a ReplayEnds),
}

/// Makes the stage of one core; called for each core in turn, before the cores start, each time that they do.
pub(crate) type MakeStage = Box<dyn Fn(&Layout<'_>) -> Box<dyn StageSeed> + Send>;

/// Makes what brings a sink's earlier output in order, each time that the job starts.
pub(crate) type MakeRecover = Box<dyn Fn() -> RecoverSink + Send>;

/// A stateful step, a source or a sink.
pub(crate) struct Node {
    pub name: String,
    pub schema: Schema,
    pub make: MakeStage,
    /// Sinks only.
    pub recover: Option<MakeRecover>,
}

/// The nodes in the order in which they were added: each after those that feed it.
#[derive(Default)]
pub(crate) struct Graph {
    pub nodes: Vec<Node>,
    pub outputs: Outputs,
    /// What takes the place of sources and sinks while a test holds the job.
    pub hands: Option<Hands>,
    /// Whether it is run as a batch; its steps know it by this.
    pub mode: Mode,
    /// The sources that do not end by themselves, and what they read.
    pub unbounded: Vec<(String, String)>,
    /// Whether barriers may overtake the records of some stream.
    pub unaligned: bool,
}

/// The graph that the streams of a job add to.
pub(crate) type SharedGraph = Rc<RefCell<Graph>>;

/// The kinds of steps that take their records where they are, or say themselves where they go.
const UNMOVED: [&str; 7] = ["sink", "stage", "union", "global", "rescale", "lookup join", "async map"];

impl Graph {
    /// Lays it out as a batch, or not.
    ///
    /// # Errors
    /// If a source of a batch does not end by itself. One that a test holds is ended by that.
    pub(crate) fn set_mode(&self, batch: bool) -> Result<()> {
        let held = self.hands.is_some();
        if let Some((source, reads)) = self.unbounded.first().filter(|_| batch && !held) {
            let message = format!(
                "source `{source}` ({reads}) does not end by itself, and a batch needs sources that do; run the job \
                 without `batch()`, or read what there is now: a topic without `follow()`, a source of your own whose \
                 `is_bounded` says so"
            );
            return Err(Error::new(ErrorKind::Job, message));
        }
        self.mode.set(batch);
        Ok(())
    }

    /// # Errors
    /// If barriers are to overtake records, and no stream allows it.
    pub(crate) fn check_unaligned(&self, wanted: bool) -> Result<()> {
        if self.unaligned || !wanted {
            return Ok(());
        }
        let message = "`unaligned_after` is set, but no stream of the job is `unaligned()`: put it behind the `key_by` \
                       of steps before which records wait";
        Err(Error::new(ErrorKind::Job, message))
    }

    /// # Errors
    /// If a step is given cores that the job does not have, or that cannot be given any.
    pub(crate) fn check_parallelism(&self, parallelism: &BTreeMap<String, usize>) -> Result<()> {
        let refuse = |message: String| Err(Error::new(ErrorKind::Config, message));
        for (step, cores) in parallelism {
            let Some(node) = self.nodes.iter().find(|node| node.name == *step) else {
                return refuse(format!("step `{step}` is given {cores} cores; the job has none so named"));
            };
            let kind = node.schema.kind.as_str();
            if UNMOVED.contains(&kind) {
                return refuse(format!(
                    "step `{step}` ({kind}) is given {cores} cores, but stays on those that its records come from; put \
                     `rescale` before it"
                ));
            }
        }
        Ok(())
    }

    /// # Errors
    /// If a name is empty or taken, or there is nothing to run.
    pub(crate) fn check(&self) -> Result<BTreeMap<String, Schema>> {
        let refuse = |message: String| Err(Error::new(ErrorKind::Job, message));
        let mut schemas = BTreeMap::new();
        for node in &self.nodes {
            if node.name.is_empty() {
                return refuse(format!("a {} has an empty name", node.schema.kind));
            }
            if schemas.insert(node.name.clone(), node.schema.clone()).is_some() {
                return refuse(format!("two steps are named `{}`; names must be unique", node.name));
            }
        }
        if !self.nodes.iter().any(|node| node.recover.is_some()) {
            return refuse("the job has no sink; end at least one stream with `sink`".to_owned());
        }
        Ok(schemas)
    }
}
