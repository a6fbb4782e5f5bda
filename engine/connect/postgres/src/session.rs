//! The protocol's view of a server: a session, and what may come of its steps.
//!
//! Everything that the sink asks of a server is a [`Step`] of a [`Session`]. The one implementation that ships is a
//! client on a thread of its own; the simulator has another, of a server that loses answers and commits late. What the
//! sink promises rests on this contract:
//!
//! - [`Lock`](Step::Lock) begins a transaction. Nobody else gets the lock of the same marker before the transaction has
//!   ended, and what is told of the marker is what the last committed transaction has set.
//! - All steps until [`Commit`](Step::Commit) take effect with it, or not at all; not at all, too, if the session is
//!   dropped before.
//! - After [`Refusal::Lost`] nobody knows: a commit that was under way may have happened, may happen still, or never will.
//!   As long as it may, the server keeps its locks.

use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use millstream::host::{Host, LocalFuture};

use crate::target::Target;

/// How sessions with a server are opened.
///
/// What it is asked for can be seen and changed on the way, here to count the sessions:
///
/// ```
/// use std::rc::Rc;
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicUsize, Ordering};
/// use millstream::host::{Host, LocalFuture};
/// use millstream_postgres::session::{Connect, Refusal, Session};
/// use millstream_postgres::Target;
///
/// struct Counted<C>(C, AtomicUsize);
///
/// impl<C: Connect> Connect for Counted<C> {
///     fn describe(&self) -> String {
///         self.0.describe()
///     }
///     fn connect(
///         &self,
///         host: &Rc<dyn Host>,
///         target: &Arc<Target>,
///     ) -> LocalFuture<Result<Box<dyn Session>, Refusal>> {
///         self.1.fetch_add(1, Ordering::Relaxed);
///         self.0.connect(host, target)
///     }
/// }
/// ```
pub trait Connect: Send + Sync + 'static {
    /// The server, for messages. Nothing secret.
    fn describe(&self) -> String;

    /// Opens a session.
    fn connect(
        &self,
        host: &Rc<dyn Host>,
        target: &Arc<Target>,
    ) -> LocalFuture<Result<Box<dyn Session>, Refusal>>;
}

/// A connection, and the transaction on it. Dropping it closes the connection.
///
/// ```
/// use millstream::host::LocalFuture;
/// use millstream_postgres::session::{Marker, Refusal, Session, Step};
///
/// /// One that is told of.
/// struct Told(Box<dyn Session>);
///
/// impl Session for Told {
///     fn step(&self, step: Step) -> LocalFuture<Result<Vec<Marker>, Refusal>> {
///         println!("{step:?}");
///         self.0.step(step)
///     }
/// }
/// ```
pub trait Session {
    /// Takes a step; one after the other. Answers with markers if it was asked for some.
    fn step(&self, step: Step) -> LocalFuture<Result<Vec<Marker>, Refusal>>;
}

/// What a session is asked to do.
///
/// ```
/// use millstream_postgres::session::{Marker, Step};
/// let marker = Marker { shard: 0, generation: 3, epoch: 12 };
/// assert_eq!(format!("{:?}", Step::Mark(vec![marker])), "Mark([Marker { shard: 0, generation: 3, epoch: 12 }])");
/// assert_eq!(format!("{:?}", Step::Rows(vec![0; 900])), "Rows(900 bytes)");
/// ```
pub enum Step {
    /// Looks whether the table is what the sink takes it for, and makes the table of commits if there is none.
    Prepare,
    /// Ends the sessions of others that go by the sink's name, begins a transaction, and locks the sink: answers with all
    /// of its markers.
    TakeOver,
    /// Begins a transaction, and locks the marker of a shard: answers with it, if there is one.
    Lock(u32),
    /// Takes rows, as tuples of the binary COPY format.
    Rows(Vec<u8>),
    /// No more rows come: lets them become rows of the table.
    Apply,
    /// Sets markers.
    Mark(Vec<Marker>),
    /// Ends the transaction: everything takes effect.
    Commit,
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Prepare => f.write_str("Prepare"),
            Step::TakeOver => f.write_str("TakeOver"),
            Step::Lock(shard) => write!(f, "Lock({shard})"),
            Step::Rows(rows) => write!(f, "Rows({} bytes)", rows.len()),
            Step::Apply => f.write_str("Apply"),
            Step::Mark(markers) => write!(f, "Mark({markers:?})"),
            Step::Commit => f.write_str("Commit"),
        }
    }
}

/// What the server knows of a shard of a sink.
///
/// ```
/// use millstream_postgres::session::Marker;
/// let marker = Marker { shard: 2, generation: 7, epoch: 40 };
/// assert!(marker.epoch >= 39, "what the shard put out in epoch 39 is in the table");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Marker {
    /// The shard.
    pub shard: u32,
    /// Which run of the job may write: the last that took the sink over.
    pub generation: u64,
    /// The last epoch whose output is in the table.
    pub epoch: u64,
}

/// Why a step was not taken.
///
/// ```
/// use millstream_postgres::session::Refusal;
/// assert_eq!(Refusal::Lost("connection reset".to_owned()).to_string(), "connection reset");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The connection is gone, or the server cannot be reached, or asks to be asked again: another session may do better.
    Lost(String),
    /// The server says no, and would again.
    Refused(String),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Refusal::Lost(why) | Refusal::Refused(why)) = self;
        f.write_str(why)
    }
}
