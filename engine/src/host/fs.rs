//! Operations on names: they block, so both hosts run them on a helper thread.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use millstream_storage::disk::DirEntry;
use rustix::fs::{FlockOperation, flock};

use super::fault::{Named, name};

/// Renames a file, replacing what the new name held.
pub(crate) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to).map_err(|error| name(format!("rename to {}", to.display()), from, error))
}

/// Removes a file.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    fs::remove_file(path).named("remove", path)
}

/// Makes the names in a directory durable.
pub(crate) fn sync_dir(path: &Path) -> io::Result<()> {
    File::open(path).and_then(|directory| directory.sync_all()).named("sync directory", path)
}

/// Creates a directory and its missing parents. Each new name is synced, outermost first.
pub(crate) fn create_dir_all(path: &Path) -> io::Result<()> {
    let missing: Vec<&Path> =
        path.ancestors().take_while(|part| !part.as_os_str().is_empty() && !part.is_dir()).collect();
    for directory in missing.into_iter().rev() {
        match fs::create_dir(directory) {
            // Another core was faster. Its sync may still be under way, so it is done here as well.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && directory.is_dir() => {}
            outcome => outcome.named("create directory", directory)?,
        }
        sync_dir(parent_of(directory))?;
    }
    Ok(())
}

fn parent_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// The names in a directory, sorted.
pub(crate) fn list(path: &Path) -> io::Result<Vec<DirEntry>> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(path).named("list", path)? {
        let entry = entry.named("list", path)?;
        let metadata = match entry.metadata() {
            // Removed since it was read.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            outcome => outcome.named("look at", &entry.path())?,
        };
        let is_dir = metadata.is_dir();
        let len = if is_dir { 0 } else { metadata.len() };
        entries.push(DirEntry { name: text(entry.file_name(), path)?, len, is_dir });
    }
    entries.sort();
    Ok(entries)
}

fn text(file_name: OsString, directory: &Path) -> io::Result<String> {
    file_name.into_string().map_err(|odd| {
        let source = io::Error::new(io::ErrorKind::InvalidData, "the name is not UTF-8");
        name("list", &directory.join(odd), source)
    })
}

/// Takes the exclusive lock of a file, created if missing. The lock goes with the returned file.
pub(crate) fn lock(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().read(true).append(true).create(true).mode(0o644).open(path);
    let file = file.named("open the lock file", path)?;
    flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(|error| {
        let source = match io::Error::from(error) {
            error if error.kind() == io::ErrorKind::WouldBlock => {
                io::Error::new(io::ErrorKind::WouldBlock, "another process or job holds it")
            }
            error => error,
        };
        name("lock", path, source)
    })?;
    Ok(file)
}

/// A path made absolute, so that an operation under way does not depend on the working directory.
pub(crate) fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// Whether an error means that the file system has no direct I/O.
pub(crate) fn refuses_direct(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EINVAL | libc::EOPNOTSUPP))
}
