//! One operation on the disk: what is asked, what comes back, and the future between the two.

use std::cell::RefCell;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::rc::Rc;
use std::task::Waker;

use millstream_storage::disk::{DirEntry, OpenMode, SharedBytes};

use super::locks::LockId;
use super::names::Inode;
use crate::coverage::Site;
use crate::trace::{digest, mix};

/// What is asked of the disk.
#[derive(Clone)]
pub(crate) enum Op {
    Open { path: PathBuf, mode: OpenMode },
    Rename { from: PathBuf, to: PathBuf },
    Remove { path: PathBuf },
    CreateDirAll { path: PathBuf },
    SyncDir { path: PathBuf, mark: u64 },
    List { path: PathBuf },
    Lock { path: PathBuf, process: u64 },
    Len { inode: Inode },
    Read { inode: Inode, offset: u64, len: usize },
    Write { inode: Inode, mode: OpenMode, offset: u64, bytes: SharedBytes },
    Sync { inode: Inode, mark: u64 },
}

impl Op {
    /// How many bytes it moves.
    pub(crate) fn size(&self) -> usize {
        match self {
            Op::Read { len, .. } => *len,
            Op::Write { bytes, .. } => bytes.len(),
            _ => 0,
        }
    }
}

impl Op {
    /// A digest of all that is asked: two runs that write other bytes, or by other names, are not the same.
    pub(crate) fn digest(&self) -> u64 {
        let path = |path: &PathBuf| digest(path.as_os_str().as_encoded_bytes());
        let of = |kind: u64, words: &[u64]| words.iter().fold(kind, |hash, word| mix(hash, *word));
        match self {
            Op::Open { path: of_file, mode } => of(1, &[path(of_file), *mode as u64]),
            Op::Rename { from, to } => of(2, &[path(from), path(to)]),
            Op::Remove { path: of_file } => of(3, &[path(of_file)]),
            Op::CreateDirAll { path: of_dir } => of(4, &[path(of_dir)]),
            Op::SyncDir { path: of_dir, .. } => of(5, &[path(of_dir)]),
            Op::List { path: of_dir } => of(6, &[path(of_dir)]),
            Op::Lock { path: of_file, .. } => of(7, &[path(of_file)]),
            Op::Len { inode } => of(8, &[*inode]),
            Op::Read { inode, offset, len } => of(9, &[*inode, *offset, *len as u64]),
            Op::Write { inode, offset, bytes, .. } => of(10, &[*inode, *offset, digest(bytes)]),
            Op::Sync { inode, .. } => of(11, &[*inode]),
        }
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Op::Open { path, mode } => write!(f, "open {} {mode:?}", path.display()),
            Op::Rename { from, to } => write!(f, "rename {} to {}", from.display(), to.display()),
            Op::Remove { path } => write!(f, "remove {}", path.display()),
            Op::CreateDirAll { path } => write!(f, "create_dir_all {}", path.display()),
            Op::SyncDir { path, .. } => write!(f, "sync_dir {}", path.display()),
            Op::List { path } => write!(f, "list {}", path.display()),
            Op::Lock { path, .. } => write!(f, "lock {}", path.display()),
            Op::Len { inode } => write!(f, "len of file {inode}"),
            Op::Read { inode, offset, len } => write!(f, "read file {inode} at {offset}+{len}"),
            Op::Write { inode, offset, bytes, .. } => {
                write!(f, "write file {inode} at {offset}+{}", bytes.len())
            }
            Op::Sync { inode, .. } => write!(f, "sync file {inode}"),
        }
    }
}

/// What comes back.
#[derive(Debug)]
pub(crate) enum Reply {
    Done,
    Opened(Inode),
    Entries(Vec<DirEntry>),
    Len(u64),
    Bytes(Vec<u8>),
    Locked(LockId),
}

/// Where an answer waits for whoever asked.
#[derive(Debug, Default)]
pub(crate) struct Slot {
    pub(crate) reply: Option<io::Result<Reply>>,
    pub(crate) waker: Option<Waker>,
}

/// An operation on its way.
pub(crate) struct InFlight {
    pub(crate) process: u64,
    pub(crate) op: Op,
    pub(crate) site: Site,
    pub(crate) slot: Rc<RefCell<Slot>>,
}
