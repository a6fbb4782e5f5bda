//! Every kind of fault of the disk, at every operation that it can strike in a life of three checkpoints: with all
//! state in memory, and with files that are written ahead and read back.

use millstream_sim::coverage::Fault;
use millstream_sim::disk::CrashKind;
use millstream_sim::faults::Cruelty;
use millstream_sim::scenario::store::{Drill, Strike};

const BUDGETS: [Option<u64>; 2] = [None, Some(192 << 10)];

/// Tries every place, and returns how many there are.
fn every_place(drill: Drill, strike: impl Fn(u64) -> Strike) -> u64 {
    for nth in 1.. {
        let drilled = drill.run(strike(nth));
        assert_eq!(drilled.broken, None, "{:?} in {drill:?}", strike(nth));
        if !drilled.struck {
            return nth - 1;
        }
    }
    unreachable!("a life has an end")
}

#[test]
fn a_life_has_three_checkpoints_and_writes_ahead_and_restores_lazily_when_memory_is_short() {
    for budget in BUDGETS {
        let drilled = Drill { budget, ..Drill::default() }.run(Strike::Never);
        assert_eq!((drilled.broken, drilled.checkpoints), (None, 3));
        assert_eq!(drilled.written_ahead > 0, budget.is_some(), "{} files", drilled.written_ahead);
        assert_eq!(drilled.lazy > 0, budget.is_some(), "{} lazy restores", drilled.lazy);
    }
}

#[test]
fn a_process_may_be_killed_at_every_operation() {
    for budget in BUDGETS {
        let places =
            every_place(Drill { budget, ..Drill::default() }, |n| Strike::Crash(CrashKind::Process, n));
        assert!(places > 40, "{places} places with {budget:?}");
    }
}

#[test]
fn the_power_may_go_at_every_operation_and_take_and_tear_what_was_not_synced() {
    for budget in BUDGETS {
        for cruelty in [Cruelty::Ordered, Cruelty::Arbitrary, Cruelty::Garbage] {
            let drill = Drill { cruelty, budget, ..Drill::default() };
            every_place(drill, |n| Strike::Crash(CrashKind::PowerLoss, n));
        }
    }
}

#[test]
fn every_operation_may_be_refused_or_late_and_every_written_byte_may_rot() {
    let kinds = [
        (Fault::SyncError, 15),
        (Fault::NoSpace, 10),
        (Fault::TooManyFiles, 10),
        (Fault::Stuck, 40),
        (Fault::BitRot, 8),
        (Fault::LatentSector, 8),
        (Fault::Misdirected, 8),
    ];
    for budget in BUDGETS {
        for (fault, least) in kinds {
            let places = every_place(Drill { budget, ..Drill::default() }, |n| Strike::Fault(fault, n));
            assert!(places >= least, "{fault:?} has {places} places with {budget:?}");
        }
    }
}
