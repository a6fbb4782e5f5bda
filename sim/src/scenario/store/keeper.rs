//! One store, and what its owner does for it: it asks for keys, writes ahead, and waits.

use std::cell::{Cell, RefCell};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use millstream::host::{Class, Host};
use millstream_storage::error::StoreError;
use millstream_storage::read::{Fetched, Read, Reader};
use millstream_storage::store::{Store, TableId};

/// Why a process ends before its work is done.
#[derive(Debug)]
pub(super) enum Stop {
    /// The store, or its disk.
    Store(StoreError),
    /// What was to be done did not get done.
    Stuck(String),
    /// The oracle says so.
    Wrong(String),
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Stop {
        Stop::Store(error)
    }
}

/// Reads that were performed.
#[derive(Default)]
struct Mail {
    read: RefCell<Vec<(Read, Result<Fetched, StoreError>)>>,
    under_way: Cell<usize>,
}

/// A store on a simulated disk.
pub(super) struct Keeper {
    host: Rc<dyn Host>,
    data: PathBuf,
    pub(super) store: Store,
    pub(super) reader: Rc<Reader>,
    mail: Rc<Mail>,
    /// The most memory that it may take, if it is limited, in bytes.
    budget: Option<u64>,
}

/// Bytes that are looked at between two batches.
const PIECE: usize = 64 << 10;
/// Between two looks at what is waited for.
pub(super) const NAP: Duration = Duration::from_micros(200);
/// What may be on its way to the tail when the limit is met, in bytes.
const SLACK: u64 = 96 << 10;

impl Keeper {
    pub(super) fn new(host: Rc<dyn Host>, data: PathBuf, store: Store, budget: Option<u64>) -> Keeper {
        let reader = Rc::new(Reader::new(host.disk(), data.clone()));
        Keeper { host, data, store, reader, mail: Rc::default(), budget }
    }

    /// Sends the reads that the store wants on their way.
    fn start_reads(&mut self) {
        for read in self.store.take_reads() {
            let (reader, mail) = (self.reader.clone(), self.mail.clone());
            mail.under_way.set(mail.under_way.get() + 1);
            let task = async move {
                let outcome = reader.perform(&read).await;
                mail.under_way.set(mail.under_way.get() - 1);
                mail.read.borrow_mut().push((read, outcome));
            };
            self.host.spawn(Class::Records, Box::pin(task));
        }
    }

    /// Hands over what was read. What a disk without descriptors did not read is asked for again.
    pub(super) fn collect(&mut self) -> Result<(), Stop> {
        for (read, outcome) in self.mail.read.take() {
            match outcome {
                Ok(fetched) => self.store.admit(fetched)?,
                Err(error) => match self.store.refuse(&read, error) {
                    Err(StoreError::Io { source, .. }) if source.raw_os_error() == Some(24) => {}
                    other => other?,
                },
            }
        }
        Ok(())
    }

    /// Waits until nothing is being read.
    pub(super) async fn rest(&mut self) -> Result<(), Stop> {
        self.collect()?;
        self.start_reads();
        while self.mail.under_way.get() > 0 {
            self.host.sleep(NAP).await;
        }
        self.collect()
    }

    /// Asks for keys, and does not wait for them.
    pub(super) fn ask(&mut self, table: TableId, hashes: &[u64]) {
        self.store.missing(table, hashes.iter().copied());
        self.start_reads();
    }

    /// Whether all of some keys are in memory. If not, they are on their way.
    pub(super) fn has(&mut self, table: TableId, hashes: &[u64]) -> Result<bool, Stop> {
        self.collect()?;
        let presence = self.store.missing(table, hashes.iter().copied());
        self.start_reads();
        Ok(presence.complete && presence.covered == hashes.len())
    }

    /// Begins to write ahead, if there is something to.
    pub(super) fn spill(&mut self) {
        if let Some(spill) = self.store.spill() {
            let writing = spill.write(self.host.disk(), self.data.clone());
            // The store notices by itself what came of it.
            let task = async move { drop(writing.await) };
            self.host.spawn(Class::Background, Box::pin(task));
        }
    }

    /// Evicts and compacts between two batches.
    pub(super) fn maintain(&mut self, budget: usize) -> Result<(), Stop> {
        self.collect()?;
        self.store.maintain(budget);
        self.start_reads();
        Ok(())
    }

    /// Looks whether more memory is taken than may be.
    pub(super) fn check_memory(&mut self) -> Result<(), Stop> {
        let memory = self.store.memory_bytes();
        match self.budget.filter(|budget| memory > budget + budget / 10 + SLACK) {
            Some(budget) => {
                Err(Stop::Wrong(format!("{memory} bytes of {budget} are taken: {}", self.state())))
            }
            None => Ok(()),
        }
    }

    /// Whether there is room to work on keys. If not, some is being made.
    pub(super) fn makes_room(&mut self) -> Result<bool, Stop> {
        if !self.store.has_room() {
            self.maintain(PIECE)?;
        }
        let has_room = self.store.has_room();
        if !has_room {
            self.spill();
        }
        Ok(has_room)
    }

    /// What there is to say of a store that does not get on.
    pub(super) fn state(&mut self) -> String {
        let store = &mut self.store;
        let (writing, held) = (store.is_writing(), store.is_held());
        format!("budget {:?}, writing {writing}, held {held}, {:?}", self.budget, store.stats())
    }
}
