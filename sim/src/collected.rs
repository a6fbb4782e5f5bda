//! A transactional system outside the simulated machine: a sink that survives every crash, and remembers all.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::mem;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use millstream::host::{Class, Host, LocalFuture};
use millstream::sink::{Prepared, Sink, SinkContext, Writer};
use millstream::time::Timestamp;
use millstream::{Error, ErrorKind, Result};
use serde::Serialize;
use serde_json::json;

use crate::harness::durable;
use crate::mishaps::Mishaps;

/// What it says to a run that another has come after.
pub const SUPERSEDED: &str = "a later run has begun";

/// A sink with two-phase commit. Every request takes effect at a drawn time before it is answered, or after the
/// process that sent it has died, and what was pre-committed stays until it is committed or aborted.
///
/// ```
/// use millstream_sim::collected::Collected;
/// let sink = Collected::<u64>::new(std::time::Duration::from_millis(1));
/// assert!(sink.committed().is_empty() && sink.broken().is_none());
/// ```
pub struct Collected<T> {
    outside: Arc<Mutex<Outside<T>>>,
    longest: Duration,
    mishaps: Option<Mishaps>,
    show: Option<fn(&T) -> String>,
}

/// What a shard has put out in an epoch, in the run of a generation.
type Share = (usize, u64, u64);

struct Outside<T> {
    /// Each with the epoch that it was pre-committed under.
    committed: Vec<(u64, T)>,
    prepared: BTreeMap<Share, Vec<T>>,
    /// What was committed.
    done: BTreeSet<Share>,
    /// The greatest generation of a run that has brought it in order.
    generation: u64,
    /// What was asked of it that makes no sense.
    broken: Option<String>,
}

impl<T> Outside<T> {
    fn commit(&mut self, at: Share) {
        match self.prepared.remove(&at) {
            Some(records) => {
                self.committed.extend(records.into_iter().map(|record| (at.1, record)));
                self.done.insert(at);
            }
            None if self.done.contains(&at) => {}
            None => {
                let (shard, epoch, _) = at;
                let what = format!(
                    "epoch {epoch} of shard {shard} is to be committed, but was aborted or never prepared"
                );
                self.broken.get_or_insert(what);
            }
        }
    }
}

impl<T> Collected<T> {
    /// An empty one, that takes up to `longest` for a request.
    pub fn new(longest: Duration) -> Collected<T> {
        let outside = Outside {
            committed: Vec::new(),
            prepared: BTreeMap::new(),
            done: BTreeSet::new(),
            generation: 0,
            broken: None,
        };
        Collected { outside: Arc::new(Mutex::new(outside)), longest, mishaps: None, show: None }
    }

    /// Its requests fail when a mishap strikes: before they have taken effect, or after.
    pub fn failing(mut self, mishaps: Mishaps) -> Collected<T> {
        self.mishaps = Some(mishaps);
        self
    }

    fn may_fail(&self, what: &str) -> Result<()> {
        self.mishaps.as_ref().map_or(Ok(()), |mishaps| mishaps.may_fail(ErrorKind::Sink, what))
    }

    /// A run brings it in order: none of a lower generation may do that any more.
    fn take_over(&self, generation: u64) -> Result<()> {
        let mut outside = self.outside();
        if generation < outside.generation {
            return Err(Error::new(ErrorKind::Sink, SUPERSEDED));
        }
        outside.generation = generation;
        Ok(())
    }

    fn outside(&self) -> MutexGuard<'_, Outside<T>> {
        self.outside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the engine asked for that no correct one asks for.
    pub fn broken(&self) -> Option<String> {
        self.outside().broken.clone()
    }

    /// Waits for a part of what a request takes.
    fn delay(&self, host: &dyn Host) -> LocalFuture<()> {
        let longest = self.longest.as_nanos() as u64;
        host.sleep(Duration::from_nanos(host.random() % longest.max(1)))
    }
}

impl<T: Clone> Collected<T> {
    /// What was committed, in the order of the commits.
    pub fn committed(&self) -> Vec<T> {
        self.outside().committed.iter().map(|(_, record)| record.clone()).collect()
    }

    /// Another one, with what was committed up to an epoch: for a job that starts from a savepoint.
    ///
    /// ```
    /// use millstream_sim::collected::Collected;
    /// let sink = Collected::<u64>::new(std::time::Duration::from_millis(1));
    /// assert!(sink.fork(7).committed().is_empty());
    /// ```
    pub fn fork(&self, epoch: u64) -> Collected<T> {
        let outside = self.outside();
        let committed = outside.committed.iter().filter(|(of, _)| *of <= epoch).cloned().collect();
        let done = outside.done.iter().filter(|(_, of, _)| *of <= epoch).copied().collect();
        let outside = Outside { committed, prepared: BTreeMap::new(), done, generation: 0, broken: None };
        Collected {
            outside: Arc::new(Mutex::new(outside)),
            longest: self.longest,
            mishaps: None,
            show: self.show,
        }
    }
}

impl<T: Debug> Collected<T> {
    /// It can show its records, as a string of JSON each, to a replay.
    pub(crate) fn debugged(mut self) -> Collected<T> {
        self.show = Some(|record| json!(format!("{record:?}")).to_string());
        self
    }
}

impl<T: Serialize> Collected<T> {
    /// It can show its records as JSON, to a replay.
    ///
    /// ```
    /// use millstream_sim::collected::Collected;
    /// let sink = Collected::<u64>::new(std::time::Duration::from_millis(1)).shown();
    /// assert!(sink.rows_between(1, 2).is_empty());
    /// ```
    pub fn shown(mut self) -> Collected<T> {
        self.show = Some(|record| serde_json::to_string(record).expect("records are plain data"));
        self
    }
}

impl<T> Collected<T> {
    /// What belongs to the checkpoints behind one, up to another: committed, or to be committed when that is restored. As it is
    /// [shown](Collected::shown); nothing if it is not.
    pub fn rows_between(&self, from: u64, to: u64) -> Vec<String> {
        let outside = self.outside();
        let within = |epoch: u64| from < epoch && epoch <= to;
        let committed =
            outside.committed.iter().filter(|(epoch, _)| within(*epoch)).map(|(_, record)| record);
        let prepared =
            outside.prepared.iter().filter(|((_, epoch, _), _)| within(*epoch)).flat_map(|(_, of)| of);
        let records = committed.chain(prepared);
        self.show.map_or(Vec::new(), |show| records.map(show).collect())
    }
}

impl<T> Clone for Collected<T> {
    fn clone(&self) -> Collected<T> {
        Collected {
            outside: self.outside.clone(),
            longest: self.longest,
            mishaps: self.mishaps.clone(),
            show: self.show,
        }
    }
}

impl<T: Send + 'static> Sink<T> for Collected<T> {
    fn describe(&self) -> String {
        "a system outside".to_owned()
    }

    fn recover(self, cx: SinkContext, prepared: Vec<Prepared>) -> LocalFuture<Result<()>> {
        Box::pin(async move {
            self.take_over(cx.generation)?;
            for Prepared { shard, pending, .. } in prepared {
                let epochs: Vec<(u64, u64)> = serde_json::from_value(pending).map_err(|error| {
                    Error::new(ErrorKind::Restore, "not what a pre-commit returned").caused_by(error)
                })?;
                for (epoch, generation) in epochs {
                    self.delay(&*cx.host).await;
                    durable::commits(cx.generation, epoch);
                    self.outside().commit((shard, epoch, generation));
                }
            }
            self.take_over(cx.generation)?;
            self.outside().prepared.clear();
            self.delay(&*cx.host).await;
            Ok(())
        })
    }

    fn open(self, cx: SinkContext) -> LocalFuture<Result<Box<dyn Writer<T>>>> {
        let writer = CollectedWriter {
            to: self,
            cx,
            records: Vec::new(),
            unsettled: Rc::default(),
            full: Rc::default(),
        };
        Box::pin(async { Ok(Box::new(writer) as Box<dyn Writer<T>>) })
    }

    fn show(&self, record: &T, json: &mut Vec<u8>) -> Result<bool> {
        json.extend(self.show.into_iter().flat_map(|show| show(record).into_bytes()));
        Ok(self.show.is_some())
    }
}

struct CollectedWriter<T> {
    to: Collected<T>,
    cx: SinkContext,
    /// Since the last pre-commit.
    records: Vec<T>,
    /// Prepared by this writer, and not known to be committed.
    unsettled: Rc<RefCell<BTreeSet<u64>>>,
    full: Rc<Cell<bool>>,
}

impl<T: Send + 'static> Writer<T> for CollectedWriter<T> {
    fn write(&mut self, records: &mut Vec<T>, _: &[Timestamp]) -> Result<()> {
        self.to.may_fail("the records are not taken")?;
        self.records.append(records);
        if self.cx.host.random().is_multiple_of(16) {
            self.full.set(true);
            let (full, wake, delay) =
                (self.full.clone(), self.cx.wake.clone(), self.to.delay(&*self.cx.host));
            let drain = async move {
                delay.await;
                full.set(false);
                wake.wake();
            };
            self.cx.host.spawn(Class::Records, Box::pin(drain));
        }
        Ok(())
    }

    fn has_room(&self) -> bool {
        !self.full.get()
    }

    fn pre_commit(&mut self, epoch: u64) -> LocalFuture<Result<serde_json::Value>> {
        let records = mem::take(&mut self.records);
        self.unsettled.borrow_mut().insert(epoch);
        let generation = self.cx.generation;
        let epochs: Vec<(u64, u64)> =
            self.unsettled.borrow().iter().map(|epoch| (*epoch, generation)).collect();
        let (to, host, shard) = (self.to.clone(), self.cx.host.clone(), self.cx.shard);
        Box::pin(async move {
            to.delay(&*host).await;
            to.may_fail("the epoch is not prepared")?;
            to.outside().prepared.insert((shard, epoch, generation), records);
            to.delay(&*host).await;
            Ok(json!(epochs))
        })
    }

    fn commit(&mut self, epoch: u64) -> LocalFuture<Result<()>> {
        let (to, host, shard) = (self.to.clone(), self.cx.host.clone(), self.cx.shard);
        let (unsettled, generation) = (self.unsettled.clone(), self.cx.generation);
        Box::pin(async move {
            let epochs: Vec<u64> = unsettled.borrow().range(..=epoch).copied().collect();
            for of in epochs {
                to.delay(&*host).await;
                to.may_fail("the epoch is not committed")?;
                durable::commits(generation, of);
                to.outside().commit((shard, of, generation));
                to.delay(&*host).await;
                to.may_fail("whether the epoch is committed is not known")?;
                unsettled.borrow_mut().remove(&of);
            }
            Ok(())
        })
    }
}
