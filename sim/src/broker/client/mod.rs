//! A source and a sink over the [port](super::requests::Port) of a broker.
//!
//! # Exactly once, and why it is done this way
//! The broker's commit could be the checkpoint's: output goes into an open transaction, its last record is a marker that names
//! the checkpoint, and a start restores exactly the checkpoint that the last committed marker names. That needs a job that can
//! restore another checkpoint than its newest, and whose checkpoints are complete only when all sinks say so. The engine's are
//! complete when their manifest is durable, and what was pre-committed with one *must* become visible then. A transaction
//! cannot be prepared and finished by another process (no KIP-939), so that output cannot wait in one.
//!
//! So it waits in the checkpoint, and the marker says what has become of it, as it does for the tables of a database:
//! - pre-commit n puts the records of epoch n into checkpoint n;
//! - commit n makes a new instance of the shard's producer, which ends what the one before has left; reads the marker; and, if
//!   that is of an older epoch, sends the records **and the marker** {shard, generation, epoch} in one transaction. Whatever goes
//!   wrong, it begins again there, with a new instance and another look. Each instance has one transaction, so that a request
//!   to end one that comes too late cannot end another;
//! - the marker is read by a reader of committed records, up to what was the end when the new instance was there: the last
//!   stable offset, which open transactions of other shards hold back, is waited for;
//! - a start *takes over*: it makes new instances for every shard that ever was, reads all markers, and commits under a
//!   generation that is higher than all of them. A run that was thought dead finds it there before it sends anything.
//!
//! | what happens | the marker says | what becomes of it |
//! |---|---|---|
//! | killed before checkpoint n is complete | < n | nobody knows the records; they come again |
//! | killed after it, before the transaction or in it | < n | the next start aborts the transaction, and commits the records |
//! | commit sent, answer lost | < n or n | a new instance waits for the end of the old one's transaction, and the marker is looked at |
//! | killed after the commit | n | the next start has nothing to do |
//! | killed in recovery | either | recovery begins again; each commit looks at the marker first |
//! | the broker ends the transaction, which took too long | < n | it is done again |
//! | a late request of a dead process | – | its epoch is over |
//! | a process wakes that was thought dead | its generation is over | it may not commit any more |
//! | an older checkpoint is restored | > that | refused: records would come twice |
//!
//! What a connector of a real broker must do in other ways: keep the records in files beside the checkpoint, not in it; read only
//! as much of the markers as it must; send more than one batch at once. What is left out: offsets of a consumer group for tools
//! that show how far a job is behind (a sink does not know the positions of its sources).

mod commit;
mod markers;
mod producer;
mod sink;
mod source;
#[cfg(test)]
mod tests;

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use millstream::host::Host;

use super::requests::{Answer, ErrorCode, Fetched, Isolation, Kind, Message, Port, Refusal, Request};
pub use markers::Marker;
pub use sink::BrokerSink;
pub use source::BrokerSource;

/// How long to wait before something is asked again.
const PAUSE: Duration = Duration::from_millis(50);

/// Who asks, and until when.
#[derive(Clone)]
struct Asker {
    port: Arc<dyn Port>,
    host: Rc<dyn Host>,
    /// By the clock of the process.
    deadline: Duration,
}

impl Asker {
    fn new(port: &Arc<dyn Port>, host: &Rc<dyn Host>, patience: Duration) -> Asker {
        Asker { port: port.clone(), host: host.clone(), deadline: host.monotonic() + patience }
    }

    fn is_late(&self) -> bool {
        self.host.monotonic() >= self.deadline
    }

    async fn pause(&self) {
        self.host.sleep(PAUSE).await;
    }

    /// Asks until there is an answer, or asking again does not help.
    async fn ask(&self, request: Request) -> Result<Answer, Refusal> {
        loop {
            match self.port.call(&self.host, request.clone()).await {
                Err(refusal) if refusal.is_retriable() && !self.is_late() => self.pause().await,
                told => return told,
            }
        }
    }
}

/// An answer that does not belong to the question: the broker is of another kind.
fn nonsense() -> Refusal {
    Refusal::Error(ErrorCode::InvalidTxnState)
}

/// The records of a fetch that a reader is to see, with their offsets.
pub(super) fn visible(fetched: &Fetched, isolation: Isolation) -> Vec<(u64, &Message)> {
    let mut aborted = fetched.aborted.clone();
    aborted.sort_unstable_by_key(|(_, first)| std::cmp::Reverse(*first));
    let mut open: Vec<i64> = Vec::new();
    let mut seen = Vec::new();
    for record in &fetched.records {
        while let Some((id, _)) = aborted.pop_if(|(_, first)| *first <= record.offset) {
            open.push(id);
        }
        let id = record.producer.map(|producer| producer.id);
        match &record.kind {
            Kind::Control { commit: false } => open.retain(|of| Some(*of) != id),
            Kind::Control { commit: true } => {}
            Kind::Data { transactional, message } => {
                let hidden = *transactional && id.is_some_and(|id| open.contains(&id));
                if !hidden || isolation == Isolation::Uncommitted {
                    seen.push((record.offset, message));
                }
            }
        }
    }
    seen
}
