//! A job that somebody saves, stops, drains and starts again: where it was, or from a savepoint, in a new directory and
//! with its steps renamed, with all output since then taken back.

mod user;
mod work;

use std::cell::RefCell;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use millstream::checkpoint::manifest::Manifest;
use millstream::checkpoint::request::Savepoint;
use millstream::host::CoreMain;
use millstream::metrics::CheckpointPurpose;
use millstream::{Ended, JobControl, Report};

use super::checkpoints::manifests;
use super::shelves::Beside;
use super::{
    Finding, Knobs, Options, Scenario, Tolerance, judge, marks, restart_until_done, scenario as made,
};
use crate::disk::DiskView;
use crate::random::Random;
use crate::world::{Marker, World};
use user::{Asked, User};
use work::Work;

/// What goes on from process to process.
struct Life {
    work: Work,
    knobs: Knobs,
    random: Random,
    /// When it is cancelled.
    cancels: Random,
    disk: DiskView,
    marker: Marker,
    /// Where the checkpoints are complete, if that is not the directory.
    beside: Option<Beside>,
    /// Processes so far, and of them those that may be killed.
    started: u32,
    chaos: u32,
    /// The directory of checkpoints, and what it was started from.
    directory: String,
    from: Option<String>,
    /// Savepoints that were made, and names that were used for them.
    savepoints: Vec<Savepoint>,
    names: u32,
    min_pause: Duration,
    control: Option<JobControl>,
    asked: Arc<Mutex<Asked>>,
}

impl Life {
    fn new(world: &World, options: &Options) -> Life {
        let mut random = world.streams().stream("user");
        Life {
            work: Work::new(world),
            knobs: Knobs::new(world, options, 4),
            disk: world.disk(),
            marker: world.marker(),
            beside: Beside::draw(world),
            started: 0,
            chaos: random.range(2, 7) as u32,
            directory: "state-0".to_owned(),
            from: None,
            savepoints: Vec::new(),
            names: 0,
            min_pause: Duration::ZERO,
            control: None,
            asked: Arc::default(),
            random,
            cancels: world.streams().stream("cancels"),
        }
    }

    fn is_calm(&self) -> bool {
        self.started > self.chaos
    }

    fn start(&mut self) -> Vec<CoreMain> {
        self.started += 1;
        let calm = self.is_calm();
        self.min_pause = Duration::from_micros(self.random.magnitude(20_000));
        let config = self.knobs.draw(calm).checkpoints(&self.directory);
        let config = self.work.configure(config).min_pause_between_checkpoints(self.min_pause);
        let config = match &self.from {
            Some(path) => config.from_savepoint(path),
            None => config,
        };
        let config = match &mut self.beside {
            Some(beside) => beside.configure(config, &self.disk, &self.directory, calm),
            None => config,
        };
        let (mut mains, control) = self.work.job().into_mains(&config).expect("the job is well formed");
        let user = User::draw(&mut self.random, &mut self.cancels, calm, &mut self.names);
        self.asked = user.asked();
        user.beside(&mut mains, control.clone());
        self.control = Some(control);
        mains
    }

    /// Judges what a process has left, and decides how the next one goes on. True if there is none.
    fn judge(&mut self) -> Result<bool, Finding> {
        let control = self.control.clone().expect("a process was started");
        let calm = self.is_calm();
        let report = judge(marks::of_job(&self.marker, &control), calm, Tolerance::Faults, &self.disk)?;
        let asked = self.asked.clone();
        let mut asked = asked.lock().unwrap_or_else(PoisonError::into_inner);
        let (made, paths) = asked.settle(report.is_some(), calm)?;
        self.check_savepoints(&made, &paths)?;
        self.savepoints.extend(made.iter().cloned());
        self.check_pauses(&control)?;
        self.beside.as_ref().map_or(Ok(()), Beside::check)?;
        // What a drain has put out early may be committed although nobody has heard of its end.
        if !self.complete()?.is_some_and(|last| last.drained) {
            self.work.check(report.as_ref().is_some_and(|report| report.ended == Ended::Finished))?;
        }
        match &report {
            None => {
                if self.random.one_in(4) {
                    self.go_back();
                }
                Ok(false)
            }
            Some(report) if report.ended == Ended::Cancelled && asked.cancelled => Ok(false),
            Some(report) => self.judge_end(report, &made, asked.draining),
        }
    }

    fn judge_end(
        &mut self,
        report: &Report,
        made: &[Savepoint],
        asked_to_drain: bool,
    ) -> Result<bool, Finding> {
        let finding = |seen: String| Err(Finding::new("a job ends as it was asked to", seen));
        let may_go_back = !self.is_calm() && !self.savepoints.is_empty() && self.random.coin();
        match report.ended {
            Ended::Finished => {}
            Ended::Drained => {
                if !asked_to_drain && !report.already_finished {
                    return finding("it was drained, and nobody asked for that".to_owned());
                }
                let last = self.last()?;
                self.work.check_drained(read(&last)?)?;
                if !last.finished || !last.drained {
                    return finding(format!("checkpoint {} does not say that it was drained", last.epoch));
                }
            }
            Ended::Stopped => {
                let (last, saved) = (self.last()?.epoch, made.last().map(|savepoint| savepoint.epoch));
                if saved != Some(last) {
                    return finding(format!("it stopped at {last}, and the last savepoint is {saved:?}"));
                }
                // In the same directory, or from the savepoint.
                if self.random.coin() {
                    self.start_from(made.last().expect("it was compared").clone());
                }
                return Ok(false);
            }
            other => return finding(format!("it was {other:?}")),
        }
        if may_go_back {
            self.go_back();
        }
        // What is called done stays done.
        Ok(!may_go_back && (report.already_finished || self.is_calm()))
    }

    /// The last checkpoint of the job that is complete, if there is one.
    fn complete(&self) -> Result<Option<Manifest>, Finding> {
        match &self.beside {
            Some(beside) => Ok(beside.last()),
            None => Ok(manifests(&self.disk, &self.directory)?.pop()),
        }
    }

    /// The same, of a job that has ended.
    fn last(&self) -> Result<Manifest, Finding> {
        self.complete()?.ok_or_else(|| Finding::new("a job ends with a checkpoint", "there is none"))
    }

    /// Starts anew from some savepoint, if there is one.
    fn go_back(&mut self) {
        if !self.savepoints.is_empty() {
            let savepoint = self.random.pick(&self.savepoints).clone();
            self.start_from(savepoint);
        }
    }

    fn start_from(&mut self, savepoint: Savepoint) {
        self.work.go_back(savepoint.epoch);
        // Those of a future that does not come to pass.
        self.savepoints.retain(|other| other.epoch <= savepoint.epoch);
        self.from = Some(savepoint.path.display().to_string());
        self.directory = format!("state-{}", self.started);
        self.beside.iter_mut().for_each(Beside::elsewhere);
    }

    /// Whether the savepoints that were made are whole, and those, too, that are there although nobody was told.
    fn check_savepoints(&self, made: &[Savepoint], paths: &[String]) -> Result<(), Finding> {
        for path in paths {
            let found = manifests(&self.disk, path)?;
            let told = made.iter().find(|savepoint| savepoint.path.as_os_str() == path.as_str());
            let is_there = |savepoint: &Savepoint| found.iter().any(|found| found.epoch == savepoint.epoch);
            if told.is_some_and(|told| !is_there(told)) {
                return Err(Finding::new("a savepoint that was made stays", format!("{path} has none")));
            }
        }
        Ok(())
    }

    fn check_pauses(&self, control: &JobControl) -> Result<(), Finding> {
        let history = control.metrics().checkpoint_history();
        let due = history.iter().filter(|of| of.purpose == CheckpointPurpose::Recovery);
        match due.filter_map(|of| Some((of.epoch, of.pause?))).find(|(_, pause)| *pause < self.min_pause) {
            None => Ok(()),
            Some((epoch, pause)) => {
                let seen = format!("{pause:?} before checkpoint {epoch}, {:?} are set", self.min_pause);
                Err(Finding::new("there is a pause between two checkpoints", seen))
            }
        }
    }
}

/// How many records the source had given.
fn read(manifest: &Manifest) -> Result<usize, Finding> {
    let parts = &manifest.steps["events"].parts;
    let positions = parts.iter().filter_map(|part| part.meta["positions"]["000"].as_u64());
    let read = positions.max().map(|read| read as usize);
    read.ok_or_else(|| Finding::new("a checkpoint has the positions of all splits", "there is none of 000"))
}

pub(super) fn scenario() -> Scenario {
    let body = |world: &mut World, options: &Options| {
        let life = RefCell::new(Life::new(world, options));
        let chaos = life.borrow().chaos;
        restart_until_done(world, chaos, || life.borrow_mut().start(), || life.borrow_mut().judge())
    };
    made("savepoints", "saved, stopped, drained, and started again from a savepoint", Box::new(body))
}
