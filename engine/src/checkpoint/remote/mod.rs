//! Checkpoints that outlive the machine: copies of them in an object store, which decides which one is the last.
//!
//! With [`Config::checkpoints_to`](crate::Config::checkpoints_to) a checkpoint is *prepared* once it is durable in the job's
//! own directory, and *complete* once it is in the store as well; only then do sinks commit. Records go on meanwhile.
//!
//! ```text
//! chain/0000000017                    the links: which checkpoints are complete, one after the other
//! chain/0000000018
//! files/0000000016/data/totals-….log.0    files of state, in parts; by the number of the link that their writer began with
//! ```
//!
//! # Why a chain
//! A link is put only where there is none yet, and its number is that of the link before it and one. So of all writers
//! that know the same last link, exactly one puts the next. The numbers of checkpoints would not do: they have gaps, and
//! two writers with different ones would both win.
//!
//! A job that starts takes the chain over: before it reads anything it puts a link of its own, with the checkpoint of the
//! one before it. A writer that still believes that the chain is its own (a process that was thought dead, on a machine
//! that was cut off) finds its next number taken, and ends with an error of kind [`Fenced`](crate::ErrorKind::Fenced); so
//! nothing is committed behind the back of a job that has restored. The number of the link that a run began with is its
//! *generation*: sinks get it, and the run's files bear it, so that files of the same name by two writers are two.
//!
//! | what happens | what becomes of it |
//! |---|---|
//! | killed before the link is put | the link before it counts; what was uploaded is collected by a later start |
//! | the store says that it has not worked, or nothing | put again, the same link, until it is known: the checkpoint is neither aborted nor committed before |
//! | the link is there, and is its own | it had been put: the checkpoint is complete |
//! | it is another's | this run is over, and commits nothing |
//! | killed after it was put, before the sinks commit | the next start commits |
//! | the machine is lost | the next start, on another one, takes all files from the store |
//! | a writer sleeps so long that its next number was put and removed again | it puts its link, finds later ones, and is over |
//!
//! What sinks keep [in files](crate::sink::Writer::pre_commit) beside the checkpoints until it is committed goes to the
//! store, too. Output in files of the lost machine is lost with it, and a start that misses it says so.

pub(crate) mod chain;
pub(crate) mod collect;
pub mod link;
mod memory;
pub(crate) mod patience;
pub(crate) mod peek;
pub(crate) mod transfer;

use std::fmt;
use std::rc::Rc;

use crate::host::{Host, LocalFuture};

pub use memory::Memory;

/// Where objects are kept, and how to get there.
///
/// ```
/// # use millstream::prelude::*;
/// use millstream::checkpoint::remote::{Memory, Remote};
/// # let (dir, other) = (tempfile::tempdir()?, tempfile::tempdir()?);
///
/// let remote = Memory::new("a shelf");
/// assert_eq!(remote.describe(), "a shelf");
/// assert!(remote.part_bytes() > 0);
/// let run = |dir: &std::path::Path| {
///     let job = Job::new("doc");
///     job.source("numbers", generator(10, |n| n)).sink("nowhere", discard());
///     job.run(Config::new().cores(1).checkpoints(dir).checkpoints_to(remote.clone()))
/// };
/// assert_eq!(run(dir.path())?.records_in, 10);
/// assert!(run(other.path())?.already_finished, "another machine knows it from the remote");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Remote: fmt::Debug + Send + Sync + 'static {
    /// The place, in a few words, without anything secret: for messages, and to tell one place from another.
    fn describe(&self) -> String;

    /// The longest object that a file is stored as, in bytes; longer files are stored in parts.
    fn part_bytes(&self) -> u64;

    /// The objects there, for one core.
    ///
    /// # Errors
    /// If they cannot be reached.
    fn connect(&self, host: &Rc<dyn Host>) -> LocalFuture<Result<Rc<dyn Objects>, Refusal>>;
}

/// Objects under names. What was stored is seen by whoever asks afterwards, lists included.
///
/// ```
/// use std::rc::Rc;
/// use millstream::checkpoint::remote::{Memory, Objects, Page, Put, Refusal, Remote, Stored};
/// use millstream::host::{CoreMain, RuntimeConfig, launch};
///
/// async fn try_out(objects: Rc<dyn Objects>) -> Result<(), Refusal> {
///     let put = |name, bytes: &str, how| objects.put(name, bytes.as_bytes().to_vec(), how);
///     assert_eq!(put("chain/1", "mine", Put::IfAbsent).await?, Stored::Now);
///     assert_eq!(put("chain/1", "yours", Put::IfAbsent).await?, Stored::Before);
///     assert_eq!(put("files/1", "bytes", Put::Replace).await?, Stored::Now);
///     assert_eq!(objects.get("chain/1").await?.as_deref(), Some(b"mine".as_slice()));
///
///     let Page { names, more } = objects.list("chain/", "").await?;
///     assert_eq!((names, more), (vec!["chain/1".to_owned()], false));
///     objects.delete("chain/1").await?;
///     assert_eq!(objects.get("chain/1").await?, None);
///     Ok(())
/// }
///
/// let main: CoreMain = Box::new(|host| {
///     Box::pin(async move {
///         let objects = Memory::new("a shelf").connect(&host).await.expect("it is in this process");
///         try_out(objects).await.expect("nothing goes wrong");
///     })
/// });
/// launch(&RuntimeConfig::default(), vec![main])?.join()?;
/// # Ok::<(), millstream::host::HostError>(())
/// ```
pub trait Objects {
    /// Stores an object.
    ///
    /// # Errors
    /// If it was not stored; or if that is not known: after a [passing](Refusal::Passing) error it may be there, or come
    /// to be there later.
    fn put(&self, name: &str, bytes: Vec<u8>, how: Put) -> LocalFuture<Result<Stored, Refusal>>;

    /// An object, if there is one of that name.
    ///
    /// # Errors
    /// If it cannot be read.
    fn get(&self, name: &str) -> LocalFuture<Result<Option<Vec<u8>>, Refusal>>;

    /// The names that begin with `prefix` and come after `after`, in the order of their bytes; as many as one answer has.
    ///
    /// # Errors
    /// If they cannot be listed.
    fn list(&self, prefix: &str, after: &str) -> LocalFuture<Result<Page, Refusal>>;

    /// Removes an object, if it is there.
    ///
    /// # Errors
    /// If it was not removed, or that is not known.
    fn delete(&self, name: &str) -> LocalFuture<Result<(), Refusal>>;
}

/// How an object is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// Only where there is none of that name.
    IfAbsent,
    /// In the place of what was there.
    Replace,
}

/// What came of storing an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    /// It is there.
    Now,
    /// There was one of that name before, which stays.
    Before,
}

/// A part of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// Names, in the order of their bytes.
    pub names: Vec<String>,
    /// Whether there may be more behind the last.
    pub more: bool,
}

/// Why a request has failed.
///
/// ```
/// use millstream::checkpoint::remote::Refusal;
///
/// let refusal = Refusal::Refused("no such bucket".to_owned());
/// assert_eq!(refusal.to_string(), "no such bucket");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It may have been done or not, or may be done yet; the same request may be sent again.
    #[error("{0}")]
    Passing(String),
    /// It was not done, and would not be at another time either.
    #[error("{0}")]
    Refused(String),
}
