//! What a client asks of a broker, in Kafka's terms: the seam behind which the simulated broker is, and a client of a real
//! one can be.

use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use millstream::host::{Host, LocalFuture};

pub use super::refusal::{ErrorCode, Refusal};

/// How a broker is reached. The contract: a request takes effect before its answer comes, as often as once more, or, if no
/// answer comes, at any later time or never.
///
/// ```
/// use std::rc::Rc;
/// use millstream::host::{Host, LocalFuture};
/// use millstream_sim::broker::requests::{Answer, Port, Refusal, Request};
///
/// /// One that nobody answers.
/// struct Nobody;
///
/// impl Port for Nobody {
///     fn describe(&self) -> String {
///         "nobody".to_owned()
///     }
///     fn call(&self, _: &Rc<dyn Host>, _: Request) -> LocalFuture<Result<Answer, Refusal>> {
///         Box::pin(async { Err(Refusal::Lost("nobody is there".to_owned())) })
///     }
/// }
/// ```
pub trait Port: Send + Sync + 'static {
    /// The broker, for messages. Nothing secret.
    fn describe(&self) -> String;
    /// Sends a request, and waits for the answer.
    fn call(&self, host: &Rc<dyn Host>, request: Request) -> LocalFuture<Result<Answer, Refusal>>;
}

/// A partition of a topic.
///
/// ```
/// use millstream_sim::broker::requests::TopicPartition;
/// assert_eq!(TopicPartition::new("rows", 3).to_string(), "rows-3");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TopicPartition {
    /// The topic.
    pub topic: String,
    /// Which of its partitions.
    pub partition: u32,
}

impl TopicPartition {
    /// A partition of a topic.
    pub fn new(topic: &str, partition: u32) -> TopicPartition {
        TopicPartition { topic: topic.to_owned(), partition }
    }
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

/// An instance of a producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ProducerEpoch {
    /// Which producer.
    pub id: i64,
    /// Which instance of it.
    pub epoch: i16,
}

/// Who asks for something in a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The transactional id.
    pub transactional_id: String,
    /// The instance that got it.
    pub producer: ProducerEpoch,
}

/// A member of a group, of a generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its id.
    pub id: String,
    /// The generation that it belongs to.
    pub generation: i32,
}

/// A record to be produced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The key.
    pub key: Option<Vec<u8>>,
    /// The value; none removes the key from a compacted topic.
    pub value: Option<Vec<u8>>,
}

/// Records to be produced together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Who produces them; nobody in particular if there is none.
    pub producer: Option<ProducerEpoch>,
    /// The transactional id, if they belong to a transaction.
    pub transactional_id: Option<String>,
    /// The number of the first of them, of those that this instance sends to the partition.
    pub base_sequence: i32,
    /// The records.
    pub messages: Vec<Message>,
}

/// What a reader gets to see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolation {
    /// Everything.
    Uncommitted,
    /// Nothing beyond the first record of a transaction that goes on; who was aborted is told.
    Committed,
}

/// An end of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The first offset that is left.
    Earliest,
    /// The offset of the next record; for a reader of what is committed, the last stable offset.
    Latest,
}

/// A request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// A new instance of a producer.
    InitProducerId {
        /// Without one, the producer is of nobody.
        transactional_id: Option<String>,
        /// How long its transactions may take.
        timeout: Duration,
        /// What the asking instance is: it goes on only if it is the last.
        current: Option<ProducerEpoch>,
    },
    /// Before something is produced to them in a transaction.
    AddPartitionsToTxn {
        /// Whose transaction.
        owner: Owner,
        /// The partitions.
        partitions: Vec<TopicPartition>,
    },
    /// Before offsets of a group are committed in a transaction.
    AddOffsetsToTxn {
        /// Whose transaction.
        owner: Owner,
        /// The group.
        group: String,
    },
    /// Commits offsets of a group with the transaction.
    TxnOffsetCommit {
        /// Whose transaction.
        owner: Owner,
        /// The group.
        group: String,
        /// The member of the group that it does this for; none for a group that has no members.
        member: Option<Member>,
        /// The offsets to go on from.
        offsets: BTreeMap<TopicPartition, u64>,
    },
    /// Ends the transaction.
    EndTxn {
        /// Whose transaction.
        owner: Owner,
        /// How.
        commit: bool,
    },
    /// Appends a batch.
    Produce {
        /// Where.
        to: TopicPartition,
        /// What.
        batch: Batch,
    },
    /// Reads.
    Fetch {
        /// Where.
        from: TopicPartition,
        /// From which offset.
        offset: u64,
        /// How many at most, control records included.
        most: usize,
        /// What is seen.
        isolation: Isolation,
    },
    /// Asks for an end of a partition.
    ListOffsets {
        /// Where.
        of: TopicPartition,
        /// Which end.
        end: End,
        /// As whom.
        isolation: Isolation,
    },
    /// Asks how many partitions a topic has.
    Metadata {
        /// The topic.
        topic: String,
    },
    /// Joins a group; answered when all have joined. With an empty id a member is new.
    JoinGroup {
        /// The group.
        group: String,
        /// Its own id.
        member: String,
        /// After how long without a heartbeat it is taken for gone.
        session: Duration,
        /// How long others are waited for.
        rebalance: Duration,
    },
    /// Fetches what was assigned; the leader brings it.
    SyncGroup {
        /// The group.
        group: String,
        /// Who asks.
        member: Member,
        /// Of the leader: what each member gets.
        assignments: BTreeMap<String, Vec<u32>>,
    },
    /// Says that it is alive.
    Heartbeat {
        /// The group.
        group: String,
        /// Who is alive.
        member: Member,
    },
    /// Leaves a group.
    LeaveGroup {
        /// The group.
        group: String,
        /// Who leaves.
        member: String,
    },
    /// Commits offsets of a group at once.
    OffsetCommit {
        /// The group.
        group: String,
        /// The member; none for a group that has no members.
        member: Option<Member>,
        /// The offsets to go on from.
        offsets: BTreeMap<TopicPartition, u64>,
    },
    /// Asks for the committed offsets of a group.
    OffsetFetch {
        /// The group.
        group: String,
        /// To be asked again while a transaction goes on that changes one.
        stable: bool,
    },
}

/// A record that was fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its offset.
    pub offset: u64,
    /// Who produced it.
    pub producer: Option<ProducerEpoch>,
    /// What it is.
    pub kind: Kind,
}

/// What a record is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One of somebody.
    Data {
        /// Whether it belongs to a transaction.
        transactional: bool,
        /// What it says.
        message: Message,
    },
    /// The end of a transaction in this partition.
    Control {
        /// How it ended.
        commit: bool,
    },
}

/// What a fetch found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fetched {
    /// The records. Those of transactions that were aborted are among them.
    pub records: Vec<Record>,
    /// The producers whose transactions were aborted, each with the first offset of one.
    pub aborted: Vec<(i64, u64)>,
    /// Where to go on.
    pub next: u64,
    /// The end of the partition: the high watermark.
    pub end: u64,
    /// The first offset of an open transaction, or the end.
    pub stable: u64,
}

/// What joining a group led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joined {
    /// The member that the answer is for.
    pub member: Member,
    /// The member that makes the assignments.
    pub leader: String,
    /// Of the leader: all members.
    pub members: Vec<String>,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is done.
    Done,
    /// A producer is ready.
    Producer(ProducerEpoch),
    /// The batch has this offset.
    Appended(u64),
    /// Records.
    Fetched(Fetched),
    /// An offset.
    Offset(u64),
    /// Partitions of a topic.
    Partitions(u32),
    /// The group is complete.
    Joined(Joined),
    /// What the member is to read.
    Assigned(Vec<u32>),
    /// Committed offsets.
    Offsets(BTreeMap<TopicPartition, u64>),
}
