//! Manifests, and the snapshots of stores in them.

use std::path::Path;
use std::rc::Rc;

use millstream_storage::disk::block_on;
use millstream_storage::inspect::Replay;
use millstream_storage::manifest::{read_verified, write_atomically};
use millstream_storage::snapshot::StoreSnapshot;
use millstream_storage::store::{Store, StoreConfig};

use super::disk::MemoryDisk;
use super::heal;

/// A file in an envelope. What is read can be written and read again.
pub fn manifest(data: &[u8]) {
    let (dir, path) = (Path::new("dir"), Path::new("dir/manifest"));
    for bytes in [data.to_vec(), heal::envelope(data)] {
        let disk = MemoryDisk::default();
        disk.put(path, bytes);
        let Ok(read) = block_on(read_verified(&disk, path)) else { continue };
        block_on(write_atomically(&disk, dir, "manifest", &read)).expect("the disk works");
        assert_eq!(block_on(read_verified(&disk, path)).expect("it has just been written"), read);
    }
}

/// What a manifest says of a store: JSON. Its files are not there.
pub fn snapshot(data: &[u8]) {
    let Ok(part) = serde_json::from_slice::<StoreSnapshot>(data) else { return };
    let again = serde_json::to_vec(&part).expect("it is plain data");
    assert_eq!(serde_json::from_slice::<StoreSnapshot>(&again).expect("it has just been written"), part);
    let disk = MemoryDisk::default();
    let dir = Path::new("dir");
    // How much memory the index takes is bounded by the lengths that the manifest tells.
    if part.files.len() > 8 || part.files.iter().any(|file| file.bytes > 1 << 20) || part.tables.len() > 64 {
        return;
    }
    for file in &part.files {
        disk.put(&dir.join(&file.name), vec![0; file.bytes as usize]);
    }
    if let Ok(mut replay) = Replay::new(&disk, dir, &part) {
        while let Ok(Some(_)) = block_on(replay.step(|_| {})) {}
    }
    let restored =
        block_on(Store::restore(Rc::new(disk), dir, StoreConfig::new("fuzz", 7), &[part], |_, _| true));
    drop(restored);
}
