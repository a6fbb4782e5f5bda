//! The disk of a replay: everything can be read, and nothing that is there is changed. What is written stays in memory, but
//! for a directory of the replay's own.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::future::ready;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::rc::Rc;

use millstream_storage::disk::{DirEntry, Disk, File, Io, Lease, OpenMode};

use crate::testing::job::disk::MemoryDisk;

/// Clones are the same disk.
#[derive(Clone)]
pub(super) struct Overlay {
    below: Rc<dyn Disk>,
    above: MemoryDisk,
    /// What was removed, as far as the replay can see.
    hidden: Rc<RefCell<BTreeSet<PathBuf>>>,
    /// Files that may be removed by others meanwhile.
    kept: Rc<RefCell<BTreeMap<PathBuf, Rc<dyn File>>>>,
    /// The only directory in which a lock is granted: one that is in memory. Whoever asks for another finds it taken, so
    /// that topics are left to their writers.
    leased: PathBuf,
    /// Where it really writes.
    own: Option<PathBuf>,
}

impl Overlay {
    pub(super) fn new(below: Rc<dyn Disk>, leased: PathBuf, own: Option<PathBuf>) -> Overlay {
        Overlay {
            below,
            above: MemoryDisk::default(),
            hidden: Rc::default(),
            kept: Rc::default(),
            leased,
            own,
        }
    }

    /// Opens a file now, so that it can be read for as long as the replay goes on, whatever becomes of its name.
    pub(super) async fn keep(&self, path: PathBuf) -> io::Result<()> {
        let file = self.below.open(&path, OpenMode::Read).await?;
        self.kept.borrow_mut().insert(path, file);
        Ok(())
    }

    fn is_own(&self, path: &Path) -> bool {
        self.own.as_ref().is_some_and(|own| is_within(path, own))
    }

    fn is_hidden(&self, path: &Path) -> bool {
        self.hidden.borrow().contains(path)
    }

    async fn is_below(&self, path: &Path) -> bool {
        !self.is_hidden(path)
            && (self.kept.borrow().contains_key(path) || self.below.open(path, OpenMode::Read).await.is_ok())
    }

    async fn open_file(self, path: PathBuf, mode: OpenMode) -> io::Result<Rc<dyn File>> {
        if !mode.only_reads() {
            if self.is_below(&path).await {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            return self.above.open(&path, mode).await;
        }
        match self.above.open(&path, mode).await {
            Err(error) if error.kind() == io::ErrorKind::NotFound && !self.is_hidden(&path) => {
                let kept = self.kept.borrow().get(&path).cloned();
                match kept {
                    Some(kept) => Ok(kept),
                    None => self.below.open(&path, mode).await,
                }
            }
            opened => opened,
        }
    }

    async fn all_names(self, path: PathBuf) -> io::Result<Vec<DirEntry>> {
        let (below, above) = (self.below.list(&path).await, self.above.list(&path).await);
        let below = match (below, &above) {
            (Err(error), Ok(_)) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            (below, _) => below?,
        };
        let below = below.into_iter().filter(|entry| !self.is_hidden(&path.join(&entry.name)));
        let kept = self.kept.borrow();
        let kept = kept.keys().filter(|of| of.parent() == Some(&*path) && !self.is_hidden(of));
        let kept = kept.filter_map(|of| {
            Some(DirEntry { name: of.file_name()?.to_str()?.to_owned(), len: 0, is_dir: false })
        });
        let all = kept.chain(below).chain(above.unwrap_or_default()).map(|entry| (entry.name.clone(), entry));
        Ok(all.collect::<BTreeMap<_, _>>().into_values().collect())
    }
}

impl Disk for Overlay {
    fn open(&self, path: &Path, mode: OpenMode) -> Io<Rc<dyn File>> {
        if self.is_own(path) {
            return self.below.open(path, mode);
        }
        Box::pin(self.clone().open_file(path.to_owned(), mode))
    }

    fn rename(&self, from: &Path, to: &Path) -> Io<()> {
        if self.is_own(from) && self.is_own(to) {
            return self.below.rename(from, to);
        }
        let (this, from, to) = (self.clone(), from.to_owned(), to.to_owned());
        Box::pin(async move {
            let renamed = this.above.rename(&from, &to).await;
            match renamed {
                Err(_) if this.is_below(&from).await => Err(io::ErrorKind::PermissionDenied.into()),
                renamed => renamed,
            }
        })
    }

    fn remove(&self, path: &Path) -> Io<()> {
        if self.is_own(path) {
            return self.below.remove(path);
        }
        let (this, path) = (self.clone(), path.to_owned());
        Box::pin(async move {
            let removed = this.above.remove(&path).await;
            match this.is_below(&path).await {
                true => {
                    this.hidden.borrow_mut().insert(path);
                    Ok(())
                }
                false => removed,
            }
        })
    }

    fn create_dir_all(&self, path: &Path) -> Io<()> {
        if self.is_own(path) { self.below.create_dir_all(path) } else { self.above.create_dir_all(path) }
    }

    fn sync_dir(&self, path: &Path) -> Io<()> {
        if self.is_own(path) { self.below.sync_dir(path) } else { self.above.sync_dir(path) }
    }

    fn list(&self, path: &Path) -> Io<Vec<DirEntry>> {
        if self.is_own(path) {
            return self.below.list(path);
        }
        Box::pin(self.clone().all_names(path.to_owned()))
    }

    fn lock(&self, path: &Path) -> Io<Lease> {
        match is_within(path, &self.leased) {
            true => self.above.lock(path),
            false => Box::pin(ready(Err(io::ErrorKind::WouldBlock.into()))),
        }
    }
}

/// Whether a path leads into a directory, and not out of it again.
fn is_within(path: &Path, dir: &Path) -> bool {
    path.strip_prefix(dir).is_ok_and(|rest| rest.components().all(|of| matches!(of, Component::Normal(_))))
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use millstream_storage::disk::{Disk, OpenMode, StdDisk, block_on};

    use super::Overlay;

    #[test]
    fn what_is_written_is_seen_and_what_was_there_stays() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let at = |name: &str| dir.path().join(name);
        std::fs::write(at("a"), "old").expect("the disk works");
        std::fs::write(at("b"), "b").expect("the disk works");
        let disk = Overlay::new(Rc::new(StdDisk), at("state"), Some(at("own")));
        let read =
            |name: &str| block_on(async { disk.open(&at(name), OpenMode::Read).await?.read_at(0, 9).await });
        let names = || -> Vec<String> {
            let entries = block_on(disk.list(dir.path())).expect("it is there");
            entries.into_iter().map(|entry| entry.name).collect()
        };
        block_on(async {
            disk.create_dir_all(dir.path()).await?;
            assert!(disk.open(&at("a"), OpenMode::Create).await.is_err(), "the name is taken");
            let file = disk.open(&at("c"), OpenMode::Create).await?;
            file.write_at(0, b"new".to_vec().into()).await?;
            disk.keep(at("b")).await?;
            disk.rename(&at("c"), &at("a")).await?;
            assert!(disk.rename(&at("b"), &at("d")).await.is_err());
            assert!(disk.lock(&at("topic")).await.is_err());
            disk.lock(&at("state").join("lease")).await.map(drop)
        })
        .expect("a replay may do that");
        assert_eq!(read("a").expect("it is there"), b"new");
        assert_eq!(names(), ["a", "b"]);
        std::fs::remove_file(at("b")).expect("the disk works");
        assert_eq!(read("b").expect("it was kept"), b"b");
        assert_eq!(names(), ["a", "b"], "it is seen, too");
        block_on(disk.remove(&at("b"))).expect("it can be hidden");
        assert!(read("b").is_err());
        block_on(disk.create_dir_all(&at("own"))).expect("it can write there");
        assert!(at("own").is_dir());
        block_on(disk.create_dir_all(&at("own/../beside/data"))).expect("it can write in memory");
        assert!(!at("beside").exists(), "that leads out of its own directory");
        assert_eq!(std::fs::read(at("a")).expect("it is there"), b"old");
        assert!(!at("c").exists() && !at("state").exists());
    }
}
