//! A process function is opened before its first record, finished after its last, and dropped on its core.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use millstream::prelude::*;
use millstream::process::{Core, CoreContext};

#[derive(Clone, Default)]
struct Log {
    lines: Arc<Mutex<Vec<(thread::ThreadId, String)>>>,
    closed: Arc<AtomicUsize>,
}

impl Log {
    fn line(&self, text: impl Into<String>) {
        self.lines.lock().expect("nobody panics with it").push((thread::current().id(), text.into()));
    }
}

/// What a function opens, to be closed.
struct Opened {
    by: thread::ThreadId,
    log: Log,
}

impl Drop for Opened {
    fn drop(&mut self) {
        assert_eq!(self.by, thread::current().id(), "it is closed where it was opened");
        self.log.closed.fetch_add(1, Ordering::Relaxed);
    }
}

#[derive(Clone)]
struct Lively {
    log: Log,
    opened: Option<Arc<Opened>>,
}

impl Process for Lively {
    type Key = u64;
    type In = u64;
    type Out = String;
    type State = ();

    fn declare(&self, _: &mut Declare) {}

    fn open(&mut self, (): &(), core: &mut Core<'_>) {
        assert_eq!((core.shards(), core.is_restored()), (2, false));
        self.log.line(format!("open {}", core.shard()));
        self.opened = Some(Arc::new(Opened { by: thread::current().id(), log: self.log.clone() }));
    }

    fn on_record(&mut self, n: u64, (): &(), cx: &mut Context<'_, Self>) {
        assert!(self.opened.is_some(), "it is opened first");
        cx.timer_at(i64::MAX - 1);
        self.log.line(format!("record {n}"));
    }

    fn on_timer(&mut self, _: Timestamp, (): &(), _: &mut Context<'_, Self>) {
        self.log.line("timer");
    }

    fn finish(&mut self, (): &(), cx: &mut CoreContext<'_, Self>) {
        self.log.line("finish");
        cx.emit("the end".to_owned());
    }
}

#[test]
fn rule_07_a_function_is_finished_once_per_core_behind_all_timers() {
    let (log, (sink, ends)) = (Log::default(), collect());
    let job = Job::new("lively");
    let numbers = job.source("numbers", from_vec((0..100).collect::<Vec<u64>>()));
    numbers.key_by(|n| n % 10).process("lively", Lively { log: log.clone(), opened: None }).sink("out", sink);
    job.run(Config::new().cores(2)).expect("the job ends well");
    assert_eq!(ends.take(), ["the end", "the end"]);
    assert_eq!(log.closed.load(Ordering::Relaxed), 2);
    let lines = log.lines.lock().expect("nobody panics with it");
    let mut threads: Vec<_> = lines.iter().map(|line| line.0).collect();
    threads.sort_by_key(|id| format!("{id:?}"));
    threads.dedup();
    assert_eq!(threads.len(), 2);
    for thread in threads {
        let mine: Vec<_> = lines.iter().filter(|line| line.0 == thread).map(|line| line.1.as_str()).collect();
        let after = mine.iter().position(|line| *line == "timer").expect("it has keys");
        assert!(mine[0].starts_with("open"), "{mine:?}");
        assert!(mine[1..after].iter().all(|line| line.starts_with("record")), "{mine:?}");
        assert!(mine[after..mine.len() - 1].iter().all(|line| *line == "timer"), "{mine:?}");
        assert_eq!(mine.last(), Some(&"finish"));
    }
}
