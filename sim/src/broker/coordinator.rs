//! The coordinator of transactions: who owns a transactional id, and what state its transaction is in.
//!
//! ```text
//! Empty ──add──▶ Ongoing ──end──▶ PrepareCommit ──all markers──▶ CompleteCommit ──add──▶ Ongoing …
//!                   └──end, timeout, init──▶ PrepareAbort ──all markers──▶ CompleteAbort
//! Empty, Complete… ──init──▶ Empty      Empty, Complete… ──expiry──▶ Dead: forgotten
//! ```
//!
//! The rules are those of `TransactionCoordinator` and `TransactionMetadata`, of clients before epochs were raised with every
//! transaction (KIP-890, part 2):
//! - `InitProducerId` raises the epoch. If a transaction goes on, it is aborted under a raised epoch, which nobody gets, and the
//!   answer is `CONCURRENT_TRANSACTIONS` until all markers are written; then the epoch is raised once more. If one is being
//!   ended, it is waited for. An instance that says what it is (KIP-360) is fenced if it is not the last, or gets the same
//!   answer again if it is the one before and asks once more. When epochs run out, the producer gets another id;
//! - another id than the one that is known is `INVALID_PRODUCER_ID_MAPPING`, another epoch `PRODUCER_FENCED`;
//! - what is asked while markers are written is `CONCURRENT_TRANSACTIONS`;
//! - `EndTxn` is answered when its decision is durable, not when its markers are written. One that is repeated after that is
//!   answered as the first was; one that contradicts it, or comes when there is nothing to end, is `INVALID_TXN_STATE`;
//! - a transaction that takes longer than its timeout is aborted under a raised epoch.
//!
//! Left out: the coordinator's own log is taken for instantly durable (no state between two), and it does not move.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use millstream_storage::planted;

use super::requests::{ErrorCode, Owner, ProducerEpoch, TopicPartition};

/// The longest timeout that is accepted.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(15 * 60);
/// A transactional id that was not used for as long is forgotten.
pub(super) const EXPIRY: Duration = Duration::from_secs(7 * 24 * 3600);
/// From this epoch on a producer needs another id.
const LAST_EPOCH: i16 = i16::MAX - 1;

/// The state of a transactional id. `Dead` ones are forgotten: there is no such state to be seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// No transaction yet.
    Empty,
    /// One goes on.
    Ongoing,
    /// It is committed; not all markers are written.
    PrepareCommit,
    /// It is aborted; not all markers are written.
    PrepareAbort,
    /// It is committed.
    CompleteCommit,
    /// It is aborted.
    CompleteAbort,
}

/// Markers that must be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ending {
    pub(super) transactional_id: String,
    pub(super) producer: ProducerEpoch,
    pub(super) commit: bool,
    pub(super) partitions: Vec<TopicPartition>,
}

#[derive(Clone, Debug)]
struct Transaction {
    /// No epoch, which is -1, until it is given out first.
    producer: ProducerEpoch,
    /// The epoch before, of an instance that went on.
    last_epoch: i16,
    previous_id: i64,
    timeout: Duration,
    state: State,
    /// Those without a marker.
    partitions: BTreeSet<TopicPartition>,
    began: Duration,
    used: Duration,
}

/// All transactional ids.
#[derive(Clone, Debug, Default)]
pub(super) struct Coordinator {
    transactions: BTreeMap<String, Transaction>,
    next_id: i64,
    /// Decisions whose markers nobody has begun to write.
    endings: Vec<Ending>,
}

impl Coordinator {
    /// A producer of nobody.
    pub(super) fn new_producer(&mut self) -> ProducerEpoch {
        self.next_id += 1;
        ProducerEpoch { id: self.next_id, epoch: 0 }
    }

    pub(super) fn init(
        &mut self,
        id: &str,
        timeout: Duration,
        current: Option<ProducerEpoch>,
        now: Duration,
    ) -> Result<ProducerEpoch, ErrorCode> {
        if timeout.is_zero() || timeout > LONGEST_TIMEOUT {
            return Err(ErrorCode::InvalidTransactionTimeout);
        }
        if !self.transactions.contains_key(id) {
            let producer = ProducerEpoch { epoch: -1, ..self.new_producer() };
            self.transactions.insert(id.to_owned(), Transaction::new(producer, timeout, now));
        }
        let transaction = self.transactions.get_mut(id).expect("it is there");
        if current.is_some_and(|current| !transaction.may_go_on(current)) {
            return Err(ErrorCode::ProducerFenced);
        }
        match transaction.state {
            State::PrepareCommit | State::PrepareAbort => Err(ErrorCode::ConcurrentTransactions),
            State::Ongoing => {
                let ending = transaction.fence(id, now);
                self.decided(ending);
                Err(ErrorCode::ConcurrentTransactions)
            }
            State::Empty | State::CompleteCommit | State::CompleteAbort => {
                (transaction.timeout, transaction.used) = (timeout, now);
                let epoch = transaction.producer.epoch;
                if epoch >= LAST_EPOCH && current.is_none_or(|current| current.epoch == epoch) {
                    self.next_id += 1;
                    transaction.rotate(self.next_id, current.is_some());
                } else {
                    transaction.raise(current)?;
                }
                (transaction.state, transaction.began) = (State::Empty, Duration::ZERO);
                Ok(transaction.producer)
            }
        }
    }

    /// The transaction of an owner, if it is the last instance.
    fn of(&mut self, owner: &Owner) -> Result<&mut Transaction, ErrorCode> {
        let transaction = self.transactions.get_mut(&owner.transactional_id);
        let transaction = transaction.ok_or(ErrorCode::InvalidProducerIdMapping)?;
        if transaction.producer.id != owner.producer.id {
            return Err(ErrorCode::InvalidProducerIdMapping);
        }
        if transaction.producer.epoch != owner.producer.epoch && !planted!(broker_fencing_ignored) {
            return Err(ErrorCode::ProducerFenced);
        }
        Ok(transaction)
    }

    pub(super) fn add(
        &mut self,
        owner: &Owner,
        partitions: impl IntoIterator<Item = TopicPartition>,
        now: Duration,
    ) -> Result<(), ErrorCode> {
        let transaction = self.of(owner)?;
        match transaction.state {
            State::PrepareCommit | State::PrepareAbort => return Err(ErrorCode::ConcurrentTransactions),
            State::Ongoing => {}
            State::Empty | State::CompleteCommit | State::CompleteAbort => transaction.began = now,
        }
        (transaction.state, transaction.used) = (State::Ongoing, now);
        transaction.partitions.extend(partitions);
        Ok(())
    }

    /// Whether something may be appended to a partition in a transaction.
    pub(super) fn verify(&mut self, owner: &Owner, partition: &TopicPartition) -> Result<(), ErrorCode> {
        let transaction = self.of(owner)?;
        match transaction.state {
            State::PrepareCommit | State::PrepareAbort => Err(ErrorCode::ConcurrentTransactions),
            State::Ongoing if transaction.partitions.contains(partition) => Ok(()),
            _ => Err(ErrorCode::TransactionAbortable),
        }
    }

    pub(super) fn end(&mut self, owner: &Owner, commit: bool, now: Duration) -> Result<(), ErrorCode> {
        let transaction = self.of(owner)?;
        match (transaction.state, commit) {
            (State::Ongoing, _) => {
                let ending = transaction.end(&owner.transactional_id, commit, now);
                self.decided(ending);
                Ok(())
            }
            (State::CompleteCommit, true) | (State::CompleteAbort, false) => Ok(()),
            (State::PrepareCommit, true) | (State::PrepareAbort, false) => {
                Err(ErrorCode::ConcurrentTransactions)
            }
            _ => Err(ErrorCode::InvalidTxnState),
        }
    }

    fn decided(&mut self, ending: Ending) {
        if ending.partitions.is_empty() {
            self.complete(&ending.transactional_id);
        } else {
            self.endings.push(ending);
        }
    }

    /// The decisions since the last call.
    pub(super) fn take_endings(&mut self) -> Vec<Ending> {
        std::mem::take(&mut self.endings)
    }

    /// A marker was written.
    pub(super) fn marked(&mut self, id: &str, partition: &TopicPartition) {
        let Some(transaction) = self.transactions.get_mut(id) else { return };
        transaction.partitions.remove(partition);
        if transaction.partitions.is_empty() {
            self.complete(id);
        }
    }

    fn complete(&mut self, id: &str) {
        let transaction = self.transactions.get_mut(id).expect("what is being ended is known");
        transaction.state = match transaction.state {
            State::PrepareCommit => State::CompleteCommit,
            State::PrepareAbort => State::CompleteAbort,
            other => other,
        };
    }

    /// Aborts what takes too long, and forgets what nobody uses.
    pub(super) fn tick(&mut self, now: Duration) {
        let late: Vec<String> = self
            .transactions
            .iter()
            .filter(|(_, of)| of.state == State::Ongoing && now >= of.began + of.timeout)
            .map(|(id, _)| id.clone())
            .collect();
        for id in late {
            let ending = self.transactions.get_mut(&id).expect("it was found above").fence(&id, now);
            self.decided(ending);
        }
        let is_used = |of: &Transaction| of.is_pending() || now < of.used + EXPIRY;
        self.transactions.retain(|_, of| is_used(of));
    }

    /// The state of a transactional id; none if it is not known, or dead.
    pub(super) fn state(&self, id: &str) -> Option<State> {
        self.transactions.get(id).map(|of| of.state)
    }
}

impl Transaction {
    fn new(producer: ProducerEpoch, timeout: Duration, now: Duration) -> Transaction {
        Transaction {
            producer,
            last_epoch: -1,
            previous_id: -1,
            timeout,
            state: State::Empty,
            partitions: BTreeSet::new(),
            began: Duration::ZERO,
            used: now,
        }
    }

    fn is_pending(&self) -> bool {
        matches!(self.state, State::Ongoing | State::PrepareCommit | State::PrepareAbort)
    }

    /// Whether an instance that says what it is may be the last, or asks again for what made it the one before.
    fn may_go_on(&self, current: ProducerEpoch) -> bool {
        let exhausted_before = current.id == self.previous_id && current.epoch >= LAST_EPOCH;
        self.producer.epoch == -1 || current.id == self.producer.id || exhausted_before
    }

    fn raise(&mut self, current: Option<ProducerEpoch>) -> Result<(), ErrorCode> {
        let epoch = self.producer.epoch;
        match current {
            None => self.last_epoch = -1,
            Some(current) if epoch == -1 || current.epoch == epoch => self.last_epoch = epoch,
            // The answer to the same question was lost.
            Some(current) if current.epoch == self.last_epoch => return Ok(()),
            Some(_) => return Err(ErrorCode::ProducerFenced),
        }
        self.producer.epoch += 1;
        Ok(())
    }

    fn rotate(&mut self, id: i64, keep_last: bool) {
        self.last_epoch = if keep_last { self.producer.epoch } else { -1 };
        self.previous_id = self.producer.id;
        self.producer = ProducerEpoch { id, epoch: 0 };
    }

    /// Aborts under an epoch that nobody has.
    fn fence(&mut self, id: &str, now: Duration) -> Ending {
        self.producer.epoch += 1;
        self.last_epoch = -1;
        self.end(id, false, now)
    }

    fn end(&mut self, id: &str, commit: bool, now: Duration) -> Ending {
        self.state = if commit { State::PrepareCommit } else { State::PrepareAbort };
        self.used = now;
        Ending {
            transactional_id: id.to_owned(),
            producer: self.producer,
            commit,
            partitions: self.partitions.iter().cloned().collect(),
        }
    }
}
