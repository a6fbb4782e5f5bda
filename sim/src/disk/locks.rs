//! The table of file locks: held by a process, released by it or by its end.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

/// The name of a job's lease.
const LEASE: &str = "lease";

/// One successful lock.
pub(crate) type LockId = u64;

#[derive(Debug, Default)]
pub(crate) struct Locks {
    held: BTreeMap<PathBuf, (LockId, u64)>,
    next: LockId,
    /// The directories of jobs whose lease a process has given back.
    given_back: BTreeSet<(u64, PathBuf)>,
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
        if let Some(dir) = leased(path) {
            self.given_back.remove(&(process, dir.to_owned()));
        }
        Ok(self.next)
    }

    /// Releases one lock, if it is still held.
    pub(crate) fn release(&mut self, id: LockId) {
        let Locks { held, given_back, .. } = self;
        held.retain(|path, (lock, process)| {
            let released = *lock == id;
            if let Some(dir) = leased(path).filter(|_| released) {
                given_back.insert((*process, dir.to_owned()));
            }
            !released
        });
    }

    /// The directory around a path whose lease this process has given back, and which so may be another's.
    pub(crate) fn given_back(&self, process: u64, path: &Path) -> Option<&Path> {
        let mut its = self.given_back.iter().filter(|(holder, _)| *holder == process).map(|(_, dir)| dir);
        its.find(|dir| path.starts_with(dir)).map(PathBuf::as_path)
    }

    /// Whether it has given back any.
    pub(crate) fn has_given_back(&self, process: u64) -> bool {
        self.given_back.iter().any(|(holder, _)| *holder == process)
    }

    /// Releases all that a process holds.
    pub(crate) fn release_process(&mut self, process: u64) {
        self.held.retain(|_, (_, holder)| *holder != process);
    }
}

/// The directory of a job, if the path is its lease.
fn leased(path: &Path) -> Option<&Path> {
    path.parent().filter(|_| path.file_name().is_some_and(|name| name == LEASE))
}
