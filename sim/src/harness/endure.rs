//! A job from its first process to its end, and what is looked at after each.

use std::cell::{Cell, RefCell};

use millstream::JobControl;
use millstream::host::CoreMain;

use super::checkpoints::{self, Numbers};
use super::durable::Durable;
use super::zombies::Zombies;
use super::{Knobs, Tolerance, Work, budgets, full, judge, marks, replays};
use crate::scenario::{Finding, LIVENESS, Options, PROGRESS};
use crate::world::{RunEnd, World};

/// Runs a job through chaos to its end, and once more after that.
pub(crate) fn endure(
    world: &mut World,
    options: &Options,
    work: &dyn Work,
    tolerance: Tolerance,
) -> Result<(), Finding> {
    let mut knobs = Knobs::new(world, options, work.most_cores());
    let mut places = world.streams().stream("places");
    let replays = RefCell::new(world.streams().stream("replays"));
    let references = RefCell::new(world.streams().stream("reference states"));
    let chaos = world.streams().stream("chaos").range(1, 6) as u32;
    let (disk, started, control) = (world.disk(), Cell::new(0), RefCell::new(None));
    let (checkpoints, numbers, marker) = (Cell::new(0), Numbers::default(), world.marker());
    let (durable, tolerated) = (Durable::watch(world.disk()), Cell::new(0));
    let restores = Cell::new(0);
    let mut mains = || {
        let calm = started.replace(started.get() + 1) >= chaos;
        let mut config = knobs.draw(calm);
        tolerated.set(work.tolerated().unwrap_or(knobs.tolerated()));
        if calm {
            work.calm();
        }
        work.begins(calm);
        if let Some(depth) = work.ring_depth() {
            config = config.ring_depth(depth);
        }
        if let Some(memory) = work.memory() {
            config = config.memory_per_core(memory);
        }
        for step in work.movable() {
            if places.below(3) > 0 {
                config = config.parallelism(step, places.range(1, work.most_cores() as u64) as usize);
            }
        }
        config = work.configure(config);
        let (mains, of) = work.job().into_mains(&config).expect("the job is well formed");
        control.replace(Some(of));
        mains
    };
    let judge = |control: JobControl, beside: bool| {
        let outcome = marks::of_job(&marker, &control);
        // Whoever stands still holds its lease.
        let refused = |error: &millstream::Error| beside && error.to_string().contains(LEASED);
        let outcome = outcome.filter(|outcome| !outcome.as_ref().is_err_and(refused));
        let calm = started.get() > chaos;
        checkpoints.set(checkpoints.get() + control.metrics().job().checkpoints.get());
        work.watch(&control);
        numbers.check(&control)?;
        if tolerance == Tolerance::Faults {
            durable.check()?;
            if !beside {
                full::check(outcome.as_ref(), &control, tolerated.get(), &disk)?;
            }
        }
        // Before the job's own word: it may have ended because it took too much.
        budgets::check(&control, &disk, work)?;
        let report = judge(outcome, calm, tolerance, &disk)?;
        restores.set(restores.get() + u64::from(report.is_none() && checkpoints.get() > 0));
        if tolerance == Tolerance::Faults {
            checkpoints::check(&disk)?;
        }
        work.check(&disk, report.is_some())?;
        if tolerance == Tolerance::Faults {
            replays::check(&disk, work, &mut replays.borrow_mut())?;
        }
        if work.has_reference_state() {
            replays::check_state(&disk, work, tolerance, &mut references.borrow_mut())?;
        }
        if let Some(report) = report.as_ref().filter(|report| report.restored.is_none()) {
            work.account(report)?;
        }
        Ok(report)
    };
    let last = || control.borrow().clone().expect("a process was started");
    let done =
        until_done(world, chaos, &mut mains, &last, &|control, beside| Ok(judge(control, beside)?.is_some()));
    world.count_checkpoints(checkpoints.get());
    world.endures(|endured| endured.restores += restores.get());
    match done {
        Err(finding) if tolerance != Tolerance::Faults && finding.rule == LIVENESS => return Ok(()),
        done => done?,
    }
    // What is called done stays done.
    world.end_faults();
    work.calm();
    world.cut_power();
    world.run(mains());
    match judge(last(), false)? {
        Some(report) if report.already_finished => Ok(()),
        _ if tolerance != Tolerance::Faults => Ok(()),
        other => Err(Finding::new("a job that has ended stays ended", format!("{other:?}"))),
    }
}

/// What a job says whose directory is another's.
const LEASED: &str = "another process runs this job";

/// Runs processes one after another until the job is `done`: `chaos` of them under faults and crashes, and beside those that
/// stand still; then as many as needed (up to 8) without.
fn until_done(
    world: &mut World,
    chaos: u32,
    mains: &mut dyn FnMut() -> Vec<CoreMain>,
    last: &dyn Fn() -> JobControl,
    done: &dyn Fn(JobControl, bool) -> Result<bool, Finding>,
) -> Result<(), Finding> {
    const CALM: u32 = 8;
    let mut zombies = Zombies::new(world);
    for process in 0..chaos + CALM {
        if process == chaos {
            zombies.lay_to_rest(world)?;
            let mut is_done = false;
            for ended in zombies.ended(world) {
                is_done |= done(ended.of, true)?;
            }
            if is_done {
                return Ok(());
            }
            world.end_faults();
        }
        if process > 0 {
            world.wait_for_restart();
        }
        world.draw_crash();
        world.draw_freeze();
        let beside = !world.alive().is_empty();
        let end = world.run(mains());
        if let RunEnd::Deadlock(_) | RunEnd::OutOfTime(_) = end {
            return Err(Finding::new(PROGRESS, end.to_string()));
        }
        let mut is_done = false;
        for ended in zombies.ended(world) {
            is_done |= done(ended.of, true)?;
        }
        match end {
            RunEnd::Frozen(_) => zombies.add(world.last_process(), beside, last()),
            _ => is_done |= done(last(), beside)?,
        }
        if is_done {
            return Ok(());
        }
    }
    Err(Finding::new(LIVENESS, format!("not after {CALM} calm processes")))
}
