//! Runs a shard on a host: steps it, sees to what it asks for, and parks the core when there is nothing to do.

mod guarded;
mod patience;

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Poll, Wake, Waker};

use millstream_ring::Bell;
use millstream_storage::error::StoreError;
use millstream_storage::read::{Fetched, Read, Reader};
use millstream_storage::snapshot::StoreSnapshot;
use millstream_storage::spill::Spill;
use serde_json::Value as Json;

use crate::checkpoint::control::{CoreLink, Order, Reply, Restored, StepShare};
use crate::checkpoint::directory::data_directory;
use crate::checkpoint::manifest::{Overtaken, Part};
use crate::error::{Error, ErrorKind, Result};
use crate::failure::{Caught, take_place, text_of};
use crate::host::{Class, Host};
use crate::key_group::Placements;
use crate::metrics::{Board, Metrics, ShardMetrics, Timing};
use crate::shard::{Shard, StepLimits};
use crate::stage::{Event, Now, OpenContext, Snapshot, StageSeed};
use guarded::{Alarm, Guarded};

/// A shard before its core has started.
pub(crate) struct ShardSeed {
    pub core: usize,
    pub cores: usize,
    pub link: CoreLink,
    pub bell: Arc<Bell>,
    /// With the names of their steps.
    pub stages: Vec<(Arc<str>, Box<dyn StageSeed>)>,
    pub placements: Placements,
    pub limits: StepLimits,
    pub checkpoints: Option<PathBuf>,
    pub metrics: Metrics,
}

/// Wakes the core from anywhere, and is noticed even if the core was not asleep.
struct Signal {
    bell: Arc<Bell>,
    given: AtomicBool,
}

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        self.given.store(true, Ordering::Release);
        self.bell.ring();
    }
}

/// What a background task has done.
enum Done {
    Written(Box<Written>),
    Committed { epoch: u64, result: Result<()> },
    Fetched { step: String, read: Read, fetched: Result<Fetched, StoreError> },
    Spilled { step: String, written: Result<(), StoreError> },
}

/// A stage's share of a checkpoint, written or not.
struct Written {
    step: String,
    epoch: u64,
    meta: Json,
    store: Option<Result<StoreSnapshot, StoreError>>,
    prepared: Option<Result<Json>>,
    overtaken: Option<Result<Overtaken, StoreError>>,
    timing: Timing,
}

/// The core's share of a checkpoint that is being written.
#[derive(Default)]
struct Share {
    parts: Vec<StepShare>,
    done: usize,
    failed: Option<Error>,
}

struct Driver {
    shard: Shard,
    host: Rc<dyn Host>,
    link: CoreLink,
    signal: Arc<Signal>,
    done: Rc<RefCell<VecDeque<Done>>>,
    shares: BTreeMap<u64, Share>,
    drained: usize,
    checkpoints: Option<PathBuf>,
    reader: Option<Rc<Reader>>,
    core: usize,
    metrics: Arc<ShardMetrics>,
    board: Arc<Board>,
    alarm: Rc<Alarm>,
}

/// Opens the shard when the coordinator orders it, and runs it until it orders an end.
pub(crate) async fn drive(mut seed: ShardSeed, host: Rc<dyn Host>) {
    let signal = Arc::new(Signal { bell: seed.bell.clone(), given: AtomicBool::new(false) });
    let Some(restored) = first_order(&mut seed).await else { return };
    let stages = std::mem::take(&mut seed.stages);
    let alarm = Alarm::new(Waker::from(signal.clone()));
    let shard = open(stages, &seed, &restored, &host, &alarm).await;
    let ShardSeed { core, mut link, bell, checkpoints, metrics, .. } = seed;
    let failure = match shard {
        Ok(shard) => {
            link.say(Reply::Opened);
            host.before_first_step().await;
            let done = Rc::default();
            let shares = BTreeMap::new();
            let directory = checkpoints.as_deref().map(data_directory);
            let reader = directory.map(|directory| Rc::new(Reader::new(host.disk(), directory)));
            let drained = 0;
            let mut driver = Driver {
                shard,
                host,
                link,
                signal,
                done,
                shares,
                drained,
                checkpoints,
                reader,
                core,
                metrics: metrics.shard(core),
                board: metrics.board(core),
                alarm,
            };
            let end = driver.run().await;
            link = driver.link;
            end.err()
        }
        Err(error) => Some(error),
    };
    if let Some(error) = failure {
        link.say(Reply::Failed(error.at(format_args!("core {core}"))));
        wait_for_stop(&mut link, &bell).await;
    }
}

/// What to restore, or nothing if the job ends before it begins.
async fn first_order(seed: &mut ShardSeed) -> Option<Arc<Restored>> {
    loop {
        match seed.link.next() {
            Some(Order::Open(restored)) => return Some(restored),
            Some(Order::Stop) => return None,
            Some(_) => {}
            None => seed.bell.wait(|| seed.link.is_ready()).await,
        }
    }
}

async fn wait_for_stop(link: &mut CoreLink, bell: &Bell) {
    loop {
        match link.next() {
            Some(Order::Stop) => return,
            Some(_) => {}
            None => bell.wait(|| link.is_ready()).await,
        }
    }
}

async fn open(
    seeds: Vec<(Arc<str>, Box<dyn StageSeed>)>,
    seed: &ShardSeed,
    restored: &Restored,
    host: &Rc<dyn Host>,
    alarm: &Rc<Alarm>,
) -> Result<Shard> {
    let stateful = seeds.iter().filter(|(_, seed)| seed.keeps_state()).count().max(1) as u64;
    let cx = OpenContext {
        host: host.clone(),
        wake: alarm.waker(),
        shard: seed.core,
        shards: seed.cores,
        placements: seed.placements.clone(),
        restored: restored.steps.clone(),
        restored_epoch: restored.epoch,
        first_epoch: restored.first_epoch,
        directory: seed.checkpoints.as_deref().map(data_directory),
        memory: seed.limits.memory.map(|memory| memory / stateful),
        run_id: restored.run_id,
        generation: restored.generation,
        agreements: restored.agreements.clone(),
    };
    let mut stages = Vec::with_capacity(seeds.len());
    for (step, stage) in seeds {
        let guarded = Guarded { host: host.clone(), step: step.clone(), alarm: alarm.clone() };
        let cx = OpenContext { host: Rc::new(guarded), ..cx.clone() };
        let opened = Caught::new(async move { stage.open(cx).await }).await;
        stages.push(opened.map_err(|error| error.at(format_args!("step `{step}` cannot be opened")))??);
    }
    Ok(Shard::new(stages, seed.limits))
}

impl Driver {
    async fn run(&mut self) -> Result<()> {
        let mut events = Vec::new();
        self.shard.post(&self.board, &self.metrics);
        loop {
            if self.obey() {
                return Ok(());
            }
            self.collect()?;
            self.alarm.check()?;
            let now = Now { monotonic: self.host.monotonic(), wall: self.host.wall_millis() };
            let busy = self.step(now, &mut events)?;
            if busy {
                self.shard.post(&self.board, &self.metrics);
            }
            for event in events.drain(..) {
                self.attend(event, now);
            }
            if busy {
                self.host.yield_now().await;
            } else {
                self.park(now).await;
            }
        }
    }

    /// Takes orders. Returns whether to end.
    fn obey(&mut self) -> bool {
        while let Some(order) = self.link.next() {
            match order {
                Order::Open(_) => {}
                Order::Checkpoint(epoch) => {
                    self.shares.insert(epoch, Share::default());
                    self.shard.start_checkpoint(epoch);
                }
                Order::Overtake(epoch) => self.shard.overtake(epoch),
                Order::Commit(epoch) => self.commit(epoch),
                Order::Hold(held) => self.shard.hold(held),
                Order::Drain => self.shard.drain(),
                Order::Stop => return true,
            }
        }
        false
    }

    fn step(&mut self, now: Now, events: &mut Vec<Event>) -> Result<bool> {
        let (shard, metrics) = (&mut self.shard, &*self.metrics);
        catch_unwind(AssertUnwindSafe(|| shard.step(now, metrics, events))).unwrap_or_else(|panic| {
            let mut message = format!("step `{}` panicked", self.shard.running());
            let noted = take_place().map(|place| place.to_string());
            for place in noted.into_iter().chain(self.shard.place()) {
                message = format!("{message}, {place}");
            }
            Err(Error::new(ErrorKind::User, format!("{message}: {}", text_of(&*panic))))
        })
    }

    fn attend(&mut self, event: Event, now: Now) {
        match event {
            Event::Snapshot(snapshot) => self.write(*snapshot, now),
            Event::Reads { step, reads } => reads.into_iter().for_each(|read| self.read(step.clone(), read)),
            Event::Spill { step, spill } => self.spill(step, spill),
            Event::Drained => {
                self.drained += 1;
                if self.drained == self.shard.len() {
                    self.link.say(Reply::Drained);
                }
            }
        }
    }

    /// Writes a stage's share of a checkpoint in the background, from the memory that it lives in.
    fn write(&mut self, snapshot: Snapshot, now: Now) {
        let Snapshot { step, epoch, meta, sealed, prepare, overtaken, alignment } = snapshot;
        let core = self.core;
        let (host, done, signal) = (self.host.clone(), self.done.clone(), self.signal.clone());
        let begun = host.monotonic();
        let synchronous = begun.saturating_sub(now.monotonic);
        let directory = self.checkpoints.as_deref().map(data_directory);
        let class = if prepare.is_some() { Class::Records } else { Class::Background };
        let task = async move {
            let overtaken = match (overtaken, &directory) {
                (Some(overtaken), Some(directory)) => {
                    Some(overtaken.write(&*host.disk(), directory, (&step, core, epoch)).await)
                }
                _ => None,
            };
            let store = match (sealed, directory) {
                (Some(sealed), Some(directory)) => Some(sealed.write(host.disk(), directory).await),
                _ => None,
            };
            let prepared = match prepare {
                Some(prepare) => Some(Caught::new(prepare).await.flatten()),
                None => None,
            };
            let asynchronous = host.monotonic().saturating_sub(begun);
            let timing = Timing { alignment, synchronous, asynchronous };
            let written = Written { step, epoch, meta, store, prepared, overtaken, timing };
            done.borrow_mut().push_back(Done::Written(Box::new(written)));
            signal.wake();
        };
        self.host.spawn(class, Box::pin(task));
    }

    /// Reads state that a stage waits for.
    fn read(&mut self, step: String, read: Read) {
        let Some(reader) = self.reader.clone() else { return };
        let (host, done, signal) = (self.host.clone(), self.done.clone(), self.signal.clone());
        let task = async move {
            let fetched = patience::read(&*host, &reader, &read).await;
            done.borrow_mut().push_back(Done::Fetched { step, read, fetched });
            signal.wake();
        };
        self.host.spawn(Class::Records, Box::pin(task));
    }

    /// Writes state ahead of checkpoints.
    fn spill(&mut self, step: String, spill: Spill) {
        let Some(directory) = self.checkpoints.as_deref().map(data_directory) else { return };
        let (disk, done, signal) = (self.host.disk(), self.done.clone(), self.signal.clone());
        let task = async move {
            let written = spill.write(disk, directory).await;
            done.borrow_mut().push_back(Done::Spilled { step, written });
            signal.wake();
        };
        self.host.spawn(Class::Background, Box::pin(task));
    }

    fn commit(&mut self, epoch: u64) {
        let commits = self.shard.commits(epoch);
        let (done, signal) = (self.done.clone(), self.signal.clone());
        let task = async move {
            let mut result = Ok(());
            for (step, commit) in commits {
                let committed = Caught::new(commit).await.flatten();
                let committed = committed
                    .map_err(|error| error.at(format_args!("sink `{step}`: commit of epoch {epoch}")));
                result = result.and(committed);
            }
            done.borrow_mut().push_back(Done::Committed { epoch, result });
            signal.wake();
        };
        self.host.spawn(Class::Records, Box::pin(task));
    }

    /// Takes what background tasks have done.
    fn collect(&mut self) -> Result<()> {
        loop {
            let Some(done) = self.done.borrow_mut().pop_front() else { return Ok(()) };
            match done {
                Done::Committed { epoch, result } => {
                    result?;
                    self.link.say(Reply::Committed(epoch));
                }
                Done::Fetched { step, read, fetched } => {
                    self.shard.admit(&step, &read, fetched).map_err(|error| {
                        let message = format!("the state of step `{step}` was not read");
                        Error::new(ErrorKind::Checkpoint, message).caused_by(error)
                    })?;
                }
                Done::Spilled { step, written } => self.shard.spilled(&step, written),
                Done::Written(written) => self.account(*written)?,
            }
        }
    }

    /// The records that a barrier has overtaken, if they were written.
    fn overtaken(
        &mut self,
        step: &str,
        epoch: u64,
        written: Option<Result<Overtaken, StoreError>>,
    ) -> Option<Overtaken> {
        written?
            .map_err(|error| {
                let message =
                    format!("what waits before step `{step}` on core {} was not written", self.core);
                let error = Error::new(ErrorKind::Checkpoint, message).caused_by(error);
                self.shares.entry(epoch).or_default().failed = Some(error);
            })
            .ok()
    }

    /// Adds a stage's share to the core's; the last one completes it.
    fn account(&mut self, written: Written) -> Result<()> {
        let Written { step, epoch, meta, store, prepared, overtaken, timing } = written;
        let overtaken = self.overtaken(&step, epoch, overtaken);
        let share = self.shares.entry(epoch).or_default();
        share.done += 1;
        let prepared =
            prepared.map(|prepared| prepared.map_err(|error| error.at(format_args!("sink `{step}`"))));
        let prepared = match prepared {
            Some(Err(error)) if error.kind() == ErrorKind::Exhausted => {
                let message = format!("the output of step `{step}` on core {} was not written", self.core);
                share.failed = Some(Error::new(ErrorKind::Checkpoint, message).caused_by(error));
                None
            }
            other => other.transpose()?,
        };
        let store = match store {
            None => None,
            Some(Ok(snapshot)) => {
                self.shard.flushed(&step, epoch, Some(&snapshot));
                Some(snapshot)
            }
            Some(Err(error)) => {
                self.shard.flushed(&step, epoch, None);
                let message = format!("the state of step `{step}` on core {} was not written", self.core);
                share.failed = Some(Error::new(ErrorKind::Checkpoint, message).caused_by(error));
                None
            }
        };
        let part = Part { shard: self.core, meta, store, prepared, overtaken };
        share.parts.push(StepShare { step, part, timing });
        if share.done == self.shard.len() {
            let share = self.shares.remove(&epoch).expect("it was there a moment ago");
            self.link.say(match share.failed {
                None => Reply::Prepared(epoch, share.parts),
                Some(error) => Reply::Unprepared(epoch, error),
            });
        }
        Ok(())
    }

    /// Sleeps until there is something to do.
    async fn park(&mut self, now: Now) {
        let Driver { shard, host, link, signal, .. } = self;
        let deadline = shard.deadline(now);
        let parked = signal
            .bell
            .wait(|| signal.given.swap(false, Ordering::Acquire) || link.is_ready() || shard.is_ready());
        match deadline {
            None => parked.await,
            Some(at) => race(parked, host.sleep(at)).await,
        }
    }
}

/// Ready when either is.
pub(crate) async fn race(a: impl Future<Output = ()>, b: impl Future<Output = ()>) {
    let (mut a, mut b) = (pin!(a), pin!(b));
    poll_fn(|cx| {
        let over = a.as_mut().poll(cx).is_ready() || b.as_mut().poll(cx).is_ready();
        if over { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}
