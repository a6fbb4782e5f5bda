//! The one public error: what happened, where, and what to do about it.

use std::error::Error as StdError;
use std::fmt;
use std::io;

use millstream_storage::disk;

/// What kind of thing went wrong; for a program to decide by. The message is for people.
///
/// ```
/// use millstream::{Error, ErrorKind};
///
/// /// Whether it may go away by itself.
/// fn is_worth_another_try(error: &Error) -> bool {
///     error.kind() == ErrorKind::Exhausted
/// }
/// assert!(!is_worth_another_try(&Error::new(ErrorKind::Config, "cores is 0; a job needs at least one")));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The job is not well formed: a name is missing or taken, an output is not connected.
    Job,
    /// A setting is out of its range, or two settings contradict each other.
    Config,
    /// The machine refuses what the job needs: io_uring, memory, CPUs.
    Host,
    /// A source failed: missing input, truncated input, or a record that cannot be decoded.
    Source,
    /// A sink failed.
    Sink,
    /// The machine lacks what may come back: space on a disk, open files.
    Exhausted,
    /// The user's code panicked, or a request of it failed.
    User,
    /// A checkpoint could not be written.
    Checkpoint,
    /// A checkpoint cannot be restored: damaged, missing, or of another job.
    Restore,
    /// Another process has taken the job over.
    Fenced,
}

/// An error of a job.
///
/// ```
/// use millstream::{Error, ErrorKind};
/// let error = Error::new(ErrorKind::Source, "flights.ndjson: line 7: expected `,`");
/// assert_eq!(error.kind(), ErrorKind::Source);
/// assert_eq!(error.to_string(), "flights.ndjson: line 7: expected `,`");
/// ```
pub struct Error {
    kind: ErrorKind,
    message: String,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// The result of most calls.
///
/// ```
/// use millstream::{Error, ErrorKind, Result};
///
/// fn half(n: u64) -> Result<u64> {
///     if n % 2 == 0 { Ok(n / 2) } else { Err(Error::new(ErrorKind::User, format!("{n} is odd"))) }
/// }
/// assert_eq!(half(6)?, 3);
/// assert!(half(7).is_err());
/// # Ok::<(), millstream::Error>(())
/// ```
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error with a message that says what happened, where, and what to do.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Error {
        Error { kind, message: message.into(), source: None }
    }

    /// The same, with the error that caused it.
    ///
    /// ```
    /// use millstream::{Error, ErrorKind};
    ///
    /// let cause = "7x".parse::<u64>().unwrap_err();
    /// let error = Error::new(ErrorKind::Source, "not a number").caused_by(cause).at("line 3");
    /// assert_eq!(error.to_string(), "line 3: not a number: invalid digit found in string");
    /// ```
    pub fn caused_by(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Error {
        self.source = Some(source.into());
        self
    }

    /// The same, saying first where it happened.
    pub fn at(mut self, place: impl fmt::Display) -> Error {
        self.message = format!("{place}: {}", self.message);
        self
    }

    /// Whether one of its causes is that the machine lacked something that may come back.
    pub(crate) fn lacks_room(&self) -> bool {
        let mut cause = StdError::source(self);
        while let Some(error) = cause {
            if error.downcast_ref::<io::Error>().is_some_and(disk::lacks_room) {
                return true;
            }
            cause = error.source();
        }
        false
    }

    /// What kind of error it is.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = self.message.clone();
        let mut cause = self.source.as_deref().map(|s| s as &dyn StdError);
        while let Some(error) = cause {
            let said = error.to_string();
            // Many errors name their cause themselves.
            if !text.ends_with(&said) {
                text = format!("{text}: {said}");
            }
            cause = error.source();
        }
        f.write_str(&text)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {self}", self.kind)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|s| s as &(dyn StdError + 'static))
    }
}
