//! What does not fit is refused, and changes nothing.

use millstream_storage::collection::{MAX_ENTRY, Owner, list, map, owners, timeline};
use millstream_storage::snapshot::Layout;
use millstream_storage::store::{MAX_VALUE, Store, StoreConfig, TableId};

fn store() -> (Store, TableId) {
    let mut store = Store::new(StoreConfig::new("limits", 1));
    let table = store.create_table_of(0, 0, Layout { parts: true, expires: false });
    (store, table)
}

#[test]
fn an_entry_over_the_limit_is_refused_with_its_length() {
    let (mut store, table) = store();
    let owner = Owner::new(table, b"owner");
    let large = vec![1; MAX_ENTRY + 1];
    map::put(&mut store, &owner, b"key", b"value", None).expect("it fits");
    let refused = map::put(&mut store, &owner, b"key", &large, None).expect_err("it is too large");
    assert!(refused.bytes > MAX_ENTRY && refused.limit == MAX_ENTRY, "{refused}");
    assert_eq!(map::get(&store, &owner, b"key", None), Some(&b"value"[..]));
    let other = Owner::new(table, b"other");
    assert!(timeline::insert(&mut store, &other, 0, &large).is_err());
    assert_eq!(timeline::len(&store, &other), 0);
}

#[test]
fn an_element_as_large_as_a_record_fits_a_list_and_a_larger_one_leaves_it_as_it_was() {
    let (mut store, table) = store();
    let owner = Owner::new(table, b"owner");
    for len in [100, MAX_VALUE - 64, 100] {
        list::push(&mut store, &owner, &vec![1; len], None).expect("it fits");
    }
    assert!(list::push(&mut store, &owner, &vec![1; MAX_VALUE], None).is_err());
    let lens: Vec<_> = list::iter(&store, &owner, None).map(|(element, _)| element.len()).collect();
    assert_eq!((lens, list::len(&store, &owner, None)), (vec![100, MAX_VALUE - 64, 100], 3));
}

#[test]
fn the_owners_of_a_table_are_found() {
    let (mut store, table) = store();
    for owner in 0..100u8 {
        let owner = Owner::new(table, &[owner]);
        for i in 0..200u32 {
            list::push(&mut store, &owner, &i.to_le_bytes(), None).expect("it fits");
        }
    }
    let mut found = owners(&store, table);
    found.sort();
    assert_eq!(found, (0..100u8).map(|owner| vec![owner]).collect::<Vec<_>>());
}
