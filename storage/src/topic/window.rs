//! A file read frame by frame through a chunk of memory, which the payloads share.

use std::path::{Path, PathBuf};
use std::rc::Rc;

use crate::disk::{Disk, File, OpenMode, SharedBytes};
use crate::error::{Damage, StoreError};

use super::frame::{self, HEADER, Meta, Place};

/// Bytes of one read.
const CHUNK: usize = 1 << 20;

/// A segment that is being read.
pub(super) struct Window {
    file: Rc<dyn File>,
    pub(super) path: PathBuf,
    start: u64,
    bytes: SharedBytes,
}

/// What lies at a position.
pub(super) enum Found {
    /// A frame: what it says, what was durable when it was written, and its payload.
    Frame(Meta, u64, SharedBytes),
    /// Something else.
    Bad(Damage),
    /// The end of the file.
    End,
}

impl Window {
    pub(super) async fn open(disk: &dyn Disk, path: &Path) -> Result<Window, StoreError> {
        let file = disk.open(path, OpenMode::Read).await.map_err(StoreError::io("open", path))?;
        Ok(Window { file, path: path.to_owned(), start: 0, bytes: Vec::new().into() })
    }

    /// Forgets what was read: the file may have grown since.
    pub(super) fn refresh(&mut self) {
        self.bytes = Vec::new().into();
    }

    /// Up to `len` bytes at `position`: fewer only at the end of the file.
    pub(super) async fn get(&mut self, position: u64, len: usize) -> Result<SharedBytes, StoreError> {
        let inside = |window: &Window| {
            let skip = usize::try_from(position.checked_sub(window.start)?).ok()?;
            (skip.checked_add(len)? <= window.bytes.len()).then_some(skip)
        };
        if let Some(skip) = inside(self) {
            return Ok(self.bytes.slice(skip..skip + len));
        }
        let read = self.file.read_at(position, len.max(CHUNK)).await;
        (self.bytes, self.start) = (read.map_err(StoreError::io("read", &self.path))?.into(), position);
        Ok(self.bytes.slice(0..len.min(self.bytes.len())))
    }

    /// The header of the frame at a place.
    pub(super) async fn header(&mut self, place: Place) -> Result<Result<(Meta, u64), Damage>, StoreError> {
        let bytes = self.get(place.position, HEADER).await?;
        let Ok(header) = <&[u8; HEADER]>::try_from(&bytes[..]) else {
            let found = place.position + bytes.len() as u64;
            return Ok(Err(Damage::Truncated { found, expected: place.position + HEADER as u64 }));
        };
        Ok(frame::parse(header, place))
    }

    /// The frame at a place, verified.
    pub(super) async fn frame(&mut self, place: Place) -> Result<Found, StoreError> {
        let (meta, synced) = match self.header(place).await? {
            Ok(header) => header,
            Err(Damage::Truncated { found, .. }) if found == place.position => return Ok(Found::End),
            Err(damage) => return Ok(Found::Bad(damage)),
        };
        let (whole, expected) = (meta.bytes() as usize, place.position + meta.bytes());
        if whole > CHUNK {
            // Before as much memory is taken as a header says.
            let found = self.file.len().await.map_err(StoreError::io("measure", &self.path))?;
            if found < expected {
                return Ok(Found::Bad(Damage::Truncated { found, expected }));
            }
        }
        let bytes = self.get(place.position, whole).await?;
        if bytes.len() < whole {
            let found = place.position + bytes.len() as u64;
            return Ok(Found::Bad(Damage::Truncated { found, expected }));
        }
        let payload = bytes.slice(HEADER..whole);
        Ok(match frame::verify(&meta, &payload) {
            Ok(()) => Found::Frame(meta, synced, payload),
            Err(damage) => Found::Bad(damage),
        })
    }
}
