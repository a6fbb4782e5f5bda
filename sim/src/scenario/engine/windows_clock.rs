//! Windows of the clock: what they put out depends on when records come, so the oracle knows only what must hold. A record
//! is in one window at most, a window comes once, and those of a key in their order, without a gap: only the last ones, whose
//! windows are not over when the input ends, are missing.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use millstream::job::Job;
use millstream::time::millis;
use millstream::window::Tumbling;

use super::data::{Event, Ids, Row, events, feed, outside};
use super::windows::sound;
use super::{Finding, Work};
use crate::collected::Collected;
use crate::disk::DiskView;
use crate::feed::Feed;
use crate::world::World;

pub(super) struct Clock {
    size: Duration,
    feed: Feed<Event>,
    rows: Collected<Row<Vec<u64>>>,
    /// The key of each record.
    keys: BTreeMap<u64, u64>,
    /// The records of each key, in the order of the input.
    given: BTreeMap<u64, Vec<u64>>,
}

impl Clock {
    pub(super) fn new(world: &World) -> Clock {
        let mut random = world.streams().stream("workload");
        let events = events(&mut random, 1);
        let mut given = BTreeMap::<u64, Vec<u64>>::new();
        events.iter().for_each(|event| given.entry(event.key).or_default().push(event.id));
        Clock {
            given,
            size: millis(random.magnitude(50)),
            keys: events.iter().map(|event| (event.id, event.key)).collect(),
            feed: feed(&mut random, vec![events]),
            rows: Collected::new(outside(&mut random)),
        }
    }
}

impl Work for Clock {
    fn job(&self) -> Job {
        let job = Job::new("clock");
        job.source("events", self.feed.clone())
            .key_by(|event| event.key)
            .window(Tumbling::of(self.size).processing_time())
            .aggregate("ids", Ids)
            .map(Row::new)
            .sink("rows", self.rows.clone());
        job
    }

    fn check(&self, _: &DiskView, _: bool) -> Result<(), Finding> {
        sound(&self.rows)?;
        let broken = |what: String| Err(Finding::new("windows of the clock come once, in order", what));
        let (mut seen, mut last, mut given) = (BTreeSet::new(), BTreeMap::new(), self.given.clone());
        for row in self.rows.committed() {
            if last.insert(row.key, row.start).is_some_and(|before| before >= row.start) {
                return broken(format!("{row:?} came again, or after a later one"));
            }
            if row.value.is_empty() || row.start.rem_euclid(self.size.as_millis() as i64) != 0 {
                return broken(format!("{row:?} is no window"));
            }
            for id in &row.value {
                if self.keys.get(id) != Some(&row.key) || !seen.insert(*id) {
                    return broken(format!("record {id} of {row:?} is another key's, or came before"));
                }
            }
            // Of one split, and one key: in the order of the windows they come in that of the input.
            let next: BTreeSet<u64> = given
                .get_mut(&row.key)
                .into_iter()
                .flat_map(|ids| ids.drain(..ids.len().min(row.value.len())))
                .collect();
            if next != row.value.iter().copied().collect() {
                return broken(format!("{row:?} has not the next records of its key, {next:?}"));
            }
        }
        Ok(())
    }
}
