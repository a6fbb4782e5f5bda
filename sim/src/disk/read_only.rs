//! The simulated disk from outside, behind the seam: for oracles that read with the shipped code.

use std::future::ready;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use millstream_storage::disk::{DirEntry, Disk, File, Io, Lease, OpenMode, SharedBytes};

use super::DiskView;

/// Reads at once and without faults, what a running system would see; refuses everything else.
pub struct ReadOnly {
    view: DiskView,
}

struct Whole(Rc<Vec<u8>>);

impl ReadOnly {
    /// The disk behind a view.
    pub fn new(view: &DiskView) -> ReadOnly {
        ReadOnly { view: DiskView::new(view.kernel.clone()) }
    }
}

fn refuse<T: 'static>() -> Io<T> {
    Box::pin(ready(Err(io::ErrorKind::PermissionDenied.into())))
}

impl Disk for ReadOnly {
    fn open(&self, path: &Path, mode: OpenMode) -> Io<Rc<dyn File>> {
        if !mode.only_reads() {
            return refuse();
        }
        let read = self.view.read(path);
        Box::pin(ready(read.map(|bytes| Rc::new(Whole(Rc::new(bytes))) as Rc<dyn File>)))
    }
    fn rename(&self, _: &Path, _: &Path) -> Io<()> {
        refuse()
    }
    fn remove(&self, _: &Path) -> Io<()> {
        refuse()
    }
    fn create_dir_all(&self, _: &Path) -> Io<()> {
        refuse()
    }
    fn sync_dir(&self, _: &Path) -> Io<()> {
        refuse()
    }
    fn list(&self, path: &Path) -> Io<Vec<DirEntry>> {
        Box::pin(ready(self.view.list(PathBuf::from(path))))
    }
    fn lock(&self, _: &Path) -> Io<Lease> {
        refuse()
    }
}

impl File for Whole {
    fn len(&self) -> Io<u64> {
        Box::pin(ready(Ok(self.0.len() as u64)))
    }
    fn read_at(&self, offset: u64, len: usize) -> Io<Vec<u8>> {
        let start = (offset as usize).min(self.0.len());
        let end = start.saturating_add(len).min(self.0.len());
        Box::pin(ready(Ok(self.0[start..end].to_vec())))
    }
    fn write_at(&self, _: u64, _: SharedBytes) -> Io<()> {
        refuse()
    }
    fn sync(&self) -> Io<()> {
        refuse()
    }
}
