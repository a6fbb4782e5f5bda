//! Processes that stand still while others take their place, and wake.

use std::cmp::Reverse;

use super::ending::end_process;
use super::processes::FreezeKind;
use super::run::Run;
use super::{RunEnd, When, World};
use crate::disk::CrashKind;

/// The longest that nobody notices that a process stands still, in nanoseconds.
const UNNOTICED: u64 = 600_000_000_000;

/// When a process is to stand still. One that ends earlier does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Freeze {
    /// At which point.
    pub when: When,
    /// What stands still.
    pub kind: FreezeKind,
}

/// Frozen processes.
///
/// ```
/// use std::time::Duration;
/// use millstream::host::CoreMain;
/// use millstream_sim::world::{Freeze, FreezeKind, RunEnd, When, World, WorldConfig};
///
/// let sleeper = || -> CoreMain { Box::new(|host| Box::pin(async move { host.sleep(Duration::from_secs(1)).await })) };
/// let mut world = World::new(7, WorldConfig::default());
/// world.set_freeze(Some(Freeze { when: When::Point(1), kind: FreezeKind::Machine }));
/// assert_eq!(world.run(vec![sleeper()]), RunEnd::Frozen(FreezeKind::Machine));
/// assert_eq!(world.run(vec![sleeper()]), RunEnd::Finished);
/// assert_eq!(world.alive(), [1], "the second has run, and the first is still there");
/// assert_eq!(world.run_out(), RunEnd::Finished);
/// assert!(world.alive().is_empty());
/// ```
impl World {
    /// Whether processes may be frozen: then one may end that started before others, and knows nothing of what came since.
    pub(crate) fn may_freeze(&self) -> bool {
        self.config.plan.freeze.is_possible()
    }

    /// Sets when the next process is frozen.
    pub fn set_freeze(&mut self, freeze: Option<Freeze>) {
        self.freeze = freeze;
    }

    /// Draws from the plan whether, when and how the next process is frozen, in which case it is not killed; and of those that
    /// are frozen, which wake while it runs, and which die without having woken.
    pub fn draw_freeze(&mut self) {
        let longest = self.longest;
        for process in self.alive() {
            match self.zombies.below(4) {
                0 => {}
                1 => self.bury(process),
                _ => self.wakes.push((self.zombies.magnitude(2 * longest[0]), process)),
            }
        }
        self.wakes.sort_by_key(|(point, _)| Reverse(*point));
        self.freeze = None;
        if !self.faults_ended && self.script.is_none() && self.zombies.chance(self.config.plan.freeze) {
            let kind = *self.zombies.pick(&[FreezeKind::Process, FreezeKind::Machine]);
            self.freeze = Some(Freeze { when: When::draw(&mut self.zombies, longest), kind });
            self.crash = None;
        }
    }

    /// Wakes a frozen process once the next has come to this many points.
    pub fn wake_at(&mut self, point: u64, process: u64) {
        self.wakes.push((point, process));
        self.wakes.sort_by_key(|(point, _)| Reverse(*point));
    }

    /// The number of the process that ran last, from 1.
    pub fn last_process(&self) -> u64 {
        self.processes
    }

    /// The processes that are frozen, or have woken and not come to an end.
    pub fn alive(&self) -> Vec<u64> {
        self.kernel.state().processes()
    }

    /// Wakes all that are frozen, and runs them to their ends. Nobody starts meanwhile.
    pub fn run_out(&mut self) -> RunEnd {
        let wakes = self.alive().into_iter().map(|process| (0, process)).collect();
        let mut run = Run::new(&self.kernel, &self.config, 0, &mut self.zombies);
        run.fate(None, None, wakes);
        let end = run.until_end();
        self.points += run.life()[0];
        if end != RunEnd::Finished {
            self.bury_all();
        }
        end
    }

    /// Kills all that are frozen, or have woken.
    pub fn bury_all(&mut self) {
        self.alive().into_iter().for_each(|process| self.bury(process));
    }

    /// Kills one that is frozen, or has woken.
    pub fn bury(&mut self, process: u64) {
        let end = RunEnd::Crashed(CrashKind::Process);
        end_process(&self.kernel, process, &end, 0, &mut self.zombies);
    }

    /// The end of a process: nobody outlives a power loss, and it takes a while until one that stands still is missed.
    pub(super) fn close(&mut self, process: u64, end: &RunEnd, points: u64) {
        match end {
            RunEnd::Frozen(kind) => {
                let unnoticed = self.zombies.magnitude(UNNOTICED);
                let mut state = self.kernel.state();
                state.freeze_process(process, *kind);
                state.clock.now += unnoticed;
            }
            _ => {
                if *end == RunEnd::Crashed(CrashKind::PowerLoss) {
                    let others = self.alive().into_iter().filter(|other| *other != process);
                    others.for_each(|other| self.bury(other));
                }
                end_process(&self.kernel, process, end, points, &mut self.faults);
            }
        }
    }
}
