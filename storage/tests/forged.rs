//! An index that somebody has made up, with checksums that all fit, is refused where it lies: by the file and the place.

use std::fs;
use std::path::Path;
use std::rc::Rc;

use millstream_storage::disk::{StdDisk, block_on};
use millstream_storage::error::{Damage, StoreError};
use millstream_storage::hash::stable_hash;
use millstream_storage::read::Reader;
use millstream_storage::snapshot::StoreSnapshot;
use millstream_storage::store::{Store, StoreConfig};

/// Bytes of a block's header, of what precedes its entries in an index, and of an entry.
const HEADER: usize = 64;
const GROUP: usize = 8;
const ENTRY: usize = 20;

fn config(budget: u64) -> StoreConfig {
    let small = StoreConfig::new("forged", 1);
    StoreConfig { segment_bytes: 32 << 10, block_bytes: 4 << 10, budget: Some(budget), ..small }
}

/// One file with an index, of more than fits into a megabyte.
fn written(dir: &Path) -> StoreSnapshot {
    let mut store = Store::new(config(16 << 20));
    let table = store.create_table(0, 0);
    for n in 0..8_000_u32 {
        let (key, value) = (n.to_le_bytes(), vec![n as u8; 400 + n as usize % 64]);
        store.put(table, stable_hash(&key), &key, &value).expect("it fits");
    }
    block_on(store.seal(1).write(Rc::new(StdDisk), dir.to_owned())).expect("the disk works")
}

/// Looks all keys up, until one is refused.
fn look_up(dir: &Path, part: &StoreSnapshot) -> Result<(), StoreError> {
    let config = StoreConfig { after_epoch: Some(1), ..config(1 << 20) };
    let mut store = block_on(Store::restore_whole(Rc::new(StdDisk), dir, config, part))?;
    assert!(store.leaves_unread() && store.stats().damaged_indexes == 0, "all checksums fit");
    let table = store.table(0, 0).expect("it was listed");
    let reader = Reader::new(Rc::new(StdDisk), dir.to_owned());
    for n in 0..64_u32 {
        let hash = stable_hash(&n.to_le_bytes());
        while !store.is_present(table, hash) {
            for read in store.take_reads() {
                store.admit(block_on(reader.perform(&read))?)?;
            }
        }
    }
    Ok(())
}

/// Changes four bytes so that all have this CRC-32: it is linear.
fn heal_digest(bytes: &mut [u8], at: usize, wanted: u32) {
    let nothing = vec![0; bytes.len()];
    let mut basis: Vec<(u32, u32)> = Vec::new();
    let reduce = |basis: &[(u32, u32)], start: (u32, u32)| {
        basis.iter().fold(start, |it, by| if it.0 ^ by.0 < it.0 { (it.0 ^ by.0, it.1 ^ by.1) } else { it })
    };
    for bit in 0..32 {
        let mut one = nothing.clone();
        one[at + bit / 8] = 1 << (bit % 8);
        let changes = crc32fast::hash(&one) ^ crc32fast::hash(&nothing);
        basis.push(reduce(&basis, (changes, 1 << bit)));
        basis.sort_unstable_by(|a, b| b.cmp(a));
    }
    let (left, flip) = reduce(&basis, (crc32fast::hash(bytes) ^ wanted, 0));
    assert_eq!(left, 0, "any CRC can be had by four bytes");
    bytes[at..at + 4].iter_mut().zip(flip.to_le_bytes()).for_each(|(byte, flip)| *byte ^= flip);
    assert_eq!(crc32fast::hash(bytes), wanted);
}

/// Moves the end of the first record in the index of a file, in units of eight bytes; every checksum fits afterwards.
fn forge(path: &Path, blocks: usize, by: i64) {
    let mut file = fs::read(path).expect("it was written");
    let index = &mut file[blocks..];
    let count = u32::from_le_bytes(index[HEADER + 4..][..4].try_into().expect("four bytes")) as usize;
    let entries = &mut index[HEADER + GROUP..][..count * ENTRY];
    let digest = crc32fast::hash(entries);
    for (entry, by) in [(0, by), (1, -by)] {
        let second: &mut [u8] = &mut entries[entry * ENTRY + 8..][..8];
        let word = u64::from_le_bytes((&*second).try_into().expect("eight bytes"));
        second.copy_from_slice(&word.wrapping_add_signed(by).to_le_bytes());
    }
    heal_digest(entries, 2 * ENTRY, digest);
    let len = u32::from_le_bytes(index[12..16].try_into().expect("four bytes")) as usize;
    let mut checksum = crc32fast::Hasher::new();
    checksum.update(&index[..8]);
    checksum.update(&index[12..len]);
    index[8..12].copy_from_slice(&checksum.finalize().to_le_bytes());
    fs::write(path, file).expect("it can be written");
}

#[test]
fn an_index_of_which_all_checksums_fit_is_refused_when_a_record_is_needed() {
    for by in [1, -1, 20, -20] {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let part = written(dir.path());
        let file = &part.files[0];
        look_up(dir.path(), &part).expect("nothing is damaged");
        let path = dir.path().join(&file.name);
        forge(&path, file.bytes as usize, by);
        match look_up(dir.path(), &part) {
            Err(StoreError::Damaged { path: found, offset, damage: Damage::Malformed(_) }) => {
                assert_eq!((found, offset), (path, 0));
            }
            other => panic!("a record that is not there must be refused, not {other:?}"),
        }
    }
}
