//! The names of files: final ones sort by epoch, pending ones are hidden and never used twice.
//!
//! Both are paths relative to the directory of the sink. Pending files all lie in that directory itself, so that one
//! sync makes their names durable and one list finds what a crash left behind; final ones lie in their partition.

use super::partition;

/// What pending names begin with.
const PENDING: &str = ".pending-";

/// Digits of an epoch at least: so that names sort by it.
const EPOCH_DIGITS: usize = 10;

/// Names the files of a shard in a run.
#[derive(Clone, Debug)]
pub(super) struct Names {
    /// Of the run.
    pub first_epoch: u64,
    pub shard: usize,
    /// Without the dot.
    pub extension: String,
    /// Whether an epoch may have several files, so that their names tell which.
    pub numbered: bool,
}

impl Names {
    /// The final name of the `part`-th file of the shard in an epoch.
    pub(super) fn of_final(&self, partition: &str, epoch: u64, part: usize) -> String {
        let slash = if partition.is_empty() { "" } else { "/" };
        let part = if self.numbered { format!("-{part:06}") } else { String::new() };
        format!("{partition}{slash}{epoch:010}-{:03}{part}.{}", self.shard, self.extension)
    }

    /// The name of the `seq`-th file of the shard in the run before it is committed. The epoch it will belong to is
    /// known only at the barrier.
    pub(super) fn of_pending(&self, seq: u64) -> String {
        format!("{PENDING}{:010}-{seq:010}-{:03}.{}", self.first_epoch, self.shard, self.extension)
    }
}

/// The name of the copy of a pending file's first `bytes`, before that is committed.
pub(super) fn of_cut(pending: &str, bytes: u64) -> String {
    let (stem, extension) = pending.split_at(PENDING.len() + split(&pending[PENDING.len()..]).0.len());
    format!("{stem}-{bytes}{extension}")
}

/// Whether this is a pending name: of three numbers, and of four if it is a copy.
pub(super) fn is_pending(name: &str) -> bool {
    let numbers = name.strip_prefix(PENDING).and_then(numbers);
    numbers.is_some_and(|numbers| matches!(numbers.len(), 3 | 4))
}

/// The epoch in a final name; `None` if it is not one. What comes before it must be a partition.
pub(super) fn epoch_of(path: &str) -> Option<u64> {
    let name = match path.rsplit_once('/') {
        Some((partition, name)) => partition::check(partition).ok().map(|()| name)?,
        None => path,
    };
    // Shorter numbers are a name of somebody else's, such as that of a month.
    let is_ours = name.find('-')? >= EPOCH_DIGITS;
    let numbers = numbers(name).filter(|numbers| is_ours && matches!(numbers.len(), 2 | 3))?;
    Some(numbers[0])
}

/// Numbers with dashes between them, and an extension.
fn numbers(name: &str) -> Option<Vec<u64>> {
    let (stem, extension) = split(name);
    let word = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if !extension.strip_prefix('.')?.split('.').all(word) {
        return None;
    }
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit()).then(|| part.parse().ok())?;
    stem.split('-').map(digits).collect()
}

/// A name without its extension, and the extension with its dot.
fn split(name: &str) -> (&str, &str) {
    name.split_at(name.find('.').unwrap_or(name.len()))
}
