//! Watermark alignment: the splits of a group stay within a drift of the one that is furthest behind.
//!
//! A group's members are the stages of its sources, one per core. Each tells the lowest watermark of its splits that
//! count, and reads what the others tell: a split further ahead than the lowest of all, plus the drift, is paused. The
//! split that is furthest behind is never paused, so the group always goes on.
//!
//! Who pauses a split leaves word from which lowest watermark on it may go on, and looks again; who rises tells first,
//! and looks then who waits for that: the pair of store and load, on both sides of a fence, of
//! [`Bell`](millstream_ring::Bell). Nobody polls.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering, fence};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::Waker;

use crate::error::{Error, ErrorKind, Result};
use crate::source::Reader;
use crate::time::{MAX_TIME, MIN_TIME, Timestamp};

/// What a strategy asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Alignment {
    pub group: &'static str,
    /// Milliseconds.
    pub drift: i64,
}

/// The groups of a job that is being laid out, by name.
#[derive(Default)]
pub(crate) struct Groups(RefCell<BTreeMap<&'static str, Arc<Group>>>);

impl Groups {
    /// One more member. All join before any of them is opened.
    pub(crate) fn join(&self, alignment: Alignment) -> Joined {
        let group = self.0.borrow_mut().entry(alignment.group).or_default().clone();
        let own = Arc::new(Slot::default());
        group.slots().push(own.clone());
        Joined { group, own, drift: alignment.drift }
    }
}

#[derive(Default)]
struct Group {
    slots: Mutex<Vec<Arc<Slot>>>,
    /// How often a member's lowest watermark has fallen: until it does again, what was allowed stays so.
    falls: AtomicU64,
}

impl Group {
    fn slots(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Slot>>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a member tells, on a cache line of its own.
#[repr(align(128))]
struct Slot {
    /// The lowest watermark of its splits that count; the greatest time if none does.
    lowest: AtomicI64,
    /// From which lowest watermark of the group on it has more to read; the greatest time if none of its splits is paused.
    wanted: AtomicI64,
    waker: OnceLock<Waker>,
}

impl Default for Slot {
    fn default() -> Slot {
        let (lowest, wanted) = (AtomicI64::new(MIN_TIME), AtomicI64::new(MAX_TIME));
        Slot { lowest, wanted, waker: OnceLock::new() }
    }
}

/// A member before its core has started.
pub(crate) struct Joined {
    group: Arc<Group>,
    own: Arc<Slot>,
    drift: i64,
}

impl Joined {
    /// The member on its core, which `wake` wakes.
    pub(crate) fn open(self, wake: Waker) -> Member {
        let Joined { group, own, drift } = self;
        // It is opened once.
        let _ = own.waker.set(wake);
        let others = group.slots().iter().filter(|slot| !Arc::ptr_eq(slot, &own)).cloned().collect();
        let told = MIN_TIME;
        Member {
            falls: group.falls.load(Ordering::Acquire),
            group,
            own,
            others,
            drift,
            told,
            limit: MIN_TIME,
        }
    }
}

/// A source's stage in its group.
pub(crate) struct Member {
    group: Arc<Group>,
    own: Arc<Slot>,
    others: Box<[Arc<Slot>]>,
    drift: i64,
    /// What its own slot says.
    told: Timestamp,
    /// What was found to be allowed, and how often a member had fallen before that.
    limit: Timestamp,
    falls: u64,
}

impl Member {
    /// Tells the lowest watermark of this stage's splits that count, and wakes who has waited for that.
    pub(crate) fn tell(&mut self, lowest: Timestamp) {
        if lowest == self.told {
            return;
        }
        let fallen = lowest < self.told;
        self.told = lowest;
        self.own.lowest.store(lowest, Ordering::Release);
        if fallen {
            self.group.falls.fetch_add(1, Ordering::AcqRel);
            return;
        }
        // Orders the store before the looks; see the top of this file.
        fence(Ordering::SeqCst);
        for slot in &self.others {
            let wanted = slot.wanted.load(Ordering::Relaxed);
            if wanted <= lowest
                && wanted < MAX_TIME
                && slot.wanted.swap(MAX_TIME, Ordering::AcqRel) < MAX_TIME
                && let Some(waker) = slot.waker.get()
            {
                waker.wake_by_ref();
            }
        }
    }

    /// Whether a split with this watermark may be read.
    #[inline]
    pub(crate) fn allows(&mut self, watermark: Timestamp) -> bool {
        let falls = self.group.falls.load(Ordering::Acquire);
        if falls != self.falls || watermark > self.limit {
            self.falls = falls;
            self.limit = self.lowest().saturating_add(self.drift);
        }
        watermark <= self.limit
    }

    /// Has this core woken when a split with this watermark, the lowest of those that are paused, may be read again.
    /// Returns whether it may be already.
    pub(crate) fn wait_for(&mut self, watermark: Timestamp) -> bool {
        let wanted = watermark.saturating_sub(self.drift);
        self.own.wanted.store(wanted, Ordering::Relaxed);
        // Orders the store before the looks; see the top of this file.
        fence(Ordering::SeqCst);
        self.allows(watermark)
    }

    fn lowest(&self) -> Timestamp {
        let others = self.others.iter().map(|slot| slot.lowest.load(Ordering::Acquire));
        others.fold(self.told, Timestamp::min)
    }
}

/// A source's stage that takes part in a group, and which of its splits are paused.
pub(crate) struct Aligned {
    pub member: Member,
    paused: Vec<bool>,
}

impl Aligned {
    /// # Errors
    /// If the reader cannot pause.
    pub(crate) fn new<T>(member: Member, name: &str, reader: &mut dyn Reader<T>) -> Result<Aligned> {
        let splits = reader.splits().len();
        if !(0..splits).all(|split| reader.set_paused(split, false)) {
            let message = format!(
                "source `{name}` cannot be aligned, as its reader does not pause: implement `Reader::set_paused`, or \
                 leave out `aligned`"
            );
            return Err(Error::new(ErrorKind::Source, message));
        }
        Ok(Aligned { member, paused: vec![false; splits] })
    }

    /// Whether the group keeps this split from being read.
    pub(crate) fn is_paused(&self, split: usize) -> bool {
        self.paused[split]
    }

    /// Pauses the splits, of which those that have not ended have watermarks, or lets them go on. Returns whether one may
    /// go on that was paused.
    pub(crate) fn settle<T>(
        &mut self,
        watermarks: impl Iterator<Item = Option<Timestamp>> + Clone,
        reader: &mut dyn Reader<T>,
    ) -> bool {
        let mut resumed = false;
        loop {
            let mut next = None;
            for (i, watermark) in watermarks.clone().enumerate() {
                let paused = watermark.is_some_and(|watermark| !self.member.allows(watermark));
                if paused {
                    next = next.into_iter().chain(watermark).min();
                }
                if std::mem::replace(&mut self.paused[i], paused) != paused {
                    reader.set_paused(i, paused);
                    resumed |= !paused;
                }
            }
            // If the group has gone on meanwhile, nobody would say so again.
            match next {
                Some(lowest) if self.member.wait_for(lowest) => {}
                _ => return resumed,
            }
        }
    }
}

#[cfg(test)]
mod tests;
