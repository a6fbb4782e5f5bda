//! What the host, the disk and the run loop share: the state of the world.

use std::cell::{RefCell, RefMut};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use millstream::host::{Class, LocalFuture};

use super::clock::Clock;
use super::processes::Live;
use super::schedule::Schedule;
use super::tasks::{Inbox, TaskId};
use crate::coverage::Fault;
use crate::disk::model::Model;
use crate::disk::op::{InFlight, Op, Reply, Slot};
use crate::random::Random;
use crate::trace::{Trace, What, digest};

/// What is due at some time. The order is that of the numbers, which only ever grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Due {
    Timer(u64),
    Disk(u64),
}

pub(crate) struct State {
    pub(crate) clock: Clock,
    pub(crate) schedule: Schedule,
    pub(crate) disk: Model,
    pub(crate) trace: Trace,
    /// The processes that are there, in the order of their starts.
    pub(crate) live: Vec<Live>,
    /// By time (nanoseconds), then by number.
    pub(crate) due: BinaryHeap<Reverse<(u64, u64, Due)>>,
    /// By number, with their processes.
    pub(crate) timers: BTreeMap<u64, (u64, Waker)>,
    pub(crate) host_random: Random,
    next_number: u64,
}

pub(crate) struct Kernel {
    state: RefCell<State>,
    pub(crate) inbox: Arc<Inbox>,
}

impl State {
    pub(crate) fn new(
        clock: Clock,
        schedule: Schedule,
        mut disk: Model,
        trace: Trace,
        host_random: Random,
    ) -> State {
        crate::outside::listen(trace.keeps_log());
        disk.trouble.struck = trace.keeps_log().then(Vec::new);
        State {
            clock,
            schedule,
            disk,
            trace,
            live: Vec::new(),
            due: BinaryHeap::new(),
            timers: BTreeMap::new(),
            host_random,
            next_number: 0,
        }
    }

    pub(crate) fn note(&mut self, what: What, numbers: [u64; 2], text: impl FnOnce() -> String) {
        self.trace.note(Duration::from_nanos(self.clock.now), what, numbers, text);
    }

    /// Marks the faults that have just struck; `what` was struck where they do not say it themselves.
    pub(crate) fn mark_faults(&mut self, what: impl Fn() -> String) {
        let at = Duration::from_nanos(self.clock.now);
        let Some(struck) = self.disk.trouble.struck.as_mut().filter(|struck| !struck.is_empty()) else {
            return;
        };
        for (fault, site, its) in std::mem::take(struck) {
            let its = if its.is_empty() { what() } else { its };
            self.trace
                .mark(at, What::Fault, [fault as u64, site as u64], || format!("{fault:?} {site:?}: {its}"));
        }
    }

    /// Marks what has just gone wrong outside the machine.
    pub(crate) fn mark_outside(&mut self) {
        let at = Duration::from_nanos(self.clock.now);
        for text in crate::outside::told() {
            self.trace.mark(at, What::Outside, [0, 0], || text);
        }
    }

    fn number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number
    }

    /// Puts a completion or a timer in its place.
    pub(crate) fn schedule_at(&mut self, at: u64, due: Due) {
        let (Due::Timer(number) | Due::Disk(number)) = due;
        self.due.push(Reverse((at, number, due)));
    }

    /// Lets a timer that is due go off. Returns whom to wake.
    pub(crate) fn fire_timer(&mut self, timer: u64) -> Option<Waker> {
        let (_, waker) = self.timers.remove(&timer)?;
        self.note(What::Timer, [timer, 0], String::new);
        Some(waker)
    }

    /// Lets a disk operation that is due take effect. Returns whom to wake, and what nobody waits for any more.
    pub(crate) fn complete(&mut self, number: u64) -> (Option<Waker>, Option<(u64, Reply)>) {
        let InFlight { process, op, site, slot } = self.disk.flying.remove(&number).expect("completes once");
        let now = self.clock.now;
        let reply = self.disk.finish(now, process, &op, site);
        if self.is_zombie(process) {
            self.disk.trouble.hit(Fault::Zombie, site);
        }
        let outcome = outcome(&reply);
        self.note(What::Complete, [number, outcome], || match &reply {
            Err(e) => format!("{op}: {e}"),
            Ok(_) => op.to_string(),
        });
        self.mark_faults(|| op.to_string());
        if Rc::strong_count(&slot) == 1 {
            return (None, reply.ok().map(|reply| (process, reply)));
        }
        let mut slot = slot.borrow_mut();
        slot.reply = Some(reply);
        (slot.waker.take(), None)
    }
}

/// A number that tells answers apart.
fn outcome(reply: &io::Result<Reply>) -> u64 {
    match reply {
        Err(e) => 1 << 32 | e.raw_os_error().unwrap_or(0) as u64,
        Ok(Reply::Done) => 2,
        Ok(Reply::Opened(n) | Reply::Len(n) | Reply::Locked(n)) => *n,
        Ok(Reply::Entries(entries)) => {
            entries.iter().fold(3, |sum, e| sum ^ digest(e.name.as_bytes()) ^ e.len)
        }
        Ok(Reply::Bytes(bytes)) => digest(bytes),
    }
}

impl Kernel {
    pub(crate) fn new(state: State) -> Kernel {
        Kernel { state: RefCell::new(state), inbox: Arc::default() }
    }

    /// The state. Nothing that could come back here (a task, a waker, a destructor of one) may run meanwhile.
    pub(crate) fn state(&self) -> RefMut<'_, State> {
        self.state.borrow_mut()
    }

    /// Starts a task, unless its process or the main future of its core has ended.
    pub(crate) fn spawn(&self, process: u64, core: usize, class: Option<Class>, task: LocalFuture<()>) {
        let mut state = self.state();
        let Some(live) = state.life(process).filter(|live| !live.cores[core].done) else {
            // Dropping the task may come back here.
            drop(state);
            drop(task);
            return;
        };
        let slot = live.slots().start + core;
        let id = TaskId { process, core, slot, number: live.next_task, class };
        live.next_task += 1;
        state.note(What::Spawn, [slot as u64, id.number], || id.to_string());
        let live = state.life(process).expect("it was there above");
        live.cores[core].tasks.spawn(id, task, &self.inbox);
    }

    /// Registers a timer, due `after` nanoseconds from now: never early, and late by some chance of the host.
    pub(crate) fn start_timer(&self, process: u64, after: u64, waker: Waker) -> u64 {
        let mut state = self.state();
        let number = state.number();
        if state.is_live(process) {
            let late = state.host_random.below(100_000);
            let at = state.clock.now.saturating_add(after).saturating_add(late);
            state.timers.insert(number, (process, waker));
            state.schedule_at(at, Due::Timer(number));
        }
        number
    }

    /// Whether a timer is still to go off; takes the waker of the task that now waits.
    pub(crate) fn rewait_timer(&self, timer: u64, waker: &Waker) -> bool {
        match self.state().timers.get_mut(&timer) {
            Some((_, waiting)) => {
                waiting.clone_from(waker);
                true
            }
            None => false,
        }
    }

    pub(crate) fn stop_timer(&self, timer: u64) {
        let stopped = self.state().timers.remove(&timer);
        drop(stopped);
    }

    /// Whether the next disk operation starts when it is asked for, rather than when it is first polled.
    pub(crate) fn starts_eagerly(&self) -> bool {
        self.state().disk.random.coin()
    }

    /// Sends an operation on its way. One of an ended process never answers.
    pub(crate) fn issue(&self, process: u64, mut op: Op) -> Rc<RefCell<Slot>> {
        let slot = Rc::<RefCell<Slot>>::default();
        let mut state = self.state();
        if !state.is_live(process) {
            return slot;
        }
        let number = state.number();
        let now = state.clock.now;
        let disk = &mut state.disk;
        let site = disk.site(&op);
        disk.begin(process, &mut op);
        let latency = disk.trouble.latency(now, op.size(), site, &mut disk.random);
        state.note(What::Issue, [number, latency], || op.to_string());
        state.trace.fold(op.digest());
        state.mark_faults(|| op.to_string());
        state.disk.flying.insert(number, InFlight { process, op, site, slot: slot.clone() });
        state.schedule_at(now + latency, Due::Disk(number));
        slot
    }

    /// Gives back what an answer brought, if its process still runs: closes, or releases.
    pub(crate) fn give_back(&self, process: u64, reply: &Reply) {
        let mut state = self.state();
        if state.is_live(process) {
            match reply {
                Reply::Opened(inode) => state.disk.close(process, *inode),
                Reply::Locked(id) => state.disk.locks.release(*id),
                _ => {}
            }
        }
    }
}
