//! A disk in memory: what a job that is tested or replayed keeps there is gone with the test, or with the replay.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::future::ready;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use millstream_storage::disk::{DirEntry, Disk, File, Io, Lease, OpenMode, SharedBytes};

/// Clones are the same disk.
#[derive(Clone, Default)]
pub(crate) struct MemoryDisk {
    files: Rc<RefCell<BTreeMap<PathBuf, MemoryFile>>>,
    directories: Rc<RefCell<BTreeSet<PathBuf>>>,
}

#[derive(Clone, Default)]
struct MemoryFile {
    bytes: Rc<RefCell<Vec<u8>>>,
}

fn done<T: 'static>(result: io::Result<T>) -> Io<T> {
    Box::pin(ready(result))
}

fn failed<T>(kind: io::ErrorKind, path: &Path) -> io::Result<T> {
    Err(io::Error::new(kind, path.display().to_string()))
}

impl MemoryDisk {
    fn file(&self, path: &Path, mode: OpenMode) -> io::Result<Rc<dyn File>> {
        let mut files = self.files.borrow_mut();
        match (files.get(path), mode.only_reads()) {
            (Some(file), true) => Ok(Rc::new(file.clone())),
            (None, true) => failed(io::ErrorKind::NotFound, path),
            (Some(_), false) => failed(io::ErrorKind::AlreadyExists, path),
            (None, false) => Ok(Rc::new(files.entry(path.to_owned()).or_default().clone())),
        }
    }
}

impl Disk for MemoryDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> Io<Rc<dyn File>> {
        done(self.file(path, mode))
    }

    fn rename(&self, from: &Path, to: &Path) -> Io<()> {
        let mut files = self.files.borrow_mut();
        done(match files.remove(from) {
            Some(file) => {
                files.insert(to.to_owned(), file);
                Ok(())
            }
            None => failed(io::ErrorKind::NotFound, from),
        })
    }

    fn remove(&self, path: &Path) -> Io<()> {
        let removed = self.files.borrow_mut().remove(path);
        done(removed.map(drop).map_or_else(|| failed(io::ErrorKind::NotFound, path), Ok))
    }

    fn create_dir_all(&self, path: &Path) -> Io<()> {
        self.directories.borrow_mut().extend(path.ancestors().map(PathBuf::from));
        done(Ok(()))
    }

    fn sync_dir(&self, _: &Path) -> Io<()> {
        done(Ok(()))
    }

    fn list(&self, path: &Path) -> Io<Vec<DirEntry>> {
        let directories = self.directories.borrow();
        if !directories.contains(path) {
            return done(failed(io::ErrorKind::NotFound, path));
        }
        let name = |of: &Path| {
            let inside = of.parent() == Some(path);
            inside.then(|| of.file_name()).flatten().map(|name| name.to_string_lossy().into_owned())
        };
        let files = self.files.borrow();
        let files = files.iter().filter_map(|(of, file)| {
            Some(DirEntry { name: name(of)?, len: file.bytes.borrow().len() as u64, is_dir: false })
        });
        let within = directories.iter();
        let within = within.filter_map(|of| Some(DirEntry { name: name(of)?, len: 0, is_dir: true }));
        let mut entries: Vec<DirEntry> = files.chain(within).collect();
        entries.sort();
        done(Ok(entries))
    }

    /// Nobody else knows this disk, and the kit starts a job only when the one before has ended.
    fn lock(&self, path: &Path) -> Io<Lease> {
        done(Ok(Lease { path: path.to_owned(), guard: Box::new(()) }))
    }
}

impl File for MemoryFile {
    fn len(&self) -> Io<u64> {
        done(Ok(self.bytes.borrow().len() as u64))
    }

    fn read_at(&self, offset: u64, len: usize) -> Io<Vec<u8>> {
        let bytes = self.bytes.borrow();
        let start = usize::try_from(offset).map_or(bytes.len(), |offset| offset.min(bytes.len()));
        let end = start.saturating_add(len).min(bytes.len());
        done(Ok(bytes[start..end].to_vec()))
    }

    fn write_at(&self, offset: u64, bytes: SharedBytes) -> Io<()> {
        let Ok(offset) = usize::try_from(offset) else {
            return done(Err(io::ErrorKind::InvalidInput.into()));
        };
        let mut contents = self.bytes.borrow_mut();
        let end = offset + bytes.len();
        if contents.len() < end {
            contents.resize(end, 0);
        }
        contents[offset..end].copy_from_slice(&bytes);
        done(Ok(()))
    }

    fn sync(&self) -> Io<()> {
        done(Ok(()))
    }
}
