//! A job whose checkpoints are in an object store: on two machines, one after the other or both at once, each of which is
//! lost with its disk now and then.

use std::time::Duration;

use millstream::host::CoreMain;
use millstream::{Config, ErrorKind, JobControl};

use super::postgres::Tables;
use super::windows::Windows;
use super::{Finding, Knobs, Options, Scenario, Tolerance, Work, judge, marks, scenario as made, shelves};
use crate::collected::SUPERSEDED;
use crate::objects::Shelf;
use crate::random::Random;
use crate::scenario::{LIVENESS, PROGRESS};
use crate::world::{RunEnd, World};

const MACHINES: [&str; 2] = ["machine-0", "machine-1"];

struct Life {
    work: Box<dyn Work>,
    /// Its output is in files beside the checkpoints until it is in a database.
    into_tables: bool,
    knobs: Knobs,
    shelf: Shelf,
    random: Random,
    chaos: u32,
    calm: bool,
}

/// A start of the job on a machine.
struct Start {
    control: JobControl,
    mains: Vec<CoreMain>,
}

impl Life {
    fn new(world: &World, options: &Options) -> Life {
        let mut random = world.streams().stream("machines");
        let into_tables = random.one_in(4);
        let work: Box<dyn Work> =
            if into_tables { Box::new(Tables::new(world)) } else { Box::new(Windows::new(world)) };
        let longest = Duration::from_micros(random.magnitude(10_000));
        Life {
            knobs: Knobs::new(world, options, 3),
            work,
            into_tables,
            shelf: Shelf::new(world.streams().stream("objects"), longest),
            chaos: random.range(1, 8) as u32,
            calm: false,
            random,
        }
    }

    fn run(mut self, world: &mut World) -> Result<(), Finding> {
        const CALM: u32 = 8;
        for process in 0..self.chaos + CALM {
            if process == self.chaos {
                self.calm_down(world);
            }
            world.draw_crash();
            if self.process(world)? {
                return self.stays_done(world);
            }
        }
        Err(Finding::new(LIVENESS, format!("not after {CALM} calm processes")))
    }

    /// From now on nothing goes wrong.
    fn calm_down(&mut self, world: &mut World) {
        world.freeze();
        self.shelf.calm();
        self.work.calm();
        self.calm = true;
    }

    /// Whether the job has come to its end.
    fn process(&mut self, world: &mut World) -> Result<bool, Finding> {
        for machine in MACHINES {
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
        let end = world.run(mains);
        if let RunEnd::Deadlock(_) | RunEnd::OutOfTime(_) = end {
            return Err(Finding::new(PROGRESS, end.to_string()));
        }
        let mut done = false;
        for start in &starts {
            world.count_checkpoints(start.control.metrics().job().checkpoints.get());
            done |= self.ended(world, start, starts.len() > 1)?;
        }
        self.check(world, done)?;
        Ok(done)
    }

    fn configure(&mut self, machine: usize) -> Config {
        let config = self.knobs.draw(self.calm).checkpoints(format!("{}/state", MACHINES[machine]));
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
        Start { control, mains }
    }

    /// Whether a start has come to the end of the job; if it has failed, it was by what was done to it.
    fn ended(&self, world: &World, start: &Start, with_another: bool) -> Result<bool, Finding> {
        let outcome = marks::of_job(&world.marker(), &start.control);
        if let Some(Err(error)) = &outcome {
            let is_superseded = error.to_string().contains(SUPERSEDED)
                || self.into_tables
                    && matches!(error.kind(), ErrorKind::Sink | ErrorKind::Restore)
                    && with_another;
            if error.kind() == ErrorKind::Fenced || is_superseded {
                let rule = "a run is only over because of another that has begun";
                return if with_another { Ok(false) } else { Err(Finding::new(rule, error.to_string())) };
            }
        }
        Ok(judge(outcome, self.calm, Tolerance::Faults)?.is_some())
    }

    fn check(&self, world: &World, done: bool) -> Result<(), Finding> {
        shelves::check(&self.shelf)?;
        self.work.check(&world.disk(), done)
    }

    /// What is called done stays done, also where nobody knew of it.
    fn stays_done(&mut self, world: &mut World) -> Result<(), Finding> {
        self.calm_down(world);
        world.cut_power();
        let machine = self.random.index(2);
        if self.random.coin() {
            world.disk().wipe(MACHINES[machine]);
        }
        let mut start = self.start(machine, Duration::ZERO);
        world.run(std::mem::take(&mut start.mains));
        let outcome = marks::of_job(&world.marker(), &start.control);
        self.check(world, true)?;
        match judge(outcome, true, Tolerance::Faults)? {
            Some(report) if report.already_finished => Ok(()),
            other => Err(Finding::new("a job that has ended stays ended", format!("{other:?}"))),
        }
    }
}

pub(super) fn scenario() -> Scenario {
    let body = |world: &mut World, options: &Options| Life::new(world, options).run(world);
    made("remote", "checkpoints in an object store, by machines that are lost or not", Box::new(body))
}
