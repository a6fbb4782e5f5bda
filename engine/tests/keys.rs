//! Where keys go is an on-disk format: these values may never change.

use millstream::key::Key;
use millstream::key_group::{Placement, default_max_parallelism};

fn encoded(key: &impl Key) -> Vec<u8> {
    key.encoded(<[u8]>::to_vec)
}

#[test]
fn rule_18_encodings_are_pinned() {
    assert_eq!(encoded(&0x0102_u16), [2, 1]);
    assert_eq!(encoded(&-2_i64), [0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
    assert_eq!(encoded(&true), [1]);
    assert_eq!(encoded(&'é'), [0xe9, 0, 0, 0]);
    assert_eq!(encoded(b"JFK"), *b"JFK");
    assert_eq!(encoded(&"JFK".to_owned()), *b"\x03\0\0\0JFK");
    assert_eq!(encoded(&(7_u8, "a".to_owned(), 1_u16)), *b"\x07\x01\0\0\0a\x01\0");
}

#[test]
fn no_encoding_of_a_pair_equals_that_of_another() {
    let pair = |a: &str, b: &str| encoded(&(a.to_owned(), b.to_owned()));
    assert_ne!(pair("ab", "c"), pair("a", "bc"));
}

#[test]
fn what_is_not_a_key_is_not_decoded() {
    assert_eq!(u32::decode(&[1, 2, 3]), None);
    assert_eq!(u32::decode(&[1, 2, 3, 4, 5]), None);
    assert_eq!(bool::decode(&[2]), None);
    assert_eq!(String::decode(&[2, 0, 0, 0, 0xff, 0xff]), None);
    assert_eq!(String::decode(&[0xff, 0xff, 0xff, 0xff, b'a']), None);
}

#[test]
fn rule_18_key_groups_are_pinned() {
    let placement = Placement::new(128, 4);
    let group = |key: &str| placement.group(millstream_storage::hash::stable_hash(&encoded(&key.to_owned())));
    assert_eq!(["EWR", "JFK", "LGA"].map(group), GROUPS);
}

const GROUPS: [usize; 3] = [125, 50, 77];

#[test]
fn rule_18_every_group_has_one_owner_and_owners_are_in_order() {
    for cores in 1..=8 {
        for groups in [8, 100, 128] {
            let placement = Placement::new(groups, cores);
            let owner = |group: u32| group as usize * cores / groups as usize;
            for group in 0..groups {
                let hash = u64::from(group) + u64::from(groups) * 1000;
                assert_eq!(placement.owner(hash), owner(group));
            }
        }
    }
}

#[test]
fn rule_18_the_default_number_of_groups_follows_the_cores() {
    assert_eq!([1, 85, 86, 30_000].map(default_max_parallelism), [128, 128, 256, 32_768]);
}
