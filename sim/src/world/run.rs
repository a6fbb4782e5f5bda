//! The life of one process: start, one scheduling point after another, and the end.

use std::cmp::Reverse;
use std::rc::Rc;

use async_task::Runnable;
use millstream::host::CoreMain;

use super::ending::{drop_tasks, end_process};
use super::host::SimHost;
use super::kernel::{Due, Kernel};
use super::tasks::TaskId;
use super::{Crash, Freeze, RunEnd, Waiting, When, WorldConfig};
use crate::outside;
use crate::random::Random;
use crate::trace::What;

pub(crate) struct Run<'w> {
    kernel: &'w Rc<Kernel>,
    config: &'w WorldConfig,
    /// 0 if there is none but those that were frozen.
    process: u64,
    crash: Option<Crash>,
    freeze: Option<Freeze>,
    /// At which points processes wake.
    wakes: Vec<(u64, u64)>,
    /// What becomes of what woken processes leave.
    zombies: &'w mut Random,
    /// Virtual nanoseconds at its start.
    born: u64,
    points: u64,
    operations: u64,
    woken: Vec<Runnable<TaskId>>,
}

/// What one turn of the loop came to.
enum Turn {
    Went,
    Idle,
    Ended(RunEnd),
}

impl<'w> Run<'w> {
    pub(crate) fn new(
        kernel: &'w Rc<Kernel>,
        config: &'w WorldConfig,
        process: u64,
        zombies: &'w mut Random,
    ) -> Self {
        let born = kernel.state().clock.now;
        Run {
            kernel,
            config,
            process,
            crash: None,
            freeze: None,
            wakes: Vec::new(),
            zombies,
            born,
            points: 0,
            operations: 0,
            woken: Vec::new(),
        }
    }

    /// What is to happen to its process, and at which points which others wake.
    pub(crate) fn fate(&mut self, crash: Option<Crash>, freeze: Option<Freeze>, wakes: Vec<(u64, u64)>) {
        (self.crash, self.freeze, self.wakes) = (crash, freeze, wakes);
    }

    /// Starts the cores: of a process of its own, or, `again`, of one that goes on.
    pub(crate) fn start(&mut self, mains: Vec<CoreMain>, again: bool) {
        self.kernel.state().start_process(self.process, mains.len(), again);
        for (core, main) in mains.into_iter().enumerate() {
            let kernel = self.kernel.clone();
            let process = self.process;
            let host = Rc::new(SimHost { kernel: kernel.clone(), process, core });
            let whole = Box::pin(async move {
                main(host).await;
                if let Some(live) = kernel.state().life(process) {
                    live.cores[core].done = true;
                }
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
            if self.is_over() {
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
                Turn::Ended(end) => return end,
                Turn::Idle if self.skip_time() || self.wake_next() => {}
                Turn::Idle => return RunEnd::Deadlock(self.waiting()),
            }
        }
    }

    fn is_over(&self) -> bool {
        let mut state = self.kernel.state();
        match state.life(self.process) {
            Some(live) => live.unfinished == 0,
            None => state.live.is_empty(),
        }
    }

    /// Wakes the process that is the next to wake, if there is one.
    fn wake_next(&mut self) -> bool {
        let next = self.wakes.pop();
        if let Some((_, process)) = next {
            self.kernel.state().wake_process(process);
        }
        next.is_some()
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

    /// What the world does by itself: stalls, clock jumps, and frozen processes that wake.
    fn disturb(&mut self) {
        while self.wakes.last().is_some_and(|(point, _)| *point <= self.points) {
            self.wake_next();
        }
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
        let is_time = |when| match when {
            When::Point(n) => self.points >= n,
            When::DiskOperation(n) => self.operations + 1 >= n && matches!(due, Some(Due::Disk(_))),
        };
        if let Some(crash) = self.crash.filter(|crash| is_time(crash.when)) {
            return Turn::Ended(RunEnd::Crashed(crash.kind));
        }
        if let Some(freeze) = self.freeze.filter(|freeze| is_time(freeze.when)) {
            return Turn::Ended(RunEnd::Frozen(freeze.kind));
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
        if let Some((process, reply)) = unseen {
            self.kernel.give_back(process, &reply);
        }
    }

    /// Runs a task for a step, if one is ready.
    fn step(&mut self, now: u64) -> bool {
        let mut state = self.kernel.state();
        let Some(runnable) = state.schedule.next(now) else { return false };
        let id = *runnable.metadata();
        state.note(What::Poll, [id.slot as u64, id.number], String::new);
        state.clock.now += state.schedule.step;
        outside::set_lag(state.lag(id.process));
        drop(state);
        self.points += 1;
        runnable.run();
        self.kernel.state().mark_outside();
        if id.class.is_none() {
            self.main_ran(&id);
        }
        true
    }

    /// A main future has run. If it has ended, so have all tasks of its core; and if it was the last of a process that had
    /// been frozen, so has that.
    fn main_ran(&mut self, id: &TaskId) {
        let ended = {
            let mut state = self.kernel.state();
            let live = state.life(id.process).filter(|live| live.cores[id.core].done);
            live.map(|live| {
                live.unfinished -= 1;
                (std::mem::take(&mut live.cores[id.core].tasks), live.unfinished == 0)
            })
        };
        let Some((tasks, is_last)) = ended else { return };
        drop_tasks(self.kernel, tasks, id.slot);
        if is_last && id.process != self.process {
            end_process(self.kernel, id.process, &RunEnd::Finished, self.points, self.zombies);
        }
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
            tasks: state.unfinished(),
            operations: state.disk.flying.values().map(|flying| flying.op.to_string()).collect(),
            timers: state.timers.len(),
        }
    }
}
