//! A link of the chain: a checkpoint, and the objects that its files are in.

use std::collections::BTreeMap;

use millstream_storage::manifest::{unwrap, wrap};
use serde::{Deserialize, Serialize};

use crate::checkpoint::manifest::{FORMAT_OVERTAKEN, Manifest};

/// The version of a link's form.
pub const FORMAT: u32 = 1;

/// What the names of links begin with.
pub(crate) const CHAIN: &str = "chain/";
/// What the names of parts of files begin with.
pub(crate) const FILES: &str = "files/";

/// A link of the chain.
///
/// ```
/// # use millstream::prelude::*;
/// # use millstream_storage::disk::block_on;
/// use millstream::checkpoint::remote::{Memory, Objects};
/// use millstream::checkpoint::remote::link::{FORMAT, Held, Link};
/// # let dir = tempfile::tempdir()?;
///
/// let remote = Memory::new("a shelf");
/// let job = Job::new("doc");
/// job.source("numbers", generator(10, |n| n)).sink("nowhere", discard());
/// let config = Config::new().cores(1).checkpoints(dir.path()).checkpoints_to(remote.clone());
/// job.run(config.checkpoint_at_end_only())?;
///
/// let object = block_on(remote.get("chain/0000000002"))?.expect("the checkpoint follows the link of the start");
/// let link = Link::from_object(object).expect("it is whole");
/// assert_eq!((link.format, link.seq, link.generation, link.job.as_str()), (FORMAT, 2, 1, "doc"));
/// let Held { manifest, files } = link.checkpoint.expect("there is a checkpoint");
/// assert!(manifest.finished && files.is_empty(), "the job has no state");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Link {
    /// The version of this form.
    pub format: u32,
    /// Its number: that of the link before it and one.
    pub seq: u64,
    /// The job's name.
    pub job: String,
    /// The number of the link that the run began with which has put this one.
    pub generation: u64,
    /// Drawn anew for each run.
    pub writer: u64,
    /// The last checkpoint, if there is one: the run's own, or, in its first link, the one that it goes on from.
    pub checkpoint: Option<Held>,
}

/// A checkpoint, and where its files are.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Held {
    /// What the checkpoint consists of.
    pub manifest: Manifest,
    /// Its files, by their paths in the directory of checkpoints.
    pub files: BTreeMap<String, HeldFile>,
}

/// A file, in the objects of its parts.
///
/// ```
/// use millstream::checkpoint::remote::link::{HeldFile, HeldPart};
///
/// let parts = vec![HeldPart { bytes: 8 << 20, crc: 17 }, HeldPart { bytes: 100, crc: 4 }];
/// let file = HeldFile { generation: 3, parts };
/// assert_eq!(file.bytes(), (8 << 20) + 100);
/// assert_eq!(file.object("data/totals.log", 1), "files/0000000003/data/totals.log.1");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldFile {
    /// That of the run which stored it.
    pub generation: u64,
    /// Its parts, in their order; at least one.
    pub parts: Vec<HeldPart>,
}

/// A part of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldPart {
    /// Its length.
    pub bytes: u64,
    /// CRC-32 of it.
    pub crc: u32,
}

impl HeldFile {
    /// Its length.
    pub fn bytes(&self) -> u64 {
        self.parts.iter().fold(0, |sum, part| sum.saturating_add(part.bytes))
    }

    /// The name of the object that a part of it is in, by its path in the directory of checkpoints.
    pub fn object(&self, path: &str, part: usize) -> String {
        object_name(self.generation, path, part)
    }

    /// The names of its objects.
    pub(crate) fn objects(&self, path: &str) -> impl Iterator<Item = String> {
        (0..self.parts.len()).map(move |part| self.object(path, part))
    }
}

pub(crate) fn object_name(generation: u64, path: &str, part: usize) -> String {
    format!("{FILES}{generation:010}/{path}.{part}")
}

/// The generation in the name of a file's part.
pub(crate) fn generation_of(object: &str) -> Option<u64> {
    object.strip_prefix(FILES)?.split('/').next()?.parse().ok()
}

/// Whether a path leads to a file in a directory, and nowhere else; and has nothing in it that is written otherwise in
/// some store.
pub(crate) fn is_plain(path: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let is_name = |name: &str| !name.is_empty() && !name.starts_with('.') && name.chars().all(is_plain);
    (2..=3).contains(&path.split('/').count()) && path.split('/').all(is_name)
}

impl Link {
    /// The name of the object of the link of a number.
    ///
    /// ```
    /// use millstream::checkpoint::remote::link::Link;
    /// assert_eq!(Link::name(12), "chain/0000000012");
    /// ```
    pub fn name(seq: u64) -> String {
        format!("{CHAIN}{seq:010}")
    }

    /// Its number, by the name of its object.
    pub(crate) fn seq_of(name: &str) -> Option<u64> {
        name.strip_prefix(CHAIN)?.parse().ok()
    }

    /// As it is stored: JSON, in the envelope of a manifest.
    pub(crate) fn to_object(&self) -> Vec<u8> {
        wrap(&serde_json::to_vec(self).expect("a link has string keys only"))
    }

    /// Reads what was stored.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn from_object(object: Vec<u8>) -> Result<Link, String> {
        let bytes = unwrap(object).map_err(|(at, damage)| format!("at {at}: {damage}"))?;
        let link: Link = serde_json::from_slice(&bytes)
            .map_err(|error| format!("it is not a link of form {FORMAT}: {error}"))?;
        if link.format != FORMAT {
            return Err(format!("it is a link of form {}, and this program knows {FORMAT}", link.format));
        }
        let Some(Held { manifest, files }) = &link.checkpoint else { return Ok(link) };
        if manifest.format > FORMAT_OVERTAKEN {
            return Err(format!("it holds a checkpoint of form {}", manifest.format));
        }
        // It is read from outside: no name in it may lead out of the directory.
        match files.keys().find(|path| !is_plain(path)) {
            Some(path) => Err(format!("it names a file {path:?}")),
            None => Ok(link),
        }
    }
}
