//! The life of one process: start, one scheduling point after another, and the end.

use std::cmp::Reverse;
use std::rc::Rc;

use async_task::Runnable;
use millstream::host::CoreMain;

use super::host::SimHost;
use super::kernel::{Due, Kernel};
use super::tasks::TaskId;
use super::{Crash, RunEnd, Waiting, When, WorldConfig};
use crate::disk::CrashKind;
use crate::random::Random;
use crate::trace::What;

pub(crate) struct Run<'w> {
    kernel: &'w Rc<Kernel>,
    config: &'w WorldConfig,
    process: u64,
    crash: Option<Crash>,
    /// Virtual nanoseconds at its start.
    born: u64,
    points: u64,
    operations: u64,
    unfinished: usize,
    woken: Vec<Runnable<TaskId>>,
}

/// What one turn of the loop came to.
enum Turn {
    Went,
    Idle,
    Killed(CrashKind),
}

impl<'w> Run<'w> {
    pub(crate) fn new(
        kernel: &'w Rc<Kernel>,
        config: &'w WorldConfig,
        process: u64,
        crash: Option<Crash>,
    ) -> Self {
        let born = kernel.state().clock.now;
        let woken = Vec::new();
        Run { kernel, config, process, crash, born, points: 0, operations: 0, unfinished: 0, woken }
    }

    /// Starts the cores: of a process of its own, or, `again`, of one that goes on.
    pub(crate) fn start(&mut self, mains: Vec<CoreMain>, again: bool) {
        self.unfinished = mains.len();
        self.kernel.state().start_process(self.process, mains.len(), again);
        for (core, main) in mains.into_iter().enumerate() {
            let kernel = self.kernel.clone();
            let host = Rc::new(SimHost { kernel: kernel.clone(), process: self.process, core });
            let whole = Box::pin(async move {
                main(host).await;
                kernel.state().cores[core].done = true;
            });
            self.kernel.spawn(self.process, core, None, whole);
        }
    }

    /// Its points and disk operations so far.
    pub(crate) fn life(&self) -> [u64; 2] {
        [self.points, self.operations]
    }

    pub(crate) fn until_end(&mut self) -> RunEnd {
        loop {
            if self.unfinished == 0 {
                return RunEnd::Finished;
            }
            let late =
                u128::from(self.kernel.state().clock.now - self.born) > self.config.max_time.as_nanos();
            if late || self.points > self.config.max_points {
                return RunEnd::OutOfTime(self.waiting());
            }
            self.collect_woken();
            self.disturb();
            match self.turn() {
                Turn::Went => {}
                Turn::Killed(kind) => return RunEnd::Crashed(kind),
                Turn::Idle if self.skip_time() => {}
                Turn::Idle => return RunEnd::Deadlock(self.waiting()),
            }
        }
    }

    fn collect_woken(&mut self) {
        self.kernel.inbox.take(&mut self.woken);
        if !self.woken.is_empty() {
            let mut state = self.kernel.state();
            for runnable in self.woken.drain(..) {
                state.schedule.add(runnable);
            }
        }
    }

    /// What the world does by itself: stalls, clock jumps.
    fn disturb(&mut self) {
        let mut state = self.kernel.state();
        let now = state.clock.now;
        if let Some((core, until)) = state.schedule.stall(now) {
            state.note(What::Stall, [core as u64, until - now], String::new);
        }
        if let Some(by) = state.clock.jump() {
            state.note(What::Jump, [by as u64, 0], String::new);
        }
    }

    /// Lets one thing happen: what is due, or else a step of a task.
    fn turn(&mut self) -> Turn {
        let mut state = self.kernel.state();
        let now = state.clock.now;
        let due = state.due.peek().filter(|Reverse((at, ..))| *at <= now).map(|Reverse((.., due))| *due);
        if let Some(crash) = self.crash
            && match crash.when {
                When::Point(n) => self.points >= n,
                When::DiskOperation(n) => self.operations + 1 >= n && matches!(due, Some(Due::Disk(_))),
            }
        {
            return Turn::Killed(crash.kind);
        }
        if due.is_some() {
            state.due.pop();
        }
        drop(state);
        match due {
            Some(due) => self.happen(due),
            None if self.step(now) => {}
            None => return Turn::Idle,
        }
        Turn::Went
    }

    /// Lets what is due happen.
    fn happen(&mut self, due: Due) {
        self.points += 1;
        let (waker, unseen) = match due {
            Due::Timer(timer) => (self.kernel.state().fire_timer(timer), None),
            Due::Disk(number) => {
                self.operations += 1;
                self.kernel.state().complete(number)
            }
        };
        if let Some(waker) = waker {
            waker.wake();
        }
        if let Some(reply) = unseen {
            self.kernel.give_back(self.process, &reply);
        }
    }

    /// Runs a task for a step, if one is ready.
    fn step(&mut self, now: u64) -> bool {
        let mut state = self.kernel.state();
        let Some(runnable) = state.schedule.next(now) else { return false };
        let id = *runnable.metadata();
        state.note(What::Poll, [id.core as u64, id.number], String::new);
        state.clock.now += state.schedule.step;
        drop(state);
        self.points += 1;
        runnable.run();
        self.kernel.state().mark_outside();
        if id.class.is_none() && self.kernel.state().cores[id.core].done {
            self.unfinished -= 1;
            self.drop_tasks(id.core);
        }
        true
    }

    /// Nothing is ready: goes to when something is. False if nothing ever will be.
    fn skip_time(&mut self) -> bool {
        let mut state = self.kernel.state();
        // A timer that was given up must not move time.
        while let Some(&Reverse((_, _, Due::Timer(timer)))) = state.due.peek()
            && !state.timers.contains_key(&timer)
        {
            state.due.pop();
        }
        let due = state.due.peek().map(|Reverse((at, ..))| *at);
        let resume = state.schedule.next_resume();
        match [due, resume].into_iter().flatten().min() {
            Some(at) => {
                state.clock.now = state.clock.now.max(at);
                true
            }
            None => false,
        }
    }

    fn waiting(&self) -> Waiting {
        let state = self.kernel.state();
        Waiting {
            tasks: state.cores.iter().flat_map(|core| core.tasks.unfinished()).collect(),
            operations: state.disk.flying.values().map(|flying| flying.op.to_string()).collect(),
            timers: state.timers.len(),
        }
    }

    /// Drops the tasks of a core, finished or not, wherever they wait.
    fn drop_tasks(&mut self, core: usize) {
        let tasks = {
            let mut state = self.kernel.state();
            state.cores[core].done = true;
            std::mem::take(&mut state.cores[core].tasks)
        };
        // Each is scheduled once more, so that its future is dropped here.
        drop(tasks);
        loop {
            self.collect_woken();
            let ready = self.kernel.state().schedule.clear(core);
            if ready.is_empty() {
                return;
            }
            drop(ready);
        }
    }

    /// The end, whatever it was: first the disk learns of it, so that destructors find nothing of theirs there.
    pub(crate) fn tear_down(mut self, end: &RunEnd, faults: &mut Random) {
        let crash = if let RunEnd::Crashed(kind) = end { Some(*kind) } else { None };
        let cores = {
            let mut state = self.kernel.state();
            if let Some(kind) = crash {
                state.note(What::Crash, [kind as u64, self.points], || format!("{kind:?}"));
            }
            state.process = 0;
            state.due.clear();
            let now = state.clock.now;
            let fates = state.disk.end_process(now, self.process, crash, faults);
            state.mark_faults(String::new);
            state.note(What::Aftermath, [self.process, fates], String::new);
            state.note(What::End, [self.process, self.points], || end.to_string());
            state.cores.len()
        };
        for core in 0..cores {
            self.drop_tasks(core);
        }
        let timers = std::mem::take(&mut self.kernel.state().timers);
        drop(timers);
    }
}
