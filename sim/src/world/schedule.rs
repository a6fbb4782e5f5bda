//! Who runs next: drawn among all ready tasks of all cores, from a schedule stream of its own.
//!
//! Each seed has its temper: cores that run more or less often, in order or not, several steps in a row or not,
//! with background work pushed back or not, and stalls of a core for a while. No task is starved for ever. Where a draw
//! is calm, the cores take turns, and their tasks go in order.

use std::collections::VecDeque;
use std::ops::Range;

use async_task::Runnable;
use millstream::host::Class;

use super::tasks::TaskId;
use crate::faults::Spells;
use crate::random::{Chance, Random};

struct Lane {
    ready: VecDeque<Runnable<TaskId>>,
    weight: u64,
    /// First come, first served; otherwise in any order.
    in_order: bool,
    /// Nanoseconds; it runs nothing before.
    stalled_until: u64,
    /// Its process is frozen.
    frozen: bool,
}

pub(crate) struct Schedule {
    lanes: Vec<Lane>,
    random: Random,
    stalls: Option<Spells>,
    next_stall: u64,
    /// How late cores start, at most, in nanoseconds; drawn for itself.
    late: Option<(u64, Random)>,
    /// That the same core runs again.
    sticky: Chance,
    last: usize,
    /// That a background task lets another one pass.
    shy: Chance,
    /// Nanoseconds that a step takes.
    pub(crate) step: u64,
}

impl Schedule {
    pub(crate) fn new(stalls: Option<Spells>, mut random: Random) -> Schedule {
        let next_stall = stalls.map_or(u64::MAX, |stalls| stalls.draw_gap(&mut random));
        Schedule {
            lanes: Vec::new(),
            stalls,
            next_stall,
            late: None,
            sticky: *random.pick(&[Chance::NEVER, Chance::of(1, 2), Chance::of(15, 16)]),
            last: 0,
            shy: *random.pick(&[Chance::NEVER, Chance::of(1, 2), Chance::of(31, 32)]),
            step: random.magnitude(5_000),
            random,
        }
    }

    /// A process with this many cores starts, behind those of others in as many places.
    pub(crate) fn restart(&mut self, others: usize, cores: usize, now: u64) {
        let even = self.random.coin();
        let random = &mut self.random;
        let lane = |_| Lane {
            ready: VecDeque::new(),
            weight: if even { 1 } else { random.magnitude(64) },
            in_order: random.coin_or(true),
            stalled_until: now,
            frozen: false,
        };
        self.lanes.truncate(others);
        self.lanes.extend((0..cores).map(lane));
        self.last = others;
    }

    /// Freezes cores, or wakes them. They keep what is ready on them.
    pub(crate) fn set_frozen(&mut self, slots: Range<usize>, frozen: bool) {
        self.lanes[slots].iter_mut().for_each(|lane| lane.frozen = frozen);
    }

    pub(crate) fn add(&mut self, runnable: Runnable<TaskId>) {
        let slot = runnable.metadata().slot;
        self.lanes[slot].ready.push_back(runnable);
    }

    /// The ready tasks of a core, taken out.
    pub(crate) fn clear(&mut self, core: usize) -> VecDeque<Runnable<TaskId>> {
        std::mem::take(&mut self.lanes[core].ready)
    }

    /// Stalls a core if it is time to: which, and until when.
    pub(crate) fn stall(&mut self, now: u64) -> Option<(usize, u64)> {
        let stalls = self.stalls.filter(|_| now >= self.next_stall && !self.lanes.is_empty())?;
        let core = self.random.index(self.lanes.len());
        let until = now + stalls.draw_length(&mut self.random);
        self.lanes[core].stalled_until = until;
        self.next_stall = until + stalls.draw_gap(&mut self.random);
        Some((core, until))
    }

    /// From now on cores start late, by so many nanoseconds at most.
    pub(crate) fn set_late(&mut self, most: u64, random: Random) {
        self.late = Some((most, random));
    }

    /// Stalls a core that is about to take its first step, if cores start late: until when.
    pub(crate) fn start_late(&mut self, slot: usize, now: u64) -> Option<u64> {
        let (most, random) = self.late.as_mut()?;
        let until = now + random.magnitude(*most);
        self.lanes[slot].stalled_until = until;
        Some(until)
    }

    pub(crate) fn end_faults(&mut self) {
        (self.stalls, self.late) = (None, None);
        for lane in &mut self.lanes {
            lane.stalled_until = 0;
        }
    }

    /// The task to run now.
    pub(crate) fn next(&mut self, now: u64) -> Option<Runnable<TaskId>> {
        let core = self.next_core(now)?;
        self.last = core;
        let Schedule { lanes, random, shy, .. } = self;
        let Lane { ready, in_order, .. } = &mut lanes[core];
        if *in_order {
            let front = ready.pop_front().expect("the core was chosen for its ready tasks");
            if ready.is_empty() || front.metadata().class != Some(Class::Background) || !random.chance(*shy) {
                return Some(front);
            }
            ready.push_back(front);
            return ready.pop_front();
        }
        let Some(at) = random.draw_below(ready.len() as u64) else { return ready.pop_front() };
        let mut at = at as usize;
        if ready[at].metadata().class == Some(Class::Background) && random.chance(*shy) {
            at = random.index(ready.len());
        }
        ready.swap_remove_back(at)
    }

    fn next_core(&mut self, now: u64) -> Option<usize> {
        let can_run = |lane: &Lane| !lane.frozen && !lane.ready.is_empty() && lane.stalled_until <= now;
        let total: u64 = self.lanes.iter().filter(|lane| can_run(lane)).map(|lane| lane.weight).sum();
        if total == 0 {
            return None;
        }
        if can_run(&self.lanes[self.last]) && self.random.chance(self.sticky) {
            return Some(self.last);
        }
        let Some(mut drawn) = self.random.draw_below(total) else {
            let cores = self.lanes.len();
            return (1..=cores).map(|n| (self.last + n) % cores).find(|&core| can_run(&self.lanes[core]));
        };
        self.lanes.iter().position(|lane| {
            let chosen = can_run(lane) && drawn < lane.weight;
            if can_run(lane) && !chosen {
                drawn -= lane.weight;
            }
            chosen
        })
    }

    /// When the first stalled core with ready tasks goes on, if no core can run now.
    pub(crate) fn next_resume(&self) -> Option<u64> {
        let can_resume = |lane: &&Lane| !lane.frozen && !lane.ready.is_empty();
        self.lanes.iter().filter(can_resume).map(|lane| lane.stalled_until).min()
    }
}
