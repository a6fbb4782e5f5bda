//! A limit of memory that the kernel keeps: for what an engine does not account for, such as its files in the page
//! cache.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A control group of one process. Removed when dropped, once the process has ended.
pub(super) struct Cage(PathBuf);

impl Cage {
    /// Holds a process to so many bytes, its share of the page cache included.
    ///
    /// # Errors
    /// If there are no control groups here, or none may be made.
    pub(super) fn of(process: u32, bytes: u64) -> io::Result<Cage> {
        let groups = fs::read_to_string("/proc/self/cgroup")?;
        let mut failure = io::ErrorKind::NotFound.into();
        for (parent, limit) in groups.lines().filter_map(parent_of) {
            match Cage::make(&parent, limit, process, bytes) {
                Ok(cage) => return Ok(cage),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    fn make(parent: &Path, limit: &str, process: u32, bytes: u64) -> io::Result<Cage> {
        let path = parent.join(format!("millstream-bench-{process}"));
        fs::create_dir(&path)?;
        let cage = Cage(path);
        fs::write(cage.0.join(limit), bytes.to_string())?;
        fs::write(cage.0.join("cgroup.procs"), process.to_string())?;
        Ok(cage)
    }
}

/// Where a group beside or below ours is made, and the name of its limit, from a line of `/proc/self/cgroup`.
fn parent_of(line: &str) -> Option<(PathBuf, &'static str)> {
    let (hierarchy, path) = line.split_once(':')?.1.split_once(':')?;
    match hierarchy {
        "memory" => {
            let root = Path::new("/sys/fs/cgroup/memory");
            Some((root.join(path.trim_start_matches('/')), "memory.limit_in_bytes"))
        }
        // Of version 2: a group that has processes, as ours, has no groups below it.
        "" => {
            let root = Path::new("/sys/fs/cgroup");
            Some((root.join(Path::new(path.trim_start_matches('/')).parent()?), "memory.max"))
        }
        _ => None,
    }
}

impl Drop for Cage {
    fn drop(&mut self) {
        // An empty group that stays costs nothing.
        let _ = fs::remove_dir(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::parent_of;

    #[test]
    fn groups_are_found_in_both_versions() {
        let found = |path: &str, limit| Some((PathBuf::from(path), limit));
        assert_eq!(parent_of("4:memory:/a/b"), found("/sys/fs/cgroup/memory/a/b", "memory.limit_in_bytes"));
        assert_eq!(parent_of("0::/user/shell"), found("/sys/fs/cgroup/user", "memory.max"));
        assert_eq!(parent_of("1:cpu:/"), None);
        assert_eq!(parent_of("nonsense"), None);
    }
}
