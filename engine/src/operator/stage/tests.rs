//! What a stage may emit, and when it asks to be woken.

use std::time::Duration;

use super::{OperatorStage, StageSettings, restored_progress};
use crate::checkpoint::manifest::Part;
use crate::error::Result;
use crate::exchange::cursor::Run;
use crate::exchange::edge::{Edge, Mesh, Pattern};
use crate::exchange::intake::{Aligned, Intake};
use crate::exchange::outlet::OutletSpec;
use crate::exchange::port::Port;
use crate::exchange::route::{Forward, bells};
use crate::key_group::Placements;
use crate::metrics::ShardMetrics;
use crate::operator::sides::SideOutlets;
use crate::operator::{Operator, Output, Progress};
use crate::record::Tail;
use crate::stage::{Now, Stage, StepContext};
use crate::stream::chain::Identity;
use crate::time::{MIN_TIME, Timestamp};

/// Has one timer, which is overdue.
struct Overdue {
    timer: Option<Timestamp>,
}

impl Operator for Overdue {
    type In = ();
    type Out = &'static str;

    fn on_records(&mut self, run: Run<'_, ()>, _: &mut Output<&'static str>) -> Result<()> {
        drop(run);
        Ok(())
    }

    fn on_watermark(&mut self, _: Timestamp, _: &mut Output<&'static str>) -> Result<Progress> {
        Ok(Progress::Done)
    }

    fn on_processing_time(&mut self, _: Timestamp, out: &mut Output<&'static str>) -> Result<Progress> {
        out.main.push(self.timer.take().expect("it is due"), "fired");
        Ok(Progress::Done)
    }

    fn next_processing_time(&self) -> Option<Timestamp> {
        self.timer
    }
}

fn mesh() -> Mesh {
    Mesh { bells: bells(1), depth: 4, batch_size: 1 }
}

/// A step; returns what the stage did, and whether the clock is to wake it.
fn step(stage: &mut OperatorStage<Overdue>) -> (bool, Option<Duration>) {
    let now = Now { monotonic: Duration::ZERO, wall: 1_000 };
    let (metrics, mut events) = (ShardMetrics::default(), Vec::new());
    let mut cx = StepContext { now, budget: 100, batch_size: 1, metrics: &metrics, events: &mut events };
    let busy = stage.run(&mut cx).expect("nothing fails") | stage.flush();
    (busy, stage.deadline(now))
}

#[test]
fn rule_16_overdue_timers_fire_at_once_behind_the_start() {
    let mesh = mesh();
    let (input, output) = (Edge::new(Pattern::Forward), Edge::new(Pattern::Forward));
    let outlet = OutletSpec::<&'static str>::shared();
    outlet.borrow().attach(Identity::<_>::new(), Forward, output.clone());
    let build = outlet.borrow().build(&mesh, &Placements::everywhere(1, 1), 0);
    let settings = StageSettings { batch_size: 1, finished: false, durable: false, announced: None };
    let intake = Intake::new(input.take_receivers(&mesh, 0), MIN_TIME);
    let overdue = Overdue { timer: Some(500) };
    let mut stage =
        OperatorStage::new("overdue".into(), overdue, intake, build, SideOutlets::default(), settings);
    let mut behind = Intake::new(output.take_receivers(&mesh, 0), MIN_TIME);

    assert_eq!(
        step(&mut stage),
        (false, None),
        "neither does it fire, nor does the clock wake it over and over"
    );
    assert!(behind.next().is_none(), "a record went ahead of the start");

    let mut ahead = Port::new(input.take_senders(&mesh, 0).remove(0), 1, false);
    ahead.tail(Tail::Start);
    while step(&mut stage).0 {}
    let (channel, batch) = behind.next().expect("the start was sent");
    assert_eq!(behind.finish(channel, batch), Aligned::Start);
    let (_, batch) = behind.next().expect("the timer has fired");
    assert_eq!(batch.records, ["fired"]);
}

#[test]
fn rule_01_a_restored_core_goes_on_from_its_own_watermark_and_others_from_the_least() {
    let part = |(shard, watermark)| Part {
        shard,
        meta: serde_json::json!({ "watermark": watermark, "finished": true }),
        store: None,
        prepared: None,
        overtaken: None,
    };
    let parts = [(0, 50), (1, 100)].map(part);
    assert_eq!(restored_progress(&parts, Some(1)), (100, true));
    assert_eq!(restored_progress(&parts, None), (50, true));
    assert_eq!(restored_progress(&[], None), (MIN_TIME, false));
}
