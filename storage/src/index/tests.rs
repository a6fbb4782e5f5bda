//! The index against a map, with hashes that crowd and wrap around.

use std::collections::BTreeMap;

use super::{DELETED_ENTRY, Index, Lines, entry, tag_of};
use crate::hash::stable_hash;

/// Addresses stand for keys; `hash_of` decides how they crowd.
fn check(hash_of: impl Fn(u64) -> u64, keys: u64) {
    let mut index = Index::new();
    let mut model = BTreeMap::new();
    for round in 0..3 {
        for key in (1..=keys).map(|key| key * 8) {
            let hash = hash_of(key);
            match index.find(hash, |address| address == key) {
                Some((found, _)) if (key / 8 + round) % 3 == 0 => {
                    index.remove(found);
                    model.remove(&(hash, key));
                }
                Some(_) => assert!(model.contains_key(&(hash, key))),
                None => {
                    index.insert(hash, key);
                    model.insert((hash, key), ());
                }
            }
        }
        assert_eq!(index.len(), model.len());
        let mut seen = Vec::new();
        let mut from = Some(0);
        let limit = [1, 7, usize::MAX][round as usize % 3];
        while let Some(hash) = from {
            let visit = |address| seen.push((hash_of(address), address));
            let order = |a, b| (hash_of(a), a).cmp(&(hash_of(b), b));
            from = index.scan(hash, limit, order, |_| (), visit);
        }
        assert!(seen.iter().eq(model.keys()), "a scan visits every entry once, by hash, also in steps");
    }
}

#[test]
fn finds_removes_and_scans_like_a_map() {
    let keys = if cfg!(miri) { 200 } else { 20_000 };
    check(|key| stable_hash(&key.to_le_bytes()), keys);
}

#[test]
fn crowded_hashes_cost_time_but_no_keys() {
    let keys = if cfg!(miri) { 60 } else { 600 };
    check(|_| 0, keys);
    check(|_| u64::MAX, keys);
    check(|key| if key % 16 == 0 { u64::MAX - key } else { key }, keys);
}

#[test]
fn a_line_that_was_full_still_leads_searches_on() {
    let mut lines = Lines::new(2, false);
    for address in (8..).step_by(8).take(9) {
        lines.insert(0, entry(0, address), None);
    }
    assert!(!lines.remove(0, 3));
    assert_eq!(lines.line(0).0[3], DELETED_ENTRY);
    assert_eq!(lines.find(0, |address| address == 72), Some((1, 0)));
}

#[test]
fn tags_never_look_like_free_slots() {
    for hash in [0, 1 << 16, 0xFFFF, u64::MAX, 0xFFFF_FFFF_0001_0000] {
        assert!(tag_of(hash) > 1);
    }
}

#[test]
fn what_was_left_is_given_back_while_the_index_grows_and_nothing_is_lost() {
    let keys = if cfg!(miri) { 300 } else { 700_000 };
    let mut index = Index::new();
    let hash_of = |address: u64| stable_hash(&address.to_le_bytes());
    let mut most = 0.0_f64;
    for key in 1..=keys {
        index.insert(hash_of(key * 8), key * 8);
        if key > keys / 2 {
            most = most.max(index.bytes() as f64 / key as f64);
        }
        if key.is_multiple_of(1000) {
            let known =
                (1..=key).step_by(997).all(|key| index.find(hash_of(key * 8), |a| a == key * 8).is_some());
            assert!(known, "a key was lost at {key}");
        }
    }
    // Twelve bytes per slot, two fifths of which are taken when it has just grown, and a rest of the old one.
    assert!(cfg!(miri) || most < 40.0, "{most} bytes per key");
    assert_eq!(index.len() as u64, keys);
}
