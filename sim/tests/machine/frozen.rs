//! Processes that stand still: what they keep, what happens meanwhile, and what they find when they wake.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use millstream::host::CoreMain;
use millstream_sim::coverage::{Fault, Site};
use millstream_sim::disk::CrashKind;
use millstream_sim::faults::FaultPlan;
use millstream_sim::random::Chance;
use millstream_sim::world::{Freeze, FreezeKind, RunEnd, When, World, WorldConfig};

use crate::common::{at_point, main_of, write};

const KINDS: [FreezeKind; 2] = [FreezeKind::Process, FreezeKind::Machine];

/// Counts its steps, and ends after so many.
fn counting(steps: u64) -> (CoreMain, Arc<AtomicU64>) {
    let count = Arc::new(AtomicU64::new(0));
    let own = count.clone();
    let main = main_of(move |host| async move {
        for _ in 0..steps {
            own.fetch_add(1, Relaxed);
            host.yield_now().await;
        }
    });
    (main, count)
}

fn freeze_at(point: u64, kind: FreezeKind) -> Option<Freeze> {
    Some(Freeze { when: When::Point(point), kind })
}

#[test]
fn nothing_of_a_frozen_process_runs_until_it_wakes_and_then_it_goes_on() {
    for kind in KINDS {
        for seed in 0..20 {
            let mut world = World::new(seed, WorldConfig::default());
            let (main, count) = counting(100);
            world.set_freeze(freeze_at(10, kind));
            assert_eq!(world.run(vec![main]), RunEnd::Frozen(kind));
            let (frozen, before) = (world.last_process(), count.load(Relaxed));
            assert!((1..100).contains(&before));

            let (successor, of_successor) = counting(200);
            assert_eq!(world.run(vec![successor]), RunEnd::Finished);
            assert_eq!((count.load(Relaxed), of_successor.load(Relaxed)), (before, 200));
            assert_eq!(world.alive(), [frozen]);

            let (successor, _) = counting(10_000);
            world.wake_at(5, frozen);
            assert_eq!(world.run(vec![successor]), RunEnd::Finished);
            assert_eq!(count.load(Relaxed), 100, "it wakes beside another, with its old memory");
            assert!(world.alive().is_empty());
        }
    }
}

#[test]
fn a_frozen_process_keeps_its_lock_until_it_is_gone() {
    let holder = || {
        main_of(|host| async move {
            let lease = host.disk().lock("lease".as_ref()).await.expect("nobody has it");
            host.sleep(Duration::from_secs(5)).await;
            drop(lease);
        })
    };
    let refused = || {
        main_of(|host| async move {
            let lease = host.disk().lock("lease".as_ref()).await;
            let error = lease.map(drop).expect_err("another has it");
            assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock, "{error}");
        })
    };
    for kind in KINDS {
        let mut world = World::new(1, WorldConfig::default());
        // Behind the lock, which is its only operation.
        world.set_freeze(freeze_at(4, kind));
        assert_eq!(world.run(vec![holder()]), RunEnd::Frozen(kind));
        assert_eq!(world.run(vec![refused()]), RunEnd::Finished);
        assert_eq!(world.run_out(), RunEnd::Finished);
        assert_eq!(world.run(vec![holder()]), RunEnd::Finished);

        world.set_freeze(freeze_at(4, kind));
        assert_eq!(world.run(vec![holder()]), RunEnd::Frozen(kind));
        world.bury_all();
        assert_eq!(world.run(vec![holder()]), RunEnd::Finished, "the dead hold nothing");
    }
}

/// A write that was asked for before the freeze: done meanwhile if only the process stands still, otherwise when it wakes.
#[test]
fn the_disk_of_a_frozen_machine_stands_still_too() {
    for (kind, meanwhile) in [(FreezeKind::Process, 1), (FreezeKind::Machine, 0)] {
        let mut world = World::new(1, WorldConfig::default());
        let main = main_of(|host| async move {
            let disk = host.disk();
            let file = write(&disk, "state-1", b"").await;
            file.write_at(0, vec![1].into()).await.expect("no faults are on");
        });
        // The file is there, and the second write is on its way.
        world.set_freeze(Some(Freeze { when: When::DiskOperation(3), kind }));
        assert_eq!(world.run(vec![main]), RunEnd::Frozen(kind));
        assert_eq!(world.disk().coverage().count(Fault::Frozen, Site::Delta), 1);
        let sleeper = main_of(|host| async move { host.sleep(Duration::from_secs(100)).await });
        assert_eq!(world.run(vec![sleeper]), RunEnd::Finished);
        assert_eq!(world.disk().read("state-1").expect("it is there").len(), meanwhile, "{kind:?}");
        assert_eq!(world.run_out(), RunEnd::Finished);
        assert_eq!(world.disk().read("state-1").expect("it is there"), [1]);
    }
}

#[test]
fn the_clock_of_a_frozen_machine_stands_still_and_that_of_a_process_goes_on() {
    for (kind, longest) in [(FreezeKind::Process, u64::MAX), (FreezeKind::Machine, 3)] {
        let mut world = World::new(1, WorldConfig::default());
        let seen = Arc::new(AtomicU64::new(0));
        let own = seen.clone();
        let main = main_of(move |host| async move {
            let before = host.monotonic();
            host.sleep(Duration::from_secs(2)).await;
            own.store((host.monotonic() - before).as_secs(), Relaxed);
        });
        world.set_freeze(freeze_at(1, kind));
        assert_eq!(world.run(vec![main]), RunEnd::Frozen(kind));
        let sleeper = main_of(|host| async move { host.sleep(Duration::from_secs(1000)).await });
        assert_eq!(world.run(vec![sleeper]), RunEnd::Finished);
        assert_eq!(world.run_out(), RunEnd::Finished);
        let seen = seen.load(Relaxed);
        assert!((2..=longest).contains(&seen), "{kind:?}: {seen} s");
        assert!(kind == FreezeKind::Machine || seen >= 1000, "{seen} s");
    }
}

#[test]
fn nobody_outlives_a_power_loss_and_a_kill_is_of_one_process() {
    for (kind, left) in [(CrashKind::Process, 1), (CrashKind::PowerLoss, 0)] {
        let mut world = World::new(1, WorldConfig::default());
        world.set_freeze(freeze_at(5, FreezeKind::Process));
        assert_eq!(world.run(vec![counting(100).0]), RunEnd::Frozen(FreezeKind::Process));
        world.set_crash(at_point(5, kind));
        assert_eq!(world.run(vec![counting(100).0]), RunEnd::Crashed(kind));
        assert_eq!(world.alive().len(), left);
    }
}

#[test]
fn freezes_are_drawn_from_the_plan_and_alike_for_equal_seeds() {
    let run = |seed| {
        let plan = FaultPlan { freeze: Chance::of(1, 2), ..FaultPlan::none() };
        let mut world = World::new(seed, WorldConfig { plan, ..WorldConfig::default() });
        let mut frozen = 0;
        for _ in 0..20 {
            world.draw_crash();
            world.draw_freeze();
            let end = world.run(vec![counting(300).0, counting(300).0]);
            frozen += usize::from(matches!(end, RunEnd::Frozen(_)));
        }
        world.end_faults();
        assert_eq!(world.run_out(), RunEnd::Finished);
        world.draw_freeze();
        assert_eq!(world.run(vec![counting(300).0]), RunEnd::Finished, "nothing goes wrong any more");
        (frozen, world.trace_hash())
    };
    let frozen: usize = (0..20).map(|seed| run(seed).0).sum();
    assert!((50..300).contains(&frozen), "{frozen} of 400");
    assert_eq!(run(3), run(3));
}
