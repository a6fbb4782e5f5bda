//! State larger than memory, as the stage around an operator sees it: what is needed is read before records are worked
//! on, what memory is short of is written and evicted, and until then input waits.
//!
//! The operator itself never waits. While the next records wait for their state, that of the batches behind them is
//! asked for too; the order of the records stays what it is.

use std::time::Duration;

use millstream_storage::disk::lacks_room;
use millstream_storage::error::StoreError;
use millstream_storage::planted;

use crate::error::{Error, ErrorKind, Result};
use crate::exchange::cursor::Cursor;
use crate::operator::Operator;
use crate::operator::rounds::Rounds;
use crate::operator::stage::OperatorStage;
use crate::stage::{Event, Memory, StepContext, WITHOUT_ROOM};

/// Bytes of compaction per step, so that it never holds up records for long.
const MAINTENANCE: usize = 64 << 10;
/// Batches that are read ahead to ask for their state.
const AHEAD: usize = 4;
/// Records worked on before memory is looked at again, at most.
const PIECE: usize = 256;
/// How long to wait after writing ahead has failed: longer each time, up to a limit.
const RETRY: Duration = Duration::from_millis(100);
const LONGEST_RETRY: Duration = Duration::from_secs(1);
/// How often to try what a disk refuses, at least; at most, if it is not for being full.
const ATTEMPTS: u32 = 10;

/// What a stage waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waiting {
    /// The state of the next records.
    Records,
    /// The state that is to fire.
    Firing,
}

/// A stage's part in a limit of memory.
#[derive(Debug, Default)]
pub(crate) struct Residence {
    /// Whether there is a limit.
    pub limited: bool,
    /// What reads are waited for, if any.
    pub waiting: Option<Waiting>,
    /// How often the next record was asked for.
    pub rounds: Rounds,
    /// Reads under way.
    pub outstanding: usize,
    /// No record may be worked on before memory is given up.
    pub short: bool,
    /// When to try again to write ahead.
    pub retry_at: Option<Duration>,
    /// Why writing ahead failed last, until it is seen to.
    pub failure: Option<StoreError>,
    /// That memory is short, and nothing can be written.
    stuck: Option<Stuck>,
}

/// Memory that cannot be given up.
#[derive(Debug)]
struct Stuck {
    since: Duration,
    /// How often a disk has refused to write it.
    refusals: u32,
    /// How often, of late, for another reason than that it is full.
    others: u32,
}

impl Residence {
    /// Whether the state of what comes next has not come yet.
    pub(crate) fn is_waiting(&self) -> bool {
        self.waiting.is_some() && self.outstanding > 0
    }

    /// Some of what memory holds was written ahead, or not.
    pub(crate) fn spilled(&mut self, written: Result<(), StoreError>) {
        match written {
            Ok(()) => self.written(),
            Err(failure) => self.failure = Some(failure),
        }
    }

    /// Some of what memory holds is on disk, and can be given up.
    pub(crate) fn written(&mut self) {
        (self.failure, self.stuck) = (None, None);
    }

    /// Bears that memory is short, and that what it holds could not be written ahead.
    ///
    /// # Errors
    /// If that has gone on for too long: room on a disk is waited for, and what is refused for other reasons is tried some
    /// times.
    fn bear(&mut self, failure: StoreError, now: Duration) -> Result<()> {
        let is_full = matches!(&failure, StoreError::Io { source, .. } if lacks_room(source));
        let is_full = is_full && !planted!(spill_not_patient);
        let stuck = self.stuck.get_or_insert(Stuck { since: now, refusals: 0, others: 0 });
        stuck.refusals += 1;
        stuck.others = if is_full { 0 } else { stuck.others + 1 };
        let waited = now.saturating_sub(stuck.since);
        let goes_on = match is_full {
            // One that stood still for a minute has not waited for as long.
            true => waited < WITHOUT_ROOM || stuck.refusals < ATTEMPTS,
            false => stuck.others < ATTEMPTS,
        };
        if goes_on {
            return Ok(());
        }
        let message = format!(
            "memory is used up, and none can be given up, as state cannot be written ahead, tried {} times in {} s; make \
             room on the disk of the checkpoints, allow more open files, or more memory",
            stuck.refusals,
            waited.as_secs()
        );
        Err(Error::new(ErrorKind::Checkpoint, message).caused_by(failure))
    }
}

impl<O: Operator> OperatorStage<O> {
    /// How many of the next `n` records are to be worked on: none if the first waits for its state. `present` are those
    /// of which it is known that theirs is in memory.
    ///
    /// # Errors
    /// If the first could wait for ever.
    pub(super) fn piece_of(
        &mut self,
        n: usize,
        present: &mut usize,
        cursor: &Cursor<O::In>,
    ) -> Result<usize> {
        let Some(store) = self.operator.store_ref() else { return Ok(n) };
        let n = n.min(PIECE).min(store.records_per_segment());
        if store.is_resident() {
            return Ok(n.min(self.operator.piece()));
        }
        if *present == 0 {
            let asked = self.memory.rounds.narrow(n);
            *present = self.operator.fetch(cursor.view(asked));
            match (*present, self.operator.store_ref()) {
                (0, Some(store)) => self.memory.rounds.wait(store, asked)?,
                _ => self.memory.rounds.end(),
            }
        }
        let piece = n.min(*present).min(self.operator.piece());
        *present -= piece;
        Ok(piece)
    }

    /// Has what was asked for read, and waits for it.
    pub(super) fn wait_for_state(&mut self, what: Waiting, cx: &mut StepContext<'_>) {
        self.memory.waiting = Some(what);
        self.issue_reads(cx);
    }

    fn issue_reads(&mut self, cx: &mut StepContext<'_>) {
        let Some(store) = self.operator.store() else { return };
        let reads = store.take_reads();
        if !reads.is_empty() {
            self.memory.outstanding += reads.len();
            cx.events.push(Event::Reads { step: self.name.clone(), reads });
        }
    }

    /// Asks for the state of the batches that follow, while that of the next records is on its way.
    pub(super) fn look_ahead(&mut self, cx: &mut StepContext<'_>) {
        if self.memory.waiting != Some(Waiting::Records) || !self.memory.rounds.is_wide() {
            return;
        }
        while self.ahead.len() < AHEAD
            && let Some((channel, batch)) = self.intake.next()
        {
            let cursor = Cursor::new(batch);
            self.operator.fetch(cursor.view(usize::MAX >> 1));
            self.ahead.push_back((channel, cursor));
        }
        self.issue_reads(cx);
    }

    /// Whether the next piece has to wait until memory was looked at.
    pub(super) fn is_short_of_memory(&self) -> bool {
        self.operator.store_ref().is_some_and(|store| !store.has_room())
    }

    /// Whether records may be worked on. If not, something is being written that will make room.
    ///
    /// # Errors
    /// If no room can be made.
    pub(super) fn has_memory(&mut self, cx: &mut StepContext<'_>) -> Result<bool> {
        self.memory.short = false;
        // Nothing can be evicted in the middle of a visit, which adds nothing to the state: it is brought to its end.
        if self.operator.is_visiting() {
            return Ok(true);
        }
        if !self.is_short_of_memory() {
            self.memory.stuck = None;
            return Ok(true);
        }
        self.maintain(cx)?;
        self.memory.short = self.is_short_of_memory();
        if self.memory.short {
            let waits = self.memory.outstanding > 0 || self.memory.retry_at.is_some();
            if let Some(store) = self.operator.store()
                && !waits
                && !store.is_writing()
            {
                if store.is_held() {
                    self.memory.retry_at = Some(cx.now.monotonic.saturating_add(RETRY));
                    return Ok(false);
                }
                let (used, wanted) = (store.memory_bytes(), store.least_bytes());
                let message = format!(
                    "its state takes {used} bytes, of which nothing can be evicted; allow more memory than {wanted} \
                     bytes for each stateful step, or use more cores"
                );
                return Err(Error::new(ErrorKind::Config, message));
            }
        }
        Ok(!self.memory.short)
    }

    /// Compacts, evicts and writes ahead. Returns whether there was something to do.
    pub(super) fn maintain(&mut self, cx: &mut StepContext<'_>) -> Result<bool> {
        if self.operator.is_visiting() {
            return Ok(false);
        }
        let durable = self.durable && self.memory.limited;
        let Some(store) = self.operator.store() else { return Ok(false) };
        let busy = store.maintain(MAINTENANCE) > 0;
        if !durable {
            return Ok(busy);
        }
        store.check_budget().map_err(|error| {
            Error::new(ErrorKind::Config, "the memory for its state is too little").caused_by(error)
        })?;
        let (failed, is_short) = (store.failed_spills(), !store.has_room());
        if !is_short {
            self.memory.stuck = None;
        }
        if let Some(failure) = self.memory.failure.take() {
            if is_short {
                self.memory.bear(failure, cx.now.monotonic)?;
            }
            let pause = (RETRY * failed).min(LONGEST_RETRY);
            self.memory.retry_at = Some(cx.now.monotonic.saturating_add(pause));
        }
        if self.memory.retry_at.is_some_and(|at| at > cx.now.monotonic) {
            self.issue_reads(cx);
            return Ok(busy);
        }
        self.memory.retry_at = None;
        if let Some(spill) = store.spill() {
            cx.events.push(Event::Spill { step: self.name.clone(), spill });
        }
        self.issue_reads(cx);
        Ok(busy)
    }

    /// What memory the store takes.
    pub(super) fn memory_of_store(&self) -> Option<Memory> {
        let store = self.operator.store_ref()?;
        Some(Memory {
            limited: O::FETCHES && store.is_limited(),
            used: store.memory_bytes(),
            least: store.least_bytes(),
            wanted: store.wanted_bytes(),
            evicted: store.evicted_bytes(),
            damaged_indexes: store.damaged_indexes().len() as u64,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    fn refused(kind: io::ErrorKind) -> StoreError {
        StoreError::Io { action: "write", path: "state/data/log".into(), source: kind.into() }
    }

    fn full() -> StoreError {
        refused(io::ErrorKind::StorageFull)
    }

    const fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    #[test]
    fn a_full_disk_is_waited_for_a_minute() {
        let mut memory = Residence::default();
        (0..60).for_each(|now| memory.bear(full(), secs(now)).expect("it waits"));
        let error = memory.bear(full(), secs(60)).expect_err("it has waited").to_string();
        assert!(error.contains("tried 61 times in 60 s"), "{error}");
    }

    #[test]
    fn one_that_stood_still_has_not_waited() {
        let mut memory = Residence::default();
        for refusal in 0..u64::from(ATTEMPTS) - 1 {
            memory.bear(full(), secs(600 * refusal)).expect("it waits");
        }
        memory.bear(full(), secs(6_000)).expect_err("it has waited");
    }

    #[test]
    fn what_is_written_in_between_counts() {
        let mut memory = Residence::default();
        for second in 0..200 {
            memory.bear(full(), secs(second)).expect("it waits");
            if second % 50 == 49 {
                memory.spilled(Ok(()));
            }
        }
        memory.spilled(Err(full()));
        assert!(memory.failure.is_some());
    }

    #[test]
    fn what_a_disk_refuses_otherwise_is_tried_some_times_in_a_row() {
        let mut memory = Residence::default();
        for _ in 0..5 {
            (1..ATTEMPTS)
                .for_each(|_| memory.bear(refused(io::ErrorKind::Other), secs(1)).expect("it waits"));
            memory.bear(full(), secs(2)).expect("it waits");
        }
        (1..ATTEMPTS).for_each(|_| memory.bear(refused(io::ErrorKind::Other), secs(3)).expect("it waits"));
        memory.bear(refused(io::ErrorKind::Other), secs(3)).expect_err("ten in a row");
    }
}
