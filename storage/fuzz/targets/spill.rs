//! Files that were written ahead of a checkpoint: restored with one, and read back piece by piece once their memory
//! was given up.

use std::path::Path;
use std::rc::Rc;

use millstream_storage::disk::{Disk, block_on};
use millstream_storage::read::Reader;
use millstream_storage::store::{Store, StoreConfig};

use super::disk::MemoryDisk;
use super::state::{self, DIR, all, config, replay, snapshot};

/// The first two bytes say where the input is cut: before lies the checkpoint's file, behind the one that was written
/// ahead. The byte after them says how both are taken, and its bit 2 what happens to the second one later.
pub fn spill(data: &[u8]) {
    let Some((cut, rest)) = data.split_first_chunk() else { return };
    let Some((&mode, rest)) = rest.split_first() else { return };
    let (before, behind) = rest.split_at(usize::from(u16::from_le_bytes(*cut)).min(rest.len()));
    let disk = MemoryDisk::default();
    let with_mode = |bytes: &[u8]| [&[mode], bytes].concat();
    let files = [state::file(&with_mode(before), 0), state::file(&with_mode(behind), 1)];
    let part = snapshot(&files.each_ref().map(|(bytes, blocks)| (bytes.len() as u64, *blocks)));
    let paths = [0, 1].map(|file: usize| Path::new(DIR).join(&part.files[file].name));
    let [(first, _), (second, _)] = files;
    disk.put(&paths[0], first);
    disk.put(&paths[1], second.clone());
    let shared: Rc<dyn Disk> = Rc::new(disk.clone());
    let config = StoreConfig { budget: Some(64 << 10), ..config() };
    let restored = block_on(Store::restore(
        shared.clone(),
        Path::new(DIR),
        config,
        std::slice::from_ref(&part),
        |_, _| true,
    ));
    let Ok(mut store) = restored else { return };
    let contents = replay(&disk, &part).expect("a store was restored of it");
    if mode & 4 == 0 {
        assert_eq!(all(&mut store, &shared), contents, "two ways to read files differ");
        return;
    }
    // Damage that comes after the restore: it is found, or does not matter.
    disk.put(&paths[1], behind.to_vec());
    let reader = Reader::new(shared, DIR.into());
    for state in 0..state::LAYOUTS.len() as u32 {
        let Some(table) = store.table(state, 0) else { continue };
        let visit = |key: &[u8], value: &[u8]| {
            let expected = contents.get(&(state, key.to_vec())).map(Vec::as_slice);
            assert_eq!(Some(value), expected, "a damaged value was given out");
        };
        if block_on(store.visit_all(&reader, table, visit)).is_err() {
            return;
        }
    }
}
