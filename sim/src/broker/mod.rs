//! A transactional broker outside the simulated machine, in the likeness of Kafka: it survives every crash, and requests reach
//! it late, twice, or not at all.
//!
//! | fault | what happens | what still holds |
//! |---|---|---|
//! | request lost | it has no effect, and the client hears of a broken connection | nothing has changed |
//! | answer lost | it has its effect, and the client hears of a broken connection | it was done once |
//! | request late | the client hears of a broken connection, or dies; the effect comes up to half a minute later: after the request was repeated, or after its producer was fenced | it is judged by the state that there is then |
//! | request repeated | it has its effect, is answered, and comes once more later | the same |
//! | broker unavailable | for a while, requests are lost or refused with a retriable error | what was acknowledged |
//! | slow markers | the end of a transaction is decided, and written to its partitions one by one later | the decision |
//! | timeouts | transactions and sessions end by the broker's clock | – |
//!
//! Which of Kafka's rules hold is said where they are kept: [`coordinator`] for transactions, `producers` for sequences, `log`
//! for what readers see, `groups` for consumer groups. Left out of all of them: replication (what is acknowledged stays), more
//! than one broker, transactions of the second version (KIP-890, part 2), authorisation, quotas, compression, time indexes.
//! [`client`] has what a job needs: a source and a sink.

pub mod client;
mod cluster;
pub mod coordinator;
mod groups;
mod log;
mod network;
mod producers;
mod refusal;
pub mod requests;

#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::random::Random;
use cluster::Cluster;
use coordinator::State;
use network::Network;
use requests::{Batch, Message, ProducerEpoch, TopicPartition};

/// A broker, and the network to it. Clones are the same.
///
/// ```
/// use millstream_sim::broker::Broker;
/// use millstream_sim::random::Streams;
/// use std::time::Duration;
///
/// let broker = Broker::new(Streams::new(1).stream("broker"), Duration::from_millis(3));
/// broker.create("rows", 2);
/// broker.calm();
/// assert_eq!(broker.committed("rows"), [vec![], vec![]]);
/// ```
#[derive(Clone)]
pub struct Broker {
    outside: Arc<Mutex<Outside>>,
    /// The longest that half of a request takes.
    longest: Duration,
}

struct Outside {
    cluster: Cluster,
    network: Network,
}

/// Some records of a producer, to fill a topic with.
///
/// ```
/// use millstream_sim::broker::Fill;
/// let aborted = Fill { messages: Vec::new(), commit: Some(false) };
/// assert_eq!(aborted.commit, Some(false));
/// ```
#[derive(Clone, Debug)]
pub struct Fill {
    /// The records.
    pub messages: Vec<Message>,
    /// How the transaction ends that they are in, if they are in one.
    pub commit: Option<bool>,
}

impl Broker {
    /// One without topics, that takes up to twice `longest` for a request.
    pub fn new(mut random: Random, longest: Duration) -> Broker {
        let mut cluster = Cluster::new(random.split());
        cluster.markers = Duration::from_micros(random.magnitude(2_000_000));
        let outside = Outside { cluster, network: Network::new(random) };
        Broker { outside: Arc::new(Mutex::new(outside)), longest }
    }

    /// Makes a topic.
    pub fn create(&self, topic: &str, partitions: u32) {
        self.outside().cluster.create(topic, partitions, false);
    }

    /// Makes a topic of one partition that keeps the last record of each key.
    pub fn create_compacted(&self, topic: &str) {
        self.outside().cluster.create(topic, 1, true);
    }

    /// Adds a partition, with what is in it, some time from now, and returns the offset at which it ends then: behind the
    /// control record that ends a transaction.
    ///
    /// ```
    /// use millstream_sim::broker::{Broker, Fill, requests::Message};
    /// use millstream_sim::random::Streams;
    /// use std::time::Duration;
    ///
    /// let broker = Broker::new(Streams::new(1).stream("broker"), Duration::from_millis(3));
    /// broker.create("rows", 1);
    /// let fill = |value: &str, commit| Fill { messages: vec![Message { key: None, value: Some(value.into()) }], commit };
    /// let fills = [fill("seen", None), fill("aborted", Some(false)), fill("committed", Some(true))];
    /// assert_eq!(broker.add_partition("rows", &fills, Duration::from_secs(1)), 5);
    ///
    /// broker.settle();
    /// let [_, added] = &broker.committed("rows")[..] else { panic!("there are two partitions") };
    /// assert_eq!(added.len(), 2);
    /// ```
    pub fn add_partition(&self, topic: &str, fills: &[Fill], after: Duration) -> u64 {
        let log = filled(fills);
        let end = log.offset(requests::End::Latest, requests::Isolation::Uncommitted);
        self.outside().cluster.add_partition(topic, log, after);
        end
    }

    /// Retention removes what is below an offset.
    ///
    /// ```
    /// use millstream_sim::broker::{Broker, Fill, requests::Message};
    /// use millstream_sim::random::Streams;
    /// use std::time::Duration;
    ///
    /// let broker = Broker::new(Streams::new(1).stream("broker"), Duration::from_millis(3));
    /// broker.create("rows", 1);
    /// let message = |value: &str| Message { key: None, value: Some(value.into()) };
    /// let fill = Fill { messages: ["a", "b", "c"].map(message).to_vec(), commit: None };
    /// broker.add_partition("rows", &[fill], Duration::ZERO);
    /// broker.settle();
    ///
    /// broker.trim("rows", 1, 2);
    /// assert_eq!(broker.committed("rows")[1].len(), 1);
    /// assert_eq!(broker.end("rows", 1), Some(3));
    /// ```
    pub fn trim(&self, topic: &str, partition: u32, offset: u64) {
        self.outside().cluster.trim(&TopicPartition::new(topic, partition), offset);
    }

    /// From now on nothing goes wrong. What is on its way arrives when it was to.
    pub fn calm(&self) {
        self.outside().network.calm();
    }

    /// Lets everything happen that is on its way: late requests, partitions that are to come, the ends of transactions. See
    /// [`add_partition`](Broker::add_partition) for an example.
    pub fn settle(&self) {
        self.outside().cluster.settle();
    }

    /// What a reader of committed records gets, partition by partition. Found by looking ahead for the end of each record's
    /// transaction, not as readers find it.
    pub fn committed(&self, topic: &str) -> Vec<Vec<Message>> {
        self.outside().cluster.committed(topic)
    }

    /// The state of a transactional id, if it is known.
    pub fn state(&self, transactional_id: &str) -> Option<State> {
        self.outside().cluster.state(transactional_id)
    }

    /// The offset at which a partition ends.
    pub fn end(&self, topic: &str, partition: u32) -> Option<u64> {
        self.outside().cluster.end(&TopicPartition::new(topic, partition)).ok()
    }

    fn outside(&self) -> MutexGuard<'_, Outside> {
        self.outside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A partition in which these were produced one after the other, each by a producer of its own.
fn filled(fills: &[Fill]) -> log::Log {
    let mut log = log::Log::default();
    // Ids that no coordinator gives out.
    for (id, fill) in (1 << 40..).zip(fills) {
        let producer = ProducerEpoch { id, epoch: 0 };
        let transactional_id = fill.commit.map(|_| format!("fill-{id}"));
        let messages = fill.messages.clone();
        let batch = Batch { producer: Some(producer), transactional_id, base_sequence: 0, messages };
        log.append(&batch).expect("the producer is new");
        if let Some(commit) = fill.commit {
            log.append_end(producer, commit).expect("the producer is new");
        }
    }
    log
}
