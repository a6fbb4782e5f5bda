//! A job over numbers without end, stopped once it has a checkpoint, and once it has put something out.

use millstream::prelude::*;
use millstream::sink::{Collect, Collected};

/// Where the job's state is, and what it puts out: both outlast a run.
pub struct Place<T> {
    dir: tempfile::TempDir,
    sink: Collect<T>,
    out: Collected<T>,
}

impl<T> Place<T> {
    pub fn new() -> Place<T> {
        let (sink, out) = collect();
        Place { dir: tempfile::tempdir().expect("a temporary directory"), sink, out }
    }
}

/// The numbers from 0 on, in order, or the error that the job ended with before it put anything out.
pub fn run<P>(place: &Place<P::Out>, cores: usize, process: P) -> Result<Vec<P::Out>>
where
    P: Process<Key = u64, In = u64>,
    P::Out: Clone,
{
    run_with(place, Config::new().cores(cores).max_parallelism(8), process)
}

/// As [`run`], with other settings.
pub fn run_with<P>(place: &Place<P::Out>, config: Config, process: P) -> Result<Vec<P::Out>>
where
    P: Process<Key = u64, In = u64>,
    P::Out: Clone,
{
    let job = Job::new("interrupted");
    // First on one core: there is one split then, also on others later.
    let numbers = job.source("numbers", generator(1 << 40, |n| n));
    numbers.key_by(|n| n % 10).process("step", process).sink("out", place.sink.clone());
    let config =
        config.runtime(RuntimeKind::Threads).checkpoints(place.dir.path()).checkpoint_every(millis(1));
    let running = job.start(config)?;
    let mut records = Vec::new();
    while records.is_empty() && !running.is_over() {
        std::thread::yield_now();
        records = place.out.take();
    }
    running.cancel();
    match running.wait() {
        // Committed output is the sign of a checkpoint.
        _ if !records.is_empty() => Ok(records),
        Ok(_) => panic!("the numbers came to an end"),
        Err(error) => Err(error),
    }
}

/// What the checkpoint in a directory was refused for.
pub fn refusal<P>(place: &Place<P::Out>, process: P) -> String
where
    P: Process<Key = u64, In = u64>,
    P::Out: Clone + std::fmt::Debug,
{
    let error = run(place, 1, process).expect_err("it must be refused");
    assert_eq!(error.kind(), ErrorKind::Restore, "{error}");
    error.to_string()
}
