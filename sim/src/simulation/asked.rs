//! What tests ask of committed records themselves: assertions that say what is wrong.

use std::collections::BTreeMap;
use std::fmt::Debug;

/// That no key is there twice.
///
/// ```
/// use millstream_sim::prelude::*;
/// assert_unique(&[(1, 'a'), (2, 'a')], |row| row.0);
/// ```
///
/// # Panics
/// If one is.
#[track_caller]
pub fn assert_unique<T: Debug, K: Ord + Debug>(records: &[T], key: impl Fn(&T) -> K) {
    let mut seen = BTreeMap::new();
    for record in records {
        let key = key(record);
        if let Some(before) = seen.get(&key) {
            panic!("{key:?} is there twice: {before:?}, {record:?}");
        }
        seen.insert(key, record);
    }
}

/// That the records of each key are a beginning of those of the key in `all`, in the same order.
///
/// ```
/// use millstream_sim::prelude::*;
/// assert_beginning(&[(2, 'x'), (1, 'a')], &[(1, 'a'), (1, 'b'), (2, 'x')], |row| row.0);
/// ```
///
/// # Panics
/// If they are not.
#[track_caller]
pub fn assert_beginning<T: PartialEq + Debug, K: Ord + Debug>(
    records: &[T],
    all: &[T],
    key: impl Fn(&T) -> K,
) {
    let (records, all) = (by_key(records, &key), by_key(all, &key));
    for (key, got) in records {
        let want = all.get(&key).map_or(&[][..], Vec::as_slice);
        for (at, got) in got.iter().enumerate() {
            assert!(want.get(at) == Some(got), "record {at} of {key:?} is {got:?}, not {:?}", want.get(at));
        }
    }
}

/// That the records of each key are those of the key in `all`, in the same order.
///
/// ```
/// use millstream_sim::prelude::*;
/// assert_same(&[(2, 'x'), (1, 'a')], &[(1, 'a'), (2, 'x')], |row| row.0);
/// ```
///
/// # Panics
/// If they are not.
#[track_caller]
pub fn assert_same<T: PartialEq + Debug, K: Ord + Debug>(records: &[T], all: &[T], key: impl Fn(&T) -> K) {
    assert_beginning(records, all, &key);
    let (records, all) = (by_key(records, &key), by_key(all, &key));
    for (key, want) in all {
        let got = records.get(&key).map_or(0, Vec::len);
        assert!(
            got == want.len(),
            "{key:?} has {got} records, not {}: {:?} is missing",
            want.len(),
            want[got]
        );
    }
}

fn by_key<T, K: Ord>(records: &[T], key: impl Fn(&T) -> K) -> BTreeMap<K, Vec<&T>> {
    let mut by_key = BTreeMap::<K, Vec<&T>>::new();
    for record in records {
        by_key.entry(key(record)).or_default().push(record);
    }
    by_key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "1 is there twice")]
    fn what_is_there_twice_is_not_unique() {
        assert_unique(&[(1, 'a'), (1, 'b')], |row| row.0);
    }

    #[test]
    #[should_panic(expected = "record 1 of 1 is")]
    fn another_order_is_no_beginning() {
        assert_beginning(&[(1, 'a'), (1, 'c')], &[(1, 'a'), (1, 'b'), (1, 'c')], |row| row.0);
    }

    #[test]
    #[should_panic(expected = "2 has 0 records, not 1")]
    fn a_beginning_is_not_all() {
        assert_same(&[(1, 'a')], &[(1, 'a'), (2, 'b')], |row| row.0);
    }
}
