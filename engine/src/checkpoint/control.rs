//! What the coordinator and the drivers of the cores say to each other.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;

use millstream_ring::{Bell, Consumer, Producer, PushError, ring};

use crate::checkpoint::manifest::{Part, StepManifest};
use crate::error::Error;
use crate::metrics::Timing;
use crate::source::Agreements;

/// From the coordinator to a core.
#[derive(Clone)]
pub(crate) enum Order {
    /// Open the stages.
    Open(Arc<Restored>),
    /// Start a checkpoint at the sources.
    Checkpoint(u64),
    /// Let the barrier of the checkpoint overtake what waits before a step, where it may.
    Overtake(u64),
    /// The checkpoint is complete: commit.
    Commit(u64),
    /// Have the sources give no more records, or go on. What was ordered before goes before.
    Hold(bool),
    /// Have the sources end as if there were no more input.
    Drain,
    /// Leave everything as it is and end.
    Stop,
}

/// From a core to the coordinator.
pub(crate) enum Reply {
    /// The stages are open.
    Opened,
    /// The core's share of a checkpoint is durable: its parts, by step.
    Prepared(u64, Vec<StepShare>),
    /// The core's share could not be written; the job can go on.
    Unprepared(u64, Error),
    /// The core has committed.
    Committed(u64),
    /// All input has been consumed and all output handed to the sinks.
    Drained,
    /// The core cannot go on.
    Failed(Error),
}

/// A core's share of one step in a checkpoint.
pub(crate) struct StepShare {
    pub step: String,
    pub part: Part,
    pub timing: Timing,
}

/// What a run starts from.
#[derive(Debug, Default)]
pub(crate) struct Restored {
    /// The checkpoint's number, if there is one.
    pub epoch: Option<u64>,
    /// Its steps.
    pub steps: Arc<BTreeMap<String, StepManifest>>,
    /// The first number that no earlier run attempted.
    pub first_epoch: u64,
    /// Drawn anew for each run.
    pub run_id: u64,
    /// By which later runs tell themselves from earlier ones, on whatever machine; 0 without an object store.
    pub generation: u64,
    pub agreements: Arc<Agreements>,
}

/// A core's line to the coordinator. Dropping it, as a dying core does, is noticed by the other side.
pub(crate) struct CoreLink {
    orders: Consumer<Order>,
    replies: Producer<Reply>,
    coordinator: Arc<Bell>,
}

/// The coordinator's line to a core.
pub(crate) struct Line {
    orders: Producer<Order>,
    replies: Consumer<Reply>,
    core: Arc<Bell>,
    closed: Cell<bool>,
}

/// More than can ever be under way: there is one checkpoint at a time.
const DEPTH: usize = 64;

/// The lines between a coordinator and its cores.
pub(crate) fn lines(coordinator: &Arc<Bell>, cores: &[Arc<Bell>]) -> (Vec<Line>, Vec<CoreLink>) {
    let line = |core: &Arc<Bell>| {
        let (orders_in, orders_out) = ring(DEPTH);
        let (replies_in, replies_out) = ring(DEPTH);
        let line =
            Line { orders: orders_in, replies: replies_out, core: core.clone(), closed: Cell::new(false) };
        let link = CoreLink { orders: orders_out, replies: replies_in, coordinator: coordinator.clone() };
        (line, link)
    };
    cores.iter().map(line).unzip()
}

impl CoreLink {
    /// The next order; `Stop` when the coordinator has gone.
    pub(crate) fn next(&mut self) -> Option<Order> {
        match self.orders.pop() {
            Ok(order) => Some(order),
            Err(millstream_ring::PopError::Empty) => None,
            Err(millstream_ring::PopError::Closed) => Some(Order::Stop),
        }
    }

    /// Whether there is an order.
    pub(crate) fn is_ready(&mut self) -> bool {
        self.orders.slots() > 0 || self.orders.is_closed()
    }

    pub(crate) fn say(&mut self, reply: Reply) {
        // Refused only when the coordinator has gone: `next` will tell the driver to stop.
        let _ = self.replies.push(reply);
        self.coordinator.ring();
    }
}

impl Drop for CoreLink {
    fn drop(&mut self) {
        // A ring closes silently, so that the bell must be rung after it has: swap the ends for closed ones first.
        let (replies, _) = ring(1);
        self.replies = replies;
        self.coordinator.ring();
    }
}

impl Line {
    pub(crate) fn order(&mut self, order: Order) {
        let pushed = self.orders.push(order);
        debug_assert!(!matches!(pushed, Err(PushError::Full(_))), "more is under way than ever can be");
        // Refused only when the core has gone, which `next` reports.
        let _ = pushed;
        self.core.ring();
    }

    /// The next reply. A core that has gone without a word is reported once.
    pub(crate) fn next(&mut self) -> Option<Reply> {
        match self.replies.pop() {
            Ok(reply) => Some(reply),
            Err(millstream_ring::PopError::Closed) if !self.closed.replace(true) => {
                let message =
                    "the core's thread ended without a word; its panic is reported on standard error";
                Some(Reply::Failed(Error::new(crate::error::ErrorKind::User, message)))
            }
            Err(_) => None,
        }
    }

    pub(crate) fn is_ready(&mut self) -> bool {
        self.replies.slots() > 0 || (self.replies.is_closed() && !self.closed.get())
    }

    /// Whether the core has ended. What it said before may still be read.
    pub(crate) fn is_closed(&self) -> bool {
        self.replies.is_closed()
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let (orders, _) = ring(1);
        self.orders = orders;
        self.core.ring();
    }
}
