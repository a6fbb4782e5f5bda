//! What a segment holds after a crash: whole frames up to a tail that was never acknowledged, or damage.

use std::path::Path;

use crate::disk::{Disk, SharedBytes};
use crate::error::{Damage, StoreError};

use super::frame::{self, Frame, HEADER, Kind, Meta, Place};
use super::window::{Found, Window};

/// Bytes looked through at a time for what lies behind a bad frame.
const STRIDE: usize = 1 << 20;

/// What was found in a segment.
#[derive(Debug)]
pub(super) struct Scanned {
    /// Where its whole frames end, in bytes.
    pub(super) end: u64,
    /// How much of it is known to be durable, in bytes: never more than `end`.
    pub(super) synced: u64,
    /// The offset behind its last record.
    pub(super) end_offset: u64,
    pub(super) greatest_time: i64,
    /// What lies there instead of another frame; nothing at a clean end.
    pub(super) tail: Option<Damage>,
}

/// Reads the last segment of a log, and gives each whole frame to `each`. `first` is where its first frame belongs.
///
/// What does not check out is a torn tail if nothing shows that it had been durable; readers and acknowledgements
/// never got that far.
///
/// # Errors
/// If the disk refuses, or a frame that had been durable is not whole.
pub(super) async fn scan(
    disk: &dyn Disk,
    path: &Path,
    first: Place,
    base: u64,
    mut each: impl FnMut(&Meta, SharedBytes),
) -> Result<Scanned, StoreError> {
    let mut window = Window::open(disk, path).await?;
    let mut scanned = Scanned { end: 0, synced: 0, end_offset: base, greatest_time: i64::MIN, tail: None };
    loop {
        let place = Place { position: scanned.end, ..first };
        match window.frame(place).await? {
            Found::End => return Ok(scanned),
            // A whole header of another place was not torn: it does not belong here.
            Found::Bad(damage @ Damage::Misplaced { .. }) => {
                return Err(StoreError::damaged(path, scanned.end, damage));
            }
            Found::Bad(damage) => scanned.tail = Some(damage),
            Found::Frame(meta, synced, _) if meta.kind == Kind::Mark => {
                scanned.synced = scanned.synced.max(synced);
                break;
            }
            Found::Frame(meta, synced, payload) if meta.offset == scanned.end_offset => {
                each(&meta, payload);
                scanned.end += meta.bytes();
                scanned.synced = scanned.synced.max(synced);
                scanned.end_offset = meta.end_offset();
                scanned.greatest_time = scanned.greatest_time.max(meta.greatest_time);
                continue;
            }
            Found::Frame(meta, ..) => {
                let (found, expected) = (meta.offset, scanned.end_offset);
                let damage = Damage::Misplaced { field: "offset", found, expected };
                return Err(StoreError::damaged(path, scanned.end, damage));
            }
        }
        break;
    }
    let later = witness(&mut window, Place { position: scanned.end, ..first }).await?;
    if scanned.synced > scanned.end || later {
        let damage = scanned.tail.unwrap_or(Damage::Malformed("a newer group is missing here".to_owned()));
        return Err(StoreError::damaged(path, scanned.end, damage));
    }
    Ok(scanned)
}

/// Whether a frame behind `place` says that `place` had been durable.
pub(super) async fn witness(window: &mut Window, place: Place) -> Result<bool, StoreError> {
    let mut position = place.position + 8;
    loop {
        // The strides overlap, so that no header lies across two.
        let bytes = window.get(position, STRIDE).await?;
        let whole = bytes.len().saturating_sub(HEADER - 1);
        for at in (0..whole).step_by(8) {
            let header = bytes[at..at + HEADER].try_into().expect("a whole header");
            let there = Place { position: position + at as u64, ..place };
            if frame::parse(header, there).is_ok_and(|(_, synced)| synced > place.position) {
                return Ok(true);
            }
        }
        if bytes.len() < STRIDE {
            return Ok(false);
        }
        position += whole.next_multiple_of(8).min(STRIDE - HEADER) as u64;
    }
}

/// The frames of a segment from a position on, to be written again elsewhere.
pub(super) async fn frames(
    disk: &dyn Disk,
    path: &Path,
    first: Place,
    from: u64,
    to: u64,
) -> Result<Vec<Frame>, StoreError> {
    let mut window = Window::open(disk, path).await?;
    let (mut frames, mut position) = (Vec::new(), from);
    while position < to {
        match window.frame(Place { position, ..first }).await? {
            Found::Frame(meta, _, payload) => {
                position += meta.bytes();
                frames.push(Frame { meta, payload });
            }
            Found::Bad(damage) => return Err(StoreError::damaged(path, position, damage)),
            Found::End => {
                let damage = Damage::Truncated { found: position, expected: to };
                return Err(StoreError::damaged(path, position, damage));
            }
        }
    }
    Ok(frames)
}

/// The greatest timestamp of the records below `end_offset` in a segment, by its headers alone.
pub(super) async fn greatest_time(
    disk: &dyn Disk,
    path: &Path,
    first: Place,
    end_offset: u64,
) -> Result<i64, StoreError> {
    let mut window = Window::open(disk, path).await?;
    let (mut greatest, mut place, mut reached) = (i64::MIN, first, 0);
    while reached < end_offset {
        let header = window.header(place).await?;
        let (meta, _) = header.map_err(|damage| StoreError::damaged(path, place.position, damage))?;
        greatest = greatest.max(meta.greatest_time);
        place.position += meta.bytes();
        reached = meta.end_offset();
    }
    Ok(greatest)
}
