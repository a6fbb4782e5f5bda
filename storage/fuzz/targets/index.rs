//! The index of a state file: raw or healed, behind blocks that are whole.

use std::path::Path;
use std::rc::Rc;

use millstream_storage::disk::{Disk, block_on};
use millstream_storage::inspect;
use millstream_storage::read::Reader;
use millstream_storage::snapshot::FileIndex;
use millstream_storage::store::{Store, StoreConfig};

use super::disk::MemoryDisk;
use super::heal::{self, SECTOR};
use super::state::{DIR, LAYOUTS, STORE, config, replay, snapshot};

/// The first byte says whether the index is healed; the next two, how many sectors are the blocks of records. These are
/// always healed. The rest is the index.
pub fn index(data: &[u8]) {
    let Some((&mode, rest)) = data.split_first() else { return };
    let Some((sectors, rest)) = rest.split_first_chunk() else { return };
    let cut = (usize::from(u16::from_le_bytes(*sectors)) * SECTOR).min(rest.len() / SECTOR * SECTOR);
    let place = heal::File { store: STORE, epoch: 1, part: 0 };
    let mut bytes = rest.to_vec();
    let count = heal::blocks(&mut bytes[..cut], place);
    if mode & 1 == 1 {
        heal::index(&mut bytes, cut, place, STORE);
    }
    let mut part = snapshot(&[(cut as u64, count)]);
    // A log's seed is at first the number of its store.
    part.files[0].index = Some(FileIndex { bytes: (bytes.len() - cut) as u64, seed: STORE, damaged: false });
    let disk = MemoryDisk::default();
    disk.put(&Path::new(DIR).join(&part.files[0].name), bytes);
    let shared: Rc<dyn Disk> = Rc::new(disk.clone());
    let verified = block_on(inspect::verify(&disk, Path::new(DIR), &part.files[0]));
    // So little memory that the file is left where it is.
    let config = StoreConfig { budget: Some(cut as u64), ..config() };
    let restored = block_on(Store::restore_whole(shared.clone(), Path::new(DIR), config, &part));
    let Ok(mut store) = restored else { return };
    let reader = Reader::new(shared, DIR.into());
    let contents = replay(&disk, &part);
    let mut missing = contents.as_ref().map_or(0, |contents| contents.len());
    for state in 0..LAYOUTS.len() as u32 {
        let Some(table) = store.table(state, 0) else { continue };
        let mut wrong = false;
        let visit = |key: &[u8], value: &[u8]| {
            let expected = contents.as_ref().and_then(|all| all.get(&(state, key.to_vec())));
            wrong |= contents.is_some() && expected.map(Vec::as_slice) != Some(value);
            missing = missing.wrapping_sub(1);
        };
        if block_on(store.visit_all(&reader, table, visit)).is_err() {
            return;
        }
        assert!(!wrong, "a value was given out that is not there");
    }
    // Who makes an index up may hide records, but not from those who look.
    assert!(missing == 0 || verified.is_err(), "{missing} records are missing, and nobody says so");
}
