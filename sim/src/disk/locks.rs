//! The table of file locks: held by a process, released by it or by its end.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

/// One successful lock.
pub(crate) type LockId = u64;

#[derive(Debug, Default)]
pub(crate) struct Locks {
    held: BTreeMap<PathBuf, (LockId, u64)>,
    next: LockId,
}

impl Locks {
    /// Locks for a process.
    pub(crate) fn take(&mut self, path: &Path, process: u64) -> io::Result<LockId> {
        if let Some((_, holder)) = self.held.get(path) {
            let message = format!("{} is locked by process {holder}", path.display());
            return Err(io::Error::new(io::ErrorKind::WouldBlock, message));
        }
        self.next += 1;
        self.held.insert(path.to_owned(), (self.next, process));
        Ok(self.next)
    }

    /// Releases one lock, if it is still held.
    pub(crate) fn release(&mut self, id: LockId) {
        self.held.retain(|_, (held, _)| *held != id);
    }

    /// Releases all that a process holds.
    pub(crate) fn release_process(&mut self, process: u64) {
        self.held.retain(|_, (_, holder)| *holder != process);
    }
}
