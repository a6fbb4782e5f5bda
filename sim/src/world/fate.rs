//! When a process is to be killed, and how it ended.

use std::fmt;

use super::{FreezeKind, TaskId};
use crate::disk::CrashKind;
use crate::random::Random;

/// When a process is to be killed. A process that ends earlier is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crash {
    /// At which point.
    pub when: When,
    /// How.
    pub kind: CrashKind,
}

/// A point in the life of a process, counted from its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// Before this many scheduling points (steps of tasks, timers and completions) have passed.
    Point(u64),
    /// Before this many disk operations have taken effect.
    DiskOperation(u64),
}

impl When {
    /// Early points as often as late ones, up to somewhat beyond a life of so many points and disk operations.
    pub(super) fn draw(random: &mut Random, [points, operations]: [u64; 2]) -> When {
        match random.below(4) {
            0 => When::Point(random.magnitude(2 * points)),
            1 => When::Point(random.range(1, points)),
            2 => When::DiskOperation(random.magnitude(2 * operations)),
            _ => When::DiskOperation(random.range(1, operations)),
        }
    }
}

/// How a process ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunEnd {
    /// All main futures have ended.
    Finished,
    /// It was killed.
    Crashed(CrashKind),
    /// It stands still, and may wake while another runs.
    Frozen(FreezeKind),
    /// Nothing is ready, nothing is due, and yet a main future has not ended.
    Deadlock(Waiting),
    /// It took more points or virtual time than a world allows: no progress.
    OutOfTime(Waiting),
}

/// What had not ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Waiting {
    /// Unfinished tasks.
    pub tasks: Vec<TaskId>,
    /// Disk operations in flight.
    pub operations: Vec<String>,
    /// Timers that were set.
    pub timers: usize,
}

impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tasks: Vec<_> = self.tasks.iter().map(TaskId::to_string).collect();
        write!(f, "unfinished: {}", tasks.join(", "))?;
        if !self.operations.is_empty() {
            write!(f, "; on the disk: {}", self.operations.join(", "))?;
        }
        write!(f, "; {} timers", self.timers)
    }
}

impl fmt::Display for RunEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RunEnd::Finished => write!(f, "finished"),
            RunEnd::Crashed(kind) => write!(f, "killed ({kind:?})"),
            RunEnd::Frozen(kind) => write!(f, "frozen ({kind:?})"),
            RunEnd::Deadlock(waiting) => write!(f, "deadlock; {waiting}"),
            RunEnd::OutOfTime(waiting) => write!(f, "no progress; {waiting}"),
        }
    }
}
