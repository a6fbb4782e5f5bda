//! Errors of the disk that say which operation failed on which path.

use std::io;
use std::path::{Path, PathBuf};

/// An operating system error with the operation and the path it belongs to.
///
/// It travels inside an [`io::Error`] of the same kind; the operating system's own error is its source.
///
/// ```
/// # use millstream::host::{CoreMain, DiskError, RuntimeConfig, launch};
/// let main: CoreMain = Box::new(|host| {
///     Box::pin(async move {
///         let error = host.disk().remove("/no/such/file".as_ref()).await.unwrap_err();
///         let named = error.get_ref().and_then(|inner| inner.downcast_ref::<DiskError>());
///         let named = named.expect("every error of the disk is named");
///         assert_eq!(named.operation, "remove");
///         assert_eq!(named.path.to_str(), Some("/no/such/file"));
///     })
/// });
/// launch(&RuntimeConfig::default(), vec![main])?.join()?;
/// # Ok::<(), millstream::host::HostError>(())
/// ```
#[derive(Debug, thiserror::Error)]
#[error("cannot {operation} {}: {source}", path.display())]
pub struct DiskError {
    /// What was tried, as a verb: `open`, `write 4096 bytes at 0 of`.
    pub operation: String,
    /// The file or directory.
    pub path: PathBuf,
    /// What the operating system said.
    pub source: io::Error,
}

/// Names the operation and the path in an error.
pub(crate) fn name(operation: impl Into<String>, path: &Path, source: io::Error) -> io::Error {
    let kind = source.kind();
    io::Error::new(kind, DiskError { operation: operation.into(), path: path.to_owned(), source })
}

/// Names the operation and the path in the error of a result.
pub(crate) trait Named<T> {
    /// `cannot <operation> <path>: <error>`.
    fn named(self, operation: &str, path: &Path) -> io::Result<T>;
}

impl<T, E: Into<io::Error>> Named<T> for Result<T, E> {
    fn named(self, operation: &str, path: &Path) -> io::Result<T> {
        self.map_err(|error| name(operation, path, error.into()))
    }
}
