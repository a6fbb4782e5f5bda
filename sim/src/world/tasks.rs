//! The tasks of a process: who they are, which are ready, and how they end.
//!
//! Everything runs on one thread, but wakers are `Send` by their type: the ready tasks pass through an inbox behind
//! a mutex that nobody else ever holds.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use async_task::{Builder, Runnable, Task};
use millstream::host::{Class, LocalFuture};

/// A task of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TaskId {
    /// The process, from 1.
    pub process: u64,
    /// The core it runs on.
    pub core: usize,
    /// The place of that core among those of all processes that are there.
    pub(crate) slot: usize,
    /// Its number in the process, from 0; the main future of core n has number n.
    pub number: u64,
    /// `None` for a main future.
    pub class: Option<Class>,
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.class {
            None => write!(f, "the main future of core {}", self.core),
            Some(class) => write!(f, "task {} ({class:?}) of core {}", self.number, self.core),
        }
    }
}

/// Where woken tasks arrive.
#[derive(Default)]
pub(crate) struct Inbox(Mutex<Vec<Runnable<TaskId>>>);

impl Inbox {
    fn push(&self, runnable: Runnable<TaskId>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(runnable);
    }

    /// Moves what arrived to `to`, which is empty.
    pub(crate) fn take(&self, to: &mut Vec<Runnable<TaskId>>) {
        debug_assert!(to.is_empty());
        std::mem::swap(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner), to);
    }
}

/// The unfinished tasks of one core, and some finished ones.
#[derive(Default)]
pub(crate) struct TaskSet {
    tasks: Vec<Task<(), TaskId>>,
    /// Finished ones are swept out when there are this many in all.
    sweep_at: usize,
}

impl TaskSet {
    pub(crate) fn spawn(&mut self, id: TaskId, future: LocalFuture<()>, inbox: &Arc<Inbox>) {
        let inbox = inbox.clone();
        let (runnable, task) =
            Builder::new().metadata(id).spawn_local(|_| future, move |runnable| inbox.push(runnable));
        if self.tasks.len() >= self.sweep_at {
            self.tasks.retain(|task| !task.is_finished());
            self.sweep_at = 16 + 2 * self.tasks.len();
        }
        self.tasks.push(task);
        runnable.schedule();
    }

    pub(crate) fn unfinished(&self) -> impl Iterator<Item = TaskId> {
        self.tasks.iter().filter(|task| !task.is_finished()).map(|task| *task.metadata())
    }
}
