//! What goes wrong outside the simulated machine, told to the log: in an object store, in a database, in the code of users.
//! It happens while a task runs, and nobody there knows the world; a world has its thread for itself.

use std::cell::{Cell, RefCell};
use std::time::Duration;

thread_local! {
    /// What was told and is not in the log yet; nothing if no log is kept.
    static TOLD: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
}

thread_local! {
    /// Nanoseconds by which the clock of the process that runs in this thread is behind that of others.
    static LAG: Cell<u64> = const { Cell::new(0) };
}

/// A task runs of a process whose clock is behind by so many nanoseconds.
pub(crate) fn set_lag(nanos: u64) {
    LAG.set(nanos);
}

/// Whoever is outside is asked at a time that is by this later than the clock of who asks shows.
pub(crate) fn lag() -> Duration {
    Duration::from_nanos(LAG.get())
}

/// A world begins in this thread, which keeps its log or does not.
pub(crate) fn listen(keeps_log: bool) {
    TOLD.set(keeps_log.then(Vec::new));
    LAG.set(0);
}

/// Does something that is no part of what this thread's world tells: in a world of its own.
pub(crate) fn aside<T>(of: impl FnOnce() -> T) -> T {
    let (told, lag) = (TOLD.take(), LAG.get());
    let made = of();
    TOLD.set(told);
    LAG.set(lag);
    made
}

/// Tells what has just gone wrong. `text` is only made when the log is kept.
pub(crate) fn tell(text: impl FnOnce() -> String) {
    TOLD.with_borrow_mut(|told| {
        if let Some(told) = told {
            told.push(text());
        }
    });
}

/// What was told since the last time.
pub(crate) fn told() -> Vec<String> {
    TOLD.with_borrow_mut(|told| told.as_mut().map(std::mem::take).unwrap_or_default())
}
