//! A job whose checkpoints are in an object store: on two machines, one after the other or both at once, each of which is
//! lost with its disk now and then, or stands still and wakes when others have taken its place.

use std::time::Duration;

use millstream::host::CoreMain;
use millstream::{Config, ErrorKind, JobControl};

use super::broker::Topics;
use super::postgres::Tables;
use super::windows::Windows;
use super::zombies::{self, Ended, Zombies};
use super::{
    Finding, Knobs, Options, Scenario, Tolerance, Work, is_behind, is_overtaken, judge, marks,
    scenario as made, shelves,
};
use crate::objects::Shelf;
use crate::random::Random;
use crate::scenario::{LIVENESS, PROGRESS};
use crate::world::{RunEnd, World};

pub(super) struct Life {
    work: Box<dyn Work>,
    tolerance: Tolerance,
    /// The directories of the machines that are there. One that stands still has another in its place.
    machines: [String; 2],
    next_machine: u32,
    zombies: Zombies<Start>,
    knobs: Knobs,
    shelf: Shelf,
    random: Random,
    chaos: u32,
    calm: bool,
}

/// A start of the job on a machine.
struct Start {
    machine: usize,
    control: JobControl,
    mains: Vec<CoreMain>,
}

impl Life {
    fn new(world: &World, options: &Options) -> Life {
        let mut random = world.streams().stream("machines");
        let work: Box<dyn Work> = match random.one_in(4) {
            true => Box::new(Tables::new(world)),
            false => Box::new(Windows::new(world)),
        };
        Life::of(world, options, random, work)
    }

    fn of(world: &World, options: &Options, mut random: Random, work: Box<dyn Work>) -> Life {
        let longest = Duration::from_micros(random.magnitude(10_000));
        Life {
            knobs: Knobs::new(world, options, 3),
            work,
            tolerance: Tolerance::Faults,
            machines: [0, 1].map(|machine| format!("machine-{machine}")),
            next_machine: 2,
            zombies: Zombies::new(world),
            shelf: Shelf::new(world.streams().stream("objects"), longest),
            chaos: random.range(1, 8) as u32,
            calm: false,
            random,
        }
    }

    /// Where the media lie, too: a loud stop is no finding.
    pub(super) fn stopping(world: &World, options: &Options) -> Life {
        Life { tolerance: Tolerance::Damage, ..Life::new(world, options) }
    }

    pub(super) fn run(mut self, world: &mut World) -> Result<(), Finding> {
        const CALM: u32 = 8;
        for process in 0..self.chaos + CALM {
            if process == self.chaos {
                if self.lay_to_rest(world)? {
                    return self.stays_done(world);
                }
                self.calm_down(world);
            }
            if process > 0 {
                world.wait_for_restart();
            }
            world.draw_crash();
            world.draw_freeze();
            if self.process(world)? {
                self.lay_to_rest(world)?;
                return self.stays_done(world);
            }
        }
        match self.tolerance {
            Tolerance::Faults => Err(Finding::new(LIVENESS, format!("not after {CALM} calm processes"))),
            _ => Ok(()),
        }
    }

    /// Lets those that stand still wake and come to their ends, or die. Whether one has come to the end of the job.
    fn lay_to_rest(&mut self, world: &mut World) -> Result<bool, Finding> {
        self.zombies.lay_to_rest(world)?;
        let done = self.judge_zombies(world)?;
        self.check(world, done)?;
        Ok(done)
    }

    /// Whether one of those that stood still, and are gone, had come to the end of the job.
    fn judge_zombies(&mut self, world: &mut World) -> Result<bool, Finding> {
        let mut done = false;
        for Ended { of: start, succeeded } in self.zombies.ended(world) {
            done |= self.ended(world, &start, succeeded)?;
        }
        Ok(done)
    }

    /// From now on nothing goes wrong.
    fn calm_down(&mut self, world: &mut World) {
        world.end_faults();
        self.shelf.calm();
        self.work.calm();
        self.calm = true;
    }

    /// Whether the job has come to its end.
    fn process(&mut self, world: &mut World) -> Result<bool, Finding> {
        for machine in &self.machines {
            if self.random.one_in(5) {
                world.disk().wipe(machine);
            }
        }
        let first = self.random.index(2);
        let mut starts = vec![self.start(first, Duration::ZERO)];
        if !self.calm && self.random.below(3) > 0 {
            let after = Duration::from_micros(self.random.magnitude(1_000_000));
            starts.push(self.start(1 - first, after));
        }
        let mains = starts.iter_mut().flat_map(|start| std::mem::take(&mut start.mains)).collect();
        let beside = !world.alive().is_empty();
        self.zombies.succeeded();
        let end = world.run(mains);
        if let RunEnd::Deadlock(_) | RunEnd::OutOfTime(_) = end {
            return Err(Finding::new(PROGRESS, end.to_string()));
        }
        let mut done = self.judge_zombies(world)?;
        let with_another = beside || starts.len() > 1;
        for start in starts {
            world.count_checkpoints(start.control.metrics().job().checkpoints.get());
            done |= self.ended(world, &start, with_another)?;
            if let RunEnd::Frozen(_) = end {
                self.machines[start.machine] = format!("machine-{}", self.next_machine);
                self.next_machine += 1;
                self.zombies.add(world.last_process(), with_another, start);
            }
        }
        self.check(world, done)?;
        Ok(done)
    }

    fn configure(&mut self, machine: usize) -> Config {
        let config = self
            .work
            .configure(self.knobs.draw(self.calm))
            .checkpoints(format!("{}/state", self.machines[machine]));
        // The fewer are retained, the sooner the place of a link that is late is free again.
        let config = if self.random.coin() { config.retained_checkpoints(1) } else { config };
        if self.calm {
            return config.checkpoints_to(self.shelf.clone());
        }
        let config = shelves::with_time(config, &mut self.random);
        config.checkpoints_to(if self.random.coin() { self.shelf.held_up() } else { self.shelf.clone() })
    }

    fn start(&mut self, machine: usize, after: Duration) -> Start {
        let config = self.configure(machine);
        let (mains, control) = self.work.job().into_mains(&config).expect("the job is well formed");
        let later = |main: CoreMain| -> CoreMain {
            Box::new(move |host| {
                Box::pin(async move {
                    host.sleep(after).await;
                    main(host).await;
                })
            })
        };
        let mains = if after.is_zero() { mains } else { mains.into_iter().map(later).collect() };
        Start { machine, control, mains }
    }

    /// Whether a start has come to the end of the job; if it has failed, it was by what was done to it.
    fn ended(&self, world: &World, start: &Start, with_another: bool) -> Result<bool, Finding> {
        let outcome = marks::of_job(&world.marker(), &start.control);
        if let Some(Err(error)) = &outcome
            && (error.kind() == ErrorKind::Fenced || is_overtaken(&error.to_string()))
        {
            let rule = "a run is only over because of another that has begun";
            return if with_another { Ok(false) } else { Err(Finding::new(rule, error.to_string())) };
        }
        if with_another && matches!(&outcome, Some(Err(error)) if is_behind(&error.to_string())) {
            return Ok(false);
        }
        Ok(judge(outcome, self.calm, self.tolerance, &world.disk())?.is_some())
    }

    fn check(&self, world: &World, done: bool) -> Result<(), Finding> {
        if self.tolerance == Tolerance::Faults {
            shelves::check(&self.shelf)?;
        }
        self.work.check(&world.disk(), done)
    }

    /// What is called done stays done, also where nobody knew of it.
    fn stays_done(&mut self, world: &mut World) -> Result<(), Finding> {
        self.calm_down(world);
        world.cut_power();
        let machine = self.random.index(2);
        if self.random.coin() {
            world.disk().wipe(&self.machines[machine]);
        }
        let mut start = self.start(machine, Duration::ZERO);
        world.run(std::mem::take(&mut start.mains));
        let outcome = marks::of_job(&world.marker(), &start.control);
        self.check(world, true)?;
        match judge(outcome, true, self.tolerance, &world.disk())? {
            Some(report) if report.already_finished => Ok(()),
            _ if self.tolerance != Tolerance::Faults => Ok(()),
            other => Err(Finding::new("a job that has ended stays ended", format!("{other:?}"))),
        }
    }
}

pub(super) fn scenario() -> Scenario {
    let body = |world: &mut World, options: &Options| Life::new(world, options).run(world);
    let about = "checkpoints in an object store, by machines that are lost or not";
    Scenario { config: zombies::seldom, ..made("remote", about, Box::new(body)) }
}

/// Where most processes stand still: into every kind of sink outside that knows of runs that come after others.
pub(super) fn scenario_of_zombies() -> Scenario {
    let body = |world: &mut World, options: &Options| {
        let mut random = world.streams().stream("machines");
        let work: Box<dyn Work> = match random.below(3) {
            0 => Box::new(Windows::new(world)),
            1 => Box::new(Tables::new(world)),
            _ => Box::new(Topics::new(world)),
        };
        Life::of(world, options, random, work).run(world)
    };
    let about =
        "machines that stand still and wake beside those in their place, with checkpoints in an object store";
    Scenario { config: zombies::often, ..made("zombies", about, Box::new(body)) }
}
