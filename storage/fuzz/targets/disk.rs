//! A disk in memory, that minds how much is asked of it.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{Error, ErrorKind};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use millstream_storage::disk::{DirEntry, Disk, File, Io, Lease, OpenMode, SharedBytes};

/// More than is read ahead of what was asked for.
const SLACK: usize = 2 << 20;

type Contents = Rc<RefCell<Vec<u8>>>;

/// Files and directories by their paths.
#[derive(Clone, Default)]
pub struct MemoryDisk {
    files: Rc<RefCell<BTreeMap<PathBuf, Contents>>>,
    dirs: Rc<RefCell<BTreeSet<PathBuf>>>,
}

struct MemoryFile(Contents);

fn done<T: 'static>(result: Result<T, Error>) -> Io<T> {
    Box::pin(std::future::ready(result))
}

impl MemoryDisk {
    /// Sets what a file holds.
    pub fn put(&self, path: &Path, bytes: Vec<u8>) {
        path.ancestors().skip(1).for_each(|dir| _ = self.dirs.borrow_mut().insert(dir.to_owned()));
        self.files.borrow_mut().insert(path.to_owned(), Rc::new(RefCell::new(bytes)));
    }
}

impl Disk for MemoryDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> Io<Rc<dyn File>> {
        let known = self.files.borrow().get(path).cloned();
        done(match (mode, known) {
            (OpenMode::Read | OpenMode::ReadDirect, Some(file)) => Ok(Rc::new(MemoryFile(file))),
            (OpenMode::Read | OpenMode::ReadDirect, None) => Err(ErrorKind::NotFound.into()),
            (_, Some(_)) => Err(ErrorKind::AlreadyExists.into()),
            (_, None) => {
                self.put(path, Vec::new());
                Ok(Rc::new(MemoryFile(self.files.borrow()[path].clone())))
            }
        })
    }
    fn rename(&self, from: &Path, to: &Path) -> Io<()> {
        let mut files = self.files.borrow_mut();
        let Some(file) = files.remove(from) else { return done(Err(ErrorKind::NotFound.into())) };
        files.insert(to.to_owned(), file);
        done(Ok(()))
    }
    fn remove(&self, path: &Path) -> Io<()> {
        done(self.files.borrow_mut().remove(path).map(drop).ok_or(ErrorKind::NotFound.into()))
    }
    fn create_dir_all(&self, path: &Path) -> Io<()> {
        self.dirs.borrow_mut().extend(path.ancestors().map(Path::to_owned));
        done(Ok(()))
    }
    fn sync_dir(&self, path: &Path) -> Io<()> {
        done(if self.dirs.borrow().contains(path) { Ok(()) } else { Err(ErrorKind::NotFound.into()) })
    }
    fn list(&self, path: &Path) -> Io<Vec<DirEntry>> {
        if !self.dirs.borrow().contains(path) {
            return done(Err(ErrorKind::NotFound.into()));
        }
        let (files, dirs) = (self.files.borrow(), self.dirs.borrow());
        let name = |at: &Path| Some(at.strip_prefix(path).ok()?.to_str()?.to_owned());
        let inside = |at: &&PathBuf| at.parent() == Some(path);
        let dirs = dirs
            .iter()
            .filter(inside)
            .filter_map(|at| Some(DirEntry { name: name(at)?, len: 0, is_dir: true }));
        let files = files.iter().filter(|(at, _)| inside(at)).filter_map(|(at, file)| {
            Some(DirEntry { name: name(at)?, len: file.borrow().len() as u64, is_dir: false })
        });
        let mut entries: Vec<_> = dirs.chain(files).collect();
        entries.sort();
        done(Ok(entries))
    }
    fn lock(&self, path: &Path) -> Io<Lease> {
        done(Ok(Lease { path: path.to_owned(), guard: Box::new(()) }))
    }
}

impl File for MemoryFile {
    fn len(&self) -> Io<u64> {
        done(Ok(self.0.borrow().len() as u64))
    }
    fn read_at(&self, offset: u64, len: usize) -> Io<Vec<u8>> {
        let bytes = self.0.borrow();
        assert!(len <= bytes.len() + SLACK, "{len} bytes are read of a file of {}", bytes.len());
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
        done(Ok(bytes[start..bytes.len().min(start.saturating_add(len))].to_vec()))
    }
    fn write_at(&self, offset: u64, bytes: SharedBytes) -> Io<()> {
        let mut contents = self.0.borrow_mut();
        let start = offset as usize;
        assert!(start <= contents.len() + SLACK, "a file of {} bytes is written at {start}", contents.len());
        let end = contents.len().max(start + bytes.len());
        contents.resize(end, 0);
        contents[start..start + bytes.len()].copy_from_slice(&bytes);
        done(Ok(()))
    }
    fn sync(&self) -> Io<()> {
        done(Ok(()))
    }
}
