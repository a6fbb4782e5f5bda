//! A host with one thread, a disk in memory, and a shard's ends of sources and sinks.

pub mod disk;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use millstream::host::{Class, Host, LocalFuture};
use millstream::sink::SinkContext;
use millstream::source::{Agreement, DeadLetter, Fetched, Polled, Reader, Source, SourceContext};
use millstream_storage::disk::Disk;
use serde_json::Value as Json;

use disk::MemDisk;

/// Rounds in which nothing may happen before a test is declared stuck.
const PATIENCE: usize = 100_000;

/// Positions of splits, as a checkpoint keeps them.
pub type Positions = BTreeMap<String, Json>;

/// Polls every task in every round, so that nothing depends on wakers but what tests of wakers check.
#[derive(Default)]
pub struct TestHost {
    pub disk: Rc<MemDisk>,
    tasks: RefCell<Vec<LocalFuture<()>>>,
    pub woken: Arc<Woken>,
    /// What its clock shows.
    pub now: Cell<Duration>,
}

/// Whether the shard was woken.
#[derive(Default)]
pub struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Woken {
    pub fn take(&self) -> bool {
        self.0.swap(false, Ordering::Relaxed)
    }
}

impl TestHost {
    pub fn new(disk: &Rc<MemDisk>) -> Rc<TestHost> {
        Rc::new(TestHost { disk: disk.clone(), ..TestHost::default() })
    }

    /// Lets every background task go on once.
    pub fn round(&self) {
        let mut cx = Context::from_waker(Waker::noop());
        let mut tasks = self.tasks.take();
        tasks.retain_mut(|task| task.as_mut().poll(&mut cx).is_pending());
        self.tasks.borrow_mut().append(&mut tasks);
    }

    /// Runs a future to its end; `None` if the disk has crashed before.
    pub fn run<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        let mut future = pin!(future);
        let mut cx = Context::from_waker(Waker::noop());
        for _ in 0..PATIENCE {
            if let Poll::Ready(value) = future.as_mut().poll(&mut cx) {
                return Some(value);
            }
            self.round();
            if self.disk.is_crashed() {
                return None;
            }
        }
        panic!("stuck: nothing happens any more");
    }

    /// Runs background tasks until the shard is woken.
    pub fn until_woken(&self) {
        let woken = (0..PATIENCE).any(|_| self.woken.take() || (self.round(), false).1);
        assert!(woken, "a reader or writer that promised to wake the shard never did");
    }

    pub fn source_cx(self: &Rc<Self>, shard: usize, shards: usize, restored: &Positions) -> SourceContext {
        let wake = self.woken.clone().into();
        let agreement = Agreement::default();
        SourceContext { host: self.clone(), wake, shard, shards, restored: restored.clone(), agreement }
    }

    pub fn sink_cx(self: &Rc<Self>, restored: Option<u64>, first_epoch: u64) -> SinkContext {
        let wake = self.woken.clone().into();
        SinkContext {
            host: self.clone(),
            wake,
            shard: 0,
            shards: 1,
            first_epoch,
            restored,
            durable: true,
            generation: 0,
            checkpoints: None,
        }
    }
}

impl Host for TestHost {
    fn core(&self) -> usize {
        0
    }
    fn monotonic(&self) -> Duration {
        self.now.get()
    }
    fn wall_millis(&self) -> i64 {
        0
    }
    fn disk(&self) -> Rc<dyn Disk> {
        self.disk.clone()
    }
    fn spawn(&self, _: Class, task: LocalFuture<()>) {
        self.tasks.borrow_mut().push(task);
    }
    fn sleep(&self, _: Duration) -> LocalFuture<()> {
        Box::pin(async {})
    }
    fn yield_now(&self) -> LocalFuture<()> {
        Box::pin(async {})
    }
    fn before_first_step(&self) -> LocalFuture<()> {
        Box::pin(async {})
    }
    fn random(&self) -> u64 {
        0
    }
}

/// One shard's end of a source.
pub struct Shard<T> {
    pub host: Rc<TestHost>,
    pub reader: Box<dyn Reader<T>>,
    pub out: Fetched<T>,
}

/// Opens a source on one of several shards.
pub fn open<T>(
    disk: &Rc<MemDisk>,
    source: impl Source<T>,
    (shard, shards): (usize, usize),
    restored: &Positions,
) -> millstream::Result<Shard<T>> {
    open_agreed(disk, source, (shard, shards), restored, &Agreement::default())
}

/// The same, for a shard that agrees with others on what splits there are.
pub fn open_agreed<T>(
    disk: &Rc<MemDisk>,
    source: impl Source<T>,
    (shard, shards): (usize, usize),
    restored: &Positions,
    agreement: &Agreement,
) -> millstream::Result<Shard<T>> {
    let host = TestHost::new(disk);
    let cx = SourceContext { agreement: agreement.clone(), ..host.source_cx(shard, shards, restored) };
    let reader = host.run(source.open(cx)).expect("no crash was asked for")?;
    Ok(Shard { host, reader, out: Fetched { records: Vec::new(), poison: Vec::new() } })
}

impl<T> Shard<T> {
    /// Polls until something other than waiting comes of it.
    pub fn poll(&mut self, max: usize) -> millstream::Result<Polled> {
        loop {
            match self.reader.poll(max, &mut self.out)? {
                Polled::Pending => self.host.until_woken(),
                polled => return Ok(polled),
            }
        }
    }

    /// Polls to the end.
    pub fn drain(&mut self, max: usize) -> millstream::Result<()> {
        while self.poll(max)? != Polled::End {}
        Ok(())
    }
}

/// Reads all of a source on one shard.
pub fn read<T>(
    disk: &Rc<MemDisk>,
    source: impl Source<T>,
    restored: &Positions,
) -> millstream::Result<(Vec<T>, Vec<DeadLetter>)> {
    let mut shard = open(disk, source, (0, 1), restored)?;
    shard.drain(1000)?;
    Ok((shard.out.records, shard.out.poison))
}
