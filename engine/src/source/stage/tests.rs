//! When a split is idle, and which splits a checkpoint says have ended.

use std::collections::{BTreeMap, BTreeSet};
use std::task::Waker;
use std::time::Duration;

use serde_json::Value as Json;

use super::{EventTime, SourceParts, SourceStage};
use crate::error::Result;
use crate::exchange::edge::{Edge, Mesh, Pattern, Receiver};
use crate::exchange::outlet::OutletSpec;
use crate::exchange::route::{Forward, bells};
use crate::key_group::Placements;
use crate::metrics::ShardMetrics;
use crate::record::{Barrier, MarkKind, Tail};
use crate::source::alignment::{Alignment, Groups};
use crate::source::watermarks::Watermarks;
use crate::source::{Fetched, Poison, Polled, Reader};
use crate::stage::{Event, Now, Stage, StepContext};
use crate::stream::chain::Identity;
use crate::time::{MIN_TIME, Timestamp};

/// A busy split, and one that has nothing.
struct Uneven {
    names: [String; 2],
    next: Timestamp,
    given: bool,
    /// Whether the second split was asked at all.
    asked: bool,
}

impl Reader<Timestamp> for Uneven {
    fn splits(&self) -> &[String] {
        &self.names
    }
    fn poll(&mut self, _: usize, out: &mut Fetched<Timestamp>) -> Result<Polled> {
        self.given = !self.given;
        if !self.given {
            return Ok(Polled::Pending);
        }
        out.records.push(self.next);
        self.next += 1;
        Ok(Polled::Split(0))
    }
    fn is_silent(&self, split: usize) -> bool {
        split == 1 && self.asked
    }
    fn positions(&self) -> BTreeMap<String, Json> {
        BTreeMap::new()
    }
}

/// A source of this reader alone on its core, without times, and what it sends.
fn parts(reader: impl Reader<Timestamp> + 'static) -> (SourceParts<Timestamp>, Receiver<Timestamp>) {
    let mesh = Mesh { bells: bells(1), depth: 64, batch_size: 8 };
    let (edge, outlet) = (Edge::new(Pattern::Forward), OutletSpec::<Timestamp>::shared());
    outlet.borrow().attach(Identity::<Timestamp>::new(), Forward, edge.clone());
    let parts = SourceParts {
        name: "source".to_owned(),
        reader: Box::new(reader),
        time: None,
        member: None,
        poison: Poison::Fail,
        main: outlet.borrow().build(&mesh, &Placements::everywhere(128, 1), 0),
        dead: None,
        seen: BTreeMap::new(),
        had_ended: BTreeSet::new(),
    };
    (parts, edge.take_receivers(&mesh, 0).remove(0))
}

/// The last watermark that a stage has told after ten steps, a second apart.
fn told(asked: bool, idle_after: Duration) -> Timestamp {
    let names = ["busy", "quiet"].map(str::to_owned);
    let marks = Watermarks::monotonous().idle_after(idle_after);
    let (parts, mut receiver) = parts(Uneven { names, next: 1, given: false, asked });
    let time = Some(EventTime { assign: Box::new(|t: &Timestamp| *t), marks, generator: None });
    let mut stage = SourceStage::new(SourceParts { time, ..parts }).expect("it is not aligned");
    let metrics = ShardMetrics::default();
    for second in 0..10 {
        let now = Now { monotonic: Duration::from_secs(second), wall: 0 };
        let mut events = Vec::new();
        let mut cx = StepContext { now, budget: 64, batch_size: 8, metrics: &metrics, events: &mut events };
        stage.run(&mut cx).expect("it cannot fail");
        stage.flush();
    }
    let mut told = MIN_TIME;
    while let Ok(batch) = receiver.full.pop() {
        for mark in &batch.marks {
            if let MarkKind::Watermark(t) = mark.kind {
                told = t;
            }
        }
    }
    told
}

#[test]
fn rule_04_a_silent_split_beside_a_busy_one_becomes_idle() {
    assert_eq!(told(true, Duration::from_secs(3)), 9, "ten records were given, from 1 to 10");
}

#[test]
fn rule_04_a_split_is_not_idle_before_its_time() {
    assert_eq!(told(true, Duration::from_secs(60)), MIN_TIME);
}

#[test]
fn rule_04_a_split_that_was_not_asked_is_not_idle() {
    assert_eq!(told(false, Duration::from_secs(3)), MIN_TIME);
}

/// One split, which gives a record and then has nothing, as its reader says.
struct Ahead {
    names: [String; 1],
    given: bool,
    paused: bool,
}

impl Reader<Timestamp> for Ahead {
    fn splits(&self) -> &[String] {
        &self.names
    }
    fn poll(&mut self, _: usize, out: &mut Fetched<Timestamp>) -> Result<Polled> {
        if self.paused || std::mem::replace(&mut self.given, true) {
            return Ok(Polled::Pending);
        }
        out.records.push(1_000);
        Ok(Polled::Split(0))
    }
    fn is_silent(&self, _: usize) -> bool {
        self.given
    }
    fn set_paused(&mut self, _: usize, paused: bool) -> bool {
        self.paused = paused;
        true
    }
    fn positions(&self) -> BTreeMap<String, Json> {
        BTreeMap::new()
    }
}

/// Whether a split that is silent becomes idle in ten steps, a second apart; `other` is how far the other member of its
/// group is, which it may be ahead of by ten milliseconds.
fn becomes_idle(other: Timestamp) -> bool {
    let groups = Groups::default();
    let [own, far] = [0; 2].map(|_| groups.join(Alignment { group: "all", drift: 10 }));
    let mut far = far.open(Waker::noop().clone());
    far.tell(other);
    let marks = Watermarks::monotonous().idle_after(Duration::from_secs(3));
    let (parts, mut receiver) = parts(Ahead { names: ["split".to_owned()], given: false, paused: false });
    let time = Some(EventTime { assign: Box::new(|t: &Timestamp| *t), marks, generator: None });
    let member = Some(own.open(Waker::noop().clone()));
    let mut stage = SourceStage::new(SourceParts { time, member, ..parts }).expect("its reader can pause");
    let metrics = ShardMetrics::default();
    for second in 0..10 {
        let now = Now { monotonic: Duration::from_secs(second), wall: 0 };
        let mut events = Vec::new();
        let mut cx = StepContext { now, budget: 64, batch_size: 8, metrics: &metrics, events: &mut events };
        stage.run(&mut cx).expect("it cannot fail");
        stage.flush();
    }
    let mut idle = false;
    while let Ok(batch) = receiver.full.pop() {
        idle |= batch.marks.iter().any(|mark| matches!(mark.kind, MarkKind::Idle));
    }
    idle
}

#[test]
fn rule_04_a_split_that_is_paused_is_not_idle_however_long() {
    assert!(!becomes_idle(500));
}

#[test]
fn rule_05_a_split_that_may_be_read_and_has_nothing_is_idle() {
    assert!(becomes_idle(989), "999 is ten ahead");
}

#[test]
fn rule_02_a_split_without_records_holds_the_watermark_back_whatever_the_others_have() {
    assert_eq!(told(true, Duration::from_secs(3_600)), MIN_TIME, "ten records of the other split were given");
}

#[test]
fn a_split_that_had_ended_is_said_to_until_something_comes_from_it() {
    let names = ["busy", "quiet"].map(str::to_owned);
    let had_ended = BTreeSet::from(names.clone());
    let (parts, _receiver) = parts(Uneven { names, next: 1, given: false, asked: false });
    let mut stage = SourceStage::new(SourceParts { had_ended, ..parts }).expect("it is not aligned");
    assert_eq!(stage.meta()["ended"], serde_json::json!(["busy", "quiet"]));
    let (metrics, mut events) = (ShardMetrics::default(), Vec::new());
    let now = Now { monotonic: Duration::ZERO, wall: 0 };
    let mut cx = StepContext { now, budget: 64, batch_size: 8, metrics: &metrics, events: &mut events };
    stage.run(&mut cx).expect("it cannot fail");
    assert_eq!(stage.meta()["ended"], serde_json::json!(["quiet"]), "it goes on behind its end");
    assert_eq!(stage.meta()["unsaid"], serde_json::json!(["quiet"]), "it has not said so again");
    stage.end_split(1);
    assert_eq!(stage.meta()["ended"], serde_json::json!(["quiet"]));
    assert_eq!(stage.meta()["unsaid"], serde_json::Value::Null);
}

/// Of a core to which no split has fallen.
struct Bare;

impl Reader<Timestamp> for Bare {
    fn splits(&self) -> &[String] {
        &[]
    }
    fn poll(&mut self, _: usize, _: &mut Fetched<Timestamp>) -> Result<Polled> {
        Ok(Polled::End)
    }
    fn is_silent(&self, _: usize) -> bool {
        true
    }
    fn positions(&self) -> BTreeMap<String, Json> {
        BTreeMap::new()
    }
}

/// What the batches end with that are sent on a core without splits, if a checkpoint is ordered before the first of two steps.
fn tails_without_splits(held: bool) -> (Vec<Tail>, usize) {
    let (parts, mut receiver) = parts(Bare);
    let mut stage = SourceStage::new(parts).expect("it is not aligned");
    let (metrics, mut events) = (ShardMetrics::default(), Vec::new());
    let now = Now { monotonic: Duration::ZERO, wall: 0 };
    let mut cx = StepContext { now, budget: 64, batch_size: 8, metrics: &metrics, events: &mut events };
    stage.hold(held);
    stage.inject(Barrier { epoch: 1 }, &mut cx);
    stage.run(&mut cx).expect("it cannot fail");
    stage.hold(false);
    stage.run(&mut cx).expect("it cannot fail");
    stage.flush();
    let tails = std::iter::from_fn(|| receiver.full.pop().ok()).map(|batch| batch.tail).collect();
    (tails, events.iter().filter(|event| matches!(event, Event::Drained)).count())
}

#[test]
fn a_core_without_splits_ends_before_the_barrier_of_a_checkpoint_that_comes_before_its_first_step() {
    for held in [false, true] {
        let (tails, drained) = tails_without_splits(held);
        assert_eq!(tails, [Tail::EndOfData, Tail::Barrier(Barrier { epoch: 1 })], "held: {held}");
        assert_eq!(drained, 1, "its end is told once");
    }
}
