//! Our store with a limit of memory, on a core of its own as in a job: what is needed is read past the page cache, many
//! blocks at a time, and what memory is short of is written in the background.

use std::cell::{Cell, RefCell};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use millstream::host::{Class, CoreMain, Cores, Host, RuntimeConfig, launch};
use millstream_storage::error::StoreError;
use millstream_storage::hash::stable_hash;
use millstream_storage::read::{Fetched, Reader};
use millstream_storage::store::{Store, StoreConfig, TableId};

use super::engine::{Engine, Scanned, Setup, add, key_bytes, number};
use crate::report::Outcome;

/// Keys hashed and worked on together, as a router hands on a batch.
const TOGETHER: usize = 256;
/// Batches whose state is asked for while the one before them waits, as in a stage.
const AHEAD: usize = 4;
/// Bytes that compaction looks at after a batch at most, as in a shard's step.
const MAINTENANCE: usize = 64 << 10;

/// The caller's side: work goes to the core, and what came of it comes back.
pub(super) struct Larger {
    work: Option<Sender<Work>>,
    done: Receiver<Result<Done, String>>,
    core: Option<Cores>,
    accounted: u64,
}

enum Work {
    Update(Vec<u64>),
    Read(Vec<u64>),
    Scan,
}

/// What was visited, and the memory that the store accounts for.
struct Done {
    scanned: Scanned,
    accounted: u64,
}

pub(super) fn open(setup: &Setup) -> Outcome<Box<dyn Engine>> {
    let (work, wanted) = channel();
    let (outcome, done) = channel();
    let setup = setup.clone();
    let main: CoreMain = Box::new(move |host| {
        Box::pin(async move {
            let mut core = Core::new(host, &setup);
            // Between turns the core has nothing to do, and its writes wait as well.
            while let Ok(work) = wanted.recv() {
                let result = core.work(work).await.map_err(|error| error.to_string());
                if outcome.send(result).is_err() {
                    break;
                }
            }
        })
    });
    let core = launch(&RuntimeConfig::default(), vec![main])?;
    Ok(Box::new(Larger { work: Some(work), done, core: Some(core), accounted: 0 }))
}

impl Larger {
    fn ask(&mut self, work: Work) -> Outcome<Scanned> {
        self.work.as_ref().ok_or("the core was told to end")?.send(work)?;
        let done = self.done.recv()??;
        self.accounted = done.accounted;
        Ok(done.scanned)
    }
}

impl Drop for Larger {
    fn drop(&mut self) {
        drop(self.work.take());
        // A core that panicked was found out by whoever waited for it.
        let _ = self.core.take().map(Cores::join);
    }
}

impl Engine for Larger {
    fn update(&mut self, keys: &[u64]) -> Outcome<()> {
        self.ask(Work::Update(keys.to_vec())).map(|_| ())
    }

    fn read(&mut self, keys: &[u64]) -> Outcome<u64> {
        Ok(self.ask(Work::Read(keys.to_vec()))?.sum)
    }

    fn scan(&mut self) -> Outcome<Scanned> {
        self.ask(Work::Scan)
    }

    fn accounted_bytes(&self) -> Option<u64> {
        Some(self.accounted)
    }

    fn snapshot(&mut self) -> Outcome<Option<Duration>> {
        Ok(None)
    }

    fn append(&mut self, _: &[u64], _: u64) -> Outcome<()> {
        Err("a state larger than memory holds values only".into())
    }

    fn iterate(&mut self, _: &[u64]) -> Outcome<Scanned> {
        Err("a state larger than memory holds values only".into())
    }
}

/// The core's side.
struct Core {
    host: Rc<dyn Host>,
    dir: PathBuf,
    store: Store,
    table: TableId,
    value_len: usize,
    reader: Rc<Reader>,
    arrived: Rc<Arrived>,
}

/// Reads that have come back, and how many have not.
#[derive(Default)]
struct Arrived {
    fetched: RefCell<Vec<Result<Fetched, StoreError>>>,
    under_way: Cell<usize>,
}

impl Core {
    fn new(host: Rc<dyn Host>, setup: &Setup) -> Core {
        let segment_bytes = if setup.budget < 128 << 20 { 64 << 10 } else { 2 << 20 };
        let plain = StoreConfig::new("bench", 1);
        let config = StoreConfig { budget: Some(setup.budget), segment_bytes, block_bytes: 4096, ..plain };
        let mut store = Store::new(config);
        let table = store.create_table(0, 0);
        let reader = Rc::new(Reader::new(host.disk(), setup.dir.clone()));
        let (dir, value_len) = (setup.dir.clone(), setup.value_len);
        Core { host, dir, store, table, value_len, reader, arrived: Rc::default() }
    }

    async fn work(&mut self, work: Work) -> Outcome<Done> {
        let mut scanned = Scanned::default();
        match work {
            Work::Update(keys) => self.batches(&keys, Core::update).await?,
            Work::Read(keys) => {
                self.batches(&keys, |core, keys, hashes| {
                    let Core { store, table, .. } = core;
                    for (&key, &hash) in keys.iter().zip(hashes) {
                        scanned.see(store.get(*table, hash, &key_bytes(key)).map_or(0, number));
                    }
                    Ok(())
                })
                .await?;
            }
            Work::Scan => {
                self.store.visit_all(&self.reader, self.table, |_, value| scanned.see(number(value))).await?;
            }
        }
        Ok(Done { scanned, accounted: self.store.stats().memory_bytes })
    }

    fn update(&mut self, keys: &[u64], hashes: &[u64]) -> Outcome<()> {
        let change = |i: usize, _, value: &mut [u8]| add(value, keys[i]);
        let key = |i: usize| key_bytes(keys[i]);
        Ok(self.store.upsert_batch(self.table, hashes, &key, self.value_len, change)?)
    }

    /// Works on batches in order, each once its state is in memory; in pieces, when not all of it fits at once.
    async fn batches(
        &mut self,
        keys: &[u64],
        mut work: impl FnMut(&mut Core, &[u64], &[u64]) -> Outcome<()>,
    ) -> Outcome<()> {
        let hashes: Vec<u64> = keys.iter().map(|&key| stable_hash(&key_bytes(key))).collect();
        let (mut done, mut asked) = (0, 0);
        while done < keys.len() {
            self.admit()?;
            self.make_room().await?;
            let end = (done + TOGETHER).min(keys.len());
            let presence = self.store.missing(self.table, hashes[done..end].iter().copied());
            if presence.complete && presence.covered > 0 {
                let now = done..done + presence.covered;
                work(self, &keys[now.clone()], &hashes[now.clone()])?;
                done = now.end;
                continue;
            }
            // Each batch ahead is asked for once: asking again would only find what is under way.
            asked = asked.max(end);
            while asked < keys.len().min(end + AHEAD * TOGETHER) && self.store.may_ask() {
                let next = (asked + TOGETHER).min(keys.len());
                self.store.missing(self.table, hashes[asked..next].iter().copied());
                asked = next;
            }
            self.issue();
            self.host.yield_now().await;
        }
        Ok(())
    }

    /// Sends out the reads that are needed.
    fn issue(&mut self) {
        for read in self.store.take_reads() {
            let (reader, arrived) = (self.reader.clone(), self.arrived.clone());
            arrived.under_way.set(arrived.under_way.get() + 1);
            let task = async move {
                let fetched = reader.perform(&read).await;
                arrived.under_way.set(arrived.under_way.get() - 1);
                arrived.fetched.borrow_mut().push(fetched);
            };
            self.host.spawn(Class::Records, Box::pin(task));
        }
    }

    fn admit(&mut self) -> Outcome<()> {
        for fetched in self.arrived.fetched.take() {
            self.store.admit(fetched?)?;
        }
        Ok(())
    }

    /// Gives memory up, and waits until there is some.
    async fn make_room(&mut self) -> Outcome<()> {
        loop {
            self.store.maintain(MAINTENANCE);
            if let Some(spill) = self.store.spill() {
                let (disk, dir) = (self.host.disk(), self.dir.clone());
                // Its outcome is the store's to take notice of.
                let task = async move { _ = spill.write(disk, dir).await };
                self.host.spawn(Class::Background, Box::pin(task));
            }
            self.issue();
            if self.store.has_room() {
                return Ok(());
            }
            if self.store.failed_spills() > 0 {
                return Err("the state cannot be written".into());
            }
            self.host.yield_now().await;
            self.admit()?;
        }
    }
}
