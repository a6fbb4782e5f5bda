//! Sources of vectors that note when a split is read although it is too far ahead.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};

use millstream::host::LocalFuture;
use millstream::prelude::*;
use millstream::source::{Fetched, Polled, Reader, Source, SourceContext};
use serde_json::Value as Json;

/// What all splits of a job have reached. What a core has told the others is never ahead of that, so whoever is read too
/// early by it is.
#[derive(Clone, Default)]
pub struct Watch(Arc<Mutex<Seen>>);

#[derive(Default)]
struct Seen {
    drift: Option<i64>,
    /// The greatest timestamp of each split, or nothing once it has ended.
    splits: Vec<Option<i64>>,
    broken: Vec<(usize, i64)>,
}

impl Watch {
    pub fn within(drift: i64) -> Watch {
        Watch(Arc::new(Mutex::new(Seen { drift: Some(drift), ..Seen::default() })))
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().expect("nobody panics with it")
    }

    pub fn source(&self, splits: Vec<Vec<i64>>) -> Watched {
        let mut seen = self.seen();
        let first = seen.splits.len();
        seen.splits.extend(splits.iter().map(|_| Some(i64::MIN)));
        Watched { watch: self.clone(), splits, first }
    }

    /// The splits that were read too early, and how far they were.
    pub fn broken(&self) -> Vec<(usize, i64)> {
        self.seen().broken.clone()
    }
}

#[derive(Clone)]
pub struct Watched {
    watch: Watch,
    splits: Vec<Vec<i64>>,
    /// The number of the first among those of the job.
    first: usize,
}

impl Source<i64> for Watched {
    fn describe(&self) -> String {
        "watched splits".to_owned()
    }

    fn poison(&self) -> Poison {
        Poison::Fail
    }

    fn open(self, cx: SourceContext) -> LocalFuture<millstream::Result<Box<dyn Reader<i64>>>> {
        let Watched { watch, splits, first } = self;
        let mine: Vec<usize> = (0..splits.len()).filter(|k| cx.owns(*k)).collect();
        let reader = Splits {
            watch,
            names: mine.iter().map(|k| k.to_string()).collect(),
            numbers: mine.iter().map(|k| first + k).collect(),
            left: mine.iter().map(|k| splits[*k].iter().copied().collect()).collect(),
            paused: vec![false; mine.len()],
            open: (0..mine.len()).collect(),
        };
        Box::pin(async { Ok(Box::new(reader) as Box<dyn Reader<i64>>) })
    }
}

struct Splits {
    watch: Watch,
    names: Vec<String>,
    numbers: Vec<usize>,
    left: Vec<VecDeque<i64>>,
    paused: Vec<bool>,
    open: VecDeque<usize>,
}

impl Reader<i64> for Splits {
    fn splits(&self) -> &[String] {
        &self.names
    }

    fn poll(&mut self, max: usize, out: &mut Fetched<i64>) -> millstream::Result<Polled> {
        if self.open.is_empty() {
            return Ok(Polled::End);
        }
        let Some(place) = self.open.iter().position(|split| !self.paused[*split]) else {
            return Ok(Polled::Pending);
        };
        self.open.rotate_left(place);
        let split = self.open[0];
        let (number, left) = (self.numbers[split], &mut self.left[split]);
        let mut seen = self.watch.seen();
        if left.is_empty() {
            seen.splits[number] = None;
            self.open.pop_front();
            return Ok(Polled::SplitEnd(split));
        }
        let lowest = seen.splits.iter().flatten().min().copied().unwrap_or(i64::MAX);
        let own = seen.splits[number].expect("it has not ended");
        if seen.drift.is_some_and(|drift| own > lowest.saturating_add(drift)) {
            seen.broken.push((number, own));
        }
        let n = left.len().min(max);
        out.records.extend(left.drain(..n));
        seen.splits[number] = out.records.last().copied();
        drop(seen);
        self.open.rotate_left(1);
        Ok(Polled::Split(split))
    }

    fn is_silent(&self, _: usize) -> bool {
        false
    }

    fn set_paused(&mut self, split: usize, paused: bool) -> bool {
        self.paused[split] = paused;
        true
    }

    fn positions(&self) -> BTreeMap<String, Json> {
        BTreeMap::new()
    }
}
