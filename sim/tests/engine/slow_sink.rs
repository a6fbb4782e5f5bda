//! Checkpoints behind a slow sink: a barrier that waits takes as long as all that waits before it.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use millstream::host::{Class, LocalFuture};
use millstream::prelude::*;
use millstream::sink::{Prepared, Sink, SinkContext, Writer};
use millstream::time::{Timestamp, millis};
use millstream_sim::world::{RunEnd, World, WorldConfig};
use serde_json::Value as Json;

/// Takes a record each millisecond.
#[derive(Clone)]
struct Slow;

struct SlowWriter {
    cx: SinkContext,
    full: Rc<Cell<bool>>,
}

impl Sink<u64> for Slow {
    fn describe(&self) -> String {
        "a slow system".to_owned()
    }

    fn recover(self, _: SinkContext, _: Vec<Prepared>) -> LocalFuture<Result<()>> {
        Box::pin(async { Ok(()) })
    }

    fn open(self, cx: SinkContext) -> LocalFuture<Result<Box<dyn Writer<u64>>>> {
        let writer = SlowWriter { cx, full: Rc::default() };
        Box::pin(async { Ok(Box::new(writer) as Box<dyn Writer<u64>>) })
    }
}

impl Writer<u64> for SlowWriter {
    fn write(&mut self, records: &mut Vec<u64>, _: &[Timestamp]) -> Result<()> {
        self.full.set(true);
        let (full, wake) = (self.full.clone(), self.cx.wake.clone());
        let taken = self.cx.host.sleep(millis(records.drain(..).count() as u64));
        let task = async move {
            taken.await;
            full.set(false);
            wake.wake();
        };
        self.cx.host.spawn(Class::Records, Box::pin(task));
        Ok(())
    }

    fn has_room(&self) -> bool {
        !self.full.get()
    }

    fn pre_commit(&mut self, _: u64) -> LocalFuture<Result<Json>> {
        Box::pin(async { Ok(Json::Null) })
    }

    fn commit(&mut self, _: u64) -> LocalFuture<Result<()>> {
        Box::pin(async { Ok(()) })
    }
}

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
    again.process("on", Pass).sink("slow", Slow);
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
