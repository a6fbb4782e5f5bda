//! The file system through blocking calls on the helper thread.

use std::path::Path;
use std::rc::Rc;

use millstream_storage::disk::{DirEntry, Disk, File, Io, Lease, OpenMode};

use super::file::ThreadFile;
use super::helper::Helper;
use crate::host::blocking::BlockingFile;
use crate::host::fs;

/// The file system as one core on plain threads sees it.
pub(super) struct ThreadDisk {
    helper: Rc<Helper>,
}

impl ThreadDisk {
    pub(super) fn new(helper: Rc<Helper>) -> ThreadDisk {
        ThreadDisk { helper }
    }
}

impl Disk for ThreadDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> Io<Rc<dyn File>> {
        let path = fs::absolute(path);
        let helper = self.helper.clone();
        let opened = self.helper.run(move || BlockingFile::open(path, mode));
        Box::pin(async move { Ok(Rc::new(ThreadFile::new(opened.await?, helper)) as Rc<dyn File>) })
    }

    fn rename(&self, from: &Path, to: &Path) -> Io<()> {
        let (from, to) = (fs::absolute(from), fs::absolute(to));
        self.helper.run(move || fs::rename(&from, &to))
    }

    fn remove(&self, path: &Path) -> Io<()> {
        let path = fs::absolute(path);
        self.helper.run(move || fs::remove(&path))
    }

    fn create_dir_all(&self, path: &Path) -> Io<()> {
        let path = fs::absolute(path);
        self.helper.run(move || fs::create_dir_all(&path))
    }

    fn sync_dir(&self, path: &Path) -> Io<()> {
        let path = fs::absolute(path);
        self.helper.run(move || fs::sync_dir(&path))
    }

    fn list(&self, path: &Path) -> Io<Vec<DirEntry>> {
        let path = fs::absolute(path);
        self.helper.run(move || fs::list(&path))
    }

    fn lock(&self, path: &Path) -> Io<Lease> {
        let path = fs::absolute(path);
        let locked = path.clone();
        let file = self.helper.run(move || fs::lock(&locked));
        Box::pin(async move { Ok(Lease { path, guard: Box::new(file.await?) }) })
    }
}
