//! A source that gives what a test hands it, in that order, as one split.

use std::collections::{BTreeMap, VecDeque};
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use serde_json::{Value as Json, json};

use super::hands::Act;
use crate::error::{Error, ErrorKind, Result};
use crate::host::LocalFuture;
use crate::source::{DeadLetter, Fetched, Poison, Polled, Reader, Source, SourceContext};
use crate::time::Timestamp;

/// What a test hands to a source.
pub(super) enum Item<T> {
    Record(T),
    Undecodable(DeadLetter),
    Watermark(Timestamp),
    Idle,
    End,
}

/// A source in the hands of a test; clones are the same one.
pub(crate) struct Feed<T> {
    shared: Arc<Mutex<Shared<T>>>,
}

struct Shared<T> {
    waiting: VecDeque<Item<T>>,
    /// By shard.
    wakers: BTreeMap<usize, Waker>,
    /// Nothing is given out: a checkpoint is to hold all that was.
    held: bool,
    /// The records that were given out.
    given: u64,
    idle: bool,
    /// Its end was handed to it.
    closed: bool,
    /// Its end was given out.
    ended: bool,
}

impl<T> Default for Feed<T> {
    fn default() -> Feed<T> {
        let shared = Shared {
            waiting: VecDeque::new(),
            wakers: BTreeMap::new(),
            held: false,
            given: 0,
            idle: false,
            closed: false,
            ended: false,
        };
        Feed { shared: Arc::new(Mutex::new(shared)) }
    }
}

impl<T> Clone for Feed<T> {
    fn clone(&self) -> Feed<T> {
        Feed { shared: self.shared.clone() }
    }
}

impl<T> Feed<T> {
    /// All is done by one thread; the lock is there for the types.
    fn lock(&self) -> MutexGuard<'_, Shared<T>> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// # Errors
    /// If the end was handed to it before.
    pub(super) fn hand(&self, item: Item<T>) -> Result<()> {
        let mut shared = self.lock();
        if shared.closed {
            return Err(Error::new(ErrorKind::Job, "nothing can be fed to a source after its end"));
        }
        shared.closed = matches!(item, Item::End);
        shared.waiting.push_back(item);
        Ok(())
    }

    /// What is done to all inputs.
    pub(super) fn act(&self, act: Act) {
        match act {
            Act::Wake => {}
            Act::Hold(held) => self.lock().held = held,
            Act::End if self.lock().closed => return,
            Act::End => self.hand(Item::End).expect("it has not ended"),
        }
        self.wake();
    }

    /// What could not be decoded, as a source would report it.
    pub(super) fn letter(&self, source: &str, record: &str) -> DeadLetter {
        DeadLetter {
            split: source.to_owned(),
            offset: self.lock().given,
            line: None,
            record: record.to_owned(),
            reason: "the test says so".to_owned(),
        }
    }

    /// Has the shards step.
    pub(super) fn wake(&self) {
        let wakers = self.lock().wakers.clone();
        wakers.values().for_each(Waker::wake_by_ref);
    }
}

impl<T> Shared<T> {
    /// Gives out records, or else the one thing that comes before the next.
    fn next(&mut self, max: usize, out: &mut Fetched<T>) -> Polled {
        if self.ended {
            return Polled::SplitEnd(0);
        }
        let mut records = 0;
        loop {
            match self.waiting.pop_front() {
                Some(Item::Record(record)) => out.records.push(record),
                Some(Item::Undecodable(letter)) => out.poison.push(letter),
                other if records > 0 => {
                    other.into_iter().for_each(|item| self.waiting.push_front(item));
                    return Polled::Split(0);
                }
                None => return Polled::Pending,
                Some(Item::Watermark(watermark)) => {
                    self.idle = false;
                    return Polled::Watermark(0, watermark);
                }
                Some(Item::Idle) => {
                    self.idle = true;
                    return Polled::Idle(0);
                }
                Some(Item::End) => {
                    self.ended = true;
                    return Polled::SplitEnd(0);
                }
            }
            (self.idle, self.given, records) = (false, self.given + 1, records + 1);
            if records == max {
                return Polled::Split(0);
            }
        }
    }
}

impl<T: Send + 'static> Source<T> for Feed<T> {
    fn describe(&self) -> String {
        "what a test hands it".to_owned()
    }

    fn is_bounded(&self) -> bool {
        true
    }

    fn poison(&self) -> Poison {
        Poison::Fail
    }

    fn open(self, cx: SourceContext) -> LocalFuture<Result<Box<dyn Reader<T>>>> {
        let mut shared = self.lock();
        shared.wakers.insert(cx.shard, cx.wake.clone());
        let told = Told { idle: !shared.idle, end: false };
        drop(shared);
        let splits = if cx.owns(0) { vec!["by hand".to_owned()] } else { Vec::new() };
        let reader = FeedReader { feed: self, splits, paused: false, told };
        Box::pin(async { Ok(Box::new(reader) as Box<dyn Reader<T>>) })
    }
}

/// What was told since the reader was opened: what a restored job has forgotten is told again.
struct Told {
    idle: bool,
    end: bool,
}

struct FeedReader<T> {
    feed: Feed<T>,
    splits: Vec<String>,
    paused: bool,
    told: Told,
}

impl<T: Send + 'static> Reader<T> for FeedReader<T> {
    fn splits(&self) -> &[String] {
        &self.splits
    }

    fn poll(&mut self, max: usize, out: &mut Fetched<T>) -> Result<Polled> {
        if self.splits.is_empty() || self.told.end {
            return Ok(Polled::End);
        }
        let mut shared = self.feed.lock();
        if self.paused || shared.held {
            return Ok(Polled::Pending);
        }
        if !mem::replace(&mut self.told.idle, true) {
            return Ok(Polled::Idle(0));
        }
        let polled = shared.next(max, out);
        self.told.end = polled == Polled::SplitEnd(0);
        Ok(polled)
    }

    fn is_silent(&self, _: usize) -> bool {
        let shared = self.feed.lock();
        shared.waiting.is_empty() && !shared.held
    }

    fn set_paused(&mut self, _: usize, paused: bool) -> bool {
        self.paused = paused;
        true
    }

    fn positions(&self) -> BTreeMap<String, Json> {
        let given = self.feed.lock().given;
        self.splits.iter().map(|split| (split.clone(), json!(given))).collect()
    }
}
