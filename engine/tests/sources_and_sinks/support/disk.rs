//! A disk in memory that can crash at any operation, forget what was not synced, and fail on demand.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::future::pending;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use millstream_storage::disk::{DirEntry, Disk, File, Io, Lease, OpenMode, SharedBytes};

#[derive(Default)]
pub struct MemDisk {
    state: Rc<State>,
}

#[derive(Default)]
struct State {
    live: RefCell<Names>,
    durable: RefCell<Names>,
    dirs: RefCell<BTreeSet<PathBuf>>,
    /// Operations until the crash.
    fuse: Cell<Option<u64>>,
    crashed: Cell<bool>,
    pub fail: Cell<Fail>,
    syncs: Cell<u64>,
    open: Cell<usize>,
    most_open: Cell<usize>,
}

type Names = BTreeMap<PathBuf, Rc<Inode>>;

#[derive(Default)]
struct Inode {
    bytes: RefCell<Vec<u8>>,
    synced: RefCell<Vec<u8>>,
}

/// Which operations fail.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub enum Fail {
    #[default]
    Nothing,
    Writes,
    /// Writes, for lack of space.
    Full,
    Syncs,
}

impl MemDisk {
    /// A disk with these files, durable.
    pub fn with(files: &[(&str, &[u8])]) -> Rc<MemDisk> {
        let disk = Rc::new(MemDisk::default());
        files.iter().for_each(|(path, bytes)| disk.put(path, bytes));
        disk
    }

    pub fn put(&self, path: &str, bytes: &[u8]) {
        let inode = Inode { bytes: RefCell::new(bytes.to_vec()), synced: RefCell::new(bytes.to_vec()) };
        let inode = Rc::new(inode);
        self.state.dirs.borrow_mut().extend(Path::new(path).ancestors().skip(1).map(PathBuf::from));
        self.state.live.borrow_mut().insert(path.into(), inode.clone());
        self.state.durable.borrow_mut().insert(path.into(), inode);
    }

    pub fn forget(&self, path: &str) {
        self.state.live.borrow_mut().remove(Path::new(path)).expect("a file to forget");
        self.state.durable.borrow_mut().remove(Path::new(path));
    }

    /// The files in a directory and their contents.
    pub fn files(&self, dir: &str) -> Vec<(String, String)> {
        let live = self.state.live.borrow();
        let inside = live.iter().filter(|(path, _)| path.parent() == Some(Path::new(dir)));
        inside
            .map(|(path, inode)| {
                let name = path.file_name().expect("a file has a name").to_string_lossy().into_owned();
                (name, String::from_utf8_lossy(&inode.bytes.borrow()).into_owned())
            })
            .collect()
    }

    /// The files below a directory, by their paths from there, and their contents.
    pub fn tree(&self, dir: &str) -> BTreeMap<String, String> {
        let live = self.state.live.borrow();
        let inside = live.iter().filter_map(|(path, inode)| Some((path.strip_prefix(dir).ok()?, inode)));
        inside
            .map(|(path, inode)| {
                (path.display().to_string(), String::from_utf8_lossy(&inode.bytes.borrow()).into_owned())
            })
            .collect()
    }

    pub fn names(&self, dir: &str) -> Vec<String> {
        self.files(dir).into_iter().map(|(name, _)| name).collect()
    }

    /// After so many more operations no operation has an effect, or an end.
    pub fn crash_after(&self, operations: u64) {
        self.state.fuse.set(Some(operations));
    }

    pub fn is_crashed(&self) -> bool {
        self.state.crashed.get()
    }

    /// After a crash: what is not durable is lost (a power failure), or all is kept (the process was killed).
    pub fn restart(&self, keep_unsynced: bool) {
        self.state.fuse.set(None);
        self.state.crashed.set(false);
        if !keep_unsynced {
            *self.state.live.borrow_mut() = self.state.durable.borrow().clone();
            for inode in self.state.live.borrow().values() {
                *inode.bytes.borrow_mut() = inode.synced.borrow().clone();
            }
        }
    }

    pub fn fail(&self, fail: Fail) {
        self.state.fail.set(fail);
    }

    /// How often a file was synced.
    pub fn syncs(&self) -> u64 {
        self.state.syncs.get()
    }

    /// How many files were open at the same time, at most.
    pub fn most_open(&self) -> usize {
        self.state.most_open.get()
    }
}

impl State {
    /// One operation: takes a while, and happens entirely or not at all.
    fn operation<T: 'static>(
        self: &Rc<Self>,
        operation: impl FnOnce(&Rc<State>) -> io::Result<T> + 'static,
    ) -> Io<T> {
        let state = self.clone();
        Box::pin(async move {
            let mut polled = false;
            std::future::poll_fn(|cx| {
                cx.waker().wake_by_ref();
                if std::mem::replace(&mut polled, true) {
                    std::task::Poll::Ready(())
                } else {
                    std::task::Poll::Pending
                }
            })
            .await;
            match state.fuse.get() {
                Some(0) => {
                    state.crashed.set(true);
                    return pending().await;
                }
                fuse => state.fuse.set(fuse.map(|left| left - 1)),
            }
            operation(&state)
        })
    }

    fn find(&self, path: &Path) -> io::Result<Rc<Inode>> {
        self.live.borrow().get(path).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Disk for MemDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> Io<Rc<dyn File>> {
        let path = path.to_owned();
        self.state.operation(move |state| {
            if !mode.only_reads() {
                if state.live.borrow().contains_key(&path) {
                    return Err(io::ErrorKind::AlreadyExists.into());
                }
                state.live.borrow_mut().insert(path.clone(), Rc::default());
            }
            let inode = state.find(&path)?;
            state.open.set(state.open.get() + 1);
            state.most_open.set(state.most_open.get().max(state.open.get()));
            Ok(Rc::new(MemFile { inode, state: state.clone() }) as Rc<dyn File>)
        })
    }

    fn rename(&self, from: &Path, to: &Path) -> Io<()> {
        let (from, to) = (from.to_owned(), to.to_owned());
        self.state.operation(move |state| {
            let inode = state.find(&from)?;
            let mut live = state.live.borrow_mut();
            live.remove(&from);
            live.insert(to, inode);
            Ok(())
        })
    }

    fn remove(&self, path: &Path) -> Io<()> {
        let path = path.to_owned();
        self.state.operation(move |state| {
            state.find(&path)?;
            state.live.borrow_mut().remove(&path);
            Ok(())
        })
    }

    fn create_dir_all(&self, path: &Path) -> Io<()> {
        let path = path.to_owned();
        self.state.operation(move |state| {
            state.dirs.borrow_mut().extend(path.ancestors().map(PathBuf::from));
            Ok(())
        })
    }

    fn sync_dir(&self, dir: &Path) -> Io<()> {
        let dir = dir.to_owned();
        self.state.operation(move |state| {
            let mut durable = state.durable.borrow_mut();
            durable.retain(|path, _| path.parent() != Some(&dir));
            let live = state.live.borrow();
            let inside = live.iter().filter(|(path, _)| path.parent() == Some(&dir));
            durable.extend(inside.map(|(path, inode)| (path.clone(), inode.clone())));
            Ok(())
        })
    }

    fn list(&self, dir: &Path) -> Io<Vec<DirEntry>> {
        let dir = dir.to_owned();
        self.state.operation(move |state| {
            if state.live.borrow().contains_key(&dir) {
                return Err(io::ErrorKind::NotADirectory.into());
            } else if !state.dirs.borrow().contains(&dir) {
                return Err(io::ErrorKind::NotFound.into());
            }
            let name = |path: &Path| path.file_name().expect("has a parent").to_string_lossy().into_owned();
            let live = state.live.borrow();
            let files = live.iter().filter(|(path, _)| path.parent() == Some(&dir)).map(|(path, inode)| {
                DirEntry { name: name(path), len: inode.bytes.borrow().len() as u64, is_dir: false }
            });
            let dirs = state.dirs.borrow();
            let dirs = dirs.iter().filter(|path| path.parent() == Some(&dir));
            let mut entries: Vec<_> =
                files.chain(dirs.map(|path| DirEntry { name: name(path), len: 0, is_dir: true })).collect();
            entries.sort();
            Ok(entries)
        })
    }

    fn lock(&self, path: &Path) -> Io<Lease> {
        let path = path.to_owned();
        self.state.operation(move |_| Ok(Lease { path, guard: Box::new(()) }))
    }
}

struct MemFile {
    inode: Rc<Inode>,
    state: Rc<State>,
}

impl Drop for MemFile {
    fn drop(&mut self) {
        self.state.open.set(self.state.open.get() - 1);
    }
}

impl File for MemFile {
    fn len(&self) -> Io<u64> {
        let inode = self.inode.clone();
        self.state.operation(move |_| Ok(inode.bytes.borrow().len() as u64))
    }

    fn read_at(&self, offset: u64, len: usize) -> Io<Vec<u8>> {
        let inode = self.inode.clone();
        self.state.operation(move |_| {
            let bytes = inode.bytes.borrow();
            let from = bytes.len().min(offset as usize);
            Ok(bytes[from..bytes.len().min(from + len)].to_vec())
        })
    }

    fn write_at(&self, offset: u64, new: SharedBytes) -> Io<()> {
        let inode = self.inode.clone();
        self.state.operation(move |state| {
            match state.fail.get() {
                Fail::Writes => return Err(io::Error::other("the device is gone")),
                Fail::Full => return Err(io::ErrorKind::StorageFull.into()),
                Fail::Nothing | Fail::Syncs => {}
            }
            let (mut bytes, from) = (inode.bytes.borrow_mut(), offset as usize);
            let end = bytes.len().max(from + new.len());
            bytes.resize(end, 0);
            bytes[from..from + new.len()].copy_from_slice(&new);
            Ok(())
        })
    }

    fn sync(&self) -> Io<()> {
        let inode = self.inode.clone();
        self.state.operation(move |state| {
            state.syncs.set(state.syncs.get() + 1);
            if state.fail.get() == Fail::Syncs {
                return Err(io::Error::other("the device is gone"));
            }
            *inode.synced.borrow_mut() = inode.bytes.borrow().clone();
            Ok(())
        })
    }
}
