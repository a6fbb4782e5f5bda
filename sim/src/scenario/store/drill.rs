//! One fault at one place of a short life of the stores, so that a test can try every place.

use std::sync::{Arc, Mutex, PoisonError};

use super::checkpoint::DATA;
use super::{Plan, Shared, main_of};
use crate::coverage::Fault;
use crate::disk::CrashKind;
use crate::faults::{Aim, Cruelty, FaultPlan};
use crate::world::{Crash, RunEnd, When, World, WorldConfig};

/// What happens, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strike {
    /// Nothing.
    Never,
    /// The process is killed before so many disk operations have taken effect; a write in flight may be torn.
    Crash(CrashKind, u64),
    /// A fault strikes this one of the operations that it can strike.
    Fault(Fault, u64),
}

/// A life of the stores: three checkpoints, and a restore after whatever struck.
///
/// ```
/// use millstream_sim::scenario::store::{Drill, Strike};
/// let clean = Drill::default().run(Strike::Never);
/// assert_eq!((clean.broken, clean.checkpoints), (None, 3));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Drill {
    /// Decides the order of what is under way together, and what of it is lost.
    pub seed: u64,
    /// What a power loss takes.
    pub cruelty: Cruelty,
    /// The memory of each store, in bytes, if it is limited: then there are files that were written ahead.
    pub budget: Option<u64>,
}

impl Default for Drill {
    fn default() -> Drill {
        Drill { seed: 0, cruelty: Cruelty::Arbitrary, budget: Some(192 << 10) }
    }
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Drilled {
    /// Whether it struck: if not, there are not so many places.
    pub struck: bool,
    /// Acknowledged checkpoints.
    pub checkpoints: u64,
    /// Files that were written ahead, of those that the first process has left.
    pub written_ahead: usize,
    /// Stores that were restored without reading all of their records.
    pub lazy: u64,
    /// What must not be.
    pub broken: Option<String>,
}

impl Drill {
    /// Runs it: the process that something happens to, and calm ones that must restore what was acknowledged. Media
    /// that lie may be refused for good instead.
    pub fn run(&self, strike: Strike) -> Drilled {
        let mut plan = FaultPlan { cruelty: self.cruelty, ..FaultPlan::none() };
        if let Strike::Fault(fault, nth) = strike {
            plan.aim = Some(Aim { fault, nth, site: None });
        }
        let rotten = plan.is_beyond_tolerance();
        let mut world = World::new(self.seed, WorldConfig { plan, ..WorldConfig::default() });
        let mut workload = world.streams().stream("drill");
        let shared = Shared(Arc::new(Mutex::default()));
        if let Strike::Crash(kind, nth) = strike {
            world.set_crash(Some(Crash { when: When::DiskOperation(nth), kind }));
        }
        let first = self.plan();
        let end = world.run(vec![main_of(shared.clone(), first, workload.split(), rotten)]);
        let fault_struck = match strike {
            Strike::Fault(fault, _) => world.disk().coverage().total(fault) > 0,
            _ => matches!(end, RunEnd::Crashed(_)),
        };
        let checkpoints = shared.get().checkpoints;
        let left = world.disk().list(DATA).unwrap_or_default();
        let written_ahead = left.iter().filter(|entry| entry.name.contains("-s0")).count();
        world.end_faults();
        // On as many stores as before, and on others: what is restored once must still be there.
        for cores in [2, 1, 3] {
            let calm = Plan { cores, steps: 50, last: true, ..first };
            world.run(vec![main_of(shared.clone(), calm, workload.split(), rotten)]);
        }
        let violations = world.disk().violations();
        let ledger = shared.0.lock().unwrap_or_else(PoisonError::into_inner);
        let undone = (!ledger.done && !rotten).then(|| "the work does not get done".to_owned());
        let broken = ledger.broken.clone().or(undone).or(violations.first().cloned());
        Drilled { struck: fault_struck, checkpoints, written_ahead, lazy: ledger.lazy, broken }
    }

    fn plan(&self) -> Plan {
        Plan {
            cores: 2,
            budget: self.budget,
            keys: 300,
            namespaces: 2,
            usual_len: 1500,
            steps: 360,
            checkpoints: super::Checkpoints::At(120),
            breath: 16,
            last: false,
        }
    }
}
