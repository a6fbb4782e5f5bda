//! Panics in a run: findings, and not for the terminal.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

thread_local! {
    static LAST: RefCell<Option<String>> = const { RefCell::new(None) };
    static IN_RUN: Cell<bool> = const { Cell::new(false) };
}

/// Keeps panics for [`Scenario::run`](super::Scenario::run) to report, instead of printing each: for programs that expect
/// some.
pub fn keep_panics_quiet() {
    std::panic::set_hook(Box::new(|info| LAST.set(Some(info.to_string()))));
}

/// The same for panics in a run only: those of a program's other threads, its tests, are reported as ever.
pub(crate) fn keep_those_of_runs() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let others = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| match IN_RUN.get() {
            true => LAST.set(Some(info.to_string())),
            false => others(info),
        }));
    });
}

/// Runs it; a panic is caught.
pub(super) fn catch<T>(run: impl FnOnce() -> T) -> Result<T, Box<dyn Any + Send>> {
    let outer = IN_RUN.replace(true);
    let result = catch_unwind(AssertUnwindSafe(run));
    IN_RUN.set(outer);
    result
}

/// What a panic says, and where it was, if that was kept.
pub(crate) fn text_of(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = LAST.take().or(text).or_else(|| payload.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "a panic without a message".to_owned())
}
