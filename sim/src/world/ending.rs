//! The end of a process.

use std::rc::Rc;

use super::RunEnd;
use super::kernel::Kernel;
use super::tasks::TaskSet;
use crate::random::Random;
use crate::trace::What;

/// Drops the tasks of a core, finished or not, wherever they wait.
pub(super) fn drop_tasks(kernel: &Rc<Kernel>, tasks: TaskSet, slot: usize) {
    // Each is scheduled once more, so that its future is dropped here.
    drop(tasks);
    let mut woken = Vec::new();
    loop {
        kernel.inbox.take(&mut woken);
        let ready = {
            let mut state = kernel.state();
            woken.drain(..).for_each(|runnable| state.schedule.add(runnable));
            state.schedule.clear(slot)
        };
        if ready.is_empty() {
            return;
        }
        drop(ready);
    }
}

/// Ends a process: first the disk learns of it, so that destructors find nothing of theirs there.
pub(super) fn end_process(kernel: &Rc<Kernel>, process: u64, end: &RunEnd, points: u64, faults: &mut Random) {
    let crash = if let RunEnd::Crashed(kind) = end { Some(*kind) } else { None };
    let (live, timers) = {
        let mut state = kernel.state();
        if let Some(kind) = crash {
            state.note(What::Crash, [kind as u64, points], || format!("{kind:?}"));
        }
        let gone = state.remove_process(process);
        let now = state.clock.now;
        let fates = state.disk.end_process(now, process, crash, faults);
        state.mark_faults(String::new);
        state.note(What::Aftermath, [process, fates], String::new);
        state.note(What::End, [process, points], || end.to_string());
        gone
    };
    for (slot, core) in live.into_iter().flat_map(|live| live.slots().zip(live.cores)) {
        drop_tasks(kernel, core.tasks, slot);
    }
    drop(timers);
}
