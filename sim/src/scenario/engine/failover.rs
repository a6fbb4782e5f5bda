//! A job that goes on elsewhere, from a copy of its directory: a volume that is replicated to another machine, which takes over
//! while the first stands still. Each has a lease of its own, so that the sinks alone keep the two apart.
//!
//! What the sinks know is who began last, and how far it came. So of two that have both gone on from the same checkpoint only
//! one may ever be started again: here that is the one whose output is there.

use std::path::{Path, PathBuf};

use millstream::host::CoreMain;
use millstream::{Config, JobControl};

use super::broker::Topics;
use super::postgres::Tables;
use super::zombies::{self, Ended, Zombies};
use super::{
    Finding, Knobs, Options, Scenario, Tolerance, Work, is_behind, is_overtaken, judge, marks,
    scenario as made,
};
use crate::scenario::{LIVENESS, PROGRESS};
use crate::world::{RunEnd, World};

struct Life {
    work: Box<dyn Work>,
    knobs: Knobs,
    zombies: Zombies<JobControl>,
    /// The machine whose turn it is, and the one that its directory was copied from.
    machine: u32,
    origin: u32,
    next: u32,
    /// It has completed a checkpoint since then: what stands still behind it is over for good.
    has_gone_on: bool,
    chaos: u32,
    calm: bool,
}

impl Life {
    fn new(world: &World, options: &Options) -> Life {
        let mut random = world.streams().stream("machines");
        let work: Box<dyn Work> =
            if random.coin() { Box::new(Tables::new(world)) } else { Box::new(Topics::new(world)) };
        Life {
            work,
            knobs: Knobs::new(world, options, 3),
            zombies: Zombies::new(world),
            machine: 0,
            origin: 0,
            next: 1,
            has_gone_on: false,
            chaos: random.range(2, 8) as u32,
            calm: false,
        }
    }

    fn run(mut self, world: &mut World) -> Result<(), Finding> {
        const CALM: u32 = 8;
        for process in 0..self.chaos + CALM {
            if process == self.chaos {
                let done = self.lay_to_rest(world)?;
                world.end_faults();
                self.calm = true;
                self.work.calm();
                if done {
                    return Ok(());
                }
            }
            if process > 0 {
                world.wait_for_restart();
            }
            world.draw_crash();
            world.draw_freeze();
            if !self.has_gone_on && self.machine != self.origin {
                world.set_freeze(None);
            }
            if self.process(world)? {
                return self.lay_to_rest(world).map(drop);
            }
        }
        Err(Finding::new(LIVENESS, format!("not after {CALM} calm processes")))
    }

    fn directory(machine: u32) -> String {
        format!("machine-{machine}/state")
    }

    fn start(&mut self) -> (Vec<CoreMain>, JobControl) {
        let config: Config = self.work.configure(self.knobs.draw(self.calm));
        let config = config.checkpoints(Life::directory(self.machine));
        self.work.job().into_mains(&config).expect("the job is well formed")
    }

    /// Whether the job has come to its end.
    fn process(&mut self, world: &mut World) -> Result<bool, Finding> {
        let beside = !world.alive().is_empty();
        let (mains, control) = self.start();
        self.zombies.succeeded();
        let end = world.run(mains);
        if let RunEnd::Deadlock(_) | RunEnd::OutOfTime(_) = end {
            return Err(Finding::new(PROGRESS, end.to_string()));
        }
        let mut done = self.judge_zombies(world)?;
        let checkpoints = control.metrics().job().checkpoints.get();
        world.count_checkpoints(checkpoints);
        self.has_gone_on |= checkpoints > 0;
        if let RunEnd::Frozen(_) = end {
            // One that has not begun would take over when it wakes, and be the last that began.
            match checkpoints > 0 {
                true => {
                    self.zombies.add(world.last_process(), beside, control);
                    self.copy(world, self.machine);
                }
                false => world.bury(world.last_process()),
            }
        } else {
            let (done_too, again) = self.ended(world, &control, beside)?;
            done |= done_too;
            if again {
                self.copy(world, self.origin);
            }
        }
        self.work.check(&world.disk(), done)?;
        Ok(done)
    }

    /// The next machine goes on from what is in the directory of this one now.
    fn copy(&mut self, world: &World, of: u32) {
        (self.origin, self.machine, self.has_gone_on) = (of, self.next, false);
        self.next += 1;
        let (from, to) = (Life::directory(of), PathBuf::from(Life::directory(self.machine)));
        for (path, bytes) in world.disk().tree() {
            if let Ok(file) = path.strip_prefix(Path::new(&from)) {
                world.disk().install(to.join(file), bytes).expect("nothing is there yet");
            }
        }
    }

    /// Whether a process has come to the end of the job; if it has failed, it was by what was done to it. And whether it must go
    /// on from another copy, because what was copied had gone on before it was fenced.
    fn ended(
        &self,
        world: &World,
        control: &JobControl,
        with_another: bool,
    ) -> Result<(bool, bool), Finding> {
        let outcome = marks::of_job(&world.marker(), control);
        if let Some(Err(error)) = &outcome {
            let is_behind = is_behind(&error.to_string());
            if is_behind && !self.has_gone_on && self.machine != self.origin {
                return Ok((false, true));
            }
            if with_another && (is_behind || is_overtaken(&error.to_string())) {
                return Ok((false, false));
            }
        }
        Ok((judge(outcome, self.calm, Tolerance::Faults, &world.disk())?.is_some(), false))
    }

    fn judge_zombies(&mut self, world: &mut World) -> Result<bool, Finding> {
        let mut done = false;
        for Ended { of, succeeded } in self.zombies.ended(world) {
            done |= self.ended(world, &of, succeeded)?.0;
        }
        Ok(done)
    }

    /// Lets those that stand still wake and come to their ends, or die.
    fn lay_to_rest(&mut self, world: &mut World) -> Result<bool, Finding> {
        self.zombies.lay_to_rest(world)?;
        let done = self.judge_zombies(world)?;
        self.work.check(&world.disk(), done)?;
        Ok(done)
    }
}

pub(super) fn scenario() -> Scenario {
    let body = |world: &mut World, options: &Options| Life::new(world, options).run(world);
    let about = "machines that stand still and wake beside those that go on from a copy of their directory";
    Scenario { config: zombies::often, ..made("failover", about, Box::new(body)) }
}
