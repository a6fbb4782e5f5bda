//! The file system through io_uring.

use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use glommio::executor;
use glommio::io::OpenOptions;
use millstream_storage::disk::{DirEntry, Disk, File, Io, Lease, OpenMode};

use super::file::{Opened, UringFile};
use super::io_error;
use crate::host::fault::name;
use crate::host::fs;
use crate::host::schedule::Scheduler;

/// The file system as one core on io_uring sees it.
pub(super) struct UringDisk {
    scheduler: Rc<Scheduler>,
}

impl UringDisk {
    pub(super) fn new(scheduler: Rc<Scheduler>) -> UringDisk {
        UringDisk { scheduler }
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
        self.scheduler.operation(async move {
            let file = match mode {
                OpenMode::Read => open_read(&path).await,
                OpenMode::Create => create(&path).await,
                OpenMode::CreateDirect => create_direct(&path).await,
            };
            let file = file.map_err(|error| name(verb(mode), &path, error))?;
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

fn verb(mode: OpenMode) -> &'static str {
    match mode {
        OpenMode::Read => "open",
        OpenMode::Create | OpenMode::CreateDirect => "create",
    }
}

async fn open_read(path: &Path) -> io::Result<Opened> {
    let file = OpenOptions::new().read(true).buffered_open(path).await;
    Ok(Opened::Buffered(file.map_err(io_error)?))
}

async fn create(path: &Path) -> io::Result<Opened> {
    let file =
        OpenOptions::new().read(true).write(true).create_new(true).mode(0o644).buffered_open(path).await;
    Ok(Opened::Buffered(file.map_err(io_error)?))
}

async fn create_direct(path: &Path) -> io::Result<Opened> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true).mode(0o644);
    match options.dma_open(path).await.map_err(io_error) {
        Ok(file) => Ok(Opened::Direct(file)),
        // glommio creates the file first and then asks for O_DIRECT; the file is there, and ours.
        Err(error) if fs::refuses_direct(&error) => {
            let file =
                OpenOptions::new().read(true).write(true).create(true).mode(0o644).buffered_open(path).await;
            Ok(Opened::Buffered(file.map_err(io_error)?))
        }
        Err(error) => Err(error),
    }
}
