//! Two sources whose splits go at very different paces, aligned: none is read while it is further ahead than the drift, and
//! what is put out is what unaligned sources put out.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use millstream::Result as Outcome;
use millstream::host::LocalFuture;
use millstream::job::Job;
use millstream::reference::Inputs;
use millstream::source::watermarks::Watermarks;
use millstream::source::{Fetched, Poison, Polled, Reader, Source, SourceContext};
use millstream::time::millis;
use millstream::window::Tumbling;
use serde_json::Value as Json;

use super::data::{Event, Ids, Row, outside};
use super::expected::Expected;
use super::windows::sound;
use super::{Finding, Work};
use crate::collected::Collected;
use crate::disk::DiskView;
use crate::feed::Feed;
use crate::random::Random;
use crate::world::World;

pub(super) struct Aligned {
    marks: Watermarks,
    window: Tumbling,
    feeds: [Feed<Event>; 2],
    splits: [Arc<Vec<Vec<Event>>>; 2],
    monitor: Monitor,
    rows: Collected<Row<Vec<u64>>>,
    expected: Expected<Row<Vec<u64>>>,
}

impl Aligned {
    pub(super) fn new(world: &World) -> Aligned {
        let mut random = world.streams().stream("workload");
        let disorder = random.magnitude(200);
        let splits = [splits(&mut random, disorder, 0), splits(&mut random, disorder, 1 << 32)];
        let drift = random.magnitude(2_000);
        let longest = Duration::from_micros(random.magnitude(20_000));
        // No split is silent for as long, so that nothing is late.
        let idle_after = Duration::from_secs(1 << 20);
        let marks = Watermarks::bounded(millis(disorder)).idle_after(idle_after);
        let pauses = [0, 1].map(|_| *random.pick(&[0, 2, 3, 20]));
        let mut work = Aligned {
            marks: marks.aligned("both", millis(drift)),
            window: Tumbling::of(millis(random.magnitude(1_000))),
            feeds: [0, 1].map(|side| Feed::new(splits[side].clone()).pausing(pauses[side], longest)),
            splits: splits.clone().map(Arc::new),
            monitor: Monitor::new(drift as i64),
            rows: Collected::new(outside(&mut random)),
            expected: Expected::new("rows", Row::name, Vec::new()),
        };
        let [left, right] = splits;
        let inputs = Inputs::new().with("left", move || left.clone()).with("right", move || right.clone());
        work.expected = Expected::new("rows", Row::name, work.job().expected("rows", &inputs));
        work
    }

    fn source(&self, side: usize) -> Watched {
        let first = if side == 0 { 0 } else { self.splits[0].len() };
        let (feed, records) = (self.feeds[side].clone(), self.splits[side].clone());
        Watched { feed, records, first, monitor: self.monitor.clone() }
    }
}

/// Up to four splits with ids of their own: some much faster than others, with jumps.
fn splits(random: &mut Random, disorder: u64, first: u64) -> Vec<Vec<Event>> {
    let count = random.range(1, 4);
    let split = |k| {
        let (records, keys, pace) = (random.range(1, 300), random.magnitude(40), random.magnitude(200));
        let jumps = random.range(5, 100);
        let mut now = -(random.below(1_000) as i64);
        let mut event = |id| {
            let jump = if random.one_in(jumps) { random.magnitude(10_000) } else { 0 };
            now += (random.below(pace + 1) + jump) as i64;
            let time = now - random.below(disorder + 1) as i64;
            let id = id + first + (k << 16);
            Event { id, key: random.magnitude(keys), time, value: random.below(1_000) }
        };
        (0..records).map(&mut event).collect()
    };
    (0..count).map(split).collect()
}

impl Work for Aligned {
    fn job(&self) -> Job {
        // A process begins: it has opened nothing.
        self.monitor.restart(self.splits.iter().map(|splits| splits.len()).sum());
        let job = Job::new("aligned");
        let [left, right] = ["left", "right"].map(|name| (name, usize::from(name == "right")));
        let [left, right] = [left, right].map(|(name, side)| {
            job.source(name, self.source(side)).event_time(|event: &Event| event.time, self.marks)
        });
        let rows =
            left.union("both", right).key_by(|event| event.key).window(self.window).aggregate("ids", Ids);
        rows.map(Row::new).sink("rows", self.rows.clone());
        job
    }

    fn check(&self, _: &DiskView, done: bool) -> Result<(), Finding> {
        sound(&self.rows)?;
        self.monitor.verdict()?;
        self.expected.check(self.rows.committed(), done)
    }
}

/// Sees how far each split has been read, and whether it should have been.
#[derive(Clone)]
struct Monitor(Arc<Mutex<Reached>>);

struct Reached {
    /// Milliseconds. As all splits have the same bound, watermarks are as far apart as greatest timestamps.
    drift: i64,
    /// The greatest timestamp of each split, or nothing of one that has ended.
    splits: Vec<Option<i64>>,
    broken: Option<String>,
}

impl Monitor {
    fn new(drift: i64) -> Monitor {
        Monitor(Arc::new(Mutex::new(Reached { drift, splits: Vec::new(), broken: None })))
    }

    fn reached(&self) -> MutexGuard<'_, Reached> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn restart(&self, splits: usize) {
        self.reached().splits = vec![Some(i64::MIN); splits];
    }

    fn verdict(&self) -> Result<(), Finding> {
        match &self.reached().broken {
            None => Ok(()),
            Some(seen) => Err(Finding::new("no split is read that is further ahead than the drift", seen)),
        }
    }
}

impl Reached {
    /// A split was read, by one batch.
    fn read(&mut self, split: usize, batch: &[Event]) {
        let before = self.splits[split].expect("a split that has ended is not read");
        let lowest = self.splits.iter().flatten().min().copied().unwrap_or(i64::MAX);
        let allowed = lowest.saturating_add(self.drift);
        if before > allowed {
            let splits = &self.splits;
            self.broken.get_or_insert(format!("split {split} of {splits:?} was read, {allowed} was allowed"));
        }
        let newest = batch.iter().map(|event| event.time).fold(before, i64::max);
        self.splits[split] = Some(newest);
    }
}

/// A feed whose reader tells the monitor what it does.
#[derive(Clone)]
struct Watched {
    feed: Feed<Event>,
    records: Arc<Vec<Vec<Event>>>,
    /// The number of its first split among those of the job.
    first: usize,
    monitor: Monitor,
}

impl Source<Event> for Watched {
    fn describe(&self) -> String {
        self.feed.describe()
    }

    fn poison(&self) -> Poison {
        self.feed.poison()
    }

    fn open(self, cx: SourceContext) -> LocalFuture<Outcome<Box<dyn Reader<Event>>>> {
        Box::pin(async move {
            let Watched { feed, records, first, monitor } = self;
            let inner = feed.open(cx).await?;
            let mut splits = Vec::new();
            for (name, position) in inner.positions() {
                let split: usize = name.parse().expect("a feed's splits are numbered");
                let taken = position.as_u64().expect("a feed's position is a number") as usize;
                let newest = records[split][..taken].iter().map(|event| event.time).max();
                monitor.reached().splits[first + split] = Some(newest.unwrap_or(i64::MIN));
                splits.push(first + split);
            }
            Ok(Box::new(WatchedReader { inner, splits, monitor }) as Box<dyn Reader<Event>>)
        })
    }
}

struct WatchedReader {
    inner: Box<dyn Reader<Event>>,
    splits: Vec<usize>,
    monitor: Monitor,
}

impl Reader<Event> for WatchedReader {
    fn splits(&self) -> &[String] {
        self.inner.splits()
    }

    fn poll(&mut self, max: usize, out: &mut Fetched<Event>) -> Outcome<Polled> {
        let before = out.records.len();
        let polled = self.inner.poll(max, out)?;
        match polled {
            Polled::Split(i) => self.monitor.reached().read(self.splits[i], &out.records[before..]),
            Polled::SplitEnd(i) => self.monitor.reached().splits[self.splits[i]] = None,
            Polled::Pending | Polled::Watermark(..) | Polled::Idle(_) | Polled::End => {}
        }
        Ok(polled)
    }

    fn is_silent(&self, split: usize) -> bool {
        self.inner.is_silent(split)
    }

    fn set_paused(&mut self, split: usize, paused: bool) -> bool {
        self.inner.set_paused(split, paused)
    }

    fn positions(&self) -> BTreeMap<String, Json> {
        self.inner.positions()
    }
}
