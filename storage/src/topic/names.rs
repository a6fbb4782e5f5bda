//! The names of segments, and which of them hold which offsets.

use std::path::Path;

use crate::disk::Disk;
use crate::error::{Damage, StoreError};

/// What the name of a file begins with until it is complete.
const PENDING: &str = "pending-";
const SUFFIX: &str = ".segment";

/// What the name of a segment says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Name {
    /// The order in which the files of a partition were made.
    pub(super) generation: u64,
    /// The offset of its first record.
    pub(super) base: u64,
}

impl Name {
    pub(super) fn file(self) -> String {
        format!("{:020}-{:010}{SUFFIX}", self.base, self.generation)
    }

    pub(super) fn pending(self) -> String {
        format!("{PENDING}{}", self.file())
    }

    fn parse(name: &str) -> Option<Name> {
        let (base, generation) = name.strip_suffix(SUFFIX)?.split_once('-')?;
        let number =
            |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten();
        Some(Name { base: number(base)?, generation: number(generation)? })
    }
}

/// The files of a log.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// The segments that hold its offsets, in the order of these, with their lengths in bytes. Each ends where the
    /// next one begins.
    pub(super) chain: Vec<(Name, u64)>,
    /// Segments that a newer one has replaced.
    pub(super) replaced: Vec<Name>,
    /// Names of files that were never completed.
    pub(super) pending: Vec<String>,
    /// Greater than that of any file, completed or not.
    pub(super) next_generation: u64,
}

/// Lists the files of a log. What else lies in the directory is not ours.
pub(super) async fn list(disk: &dyn Disk, dir: &Path) -> Result<Listing, StoreError> {
    let entries = disk.list(dir).await.map_err(StoreError::io("list", dir))?;
    let mut listing = Listing::default();
    let mut found = Vec::new();
    for entry in entries.into_iter().filter(|entry| !entry.is_dir) {
        let (pending, name) = match entry.name.strip_prefix(PENDING) {
            Some(rest) => (true, Name::parse(rest)),
            None => (false, Name::parse(&entry.name)),
        };
        let Some(name) = name else { continue };
        let next = name.generation.checked_add(1).ok_or_else(|| {
            let what = "its name has the last of all generations: it is not the topic's own, remove it";
            StoreError::damaged(&dir.join(&entry.name), 0, Damage::Malformed(what.to_owned()))
        })?;
        listing.next_generation = listing.next_generation.max(next);
        if pending {
            listing.pending.push(entry.name);
        } else {
            found.push((name, entry.len));
        }
    }
    found.sort();
    for (name, len) in found {
        cut(&mut listing, name, len);
    }
    Ok(listing)
}

/// A newer segment cuts the older ones at its first offset.
fn cut(listing: &mut Listing, name: Name, len: u64) {
    while let Some((replaced, _)) = listing.chain.pop_if(|(older, _)| older.base >= name.base) {
        listing.replaced.push(replaced);
    }
    listing.chain.push((name, len));
}
