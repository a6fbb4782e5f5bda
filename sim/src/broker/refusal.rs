//! Why a request has no answer, and whether asking again helps.

use std::fmt;

/// Why there is no answer.
///
/// ```
/// use millstream_sim::broker::requests::{ErrorCode, Refusal};
/// assert!(Refusal::Lost("connection reset".to_owned()).is_retriable());
/// assert!(!Refusal::Error(ErrorCode::ProducerFenced).is_retriable());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The connection broke, or no answer came in time: nobody knows what has become of the request.
    Lost(String),
    /// The broker says why not.
    Error(ErrorCode),
}

impl Refusal {
    /// Whether the same request may do better.
    pub fn is_retriable(&self) -> bool {
        match self {
            Refusal::Lost(_) => true,
            Refusal::Error(code) => code.is_retriable(),
        }
    }
}

impl From<ErrorCode> for Refusal {
    fn from(code: ErrorCode) -> Refusal {
        Refusal::Error(code)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Lost(why) => f.write_str(why),
            Refusal::Error(code) => write!(f, "{code:?}"),
        }
    }
}

/// The errors of a broker, by Kafka's names.
///
/// ```
/// use millstream_sim::broker::requests::ErrorCode;
/// assert!(ErrorCode::ConcurrentTransactions.is_retriable());
/// assert!(!ErrorCode::OffsetOutOfRange.is_retriable());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of the protocol's documentation")]
pub enum ErrorCode {
    OffsetOutOfRange,
    UnknownTopicOrPartition,
    NotLeaderOrFollower,
    RequestTimedOut,
    CoordinatorLoadInProgress,
    CoordinatorNotAvailable,
    NotCoordinator,
    IllegalGeneration,
    UnknownMemberId,
    RebalanceInProgress,
    OutOfOrderSequenceNumber,
    InvalidProducerEpoch,
    InvalidTxnState,
    InvalidProducerIdMapping,
    InvalidTransactionTimeout,
    ConcurrentTransactions,
    ProducerFenced,
    UnstableOffsetCommit,
    TransactionAbortable,
}

impl ErrorCode {
    /// Whether the protocol calls it retriable: the same request may do better after a while.
    pub fn is_retriable(self) -> bool {
        use ErrorCode::*;
        matches!(
            self,
            UnknownTopicOrPartition
                | NotLeaderOrFollower
                | RequestTimedOut
                | CoordinatorLoadInProgress
                | CoordinatorNotAvailable
                | NotCoordinator
                | ConcurrentTransactions
                | UnstableOffsetCommit
        )
    }
}
