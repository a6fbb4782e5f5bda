//! Checkpoints behind a slow sink: a barrier that waits takes as long as all that waits before it.

use std::time::Duration;

use millstream::prelude::*;
use millstream::testing::Throttled;
use millstream_sim::world::{RunEnd, World, WorldConfig};

/// Puts every record out many times.
#[derive(Clone)]
struct Many;

impl Process for Many {
    type Key = u64;
    type In = u64;
    type Out = u64;
    type State = ();

    fn declare(&self, _: &mut Declare) {}

    fn on_record(&mut self, n: u64, (): &(), cx: &mut Context<'_, Self>) {
        (0..20).for_each(|_| cx.emit(n));
    }
}

/// The checkpoints that are completed in how long.
fn run(patience: Option<Duration>) -> (u64, Duration) {
    let job = Job::new("slow");
    let once = job.source("numbers", generator(3_000, |n| n)).key_by(|n| *n % 64).unaligned();
    let again = once.process("many", Many).key_by(|n| *n % 63).unaligned();
    again.process("on", Pass).sink("slow", Throttled::new(discard(), millis(1)));
    let config =
        Config::new().cores(2).checkpoints("state").batch_size(16).ring_depth(4).checkpoint_every(millis(50));
    let config = patience.map_or(config.clone(), |patience| config.unaligned_after(patience));
    let (mains, control) = job.into_mains(&config).expect("the job is well formed");
    let mut world = World::new(1, WorldConfig { max_points: 50_000_000, ..WorldConfig::default() });
    assert_eq!(world.run(mains), RunEnd::Finished);
    let report = control.outcome().expect("it has ended").expect("nothing went wrong");
    assert_eq!(report.records_out, 60_000);
    (report.checkpoints, world.now())
}

/// Passes every record on.
#[derive(Clone)]
struct Pass;

impl Process for Pass {
    type Key = u64;
    type In = u64;
    type Out = u64;
    type State = ();

    fn declare(&self, _: &mut Declare) {}

    fn on_record(&mut self, n: u64, (): &(), cx: &mut Context<'_, Self>) {
        cx.emit(n);
    }
}

#[test]
fn rule_27_checkpoints_are_quick_behind_a_slow_sink_when_barriers_overtake() {
    let (aligned, took) = run(None);
    let each = took / aligned as u32;
    assert!(each > Duration::from_secs(2), "{aligned} aligned checkpoints in {took:?}: nothing waits");
    for patience in [Duration::ZERO, millis(100)] {
        let (unaligned, took) = run(Some(patience));
        let each = took / unaligned as u32;
        assert!(each < Duration::from_secs(1), "{unaligned} unaligned checkpoints in {took:?}");
    }
}
