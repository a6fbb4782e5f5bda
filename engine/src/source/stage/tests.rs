//! When a split is idle.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value as Json;

use super::{EventTime, SourceParts, SourceStage};
use crate::error::Result;
use crate::exchange::edge::{Edge, Mesh, Pattern, Receiver};
use crate::exchange::outlet::OutletSpec;
use crate::exchange::route::{Forward, bells};
use crate::key_group::Placement;
use crate::metrics::ShardMetrics;
use crate::record::MarkKind;
use crate::source::watermarks::Watermarks;
use crate::source::{Fetched, Poison, Polled, Reader};
use crate::stage::{Now, Stage, StepContext};
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

/// The last watermark that a stage has told after ten steps, a second apart.
fn told(asked: bool, idle_after: Duration) -> Timestamp {
    let mesh = Mesh { bells: bells(1), depth: 64, batch_size: 8 };
    let (edge, outlet) = (Edge::new(Pattern::Forward), OutletSpec::<Timestamp>::shared());
    outlet.borrow_mut().attach(Identity::<Timestamp>::new(), Forward, edge.clone());
    let names = ["busy", "quiet"].map(str::to_owned);
    let marks = Watermarks::monotonous().idle_after(idle_after);
    let mut stage = SourceStage::new(SourceParts {
        name: "uneven".to_owned(),
        reader: Box::new(Uneven { names, next: 1, given: false, asked }),
        time: Some(EventTime { assign: Box::new(|t: &Timestamp| *t), marks, generator: None }),
        poison: Poison::Fail,
        main: outlet.borrow().build(&mesh, &Placement::new(128, 1), 0),
        dead: None,
        seen: BTreeMap::new(),
    });
    let metrics = ShardMetrics::default();
    for second in 0..10 {
        let now = Now { monotonic: Duration::from_secs(second), wall: 0 };
        let mut events = Vec::new();
        let mut cx = StepContext { now, budget: 64, batch_size: 8, metrics: &metrics, events: &mut events };
        stage.run(&mut cx).expect("it cannot fail");
        stage.flush();
    }
    let mut receiver: Receiver<Timestamp> = edge.take_receivers(&mesh, 0).remove(0);
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
fn a_silent_split_beside_a_busy_one_becomes_idle() {
    assert_eq!(told(true, Duration::from_secs(3)), 9, "ten records were given, from 1 to 10");
}

#[test]
fn a_split_is_not_idle_before_its_time() {
    assert_eq!(told(true, Duration::from_secs(60)), MIN_TIME);
}

#[test]
fn a_split_that_was_not_asked_is_not_idle() {
    assert_eq!(told(false, Duration::from_secs(3)), MIN_TIME);
}
