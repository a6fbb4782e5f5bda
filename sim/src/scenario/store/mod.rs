//! Stores on the simulated disk: every operation against ordered maps, with state larger than memory, checkpoints,
//! crashes, and restores on another number of stores.
//!
//! After every restore the state is that of the checkpoint, which is no older than the last acknowledged one.

mod checkpoint;
mod drill;
mod keeper;
mod model;
mod operate;
mod session;

use std::cell::Cell;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use millstream::host::{CoreMain, Host};
use millstream_storage::error::StoreError;

pub use self::drill::{Drill, Drilled, Strike};

use self::keeper::Stop;
use self::model::Ledger;
use self::session::Session;
use super::{Finding, LIVENESS, Options, Scenario, restart_until_done};
use crate::faults::FaultPlan;
use crate::random::{Chance, Random, Streams};
use crate::world::{World, WorldConfig};

/// What one process is to do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    /// Stores.
    cores: u64,
    /// The memory of each, in bytes, if it is limited.
    budget: Option<u64>,
    keys: u64,
    namespaces: u64,
    /// Bytes of most values.
    usual_len: usize,
    steps: u64,
    checkpoints: Checkpoints,
    /// Steps until others get their turn.
    breath: u64,
    /// The last process does little, and is not killed.
    last: bool,
}

/// When a checkpoint begins.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Checkpoints {
    /// Once in so many steps, or sooner, or later.
    OneIn(u64),
    /// After every so many steps; and it is waited for.
    At(u64),
}

impl Plan {
    fn draw(random: &mut Random) -> Plan {
        let limited = random.below(4) > 0;
        Plan {
            cores: random.range(1, 3),
            budget: limited.then(|| *random.pick(&[192 << 10, 256 << 10, 512 << 10])),
            keys: if limited { random.range(100, 1500) } else { random.magnitude(1000) },
            namespaces: random.range(1, 3),
            usual_len: *random.pick(&[8, 16, 100, 300]),
            steps: random.magnitude(4000),
            checkpoints: Checkpoints::OneIn(random.range(20, 1000)),
            breath: random.magnitude(64),
            last: false,
        }
    }
}

#[derive(Clone)]
pub(crate) struct Shared(Arc<Mutex<Ledger>>);

impl Shared {
    fn get(&self) -> MutexGuard<'_, Ledger> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn main_of(shared: Shared, plan: Plan, random: Random, rotten: bool) -> CoreMain {
    Box::new(move |host: Rc<dyn Host>| {
        Box::pin(async move {
            let outcome = async {
                let mut session = Session::start(host, shared.clone(), plan, random, rotten).await?;
                session.work().await
            };
            judge(&shared, outcome.await, plan.last, rotten);
        })
    })
}

/// Complains about an end that no fault explains.
fn judge(shared: &Shared, outcome: Result<(), Stop>, last: bool, rotten: bool) {
    let what = match outcome {
        Ok(()) => return,
        Err(Stop::Store(StoreError::Damaged { .. })) if rotten => return,
        Err(Stop::Store(StoreError::Io { source, .. }))
            if (!last || rotten) && matches!(source.raw_os_error(), Some(5 | 24 | 28)) =>
        {
            return;
        }
        // A disk that is full for long.
        Err(Stop::Stuck(_)) if !last => return,
        Err(Stop::Store(error)) => error.to_string(),
        Err(Stop::Stuck(what) | Stop::Wrong(what)) => what,
    };
    shared.get().complain(what);
}

fn run(world: &mut World, _: &Options) -> Result<(), Finding> {
    let rotten = config(&world.streams()).plan.is_beyond_tolerance();
    let mut workload = world.streams().stream("workload");
    let shared = Shared(Arc::default());
    let chaos = workload.range(1, 5) as u32;
    let mut base = Plan::draw(&mut workload);
    // Of short values files have no index.
    if base.budget.is_some() && world.streams().stream("long").one_in(3) {
        base.usual_len = 800;
    }
    let started = Cell::new(0);
    let mains = || {
        let last = started.replace(started.get() + 1) >= chaos;
        let mut plan = Plan { last, ..base };
        if workload.coin() {
            plan.cores = workload.range(1, 3);
        }
        plan.steps = if last { 50 } else { workload.range(1, base.steps) };
        let random = workload.split();
        vec![main_of(shared.clone(), plan, random, rotten)]
    };
    let done = || {
        let ledger = shared.get();
        match &ledger.broken {
            Some(seen) => Err(Finding::new("a store holds what was put into it", seen)),
            None => Ok(ledger.done),
        }
    };
    let outcome = restart_until_done(world, chaos, mains, done);
    world.count_work(shared.get().operations);
    match outcome {
        Err(finding) if rotten && finding.rule == LIVENESS => Ok(()),
        outcome => outcome,
    }
}

fn config(streams: &Streams) -> WorldConfig {
    let mut random = streams.stream("plan");
    let mut plan = match random.below(8) {
        0 => FaultPlan::beyond_tolerance(&mut random),
        _ => FaultPlan::swarm(&mut random),
    };
    plan.crash = Chance::ALWAYS;
    WorldConfig { plan, max_points: 3_000_000, ..WorldConfig::default() }
}

/// The store under every fault that it must survive, and under some that it must refuse by name.
pub fn scenarios() -> Vec<Scenario> {
    let about = "stores: every operation against ordered maps, little memory, checkpoints, crashes, restores";
    vec![Scenario { name: "store", about, planted: false, is_job: false, config, body: Box::new(run) }]
}
