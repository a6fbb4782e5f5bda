//! The share of one store in a checkpoint, on its way to disk.

use std::path::PathBuf;
use std::rc::Rc;

use crate::disk::Disk;
use crate::error::StoreError;
use crate::log::pending::{Range, Ranges};
use crate::planted;
use crate::snapshot::StoreSnapshot;
use crate::spill::Ticket;
use crate::writer::{NewFile, write_file};

/// The delta of one epoch, to be written in the background. Made by [`Store::seal`](crate::store::Store::seal).
///
/// ```
/// # use std::rc::Rc;
/// # use millstream_storage::disk::{StdDisk, block_on};
/// # use millstream_storage::hash::stable_hash;
/// # use millstream_storage::sealed::Sealed;
/// # use millstream_storage::store::{Store, StoreConfig};
/// # let dir = tempfile::tempdir()?;
/// let mut store = Store::new(StoreConfig::new("counts", 1));
/// let table = store.create_table(0, 0);
/// store.put(table, stable_hash(b"JFK"), b"JFK", b"1")?;
///
/// let sealed: Sealed = store.seal(1);
/// let bytes = sealed.bytes();
/// // The store may go on meanwhile.
/// let snapshot = block_on(sealed.write(Rc::new(StdDisk), dir.path().to_owned()))?;
/// assert_eq!(snapshot.files[0].bytes, bytes);
/// store.flushed(1, &snapshot);
/// assert_eq!(store.seal(2).bytes(), 0, "nothing has changed");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Sealed {
    snapshot: StoreSnapshot,
    /// Shared with the store, on the same core: filling in headers elsewhere would race with its reads.
    ranges: Rc<Ranges>,
    /// What is being written ahead of it: its file comes before this one.
    ahead: Option<Ticket>,
    /// The seed of the file's index, if it may have one.
    seed: Option<u64>,
}

impl Sealed {
    pub(crate) fn new(
        snapshot: StoreSnapshot,
        ranges: Rc<Ranges>,
        ahead: Option<Ticket>,
        seed: Option<u64>,
    ) -> Sealed {
        Sealed { snapshot, ranges, ahead, seed }
    }

    /// Bytes of state that [`Sealed::write`] is going to write; an index of them may come on top.
    pub fn bytes(&self) -> u64 {
        self.ranges.iter().map(|(at, range)| u64::from(range.end - at.1)).sum()
    }

    /// Writes the delta into a new file of `dir`, syncs the file, and returns the snapshot that names it. If
    /// nothing changed there is no new file.
    ///
    /// The file's **name** is not durable before the directory is synced: the checkpoint coordinator does that
    /// once for all stores, before it writes the manifest.
    ///
    /// # Errors
    /// If the disk refuses: the file is then abandoned, to be removed when no manifest names it. Tell the store by
    /// [`Store::flush_failed`](crate::store::Store::flush_failed).
    pub async fn write(self, disk: Rc<dyn Disk>, dir: PathBuf) -> Result<StoreSnapshot, StoreError> {
        let Sealed { mut snapshot, ranges, ahead, seed } = self;
        let mut ranges = ranges;
        if let Some(ahead) = ahead {
            match ahead.outcome().await {
                Ok(_) if planted!(spill_not_named) => {}
                Ok(file) => snapshot.files.push(file),
                // Not written, so it is written here, in its place in the log: before all that came later.
                Err(failed) => {
                    // A write that was given up may still read them: their headers are placed in a copy.
                    let again =
                        failed.iter().map(|(at, range)| (*at, Range { shared: true, ..range.clone() }));
                    ranges =
                        Rc::new(again.chain(ranges.iter().map(|(at, range)| (*at, range.clone()))).collect());
                }
            }
        }
        if !ranges.is_empty() {
            let StoreSnapshot { name, store_id: store, epoch, .. } = &snapshot;
            let new = NewFile { name, store: *store, epoch: *epoch, part: 0, seed };
            let file = write_file(&*disk, &dir, new, &ranges).await?;
            snapshot.files.push(file);
        }
        Ok(snapshot)
    }
}
