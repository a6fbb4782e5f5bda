//! The processes that are there: the one that runs, and those before it that are frozen or have woken.
//!
//! A frozen process keeps its memory, its locks and its open files. Nothing of it runs. Where only the process stands still, the
//! disk goes on with what it was asked; where its whole machine does, that waits too, and so do the clocks that it sees.

use std::cmp::Reverse;
use std::ops::Range;
use std::task::Waker;

use super::kernel::{Due, State};
use super::tasks::{TaskId, TaskSet};
use crate::coverage::Fault;
use crate::trace::What;

/// What stands still.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FreezeKind {
    /// A process: stopped by a signal, or by its control group.
    Process,
    /// A virtual machine: its disk and its clocks stand still with it.
    Machine,
}

/// A virtual core.
#[derive(Default)]
pub(crate) struct Core {
    pub(crate) tasks: TaskSet,
    /// Its main future has ended.
    pub(crate) done: bool,
}

/// A process that is there.
pub(crate) struct Live {
    pub(crate) process: u64,
    /// The place of its first core.
    first: usize,
    pub(crate) cores: Vec<Core>,
    pub(crate) next_task: u64,
    /// Main futures that have not ended.
    pub(crate) unfinished: usize,
    frozen: Option<Frozen>,
    /// It was frozen and has woken.
    woken: bool,
    /// Nanoseconds that its clocks have stood still.
    lag: u64,
}

struct Frozen {
    kind: FreezeKind,
    since: u64,
    /// What was to be due, and waits.
    held: Vec<(u64, Due)>,
}

impl Live {
    pub(crate) fn slots(&self) -> Range<usize> {
        self.first..self.first + self.cores.len()
    }
}

impl State {
    /// The process of a number, if it is there.
    pub(crate) fn life(&mut self, process: u64) -> Option<&mut Live> {
        self.live.iter_mut().find(|live| live.process == process)
    }

    pub(crate) fn is_live(&self, process: u64) -> bool {
        self.live.iter().any(|live| live.process == process)
    }

    pub(crate) fn unfinished(&self) -> Vec<TaskId> {
        let cores = self.live.iter().flat_map(|live| &live.cores);
        cores.flat_map(|core| core.tasks.unfinished()).collect()
    }

    /// The numbers of the processes that are there.
    pub(crate) fn processes(&self) -> Vec<u64> {
        self.live.iter().map(|live| live.process).collect()
    }

    pub(crate) fn start_process(&mut self, process: u64, cores: usize, again: bool) {
        let first = self.live.iter().map(|live| live.slots().end).max().unwrap_or(0);
        // Those that are there have a clock in common.
        if !again && self.live.is_empty() {
            self.clock.restart();
        }
        self.live.push(Live {
            process,
            first,
            cores: (0..cores).map(|_| Core::default()).collect(),
            next_task: 0,
            unfinished: cores,
            frozen: None,
            woken: false,
            lag: 0,
        });
        let now = self.clock.now;
        self.schedule.restart(first, cores, now);
        let how = if again { "the process before it goes on" } else { "" };
        self.note(What::Start, [process, (first + cores) as u64], || how.to_owned());
    }

    /// Nanoseconds by which the clocks of a process are behind.
    pub(crate) fn lag(&self, process: u64) -> u64 {
        self.live.iter().find(|live| live.process == process).map_or(0, |live| live.lag)
    }

    /// Whether a process stood still and runs beside another.
    pub(crate) fn is_zombie(&self, process: u64) -> bool {
        self.live.len() > 1 && self.live.iter().any(|live| live.process == process && live.woken)
    }

    pub(crate) fn freeze_process(&mut self, process: u64, kind: FreezeKind) {
        let since = self.clock.now;
        self.note(What::Freeze, [process, kind as u64], || format!("{kind:?}"));
        let struck: Vec<_> = self.disk.flying.values().filter(|flying| flying.process == process).collect();
        let struck: Vec<_> = struck.iter().map(|flying| (flying.site, flying.op.to_string())).collect();
        for (site, op) in struck {
            self.disk.trouble.hit_what(Fault::Frozen, site, || op);
        }
        self.mark_faults(String::new);
        let held = match kind {
            FreezeKind::Process => Vec::new(),
            FreezeKind::Machine => self.take_due(process),
        };
        let live = self.life(process).expect("it runs");
        live.frozen = Some(Frozen { kind, since, held });
        let slots = live.slots();
        self.schedule.set_frozen(slots, true);
    }

    pub(crate) fn wake_process(&mut self, process: u64) {
        let now = self.clock.now;
        let Some(live) = self.life(process) else { return };
        let Some(Frozen { kind, since, held }) = live.frozen.take() else { return };
        let slept = now - since;
        live.woken = true;
        if kind == FreezeKind::Machine {
            live.lag += slept;
        }
        let slots = live.slots();
        self.schedule.set_frozen(slots, false);
        for (at, due) in held {
            self.schedule_at(at + slept, due);
        }
        self.note(What::Wake, [process, slept], String::new);
    }

    /// Takes out what is to be due of a process, in its order.
    fn take_due(&mut self, process: u64) -> Vec<(u64, Due)> {
        let all = std::mem::take(&mut self.due).into_sorted_vec();
        let (its, others): (Vec<_>, Vec<_>) =
            all.into_iter().rev().partition(|Reverse((.., due))| self.owner(*due) == Some(process));
        self.due = others.into();
        its.into_iter().map(|Reverse((at, _, due))| (at, due)).collect()
    }

    fn owner(&self, due: Due) -> Option<u64> {
        match due {
            Due::Timer(number) => self.timers.get(&number).map(|(process, _)| *process),
            Due::Disk(number) => self.disk.flying.get(&number).map(|flying| flying.process),
        }
    }

    /// A process is gone. Returns its cores and its timers, which are to be dropped when nobody uses the state.
    pub(crate) fn remove_process(&mut self, process: u64) -> (Option<Live>, Vec<Waker>) {
        let at = self.live.iter().position(|live| live.process == process);
        let live = at.map(|at| self.live.remove(at));
        // What was given up is nobody's.
        self.take_due(process);
        if self.live.is_empty() {
            self.due.clear();
        }
        let numbers: Vec<u64> =
            self.timers.iter().filter(|(_, (of, _))| *of == process).map(|(number, _)| *number).collect();
        let timers = numbers.iter().filter_map(|number| self.timers.remove(number)).map(|(_, waker)| waker);
        (live, timers.collect())
    }
}
