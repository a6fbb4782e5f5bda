//! The state of the disk, and what each operation does to it when it takes effect.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use millstream_storage::disk::{DirEntry, OpenMode, SECTOR};

use super::content::{ATOMIC, Content};
use super::locks::Locks;
use super::names::{Inode, Names};
use super::op::{InFlight, Op, Reply};
use super::trouble::Trouble;
use crate::coverage::{Fault, Site};
use crate::faults::{Cruelty, FaultPlan};
use crate::random::Random;

/// Error numbers of Linux.
const EIO: i32 = 5;
const EMFILE: i32 = 24;
const ENOSPC: i32 = 28;

/// One file.
#[derive(Clone, Debug)]
pub(crate) struct File {
    pub(crate) content: Content,
    pub(crate) site: Site,
    /// Open handles.
    pub(crate) open: usize,
    /// A sync failed: it must be abandoned.
    abandoned: bool,
    /// Atomic units that can no longer be read.
    unreadable: BTreeSet<usize>,
    /// It does not hold what was written to it.
    damaged: bool,
    /// When it was synced last, in nanoseconds.
    pub(crate) synced_at: Option<u64>,
}

/// The disk.
pub(crate) struct Model {
    pub(crate) files: BTreeMap<Inode, File>,
    pub(crate) names: Names,
    pub(crate) locks: Locks,
    pub(crate) flying: BTreeMap<u64, InFlight>,
    pub(crate) trouble: Trouble,
    pub(crate) random: Random,
    pub(crate) violations: Vec<String>,
    pub(crate) forgiving: bool,
    /// The names that damaged files have had since.
    pub(crate) damaged: BTreeSet<PathBuf>,
    /// Open handles, by process and file; and the most that a process ever had.
    handles: BTreeMap<u64, BTreeMap<Inode, usize>>,
    pub(crate) most_handles: usize,
    next_inode: Inode,
    /// Names removed since files without a name were last forgotten.
    removed: usize,
}

impl Model {
    pub(crate) fn new(plan: FaultPlan, forgiving: bool, mut random: Random) -> Model {
        Model {
            files: BTreeMap::new(),
            names: Names::new(),
            locks: Locks::default(),
            flying: BTreeMap::new(),
            trouble: Trouble::new(plan, &mut random),
            random,
            violations: Vec::new(),
            forgiving,
            damaged: BTreeSet::new(),
            handles: BTreeMap::new(),
            most_handles: 0,
            next_inode: 1,
            removed: 0,
        }
    }

    fn file(&mut self, inode: Inode) -> &mut File {
        self.files.get_mut(&inode).expect("a file lives as long as a handle or an operation names it")
    }

    /// The kind of file that an operation concerns.
    pub(crate) fn site(&self, op: &Op) -> Site {
        match op {
            Op::Open { path, .. }
            | Op::Remove { path }
            | Op::Lock { path, .. }
            | Op::Rename { to: path, .. } => Site::of(path),
            Op::CreateDirAll { path } | Op::SyncDir { path, .. } | Op::List { path } => Site::of(path),
            Op::Len { inode } | Op::Read { inode, .. } | Op::Write { inode, .. } | Op::Sync { inode, .. } => {
                self.files.get(inode).map_or(Site::Other, |file| file.site)
            }
        }
    }

    /// What happens when an operation is issued, before it is on its way. A handle stays open under its operations.
    pub(crate) fn begin(&mut self, process: u64, op: &mut Op) {
        self.needs_lease(process, op);
        match op {
            Op::SyncDir { path, mark } => *mark = self.names.sync_begin(path).unwrap_or(0),
            Op::Sync { inode, mark } => {
                let file = self.file(*inode);
                *mark = file.content.sync_begin();
                file.open += 1;
                if file.abandoned {
                    self.violations.push(format!("file {inode} was synced again after a sync of it failed"));
                }
            }
            Op::Len { inode } | Op::Read { inode, .. } | Op::Write { inode, .. } => {
                self.file(*inode).open += 1
            }
            _ => {}
        }
    }

    /// A job's directory is changed under its lease only: who has given it back may meet another process there.
    fn needs_lease(&mut self, process: u64, op: &Op) {
        if !self.locks.has_given_back(process) {
            return;
        }
        let changed = match op {
            Op::Open { path, mode } if !mode.only_reads() => path.clone(),
            Op::Rename { to: path, .. } | Op::Remove { path } => path.clone(),
            Op::Write { inode, .. } => {
                let names = self.names.files();
                let Some((path, _)) = names.into_iter().find(|(_, named)| named == inode) else { return };
                path
            }
            _ => return,
        };
        if let Some(dir) = self.locks.given_back(process, &changed) {
            let message = format!("process {process} has given back the lease of {}: {op}", dir.display());
            self.violations.push(message);
        }
    }

    /// What happens when an operation takes effect at `now`, in nanoseconds.
    pub(crate) fn finish(&mut self, now: u64, process: u64, op: &Op, site: Site) -> io::Result<Reply> {
        let reply = self.apply(now, op, site);
        if let Ok(Reply::Opened(inode)) = reply {
            self.opened(process, inode);
        }
        self.landed(op);
        reply
    }

    /// An operation is over.
    pub(super) fn landed(&mut self, op: &Op) {
        if let Op::Len { inode } | Op::Read { inode, .. } | Op::Write { inode, .. } | Op::Sync { inode, .. } =
            op
        {
            self.file(*inode).open -= 1;
        }
    }

    fn opened(&mut self, process: u64, inode: Inode) {
        self.file(inode).open += 1;
        let its = self.handles.entry(process).or_default();
        *its.entry(inode).or_default() += 1;
        self.most_handles = self.most_handles.max(its.values().sum());
    }

    fn apply(&mut self, now: u64, op: &Op, site: Site) -> io::Result<Reply> {
        match op {
            Op::Open { path, mode } => self.open(now, path, *mode, site),
            Op::Rename { from, to } => self.rename(from, to),
            Op::Remove { path } => self.names.unlink(path).map(|()| self.forget_unnamed()),
            Op::CreateDirAll { path } => self.names.create_dir_all(path).map(|()| Reply::Done),
            Op::SyncDir { path, mark } => self.sync_dir(path, *mark, site),
            Op::List { path } => {
                self.needs_descriptor(now, site)?;
                self.list(path).map(Reply::Entries)
            }
            Op::Lock { path, process } => self.lock(now, path, *process, site),
            Op::Len { inode } => Ok(Reply::Len(self.file(*inode).content.bytes().len() as u64)),
            Op::Read { inode, offset, len } => self.read(*inode, *offset as usize, *len, site),
            Op::Write { inode, mode, offset, bytes } => self.write(now, *inode, *mode, *offset, bytes, site),
            Op::Sync { inode, mark } => self.sync(now, *inode, *mark, site),
        }
    }

    fn needs_descriptor(&mut self, now: u64, site: Site) -> io::Result<()> {
        if self.trouble.too_many_files(now, site, &mut self.random) { Err(error(EMFILE)) } else { Ok(()) }
    }

    fn open(&mut self, now: u64, path: &Path, mode: OpenMode, site: Site) -> io::Result<Reply> {
        self.needs_descriptor(now, site)?;
        let inode = match mode {
            OpenMode::Read | OpenMode::ReadDirect => self.names.lookup(path)?,
            OpenMode::Create | OpenMode::CreateDirect => {
                if self.trouble.no_space(now, site, &mut self.random) {
                    return Err(error(ENOSPC));
                }
                self.create(path, Content::default())?
            }
        };
        Ok(Reply::Opened(inode))
    }

    /// Makes a file with a name that is not durable yet.
    pub(crate) fn create(&mut self, path: &Path, content: Content) -> io::Result<Inode> {
        let inode = self.next_inode;
        self.names.link(path, inode)?;
        self.next_inode += 1;
        let site = Site::of(path);
        let (unreadable, synced_at) = (BTreeSet::new(), None);
        let (abandoned, damaged) = (false, false);
        self.files.insert(inode, File { content, site, open: 0, abandoned, unreadable, damaged, synced_at });
        Ok(inode)
    }

    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<Reply> {
        self.names.rename(from, to)?;
        if self.names.lookup(to).is_ok_and(|inode| self.files[&inode].damaged) {
            self.damaged.insert(to.to_owned());
        }
        Ok(self.forget_unnamed())
    }

    /// A file is damaged: who reads it is to say that it is this one.
    fn damage(&mut self, inode: Inode) -> &mut File {
        let names = self.names.files().into_iter();
        self.damaged.extend(names.filter(|(_, named)| *named == inode).map(|(path, _)| path));
        let file = self.file(inode);
        file.damaged = true;
        file
    }

    fn lock(&mut self, now: u64, path: &Path, process: u64, site: Site) -> io::Result<Reply> {
        self.needs_descriptor(now, site)?;
        match self.names.lookup(path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                self.create(path, Content::default()).map(|_| ())?
            }
            found => found.map(|_| ())?,
        }
        self.locks.take(path, process).map(Reply::Locked)
    }

    pub(crate) fn list(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        let (dirs, files) = self.names.list(path)?;
        let dirs = dirs.iter().map(|name| DirEntry { name: name.clone(), len: 0, is_dir: true });
        let files = files.iter().map(|(name, inode)| {
            let len = self.files[inode].content.bytes().len() as u64;
            DirEntry { name: name.clone(), len, is_dir: false }
        });
        let mut entries: Vec<_> = dirs.chain(files).collect();
        entries.sort();
        Ok(entries)
    }

    fn read(&mut self, inode: Inode, offset: usize, len: usize, site: Site) -> io::Result<Reply> {
        let held = self.file(inode).content.bytes().len();
        let range = offset.min(held)..offset.saturating_add(len).min(held);
        if !range.is_empty() {
            if self.trouble.bit_rot(site, &mut self.random) {
                self.rot(inode, range.clone());
            }
            if self.trouble.latent_sector(site, &mut self.random) {
                let at = range.start + self.random.index(range.len());
                self.damage(inode).unreadable.insert(at / ATOMIC);
            }
        }
        let file = self.file(inode);
        if file.unreadable.range(range.start / ATOMIC..range.end.div_ceil(ATOMIC)).next().is_some() {
            return Err(error(EIO));
        }
        Ok(Reply::Bytes(file.content.bytes()[range].to_vec()))
    }

    /// Flips a bit of what is to be read. Most of a small file is padding, where rot harms nobody: three times in four it
    /// strikes data.
    fn rot(&mut self, inode: Inode, range: Range<usize>) {
        let anywhere = range.start + self.random.index(range.len());
        let (bit, spares_padding) = (self.random.below(8) as u8, self.random.below(4) > 0);
        let data = self.file(inode).content.data_in(range.clone()).count();
        let at = match spares_padding && data > 0 {
            true => {
                let nth = self.random.index(data);
                self.file(inode).content.data_in(range).nth(nth).unwrap_or(anywhere)
            }
            false => anywhere,
        };
        self.damage(inode).content.flip(at, bit);
    }

    fn write(
        &mut self,
        now: u64,
        inode: Inode,
        mode: OpenMode,
        offset: u64,
        bytes: &[u8],
        site: Site,
    ) -> io::Result<Reply> {
        if mode.only_reads() {
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, "the file is open to read"));
        }
        let aligned = offset.is_multiple_of(SECTOR as u64) && bytes.len().is_multiple_of(SECTOR);
        if mode == OpenMode::CreateDirect && !aligned {
            let message =
                format!("direct write of {} bytes at {offset} is not in whole sectors", bytes.len());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        let offset = offset as usize;
        if self.trouble.no_space(now, site, &mut self.random) {
            let done = self.random.index(bytes.len() + 1);
            self.write_part(inode, offset, &bytes[..done]);
            return Err(error(ENOSPC));
        }
        if !bytes.is_empty() && self.trouble.misdirected(site, &mut self.random) {
            let held = self.file(inode).content.bytes().len();
            let elsewhere = self.random.index(held + 1) / ATOMIC * ATOMIC;
            if elsewhere != offset && elsewhere < held {
                self.trouble.hit(Fault::Misdirected, site);
                let mut before = vec![0; bytes.len()];
                let overlap = offset.min(held)..(offset + bytes.len()).min(held);
                before[..overlap.len()].copy_from_slice(&self.file(inode).content.bytes()[overlap]);
                self.write_part(inode, offset, &before);
                self.damage(inode).content.misplace(elsewhere, bytes);
                return Ok(Reply::Done);
            }
        }
        if self.trouble.is_aimed(Fault::Misdirected, site) {
            self.write_part(inode, offset, &vec![0; bytes.len()]);
            self.damage(inode).content.misplace(offset + ATOMIC, bytes);
            return Ok(Reply::Done);
        }
        self.write_part(inode, offset, bytes);
        let range = offset..offset + bytes.len().max(1);
        if self.trouble.is_aimed(Fault::BitRot, site) {
            let (at, bit) =
                (self.random.range(range.start as u64, range.end as u64 - 1), self.random.below(8));
            self.damage(inode).content.flip(at as usize, bit as u8);
        }
        if self.trouble.is_aimed(Fault::LatentSector, site) {
            let sector = self.random.range(range.start as u64, range.end as u64 - 1) as usize / ATOMIC;
            self.damage(inode).unreadable.insert(sector);
        }
        Ok(Reply::Done)
    }

    /// Writes to the cache, without faults.
    pub(crate) fn write_part(&mut self, inode: Inode, offset: usize, bytes: &[u8]) {
        let split = self.random.coin();
        self.file(inode).content.write(offset, bytes, split);
    }

    fn sync(&mut self, now: u64, inode: Inode, mark: u64, site: Site) -> io::Result<Reply> {
        if self.trouble.sync_error(site, &mut self.random) {
            let evict = self.random.coin();
            let file = self.files.get_mut(&inode).expect("an operation keeps its file open");
            file.abandoned = true;
            file.content.sync_failed(mark, evict.then_some(&mut self.random));
            return Err(error(EIO));
        }
        let file = self.file(inode);
        file.content.sync_end(mark);
        file.synced_at = Some(now);
        Ok(Reply::Done)
    }

    fn sync_dir(&mut self, path: &Path, mark: u64, site: Site) -> io::Result<Reply> {
        self.names.sync_begin(path)?;
        if self.trouble.sync_error(site, &mut self.random) {
            return Err(error(EIO));
        }
        let ordered = self.trouble.plan.cruelty == Cruelty::Ordered;
        self.names.sync_end(path, mark, ordered);
        Ok(Reply::Done)
    }

    /// Closes a handle.
    pub(crate) fn close(&mut self, process: u64, inode: Inode) {
        let its = self.handles.get_mut(&process).expect("it has opened a file");
        let of_file = its.get_mut(&inode).expect("it has opened this one");
        *of_file -= 1;
        if *of_file == 0 {
            its.remove(&inode);
        }
        self.file(inode).open -= 1;
    }

    /// Closes all handles of a process: it has ended.
    pub(crate) fn close_all(&mut self, process: u64) {
        for (inode, handles) in self.handles.remove(&process).unwrap_or_default() {
            self.file(inode).open -= handles;
        }
    }

    /// From time to time forgets the files that neither a name nor a handle can reach.
    fn forget_unnamed(&mut self) -> Reply {
        self.removed += 1;
        if self.removed > 16 + self.files.len() / 2 {
            self.forget_unreachable();
        }
        Reply::Done
    }

    pub(crate) fn forget_unreachable(&mut self) {
        let named = self.names.inodes();
        self.files.retain(|inode, file| file.open > 0 || named.contains(inode));
        self.removed = 0;
    }

    /// The contents of a file, as a running system sees them.
    pub(crate) fn contents(&self, path: &Path) -> io::Result<&[u8]> {
        self.names.lookup(path).map(|inode| self.files[&inode].content.bytes())
    }

    /// Puts a durable file there, with its directories, replacing what was there.
    pub(crate) fn install(&mut self, path: &Path, bytes: Vec<u8>) -> io::Result<()> {
        self.names.create_dir_all(path.parent().unwrap_or(Path::new("")))?;
        if self.names.lookup(path).is_ok() {
            self.names.unlink(path)?;
        }
        self.create(path, Content::durable(bytes))?;
        self.names.sync_all();
        Ok(())
    }

    pub(crate) fn wipe(&mut self, dir: &Path) {
        for path in self.names.files().into_keys().filter(|path| path.starts_with(dir)) {
            self.names.unlink(&path).expect("it was listed");
        }
        self.names.sync_all();
        self.forget_unreachable();
    }

    /// Every file and its contents.
    pub(crate) fn tree(&self) -> Vec<(PathBuf, &[u8])> {
        let files = self.names.files().into_iter();
        files.map(|(path, inode)| (path, self.files[&inode].content.bytes())).collect()
    }
}

fn error(number: i32) -> io::Error {
    io::Error::from_raw_os_error(number)
}
