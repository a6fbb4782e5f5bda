//! State of cores: lists that are dealt out anew on another number of cores, and lists that all of them see.

use std::collections::BTreeSet;

use millstream::job::Job;
use millstream::prelude::{Context, Declare, Process};
use millstream::process::CoreContext;
use millstream::source::watermarks::Watermarks;
use millstream::state::{OperatorList, UnionList};
use millstream::time::millis;

use super::data::{Event, events, feed, outside};
use super::windows::sound;
use super::{Finding, Work};
use crate::collected::Collected;
use crate::disk::DiskView;
use crate::feed::Feed;
use crate::world::World;

/// Writes the number of each record down, in both lists of its core.
#[derive(Clone)]
struct Enlist;

struct Lists {
    dealt: OperatorList<u64>,
    seen: UnionList<u64>,
}

/// What a core has in the end.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
struct End {
    dealt: Vec<u64>,
    own: Vec<u64>,
    /// What all cores had when the job was restored.
    restored: Vec<u64>,
}

impl Process for Enlist {
    type Key = u64;
    type In = Event;
    type Out = End;
    type State = Lists;

    fn declare(&self, state: &mut Declare) -> Lists {
        Lists { dealt: state.operator_list("dealt"), seen: state.union_list("seen") }
    }

    fn on_record(&mut self, event: Event, state: &Lists, cx: &mut Context<'_, Self>) {
        state.dealt.push(cx, &event.id);
        state.seen.own().push(cx, &event.id);
    }

    fn finish(&mut self, state: &Lists, cx: &mut CoreContext<'_, Self>) {
        let restored = state.seen.restored(cx).map(|id| id.to_native()).collect();
        let end = End { dealt: state.dealt.load(cx), own: state.seen.own().load(cx), restored };
        cx.emit(end);
    }
}

pub(super) struct Cores {
    feed: Feed<Event>,
    ids: BTreeSet<u64>,
    ends: Collected<End>,
}

impl Cores {
    pub(super) fn new(world: &World) -> Cores {
        let mut random = world.streams().stream("workload");
        let events = events(&mut random, 0);
        Cores {
            ids: events.iter().map(|event| event.id).collect(),
            feed: feed(&mut random, vec![events]),
            ends: Collected::new(outside(&mut random)),
        }
    }

    /// Every number is in one place.
    fn once(&self, list: &str, all: Vec<u64>) -> Result<(), Finding> {
        let rule = "what cores have is dealt out whole, and once";
        let distinct: BTreeSet<u64> = all.iter().copied().collect();
        match distinct == self.ids && distinct.len() == all.len() {
            true => Ok(()),
            false => {
                let seen = format!("list `{list}` has {} of {} numbers, {all:?}", all.len(), self.ids.len());
                Err(Finding::new(rule, seen))
            }
        }
    }
}

impl Work for Cores {
    fn most_cores(&self) -> usize {
        8
    }

    fn job(&self) -> Job {
        let job = Job::new("cores");
        let events = job
            .source("events", self.feed.clone())
            .event_time(|event| event.time, Watermarks::bounded(millis(0)));
        events.key_by(|event| event.key).process("enlist", Enlist).sink("ends", self.ends.clone());
        job
    }

    fn check(&self, _: &DiskView, done: bool) -> Result<(), Finding> {
        sound(&self.ends)?;
        let ends = self.ends.committed();
        if !done {
            return Ok(());
        }
        self.once("dealt", ends.iter().flat_map(|end| end.dealt.clone()).collect())?;
        self.once("seen", ends.iter().flat_map(|end| end.own.clone()).collect())?;
        match ends.iter().find(|end| end.restored != ends[0].restored) {
            None => Ok(()),
            Some(other) => {
                let seen = format!("{:?} and {:?}", ends[0].restored, other.restored);
                Err(Finding::new("all cores see what all cores had", seen))
            }
        }
    }
}
