//! An instance of a transactional producer, for one transaction.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::requests::{Answer, Batch, Message, Owner, Refusal, Request, TopicPartition};
use super::{Asker, nonsense};

pub(super) struct Producer {
    owner: Owner,
    /// The next sequence of each partition of the transaction.
    sequences: BTreeMap<TopicPartition, i32>,
}

impl Producer {
    /// A new instance: those before it are fenced, and their transactions are at their end.
    pub(super) async fn init(asker: &Asker, id: &str, timeout: Duration) -> Result<Producer, Refusal> {
        let transactional_id = Some(id.to_owned());
        let init = Request::InitProducerId { transactional_id, timeout, current: None };
        match asker.ask(init).await? {
            Answer::Producer(producer) => {
                let owner = Owner { transactional_id: id.to_owned(), producer };
                Ok(Producer { owner, sequences: BTreeMap::new() })
            }
            _ => Err(nonsense()),
        }
    }

    /// Sends records in the transaction, and waits until the broker has them.
    pub(super) async fn send(
        &mut self,
        asker: &Asker,
        to: &TopicPartition,
        messages: Vec<Message>,
    ) -> Result<(), Refusal> {
        if !self.sequences.contains_key(to) {
            let (owner, partitions) = (self.owner.clone(), vec![to.clone()]);
            asker.ask(Request::AddPartitionsToTxn { owner, partitions }).await?;
            self.sequences.insert(to.clone(), 0);
        }
        let sequence = self.sequences.get_mut(to).expect("it was added");
        let base_sequence = *sequence;
        *sequence += messages.len() as i32;
        let (producer, transactional_id) =
            (Some(self.owner.producer), Some(self.owner.transactional_id.clone()));
        let batch = Batch { producer, transactional_id, base_sequence, messages };
        asker.ask(Request::Produce { to: to.clone(), batch }).await.map(drop)
    }

    /// Commits. After an error nobody knows whether it did.
    pub(super) async fn commit(&mut self, asker: &Asker) -> Result<(), Refusal> {
        asker.ask(self.end()).await.map(drop)
    }

    fn end(&mut self) -> Request {
        // The next transaction, if there is one, has to be announced anew.
        self.sequences.clear();
        Request::EndTxn { owner: self.owner.clone(), commit: true }
    }

    /// Commits, and takes what it does not know for done.
    pub(super) async fn commit_blindly(&mut self, asker: &Asker) -> Result<(), Refusal> {
        let end = self.end();
        match asker.port.call(&asker.host, end).await {
            Err(Refusal::Lost(_)) | Ok(_) => Ok(()),
            Err(refusal) => Err(refusal),
        }
    }
}
