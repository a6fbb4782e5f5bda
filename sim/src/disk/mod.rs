//! The simulated disk: everything a real one may do to what was not synced, and some of what it may do to the rest.
//!
//! Names (`names.rs`) and the contents of files (`content.rs`) are kept apart, and become durable separately.
//! Operations take effect when they complete, after a drawn latency, so that they overtake each other: nothing that
//! is in flight together has an order. The contract of every fault is in [`faults`](crate::faults).

pub(crate) mod content;
mod crash;
mod handle;
mod locks;
pub(crate) mod model;
pub(crate) mod names;
pub(crate) mod op;
mod read_only;
mod trouble;

use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use millstream_storage::disk::DirEntry;

use crate::coverage::Coverage;
use crate::world::kernel::Kernel;

pub use crash::CrashKind;
pub(crate) use handle::SimDisk;
pub use read_only::ReadOnly;

/// The disk as the scenario sees it: at once, without faults.
pub struct DiskView {
    kernel: Rc<Kernel>,
}

impl DiskView {
    pub(crate) fn new(kernel: Rc<Kernel>) -> DiskView {
        DiskView { kernel }
    }

    /// Puts a durable file there, with its directories, replacing what was there. All names so far become durable.
    ///
    /// # Errors
    /// If a file or directory is in the way.
    pub fn install(&self, path: impl AsRef<Path>, bytes: impl Into<Vec<u8>>) -> io::Result<()> {
        self.kernel.state().disk.install(path.as_ref(), bytes.into())
    }

    /// Removes every file in a directory and below it, for good: another machine has its place. Between two processes.
    pub fn wipe(&self, path: impl AsRef<Path>) {
        self.kernel.state().disk.wipe(path.as_ref());
    }

    /// The contents of a file, as a running system sees them.
    ///
    /// # Errors
    /// `NotFound`, or `IsADirectory`.
    pub fn read(&self, path: impl AsRef<Path>) -> io::Result<Vec<u8>> {
        self.kernel.state().disk.contents(path.as_ref()).map(<[u8]>::to_vec)
    }

    /// Whether no power loss can take it back: its name and its contents, as a running system sees them.
    ///
    /// ```
    /// use millstream_sim::world::{World, WorldConfig};
    /// let world = World::new(7, WorldConfig::default());
    /// world.disk().install("hello", b"world").expect("nothing is in the way");
    /// assert!(world.disk().is_durable("hello").expect("it is there"));
    /// ```
    ///
    /// # Errors
    /// `NotFound`, or `IsADirectory`.
    pub fn is_durable(&self, path: impl AsRef<Path>) -> io::Result<bool> {
        let state = self.kernel.state();
        let inode = state.disk.names.lookup(path.as_ref())?;
        let named = state.disk.names.durable(path.as_ref()) == Some(inode);
        Ok(named && state.disk.files[&inode].content.is_durable())
    }

    /// The names in a directory, sorted.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn list(&self, path: impl AsRef<Path>) -> io::Result<Vec<DirEntry>> {
        self.kernel.state().disk.list(path.as_ref())
    }

    /// Every file and its contents, by path.
    pub fn tree(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let state = self.kernel.state();
        state.disk.tree().into_iter().map(|(path, bytes)| (path, bytes.to_vec())).collect()
    }

    /// The names that files have had since they do not hold what was written to them. Those that are gone, or are those of other
    /// files now, too.
    pub(crate) fn damaged(&self) -> Vec<PathBuf> {
        self.kernel.state().disk.damaged.iter().cloned().collect()
    }

    /// Whether a file that is there, and whose name begins so, was synced within the last so much time.
    pub(crate) fn has_synced_within(&self, time: Duration, name: &str) -> bool {
        let state = self.kernel.state();
        let since = state.clock.now.saturating_sub(time.as_nanos() as u64);
        let is_meant =
            |path: &Path| path.file_name().is_some_and(|of| of.to_string_lossy().starts_with(name));
        let files = state.disk.names.files();
        let mut meant = files.iter().filter(|(path, _)| is_meant(path));
        meant.any(|(_, inode)| state.disk.files[inode].synced_at.is_some_and(|at| at > since))
    }

    /// What the process did that the seam forbids, such as a second sync after one that failed.
    pub fn violations(&self) -> Vec<String> {
        self.kernel.state().disk.violations.clone()
    }

    /// The most files that a process ever had open at once.
    pub fn most_open_files(&self) -> usize {
        self.kernel.state().disk.most_handles
    }

    /// Which fault struck which kind of file.
    pub fn coverage(&self) -> Coverage {
        self.kernel.state().disk.trouble.coverage.clone()
    }
}
