//! Directories: the names a running system sees, those that are durable, and the operations between the two.
//!
//! Creating a directory is durable at once (the seam's `create_dir_all` promises it); names of files are not.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use crate::faults::Cruelty;
use crate::random::Random;

/// The number of a file, whatever its names.
pub type Inode = u64;

#[derive(Clone, Debug, Default)]
struct Dir {
    seen: BTreeMap<String, Inode>,
    durable: BTreeMap<String, Inode>,
    dirs: BTreeSet<String>,
}

/// A name operation that is not durable yet.
#[derive(Clone, Debug)]
struct Change {
    number: u64,
    edit: Edit,
}

#[derive(Clone, Debug)]
enum Edit {
    Link { at: PathBuf, inode: Inode },
    Unlink { at: PathBuf },
    Rename { from: PathBuf, to: PathBuf, inode: Inode },
}

impl Edit {
    /// The directories it changes.
    fn dirs(&self) -> [&Path; 2] {
        let (a, b) = match self {
            Edit::Link { at, .. } | Edit::Unlink { at } => (at, at),
            Edit::Rename { from, to, .. } => (from, to),
        };
        [parent(a), parent(b)]
    }

    /// The name that tells what kind of file it concerns.
    fn subject(&self) -> &Path {
        match self {
            Edit::Link { at, .. } | Edit::Unlink { at } => at,
            Edit::Rename { to, .. } => to,
        }
    }
}

/// All directories.
#[derive(Clone, Debug)]
pub struct Names {
    dirs: BTreeMap<PathBuf, Dir>,
    journal: Vec<Change>,
    next_change: u64,
}

fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new(""))
}

fn name(path: &Path) -> io::Result<&str> {
    let name = path.file_name().and_then(|name| name.to_str());
    name.ok_or_else(|| error(io::ErrorKind::InvalidInput, "no file name in UTF-8", path))
}

fn error(kind: io::ErrorKind, what: &str, path: &Path) -> io::Error {
    io::Error::new(kind, format!("{what}: {}", path.display()))
}

impl Names {
    /// Only the roots exist: `/`, and the working directory.
    pub fn new() -> Names {
        let dirs = ["", "/"].map(|root| (PathBuf::from(root), Dir::default()));
        Names { dirs: BTreeMap::from(dirs), journal: Vec::new(), next_change: 0 }
    }

    fn dir(&self, path: &Path) -> io::Result<&Dir> {
        self.dirs.get(path).ok_or_else(|| error(io::ErrorKind::NotFound, "no such directory", path))
    }

    /// The file that a name means now.
    ///
    /// # Errors
    /// `NotFound`, or `IsADirectory`.
    pub fn lookup(&self, path: &Path) -> io::Result<Inode> {
        if self.dirs.contains_key(path) {
            return Err(error(io::ErrorKind::IsADirectory, "is a directory", path));
        }
        let inode = self.dir(parent(path))?.seen.get(name(path)?);
        inode.copied().ok_or_else(|| error(io::ErrorKind::NotFound, "no such file", path))
    }

    /// The file that a name is sure to mean after a power loss, if nothing is done to it until then.
    pub fn durable(&self, path: &Path) -> Option<Inode> {
        self.dirs.get(parent(path))?.durable.get(name(path).ok()?).copied()
    }

    /// Gives a file a new name.
    ///
    /// # Errors
    /// `AlreadyExists` if the name is taken, `NotFound` if its directory is missing.
    pub fn link(&mut self, path: &Path, inode: Inode) -> io::Result<()> {
        let taken = self.dirs.contains_key(path) || self.dir(parent(path))?.seen.contains_key(name(path)?);
        if taken {
            return Err(error(io::ErrorKind::AlreadyExists, "the name is taken", path));
        }
        self.change(Edit::Link { at: path.to_owned(), inode });
        Ok(())
    }

    /// Removes a name.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn unlink(&mut self, path: &Path) -> io::Result<()> {
        self.lookup(path)?;
        self.change(Edit::Unlink { at: path.to_owned() });
        Ok(())
    }

    /// Moves a name, replacing what the new one meant.
    ///
    /// # Errors
    /// `NotFound`, or `IsADirectory` for either.
    pub fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let inode = self.lookup(from)?;
        self.dir(parent(to))?;
        if self.dirs.contains_key(to) {
            return Err(error(io::ErrorKind::IsADirectory, "is a directory", to));
        }
        name(to)?;
        self.change(Edit::Rename { from: from.to_owned(), to: to.to_owned(), inode });
        Ok(())
    }

    fn change(&mut self, edit: Edit) {
        self.apply(&edit, |dir| &mut dir.seen, true);
        self.journal.push(Change { number: self.next_change, edit });
        self.next_change += 1;
    }

    fn apply(&mut self, edit: &Edit, side: fn(&mut Dir) -> &mut BTreeMap<String, Inode>, whole: bool) {
        let mut set = |path: &Path, inode: Option<Inode>| {
            let dir = self.dirs.get_mut(parent(path)).expect("directories are never removed");
            let name = name(path).expect("checked when the change was made");
            match inode {
                Some(inode) => side(dir).insert(name.to_owned(), inode),
                None => side(dir).remove(name),
            };
        };
        match edit {
            Edit::Link { at, inode } => set(at, Some(*inode)),
            Edit::Unlink { at } => set(at, None),
            Edit::Rename { from, to, inode } => {
                if whole {
                    set(from, None);
                }
                set(to, Some(*inode));
            }
        }
    }

    /// Creates a directory and its missing parents, durably.
    ///
    /// # Errors
    /// `AlreadyExists` if a file is in the way.
    pub fn create_dir_all(&mut self, path: &Path) -> io::Result<()> {
        if self.dirs.contains_key(path) {
            return Ok(());
        }
        self.create_dir_all(parent(path))?;
        if self.lookup(path).is_ok() {
            return Err(error(io::ErrorKind::AlreadyExists, "a file is in the way", path));
        }
        let above = self.dirs.get_mut(parent(path)).expect("created above");
        above.dirs.insert(name(path)?.to_owned());
        self.dirs.insert(path.to_owned(), Dir::default());
        Ok(())
    }

    /// The names in a directory: directories, and files with their numbers.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn list(&self, path: &Path) -> io::Result<(&BTreeSet<String>, &BTreeMap<String, Inode>)> {
        self.dir(path).map(|dir| (&dir.dirs, &dir.seen))
    }

    /// Starts a sync of a directory: it covers the operations so far.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn sync_begin(&self, path: &Path) -> io::Result<u64> {
        self.dir(path).map(|_| self.next_change)
    }

    /// Ends it: makes the operations on that directory durable, and with them all that they depend on. A journal
    /// with an order (`ordered`) makes everything up to them durable.
    pub fn sync_end(&mut self, path: &Path, mark: u64, ordered: bool) {
        let mut durable = BTreeSet::from([path.to_owned()]);
        let mut reached = false;
        let mut chosen = vec![false; self.journal.len()];
        for (at, change) in self.journal.iter().enumerate().rev() {
            let dirs = change.edit.dirs();
            if change.number < mark && ((ordered && reached) || dirs.iter().any(|dir| durable.contains(*dir)))
            {
                reached = true;
                chosen[at] = true;
                durable.extend(dirs.map(Path::to_owned));
            }
        }
        for (change, chosen) in std::mem::take(&mut self.journal).into_iter().zip(chosen) {
            if chosen {
                self.apply(&change.edit, |dir| &mut dir.durable, true);
            } else {
                self.journal.push(change);
            }
        }
    }

    /// Makes every operation so far durable.
    pub fn sync_all(&mut self) {
        for change in std::mem::take(&mut self.journal) {
            self.apply(&change.edit, |dir| &mut dir.durable, true);
        }
    }

    /// Operations since the last sync survive as `cruelty` allows. Returns the names whose operation was lost.
    pub fn power_loss(&mut self, cruelty: Cruelty, random: &mut Random) -> Vec<PathBuf> {
        let journal = std::mem::take(&mut self.journal);
        let prefix = random.draw_below(journal.len() as u64 + 1).map_or(journal.len(), |n| n as usize);
        let mode = random.draw_below(4);
        let mut lost = Vec::new();
        for (at, change) in journal.into_iter().enumerate() {
            let keep = match (cruelty, mode) {
                (Cruelty::Ordered, _) => at < prefix,
                (_, None) => true,
                (_, Some(0)) => false,
                (_, Some(1)) => at >= prefix,
                _ => random.coin_or(true),
            };
            if keep {
                let whole = cruelty == Cruelty::Ordered || !random.one_in(4);
                self.apply(&change.edit, |dir| &mut dir.durable, whole);
            } else {
                lost.push(change.edit.subject().to_owned());
            }
        }
        for dir in self.dirs.values_mut() {
            dir.seen.clone_from(&dir.durable);
        }
        lost
    }

    /// Every file that has, or may get back, a name.
    pub fn inodes(&self) -> BTreeSet<Inode> {
        let named = self.dirs.values().flat_map(|dir| dir.seen.values().chain(dir.durable.values()));
        let pending = self.journal.iter().filter_map(|change| match &change.edit {
            Edit::Link { inode, .. } | Edit::Rename { inode, .. } => Some(inode),
            Edit::Unlink { .. } => None,
        });
        named.chain(pending).copied().collect()
    }

    /// Every file now, by path.
    pub fn files(&self) -> BTreeMap<PathBuf, Inode> {
        let dirs = self.dirs.iter();
        dirs.flat_map(|(path, dir)| dir.seen.iter().map(move |(name, inode)| (path.join(name), *inode)))
            .collect()
    }
}
