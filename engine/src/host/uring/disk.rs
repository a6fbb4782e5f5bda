//! The file system through io_uring.

use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use glommio::executor;
use glommio::io::OpenOptions;
use millstream_storage::disk::{DirEntry, Disk, File, Io, Lease, OpenMode};

use super::direct::DirectFile;
use super::file::UringFile;
use super::helped::HelpedFile;
use super::io_error;
use super::ring::Ring;
use crate::host::blocking::BlockingFile;
use crate::host::fault::name;
use crate::host::fs;
use crate::host::schedule::Scheduler;

/// The file system as one core on io_uring sees it.
pub(super) struct UringDisk {
    scheduler: Rc<Scheduler>,
    // For direct I/O; helper threads do it where there is none.
    ring: Option<Rc<Ring>>,
}

impl UringDisk {
    pub(super) fn new(scheduler: Rc<Scheduler>, ring: Option<Rc<Ring>>) -> UringDisk {
        UringDisk { scheduler, ring }
    }

    // Names are changed on the executor's helper thread: the kernel would do the same with a worker of its own.
    fn blocking<T: Send + 'static>(&self, work: impl FnOnce() -> io::Result<T> + Send + 'static) -> Io<T> {
        self.scheduler.operation(async move { executor().spawn_blocking(work).await })
    }
}

impl Disk for UringDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> Io<Rc<dyn File>> {
        let path = fs::absolute(path);
        let scheduler = self.scheduler.clone();
        if matches!(mode, OpenMode::CreateDirect | OpenMode::ReadDirect) {
            let opened = self.blocking(move || {
                let file = BlockingFile::open(path, mode)?;
                let len = file.len()?;
                Ok((file, len))
            });
            let ring = self.ring.clone();
            return Box::pin(async move {
                let (file, len) = opened.await?;
                Ok(match ring {
                    Some(ring) => Rc::new(DirectFile::new(file, len, ring, scheduler)) as Rc<dyn File>,
                    None => Rc::new(HelpedFile::new(file, scheduler)),
                })
            });
        }
        self.scheduler.operation(async move {
            let mut options = OpenOptions::new();
            options.read(true);
            let verb = if mode == OpenMode::Read {
                "open"
            } else {
                options.write(true).create_new(true).mode(0o644);
                "create"
            };
            let file =
                options.buffered_open(&path).await.map_err(|error| name(verb, &path, io_error(error)))?;
            Ok(Rc::new(UringFile::new(file, path, scheduler)) as Rc<dyn File>)
        })
    }

    fn rename(&self, from: &Path, to: &Path) -> Io<()> {
        let (from, to) = (fs::absolute(from), fs::absolute(to));
        self.blocking(move || fs::rename(&from, &to))
    }

    fn remove(&self, path: &Path) -> Io<()> {
        let path = fs::absolute(path);
        self.blocking(move || fs::remove(&path))
    }

    fn create_dir_all(&self, path: &Path) -> Io<()> {
        let path = fs::absolute(path);
        self.blocking(move || fs::create_dir_all(&path))
    }

    fn sync_dir(&self, path: &Path) -> Io<()> {
        let path = fs::absolute(path);
        self.blocking(move || fs::sync_dir(&path))
    }

    fn list(&self, path: &Path) -> Io<Vec<DirEntry>> {
        let path = fs::absolute(path);
        self.blocking(move || fs::list(&path))
    }

    fn lock(&self, path: &Path) -> Io<Lease> {
        let path = fs::absolute(path);
        let locked: PathBuf = path.clone();
        let file = self.blocking(move || fs::lock(&locked));
        Box::pin(async move { Ok(Lease { path, guard: Box::new(file.await?) }) })
    }
}
