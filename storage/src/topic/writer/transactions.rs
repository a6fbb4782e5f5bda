//! Producers and their transactions.

use crate::topic::decisions::{Decision, Fate};
use crate::topic::error::TopicError;

use super::TopicWriter;

/// A producer of transactions, as of one epoch. Made by [`TopicWriter::fence`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Producer {
    name: String,
    epoch: u64,
}

/// An open transaction. Made by [`TopicWriter::begin`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Transaction(u64);

impl Transaction {
    /// Its number, unique in its topic.
    pub fn number(self) -> u64 {
        self.0
    }
}

/// What became of a transaction that was to be committed by its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It will be committed by the next flush.
    Committed,
    /// It had been committed before.
    Repeated,
}

/// Where a transaction stands with this writer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Open,
    Prepared,
    Over,
}

impl TopicWriter {
    /// Registers a producer of transactions. A newer epoch fences the older ones: what they have open and not
    /// prepared is aborted, and they can do nothing any more.
    ///
    /// # Errors
    /// [`TopicError::Fenced`] if a newer epoch has been seen.
    pub fn fence(&mut self, name: &str, epoch: u64) -> Result<Producer, TopicError> {
        self.check()?;
        let newest = self.state.producers.get(name).map_or(0, |producer| producer.epoch);
        if epoch < newest {
            return Err(TopicError::Fenced { producer: name.to_owned(), epoch, newest });
        }
        if epoch > newest || !self.state.producers.contains_key(name) {
            for transaction in self.open_of(name, |phase| phase == Phase::Open) {
                self.decide_abort(transaction.0);
            }
            self.decide(Decision::Fence { producer: name.to_owned(), epoch });
        }
        Ok(Producer { name: name.to_owned(), epoch })
    }

    /// Begins a transaction. A producer may have any number of them open.
    ///
    /// # Errors
    /// [`TopicError::Fenced`] if a newer epoch of the producer has taken over.
    pub fn begin(&mut self, producer: &Producer) -> Result<Transaction, TopicError> {
        self.check()?;
        self.check_epoch(producer)?;
        let transaction = self.state.next;
        // Durable before any record of it, so that a crash finds every transaction that may have some.
        self.decide(Decision::Begin { transaction, producer: producer.name.clone() });
        self.phases.insert(transaction, Phase::Open);
        Ok(Transaction(transaction))
    }

    fn check_epoch(&self, producer: &Producer) -> Result<(), TopicError> {
        let newest = self.state.producers.get(&producer.name).map_or(0, |state| state.epoch);
        if producer.epoch == newest {
            return Ok(());
        }
        let (name, epoch) = (producer.name.clone(), producer.epoch);
        Err(TopicError::Fenced { producer: name, epoch, newest })
    }

    /// Ends the appends of a transaction and makes it durable under an id of the producer's own, by which it can be
    /// committed or aborted after a crash as well. Ids rise.
    ///
    /// # Errors
    /// If it is not open any more.
    pub fn prepare(&mut self, transaction: Transaction, id: u64) -> Result<(), TopicError> {
        self.expect(transaction, Phase::Open)?;
        self.phases.insert(transaction.0, Phase::Prepared);
        let ends = self.ends();
        self.late.push(Decision::Prepare { transaction: transaction.0, id, ends });
        Ok(())
    }

    /// Makes the records of a transaction visible, all at once.
    ///
    /// # Errors
    /// If it is over.
    pub fn commit(&mut self, transaction: Transaction) -> Result<(), TopicError> {
        self.check()?;
        if self.phase(transaction) == Phase::Over {
            let reason = "is over, or a newer epoch of its producer has taken over";
            return Err(TopicError::Transaction { transaction: transaction.0, reason });
        }
        self.phases.insert(transaction.0, Phase::Over);
        let ends = self.ends();
        self.late.push(Decision::Commit { transaction: transaction.0, ends });
        Ok(())
    }

    /// Gives up a transaction: its records are never visible. Nothing happens if it was aborted before.
    ///
    /// # Errors
    /// If it is being committed.
    pub fn abort(&mut self, transaction: Transaction) -> Result<(), TopicError> {
        self.check()?;
        let is_it = |of: &u64| *of == transaction.0;
        let committing =
            |late: &Decision| matches!(late, Decision::Commit { transaction, .. } if is_it(transaction));
        if self.state.fate(transaction.0) == Fate::Committed || self.late.iter().any(committing) {
            let reason = "is committed already";
            return Err(TopicError::Transaction { transaction: transaction.0, reason });
        }
        if self.state.open.contains_key(&transaction.0) {
            self.late
                .retain(|late| !matches!(late, Decision::Prepare { transaction, .. } if is_it(transaction)));
            self.decide_abort(transaction.0);
        }
        Ok(())
    }

    /// The transactions that a producer has prepared and that are not decided, with their ids.
    pub fn prepared(&self, producer: &str) -> Vec<(u64, Transaction)> {
        let of_it = self.state.open.iter().filter(|(_, open)| open.producer == producer);
        of_it.filter_map(|(transaction, open)| Some((open.prepared?, Transaction(*transaction)))).collect()
    }

    /// Commits the transaction that a producer has prepared under `id`, before a crash perhaps. May be repeated.
    ///
    /// # Errors
    /// [`TopicError::Unknown`] if it is neither prepared nor among the last 1024 that the producer has committed.
    pub fn commit_prepared(&mut self, producer: &str, id: u64) -> Result<Outcome, TopicError> {
        if let Some(transaction) = self.state.prepared(producer, id) {
            if self.phase(Transaction(transaction)) == Phase::Over {
                return Ok(Outcome::Repeated);
            }
            return self.commit(Transaction(transaction)).map(|()| Outcome::Committed);
        }
        let state = self.state.producers.get(producer);
        if state.is_some_and(|state| state.committed.contains(&id)) {
            return Ok(Outcome::Repeated);
        }
        Err(TopicError::Unknown { dir: self.dir.clone(), producer: producer.to_owned(), id })
    }

    /// Aborts every transaction that a producer has not committed.
    ///
    /// # Errors
    /// If the writer was given up.
    pub fn abort_all(&mut self, producer: &str) -> Result<(), TopicError> {
        for transaction in self.open_of(producer, |phase| phase != Phase::Over) {
            self.abort(transaction)?;
        }
        Ok(())
    }

    /// The undecided transactions of a producer that are in such a phase.
    fn open_of(&self, producer: &str, phase: impl Fn(Phase) -> bool) -> Vec<Transaction> {
        let of_it = self.state.open.iter().filter(|(_, open)| open.producer == producer);
        let open = of_it.map(|(transaction, _)| Transaction(*transaction));
        open.filter(|transaction| phase(self.phase(*transaction))).collect()
    }

    fn phase(&self, transaction: Transaction) -> Phase {
        self.phases.get(&transaction.0).copied().unwrap_or(Phase::Over)
    }

    pub(super) fn expect(&self, transaction: Transaction, phase: Phase) -> Result<(), TopicError> {
        self.check()?;
        if self.phase(transaction) == phase {
            return Ok(());
        }
        let reason = "is not open any more, or a newer epoch of its producer has taken over";
        Err(TopicError::Transaction { transaction: transaction.0, reason })
    }

    fn decide_abort(&mut self, transaction: u64) {
        self.phases.insert(transaction, Phase::Over);
        let ends = self.ends();
        self.decide(Decision::Abort { transaction, ends });
    }
}
