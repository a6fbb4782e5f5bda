//! Drives a process function by hand.

use std::collections::BTreeMap;

use millstream_storage::disk::block_on;
use millstream_storage::hash::stable_hash;

use super::restart::{Checkpoint, Directory};
use crate::error::{Error, ErrorKind, Result};
use crate::key::Key;
use crate::key_group::{Placement, default_max_parallelism};
use crate::operator::process::operator::Opened;
use crate::operator::process::{BroadcastProcess, Context, Declare, OutputTag, Process, ProcessOperator};
use crate::operator::sides::Sides;
use crate::operator::stage::restored_progress;
use crate::operator::{Operator, Output, Progress};
use crate::record::Batch;
use crate::state::restore::open_state;
use crate::state::timers::Domain;
use crate::time::{MAX_TIME, MIN_TIME, Timestamp, as_millis};

/// Drives a process function without a job: the caller feeds it, moves its clock, and looks at everything. The
/// [module](self) has examples.
///
/// It begins with an empty state, no watermark, and the clock at 0.
pub struct TestKit<P: Process, F> {
    process: P,
    key: F,
    cores: Vec<ProcessOperator<P, F>>,
    placement: Placement,
    output: Output<P::Out>,
    /// The places and types of the side outputs.
    sides: BTreeMap<&'static str, usize>,
    watermark: Timestamp,
    /// Milliseconds since the epoch.
    clock: Timestamp,
    finished: bool,
    directory: Directory,
}

/// What a kit starts from: the watermark, the clock, and where its state is.
struct Origin {
    watermark: Timestamp,
    clock: Timestamp,
    finished: bool,
    directory: Directory,
}

impl<P, F> TestKit<P, F>
where
    P: Process,
    F: Fn(&P::In) -> P::Key + Clone + Send + 'static,
{
    /// The function on one core; `key` is what a job gives to `key_by`.
    ///
    /// # Panics
    /// If the function declares two states of one name.
    pub fn process(process: P, key: F) -> TestKit<P, F> {
        let origin =
            Origin { watermark: MIN_TIME, clock: 0, finished: false, directory: Directory::default() };
        TestKit::open(process, key, 1, Checkpoint::default(), origin)
            .expect("there is nothing to be restored")
    }

    fn open(process: P, key: F, cores: usize, from: Checkpoint, origin: Origin) -> Result<TestKit<P, F>> {
        let Origin { watermark, clock, finished, directory } = origin;
        // As many groups for every number of cores: state moves between them.
        let groups = default_max_parallelism(1);
        if cores == 0 || cores > groups as usize {
            let message = format!("the kit runs on 1 to {groups} cores, not on {cores}");
            return Err(Error::new(ErrorKind::Config, message));
        }
        let placement = Placement::new(groups, cores);
        let mut opened = Vec::with_capacity(cores);
        for core in 0..cores {
            let cx = from.context(core, &placement, cores, clock, &directory);
            let parts = cx.parts(Checkpoint::STEP);
            let (restored, _) = restored_progress(parts, (parts.len() == cores).then_some(core));
            let mut declare = Declare::default();
            let state = process.declare(&mut declare);
            let (backend, states) = block_on(open_state(&cx, Checkpoint::STEP, &declare))?;
            let at = Opened::new(&cx, Checkpoint::STEP, restored);
            let mut operator = ProcessOperator::new(process.clone(), state, key.clone(), backend, states, at);
            operator.set_now(clock);
            opened.push(operator);
        }
        let (output, sides) = output(&process);
        Ok(TestKit {
            process,
            key,
            cores: opened,
            placement,
            output,
            sides,
            watermark,
            clock,
            finished,
            directory,
        })
    }

    /// A record, and its event time in milliseconds. One that the watermark has passed is late, and arrives all the same.
    ///
    /// # Errors
    /// If the input has ended, or state does not fit the store.
    pub fn record(&mut self, time: Timestamp, record: P::In) -> Result<()> {
        self.check_open()?;
        let hash = (self.key)(&record).encoded(stable_hash);
        self.cores[self.placement.owner(hash)].on_record(time, hash, record, &mut self.output)
    }

    /// The watermark rises: no more records with a timestamp up to it are expected. Fires the event-time timers that it
    /// reaches, on one core after the other. A lower one than before counts for nothing.
    ///
    /// # Errors
    /// As [`TestKit::record`].
    pub fn watermark(&mut self, watermark: Timestamp) -> Result<()> {
        self.check_open()?;
        if watermark <= self.watermark {
            return Ok(());
        }
        self.watermark = watermark;
        let TestKit { cores, output, .. } = self;
        cores.iter_mut().try_for_each(|core| finish(|| core.on_watermark(watermark, output)))
    }

    /// Time passes. Fires the timers of the clock that come due, each at its time.
    ///
    /// # Errors
    /// As [`TestKit::record`].
    pub fn advance_clock(&mut self, by: std::time::Duration) -> Result<()> {
        let until = self.clock.saturating_add(as_millis(by));
        let next = |cores: &[ProcessOperator<P, F>]| {
            let due = cores.iter().filter_map(|core| core.next_processing_time());
            due.min().filter(|at| *at <= until)
        };
        while let Some(at) = next(&self.cores).filter(|_| !self.finished) {
            self.set_clock(at.max(self.clock))?;
        }
        self.set_clock(until)
    }

    /// The clock jumps to this time, in milliseconds since the epoch, forwards or, as clocks do, backwards. Fires the
    /// timers that are due now, all of them at this time.
    ///
    /// # Errors
    /// As [`TestKit::record`].
    pub fn set_clock(&mut self, now: Timestamp) -> Result<()> {
        self.clock = now;
        let TestKit { cores, output, finished, .. } = self;
        for core in cores {
            core.set_now(now);
            if !*finished {
                finish(|| core.on_processing_time(now, output))?;
            }
        }
        Ok(())
    }

    /// The clock, in milliseconds since the epoch.
    pub fn clock(&self) -> Timestamp {
        self.clock
    }

    /// The input ends: all event-time timers fire, and [`Process::finish`] is called. Timers of the clock that are still
    /// pending are dropped.
    ///
    /// # Errors
    /// As [`TestKit::record`].
    pub fn end(&mut self) -> Result<()> {
        self.watermark(MAX_TIME)?;
        self.finished = true;
        let TestKit { cores, output, .. } = self;
        cores.iter_mut().for_each(|core| core.finish(output));
        Ok(())
    }

    /// What was emitted since it was last asked for, in order.
    pub fn take_output(&mut self) -> Vec<P::Out> {
        std::mem::take(&mut self.output.main).records
    }

    /// As [`TestKit::take_output`], with the event times.
    pub fn take_output_with_times(&mut self) -> Vec<(Timestamp, P::Out)> {
        let Batch { times, records, .. } = std::mem::take(&mut self.output.main);
        times.into_iter().zip(records).collect()
    }

    /// What was emitted to a side output since it was last asked for, in order.
    ///
    /// # Panics
    /// If the function has declared none of this name and type.
    pub fn take_side<T: Send + 'static>(&mut self, tag: OutputTag<T>) -> Vec<T> {
        let place = self.sides.get(tag.name());
        let place = place.unwrap_or_else(|| panic!("no side output `{}` was declared", tag.name()));
        std::mem::take(self.output.sides.batch::<T>(*place)).records
    }

    /// How many records were too late so far: see [`Context::emit_late`].
    pub fn late(&self) -> u64 {
        self.output.late
    }

    /// The pending event-time timers of a key, in order.
    pub fn timers(&self, key: &P::Key) -> Vec<Timestamp> {
        self.timers_of(key, Domain::Event)
    }

    /// The pending timers of a key that wait for the clock, in order.
    pub fn processing_timers(&self, key: &P::Key) -> Vec<Timestamp> {
        self.timers_of(key, Domain::Processing)
    }

    fn timers_of(&self, key: &P::Key, domain: Domain) -> Vec<Timestamp> {
        key.encoded(|bytes| {
            let timers = self.cores[self.placement.owner_of_key(bytes)].timers(domain);
            timers.filter(|(_, of)| *of == bytes).map(|(at, _)| at).collect()
        })
    }

    /// Looks at the state of a key, or changes it: `visit` sees what the function sees, at the time of the watermark.
    ///
    /// # Errors
    /// If something was written that does not fit the store.
    pub fn state_of<R>(
        &mut self,
        key: &P::Key,
        visit: impl FnOnce(&P::State, &mut Context<'_, P>) -> R,
    ) -> Result<R> {
        let core = key.encoded(|bytes| self.placement.owner_of_key(bytes));
        self.cores[core].visit(key, &mut self.output, visit)
    }

    /// Takes a checkpoint, stops, and goes on from it on `cores` cores. What was emitted stays to be taken. Files are in a
    /// temporary directory, which goes with the kit.
    ///
    /// # Errors
    /// If the checkpoint cannot be written or restored, or there are no cores or more than 128.
    pub fn restart(&mut self, cores: usize) -> Result<()> {
        let (process, key) = (self.process.clone(), self.key.clone());
        let next = self.restarted(process, key, cores)?;
        let Output { main, sides, late, .. } = std::mem::replace(self, next).output;
        (self.output.main, self.output.sides, self.output.late) = (main, sides, late);
        Ok(())
    }

    /// As [`TestKit::restart`], with another version of the function: its states are compared with those of the
    /// checkpoint, and upgraded where it says how. What was emitted and not taken is lost.
    ///
    /// # Errors
    /// As [`TestKit::restart`], and if the states are not those of the checkpoint.
    pub fn restart_as<Q, G>(mut self, process: Q, key: G, cores: usize) -> Result<TestKit<Q, G>>
    where
        Q: Process,
        G: Fn(&Q::In) -> Q::Key + Clone + Send + 'static,
    {
        self.restarted(process, key, cores)
    }

    fn restarted<Q, G>(&mut self, process: Q, key: G, cores: usize) -> Result<TestKit<Q, G>>
    where
        Q: Process,
        G: Fn(&Q::In) -> Q::Key + Clone + Send + 'static,
    {
        let TestKit { watermark, clock, finished, .. } = *self;
        let TestKit { process: before, cores: operators, directory, .. } = self;
        let parts = operators.iter_mut().map(|core| {
            let meta = core.meta();
            (meta, core.store().expect("a process function keeps its state in a store"))
        });
        let taken = Checkpoint::take(before, parts, (watermark, finished), directory)?;
        taken.check(&process)?;
        let origin = Origin { watermark, clock, finished, directory: directory.clone() };
        TestKit::open(process, key, cores, taken, origin)
    }

    fn check_open(&self) -> Result<()> {
        match self.finished {
            false => Ok(()),
            true => {
                Err(Error::new(ErrorKind::Job, "nothing can be fed to the kit after the end of its input"))
            }
        }
    }
}

impl<P, F> TestKit<P, F>
where
    P: BroadcastProcess,
    F: Fn(&P::In) -> P::Key + Clone + Send + 'static,
{
    /// A record of the broadcast input: all cores see it.
    ///
    /// # Errors
    /// If the input has ended.
    pub fn broadcast(&mut self, time: Timestamp, record: P::Broadcast) -> Result<()>
    where
        P::Broadcast: Clone,
    {
        self.check_open()?;
        for core in &mut self.cores {
            core.on_broadcast(time, record.clone(), &mut self.output);
        }
        Ok(())
    }
}

/// Asks until all is done. Nothing is evicted from the kit's state, so there is nothing to wait for.
fn finish(mut ask: impl FnMut() -> Result<Progress>) -> Result<()> {
    while ask()? != Progress::Done {}
    Ok(())
}

/// Takes what the function emits, to whichever output; and the places of its side outputs.
fn output<P: Process>(process: &P) -> (Output<P::Out>, BTreeMap<&'static str, usize>) {
    let (mut declare, mut sides) = (Declare::default(), Sides::default());
    process.declare(&mut declare);
    declare.sides().iter().for_each(|side| side.add_batch(&mut sides));
    let places = declare.sides().iter().enumerate().map(|(place, side)| (side.name(), place)).collect();
    (Output { main: Batch::default(), sides, late: 0, limit: usize::MAX }, places)
}
