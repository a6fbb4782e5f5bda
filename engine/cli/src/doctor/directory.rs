//! The file system under a directory: what it is, whether it takes direct I/O, and what a sync costs.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{OFlags, statvfs};
use serde::Serialize;

/// How many syncs the median is taken of.
const SYNCS: usize = 15;

/// A directory and its file system.
#[derive(Serialize)]
pub struct Directory {
    pub path: PathBuf,
    pub file_system: Option<String>,
    pub device: Option<String>,
    pub options: Option<String>,
    /// Bytes that are left.
    pub free: Option<u64>,
    /// Whether files can be written past the page cache, or why that is unknown.
    pub direct_io: Result<bool, String>,
    /// The median of writing 4 KiB and making them durable.
    pub sync_micros: Option<f64>,
}

impl Directory {
    /// Looks at a directory; `measure` writes and syncs a small file in it.
    pub fn look(path: &Path, measure: bool) -> Directory {
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let mount = mount_of(&path);
        let probe = path.join(format!(".millstream-doctor-{}", std::process::id()));
        let direct_io = direct(&probe).map_err(|error| error.to_string());
        let sync_micros = if measure { sync_cost(&probe).ok() } else { None };
        // It may never have been created.
        let _ = fs::remove_file(&probe);
        Directory {
            free: statvfs(&path).ok().map(|stat| stat.f_bavail * stat.f_frsize),
            file_system: mount.as_ref().map(|mount| mount.kind.clone()),
            device: mount.as_ref().map(|mount| mount.device.clone()),
            options: mount.map(|mount| mount.options),
            path,
            direct_io,
            sync_micros: sync_micros.map(|cost| cost.as_nanos() as f64 / 1000.0),
        }
    }
}

struct Mount {
    kind: String,
    device: String,
    options: String,
}

// proc(5): id parent major:minor root mount-point options [optional fields] - type source super-options
fn mount_of(path: &Path) -> Option<Mount> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    let parsed = mounts.lines().filter_map(|line| {
        let (front, back) = line.split_once(" - ")?;
        let front: Vec<&str> = front.split(' ').collect();
        let mut back = back.split(' ');
        let (kind, device) = (back.next()?.to_owned(), back.next()?.to_owned());
        let point = PathBuf::from(front.get(4)?.replace("\\040", " "));
        let mount = Mount { kind, device, options: (*front.get(5)?).to_owned() };
        path.starts_with(&point).then_some((point.as_os_str().len(), mount))
    });
    // The innermost, and of mounts on one point the last, hides the others.
    parsed.max_by_key(|(len, _)| *len).map(|(_, mount)| mount)
}

fn direct(probe: &Path) -> io::Result<bool> {
    let flags = OFlags::DIRECT.bits() as i32;
    let opened = OpenOptions::new().write(true).create(true).truncate(true).custom_flags(flags).open(probe);
    match opened {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(false),
        Err(error) => Err(error),
    }
}

fn sync_cost(probe: &Path) -> io::Result<Duration> {
    let file = File::create(probe)?;
    let mut costs = Vec::with_capacity(SYNCS);
    for round in 0..SYNCS as u64 {
        let start = Instant::now();
        file.write_all_at(&[round as u8; 4096], round * 4096)?;
        file.sync_data()?;
        costs.push(start.elapsed());
    }
    costs.sort();
    Ok(costs[SYNCS / 2])
}
