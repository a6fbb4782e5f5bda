//! Collections under a limit of memory: they are not evicted, and so are always there.

use millstream::prelude::*;

/// How often each key had each number before.
#[derive(Clone)]
struct Seen;

impl Process for Seen {
    type Key = u64;
    type In = u64;
    type Out = u64;
    type State = Map<u64, u64>;

    fn declare(&self, state: &mut Declare) -> Map<u64, u64> {
        state.map("seen")
    }

    fn on_record(&mut self, n: u64, seen: &Map<u64, u64>, cx: &mut Context<'_, Self>) {
        let before = seen.load(cx, &(n / 1_000)).unwrap_or(0);
        seen.put(cx, &(n / 1_000), &(before + 1));
        cx.emit(before);
    }
}

#[test]
fn a_step_with_a_collection_keeps_its_state_in_memory_whatever_the_limit() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let job = Job::new("collections");
    let (sink, before) = collect();
    job.source("numbers", generator(60_000, |n| n % 30_000))
        .key_by(|n| n % 1_000)
        .process("seen", Seen)
        .sink("before", sink);
    let config = Config::new().cores(1).checkpoints(dir.path()).memory_per_core(256 << 10);
    job.run(config.checkpoint_every(millis(5))).expect("the job ends well");
    let before = before.take();
    assert_eq!(before.len(), 60_000);
    assert_eq!(before.iter().filter(|n| **n == 1).count(), 30_000);
}
