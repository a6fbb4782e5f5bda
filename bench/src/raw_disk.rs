//! The disk alone: one file from its beginning to its end, past the page cache.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::time::Instant;

use crate::report::Outcome;

/// Bytes of one request.
const CHUNK: usize = 1 << 20;
/// What direct I/O asks of a buffer's address and of lengths.
const SECTOR: usize = 4096;

/// A file on the disk that is measured. Removed when dropped.
pub struct RawFile<'a> {
    file: File,
    path: &'a Path,
    memory: Vec<u8>,
    start: usize,
}

impl<'a> RawFile<'a> {
    /// Creates the file; through the page cache where the file system knows no other way.
    ///
    /// # Errors
    /// If the file cannot be created.
    pub fn create(path: &'a Path) -> Outcome<RawFile<'a>> {
        let file = open(path, true)?;
        let memory = vec![7_u8; CHUNK + SECTOR];
        let start = memory.as_ptr().align_offset(SECTOR);
        Ok(RawFile { file, path, memory, start })
    }

    /// Gigabytes per second of writing so many bytes, the sync at the end included.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn write(&mut self, bytes: u64) -> Outcome<f64> {
        let chunk = &self.memory[self.start..self.start + CHUNK];
        let start = Instant::now();
        for offset in (0..bytes).step_by(CHUNK) {
            self.file.write_all_at(chunk, offset)?;
        }
        self.file.sync_data()?;
        Ok(rate(bytes.next_multiple_of(CHUNK as u64), start))
    }

    /// Gigabytes per second of reading what was written.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn read(&mut self) -> Outcome<f64> {
        read(&self.file, &mut self.memory[self.start..self.start + CHUNK])
    }

    /// Microseconds of writing a sector and making it durable, on average.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn sync(&mut self, times: u32) -> Outcome<f64> {
        let sector = &self.memory[self.start..self.start + SECTOR];
        let start = Instant::now();
        for i in 0..times {
            self.file.write_all_at(sector, u64::from(i) * SECTOR as u64)?;
            self.file.sync_data()?;
        }
        Ok(start.elapsed().as_micros() as f64 / f64::from(times))
    }
}

impl Drop for RawFile<'_> {
    fn drop(&mut self) {
        // The directory is a temporary one mostly; what is left of a failed run tells its name.
        let _ = std::fs::remove_file(self.path);
    }
}

/// Gigabytes per second of reading a file of somebody else's.
///
/// # Errors
/// If the disk refuses.
pub fn read_file(path: &Path) -> Outcome<f64> {
    let mut memory = vec![0_u8; CHUNK + SECTOR];
    let start = memory.as_ptr().align_offset(SECTOR);
    read(&open(path, false)?, &mut memory[start..start + CHUNK])
}

/// Asks the kernel to forget what its page cache holds of a file.
///
/// # Errors
/// If the file cannot be opened or the kernel refuses.
pub fn forget(path: &Path) -> Outcome<()> {
    let file = File::open(path)?;
    file.sync_data()?;
    Ok(rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed)?)
}

fn open(path: &Path, create: bool) -> Outcome<File> {
    let direct = i32::try_from(rustix::fs::OFlags::DIRECT.bits())?;
    let mut options = OpenOptions::new();
    options.read(true).write(create).create(create);
    let file = options.clone().custom_flags(direct).open(path);
    Ok(file.or_else(|_| options.open(path))?)
}

fn read(file: &File, chunk: &mut [u8]) -> Outcome<f64> {
    let bytes = file.metadata()?.len();
    let start = Instant::now();
    let mut offset = 0;
    while offset < bytes {
        match file.read_at(chunk, offset)? {
            0 => return Err("the file became shorter while it was read".into()),
            read => offset += read as u64,
        }
    }
    Ok(rate(bytes, start))
}

fn rate(bytes: u64, start: Instant) -> f64 {
    bytes as f64 / start.elapsed().as_secs_f64() / 1e9
}
