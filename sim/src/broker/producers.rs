//! What a partition knows of its producers: which instance is the last, what it sent last, and since when a transaction of
//! it goes on.
//!
//! The rules are those of `ProducerStateManager` and `ProducerAppendInfo`:
//! - a batch of an older epoch than the last one that was seen is refused: `INVALID_PRODUCER_EPOCH`;
//! - the first batch of a new epoch begins at sequence 0, every other one where the one before it ended; otherwise
//!   `OUT_OF_ORDER_SEQUENCE_NUMBER`. A producer that the partition does not know may begin anywhere;
//! - of each producer the last five batches are remembered, and one that comes again is not appended: it is answered with the
//!   offset that it has. (The error `DUPLICATE_SEQUENCE_NUMBER` is never sent by a broker that remembers them: one that is older
//!   than those is out of order.)
//! - an end marker of an older epoch is refused, one of a newer epoch fences all before it in this partition.

use std::collections::{BTreeMap, VecDeque};

use millstream_storage::planted;

use super::requests::{Batch, ErrorCode, ProducerEpoch};

/// Batches that are remembered of each producer.
const REMEMBERED: usize = 5;

/// All producers of a partition.
#[derive(Clone, Debug, Default)]
pub(super) struct Producers(BTreeMap<i64, State>);

#[derive(Clone, Debug)]
struct State {
    epoch: i16,
    /// First sequence, last sequence, offset of the first record.
    batches: VecDeque<(i32, i32, u64)>,
    /// The first offset of the transaction that goes on.
    open: Option<u64>,
}

/// What is to be done about a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is new.
    Append,
    /// It is there, at this offset.
    Duplicate(u64),
}

/// The last sequence of a batch. They go on from 0 after the greatest.
fn last_sequence(batch: &Batch) -> i32 {
    let last = i64::from(batch.base_sequence) + batch.messages.len() as i64 - 1;
    (last % (1 << 31)) as i32
}

impl Producers {
    /// Whether a batch may be appended.
    pub(super) fn judge(&self, batch: &Batch) -> Result<Verdict, ErrorCode> {
        let Some(ProducerEpoch { id, epoch }) = batch.producer else { return Ok(Verdict::Append) };
        let Some(state) = self.0.get(&id) else { return Ok(Verdict::Append) };
        if epoch < state.epoch {
            return match planted!(broker_fencing_ignored) {
                true => Ok(Verdict::Append),
                false => Err(ErrorCode::InvalidProducerEpoch),
            };
        }
        if planted!(broker_sequence_not_checked) {
            return Ok(Verdict::Append);
        }
        if epoch > state.epoch {
            return if batch.base_sequence == 0 { Ok(Verdict::Append) } else { out_of_order() };
        }
        let last = last_sequence(batch);
        let same = |of: &&(i32, i32, u64)| (of.0, of.1) == (batch.base_sequence, last);
        if let Some((_, _, offset)) = state.batches.iter().find(same) {
            return Ok(Verdict::Duplicate(*offset));
        }
        // An epoch that is known from a marker alone begins at 0.
        let expected = state.batches.back().map_or(0, |(_, last, _)| last.wrapping_add(1) & i32::MAX);
        if batch.base_sequence == expected { Ok(Verdict::Append) } else { out_of_order() }
    }

    /// A batch was appended.
    pub(super) fn appended(&mut self, batch: &Batch, offset: u64) {
        let Some(ProducerEpoch { id, epoch }) = batch.producer else { return };
        let state = self.0.entry(id).or_insert(State { epoch, batches: VecDeque::new(), open: None });
        state.advance(epoch);
        state.batches.push_back((batch.base_sequence, last_sequence(batch), offset));
        if state.batches.len() > REMEMBERED {
            state.batches.pop_front();
        }
        if batch.transactional_id.is_some() {
            state.open.get_or_insert(offset);
        }
    }

    /// An end marker is to be appended: the first offset of the transaction that it ends, if that has records here.
    pub(super) fn end(&mut self, producer: ProducerEpoch) -> Result<Option<u64>, ErrorCode> {
        let ProducerEpoch { id, epoch } = producer;
        let state = self.0.entry(id).or_insert(State { epoch, batches: VecDeque::new(), open: None });
        if epoch < state.epoch {
            return Err(ErrorCode::InvalidProducerEpoch);
        }
        state.advance(epoch);
        Ok(state.open.take())
    }

    /// The first offset of any transaction that goes on.
    pub(super) fn first_open(&self) -> Option<u64> {
        self.0.values().filter_map(|state| state.open).min()
    }

    /// Whether a transaction of a producer goes on here.
    pub(super) fn is_open(&self, id: i64) -> bool {
        self.0.get(&id).is_some_and(|state| state.open.is_some())
    }
}

impl State {
    fn advance(&mut self, epoch: i16) {
        if self.epoch != epoch {
            self.epoch = epoch;
            self.batches.clear();
        }
    }
}

fn out_of_order() -> Result<Verdict, ErrorCode> {
    Err(ErrorCode::OutOfOrderSequenceNumber)
}
