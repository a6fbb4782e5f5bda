//! A source that replays records, at a pace that the simulator draws.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use millstream::host::{Class, LocalFuture};
use millstream::source::{Fetched, Poison, Polled, Reader, Source, SourceContext};
use millstream::{Error, ErrorKind, Result};
use serde_json::{Value as Json, json};

use crate::mishaps::Mishaps;

/// Replays the records of its splits, each in its order. Polls find a drawn number of records; now and then a split
/// has nothing for a while.
///
/// ```
/// use millstream_sim::feed::Feed;
/// use std::time::Duration;
/// let feed = Feed::new(vec![vec![1, 2, 3], vec![4, 5]]).pausing(10, Duration::from_millis(20));
/// ```
#[derive(Debug)]
pub struct Feed<T> {
    splits: Arc<Vec<Vec<T>>>,
    one_in: u64,
    longest: Duration,
    mishaps: Option<Mishaps>,
}

impl<T> Feed<T> {
    /// The records, split by split. It never pauses.
    pub fn new(splits: Vec<Vec<T>>) -> Feed<T> {
        Feed { splits: Arc::new(splits), one_in: 0, longest: Duration::ZERO, mishaps: None }
    }

    /// Its polls fail when a mishap strikes.
    pub fn failing(mut self, mishaps: Mishaps) -> Feed<T> {
        self.mishaps = Some(mishaps);
        self
    }

    /// One poll of a split in `one_in` finds nothing, and nothing comes then for up to `longest`.
    pub fn pausing(mut self, one_in: u64, longest: Duration) -> Feed<T> {
        (self.one_in, self.longest) = (one_in, longest);
        self
    }
}

impl<T> Clone for Feed<T> {
    fn clone(&self) -> Feed<T> {
        Feed { splits: self.splits.clone(), mishaps: self.mishaps.clone(), ..*self }
    }
}

impl<T: Clone + Send + Sync + 'static> Source<T> for Feed<T> {
    fn describe(&self) -> String {
        format!("a feed of {} splits", self.splits.len())
    }

    fn is_bounded(&self) -> bool {
        true
    }

    fn poison(&self) -> Poison {
        Poison::Fail
    }

    fn open(self, cx: SourceContext) -> LocalFuture<Result<Box<dyn Reader<T>>>> {
        Box::pin(async move { Ok(Box::new(FeedReader::open(self, cx)?) as Box<dyn Reader<T>>) })
    }
}

struct FeedReader<T> {
    feed: Feed<T>,
    cx: SourceContext,
    names: Vec<String>,
    splits: Vec<Split>,
    /// Not ended yet.
    open: Vec<usize>,
}

struct Split {
    /// Which of the feed's.
    of: usize,
    taken: usize,
    quiet: Rc<Cell<bool>>,
    paused: bool,
}

impl<T> FeedReader<T> {
    fn open(feed: Feed<T>, cx: SourceContext) -> Result<FeedReader<T>> {
        let (mut names, mut splits) = (Vec::new(), Vec::new());
        for of in (0..feed.splits.len()).filter(|&of| cx.owns(of)) {
            let name = format!("{of:03}");
            let taken = cx.restored.get(&name).map_or(Some(0), Json::as_u64);
            let taken = taken.map(|taken| taken as usize).filter(|&taken| taken <= feed.splits[of].len());
            let taken = taken.ok_or_else(|| {
                Error::new(ErrorKind::Restore, format!("split {name} cannot be at {:?}", cx.restored[&name]))
            })?;
            splits.push(Split { of, taken, quiet: Rc::default(), paused: false });
            names.push(name);
        }
        let open = (0..splits.len()).collect();
        Ok(FeedReader { feed, cx, names, splits, open })
    }

    /// Nothing comes from a split for a while.
    fn rest(&self, index: usize) {
        let longest = self.feed.longest.as_nanos() as u64;
        let pause = Duration::from_nanos(self.cx.host.random() % longest.max(1));
        let (quiet, wake) = (self.splits[index].quiet.clone(), self.cx.wake.clone());
        quiet.set(true);
        let sleep = self.cx.host.sleep(pause);
        let rest = async move {
            sleep.await;
            quiet.set(false);
            wake.wake();
        };
        self.cx.host.spawn(Class::Records, Box::pin(rest));
    }
}

impl<T: Clone> Reader<T> for FeedReader<T> {
    fn splits(&self) -> &[String] {
        &self.names
    }

    fn poll(&mut self, max: usize, out: &mut Fetched<T>) -> Result<Polled> {
        if self.open.is_empty() {
            return Ok(Polled::End);
        }
        if let Some(mishaps) = &self.feed.mishaps {
            mishaps.may_fail(ErrorKind::Source, "the feed cannot be read")?;
        }
        let first = self.cx.host.random() as usize % self.open.len();
        for k in 0..self.open.len() {
            let place = (first + k) % self.open.len();
            let index = self.open[place];
            if self.splits[index].paused || self.splits[index].quiet.get() {
                continue;
            }
            let draw = self.cx.host.random();
            if self.feed.one_in > 0 && draw.is_multiple_of(self.feed.one_in) {
                self.rest(index);
                continue;
            }
            let Split { of, taken, .. } = &mut self.splits[index];
            let left = &self.feed.splits[*of][*taken..];
            if left.is_empty() {
                self.open.swap_remove(place);
                return Ok(Polled::SplitEnd(index));
            }
            let n = left.len().min(1 + (draw >> 32) as usize % max.max(1));
            out.records.extend_from_slice(&left[..n]);
            *taken += n;
            return Ok(Polled::Split(index));
        }
        Ok(Polled::Pending)
    }

    fn is_silent(&self, split: usize) -> bool {
        self.splits[split].quiet.get()
    }

    fn set_paused(&mut self, split: usize, paused: bool) -> bool {
        self.splits[split].paused = paused;
        true
    }

    fn positions(&self) -> BTreeMap<String, Json> {
        let position = |split: &Split| json!(split.taken);
        self.names.iter().cloned().zip(self.splits.iter().map(position)).collect()
    }
}
