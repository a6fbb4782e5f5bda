//! A place in a partition, moved from frame to frame.

use crate::error::{Damage, StoreError};

use super::frame::{Kind, Meta, Place};
use super::names::Name;
use super::recover::witness;
use super::window::{Found, Window};

/// Where a reader is in a partition. Made by [`TopicReader::seek`](super::TopicReader::seek).
pub struct Cursor {
    pub(super) partition: u32,
    pub(super) offset: u64,
    pub(super) segment: Option<Segment>,
}

impl Cursor {
    /// The partition.
    pub fn partition(&self) -> u32 {
        self.partition
    }

    /// The offset that is read next: behind everything that was delivered or passed over.
    pub fn offset(&self) -> u64 {
        self.offset
    }
}

/// The segment that a cursor is in.
pub(super) struct Segment {
    pub(super) name: Name,
    pub(super) window: Window,
    /// A place in this file; only the position changes.
    pub(super) place: Place,
    /// Durable bytes, as far as is known.
    pub(super) synced: u64,
    /// The offset at which a newer segment goes on. All before it is durable.
    pub(super) limit: Option<u64>,
}

/// What lies at a cursor.
pub(super) enum Ahead {
    /// A whole frame that may be delivered.
    Frame(Meta, crate::disk::SharedBytes),
    /// Nothing more of this segment.
    Over,
    /// Nothing that may be delivered yet.
    Tail,
}

impl Segment {
    /// The frame at the cursor, at `offset`. With `durable`, only one that is known to be. All below the offset `known`
    /// is, and must be there.
    pub(super) async fn ahead(
        &mut self,
        offset: u64,
        durable: bool,
        known: u64,
    ) -> Result<Ahead, StoreError> {
        if self.limit.is_some_and(|limit| offset >= limit) {
            return Ok(Ahead::Over);
        }
        let found = match self.window.frame(self.place).await? {
            Found::Frame(meta, _, payload) if meta.kind == Kind::Records => {
                if !(meta.offset..meta.end_offset()).contains(&offset) {
                    let damage = Damage::Misplaced { field: "offset", found: meta.offset, expected: offset };
                    return Err(self.damaged(damage));
                }
                let end = self.place.position + meta.bytes();
                let told = !durable || self.limit.is_some() || meta.end_offset() <= known;
                let known = told || self.is_synced(end).await?;
                return Ok(if known { Ahead::Frame(meta, payload) } else { Ahead::Tail });
            }
            Found::Frame(_, synced, _) => {
                self.synced = self.synced.max(synced);
                None
            }
            Found::Bad(damage) => {
                if self.synced <= self.place.position && witness(&mut self.window, self.place).await? {
                    self.synced = self.place.position + 1;
                }
                Some(damage)
            }
            Found::End => None,
        };
        if self.limit.is_some() || self.synced > self.place.position || offset < known {
            return Err(found.map_or_else(|| self.missing(offset), |damage| self.damaged(damage)));
        }
        Ok(Ahead::Tail)
    }

    /// The file ends here, but must not.
    pub(super) fn missing(&self, offset: u64) -> StoreError {
        let at = self.place.position;
        self.damaged(Damage::Malformed(format!("the batch with offset {offset} is missing at byte {at}")))
    }

    fn damaged(&self, damage: Damage) -> StoreError {
        StoreError::damaged(&self.window.path, self.place.position, damage)
    }

    /// Whether the file is known to be durable up to `end`: what is written later says so.
    async fn is_synced(&mut self, end: u64) -> Result<bool, StoreError> {
        let mut at = end;
        while self.synced < end {
            let Ok((meta, synced)) = self.window.header(Place { position: at, ..self.place }).await? else {
                return Ok(false);
            };
            self.synced = self.synced.max(synced);
            if meta.kind == Kind::Mark {
                break;
            }
            at += meta.bytes();
        }
        Ok(self.synced >= end)
    }

    /// Moves behind a frame.
    pub(super) fn pass(&mut self, meta: &Meta) {
        self.place.position += meta.bytes();
    }

    /// Goes on, header by header, to the frame that holds `offset`, or to the tail. `reached` is the offset of the
    /// frame where it begins; the one where it ends is returned. Every so often it takes a `note`: of an offset, and
    /// where its frame begins.
    pub(super) async fn seek(
        &mut self,
        mut reached: u64,
        offset: u64,
        mut note: impl FnMut(u64, u64),
    ) -> Result<u64, StoreError> {
        let mut noted = self.place.position;
        loop {
            let (meta, synced) = match self.window.header(self.place).await? {
                Ok((meta, synced)) if meta.kind == Kind::Records => (meta, synced),
                Ok((_, synced)) => {
                    self.synced = self.synced.max(synced);
                    return Ok(reached);
                }
                Err(damage) if reached < offset && self.is_durable_here(offset) => {
                    return Err(self.damaged(damage));
                }
                Err(_) => return Ok(reached),
            };
            self.synced = self.synced.max(synced);
            if meta.end_offset() > offset {
                return Ok(offset);
            }
            reached = meta.end_offset();
            self.pass(&meta);
            if self.place.position - noted >= SPARSE {
                noted = self.place.position;
                note(reached, noted);
            }
        }
    }

    /// Whether a frame must be at the cursor on the way to `offset`.
    fn is_durable_here(&self, offset: u64) -> bool {
        self.synced > self.place.position || (self.limit.is_some() && offset < u64::MAX)
    }

    /// The offset behind the last frame that is known to be durable, as all below the offset `known` is, or that is
    /// whole.
    pub(super) async fn end(&mut self, from: u64, durable: bool, known: u64) -> Result<u64, StoreError> {
        let (mut at, mut ends) = (self.place, vec![(self.place.position, from)]);
        while let Ok((meta, synced)) = self.window.header(at).await? {
            self.synced = self.synced.max(synced);
            if meta.kind != Kind::Records {
                break;
            }
            at.position += meta.bytes();
            ends.push((at.position, meta.end_offset()));
        }
        let is_told = |(position, end): &&(u64, u64)| !durable || *position <= self.synced || *end <= known;
        Ok(ends.iter().rev().find(is_told).map_or(from, |(_, end)| *end))
    }
}

/// Bytes between two entries of the sparse index.
const SPARSE: u64 = 64 << 10;
