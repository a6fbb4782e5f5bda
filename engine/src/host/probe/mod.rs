//! Whether this machine allows io_uring, and if not: what denies it and how to cure that.
//!
//! glommio aborts the process where io_uring is denied, so this looks before it starts.

mod denied;
mod facts;
#[cfg(test)]
mod tests;

pub use denied::{Denied, MEMLOCK_NEEDED, diagnose};
pub use facts::{Attempt, Facts, Memlock, Seccomp, Support, memlock};

use std::io;

/// Tries io_uring out: a ring, the operations that the engine needs, a request that does nothing.
///
/// ```
/// match millstream::host::probe::probe() {
///     Ok(support) => assert!(support.missing.is_empty()),
///     Err(denied) => eprintln!("io_uring is not used here: {denied}"),
/// }
/// ```
///
/// # Errors
/// What denies it.
pub fn probe() -> Result<Support, Denied> {
    diagnose(&Facts::gather())
}

/// Tries out what cores on io_uring make for direct I/O: a ring of their own. Without one their helper threads do
/// that work.
///
/// ```
/// use millstream::host::probe::{probe, probe_direct};
/// if let Err(denied) = probe_direct() {
///     eprintln!("direct I/O goes through helper threads: {denied}");
/// } else {
///     assert!(probe().is_ok());
/// }
/// ```
///
/// # Errors
/// What denies it.
pub fn probe_direct() -> Result<(), Denied> {
    probe()?;
    super::uring::try_direct_ring().map_err(|error| {
        let errno = error.raw_os_error().unwrap_or(libc::EIO);
        denied::refused(&Facts::gather(), "setup", errno)
    })
}

/// What one of `cores` may lock in memory, in bytes; `None` if there is no limit.
pub(crate) fn lockable(cores: usize) -> Option<u64> {
    match memlock() {
        Memlock { exempt: true, .. } | Memlock { limit: None, .. } => None,
        Memlock { limit: Some(bytes), .. } => Some(bytes / cores.max(1) as u64),
    }
}

/// Why a core could not be set up although the probe succeeded: mostly because the locked memory is used up.
pub(crate) fn denied_core(core: usize, error: &io::Error) -> Denied {
    if error.raw_os_error() == Some(libc::ENOMEM)
        && let Memlock { limit: Some(limit), exempt: false } = memlock()
    {
        return Denied::Memlock { limit, needed: (core as u64 + 1) * MEMLOCK_NEEDED };
    }
    Denied::Other(format!("core {core} could not start: {error}"))
}
