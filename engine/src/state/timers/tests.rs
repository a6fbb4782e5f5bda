//! The order of timers that outlive restores.

use millstream_storage::store::{Store, StoreConfig};

use super::{Domain, Timers};

/// Sets a timer, as one of many that fired before.
fn set(timers: &mut Timers, store: &mut Store, key: &[u8]) {
    timers.set(store, Domain::Event, 7, key).expect("it fits");
}

#[test]
fn rule_06_timers_of_one_time_fire_in_the_order_in_which_they_were_set_however_often_they_are_restored() {
    let mut store = Store::new(StoreConfig::new("timers", 1));
    let mut timers = Timers::default();
    for key in 0..100_u8 {
        timers.set(&mut store, Domain::Event, 1, &[key]).expect("it fits");
        timers.pop(&mut store, Domain::Event, 1).expect("it was set");
    }
    set(&mut timers, &mut store, b"first");
    let mut timers = Timers::restore(&store).expect("nothing is damaged");
    set(&mut timers, &mut store, b"second");
    let mut timers = Timers::restore(&store).expect("nothing is damaged");
    set(&mut timers, &mut store, b"third");
    let order: Vec<_> =
        std::iter::from_fn(|| timers.pop(&mut store, Domain::Event, 7)).map(|(_, key)| key).collect();
    assert_eq!(order, [Box::from(*b"first") as Box<[u8]>, Box::from(*b"second"), Box::from(*b"third")]);
}

#[test]
fn a_timer_among_very_many_of_its_time_is_taken_back_without_looking_at_them() {
    let mut store = Store::new(StoreConfig::new("timers", 1));
    let mut timers = Timers::default();
    let keys = || (0..200_000_u32).map(u32::to_le_bytes);
    keys().for_each(|key| set(&mut timers, &mut store, &key));
    // To look at all of them would take hours.
    for key in keys().rev().filter(|key| key[0] != 0) {
        timers.delete(&mut store, Domain::Event, 7, &key);
    }
    let left: Vec<_> =
        std::iter::from_fn(|| timers.pop(&mut store, Domain::Event, 7)).map(|(_, key)| key).collect();
    let expected: Vec<_> = keys().filter(|key| key[0] == 0).map(Box::<[u8]>::from).collect();
    assert_eq!(left, expected);
}

#[test]
fn a_restored_timer_is_taken_back_whatever_number_another_core_gave_it() {
    let mut store = Store::new(StoreConfig::new("timers", 1));
    // Two cores that numbered their timers from the same number on, restored into one.
    for keys in [[b"a", b"c"], [b"b", b"d"]] {
        let mut timers = Timers::default();
        keys.iter().for_each(|key| set(&mut timers, &mut store, *key));
    }
    let mut timers = Timers::restore(&store).expect("nothing is damaged");
    timers.delete(&mut store, Domain::Event, 7, b"b");
    timers.delete(&mut store, Domain::Event, 7, b"never");
    set(&mut timers, &mut store, b"e");
    let left: Vec<_> =
        std::iter::from_fn(|| timers.pop(&mut store, Domain::Event, 7)).map(|(_, key)| key).collect();
    assert_eq!(left.iter().map(|key| &**key).collect::<Vec<_>>(), [b"a", b"c", b"d", b"e"]);
}

#[test]
fn rule_15_a_timer_that_is_set_again_fires_once() {
    let mut store = Store::new(StoreConfig::new("timers", 1));
    let mut timers = Timers::default();
    (0..3).for_each(|_| set(&mut timers, &mut store, b"key"));
    let mut timers = Timers::restore(&store).expect("nothing is damaged");
    set(&mut timers, &mut store, b"key");
    assert_eq!(timers.pending(Domain::Event, 7).count(), 1);
    let mut fresh = Timers::default();
    (0..3).for_each(|_| fresh.set(&mut store, Domain::Event, 8, b"key").expect("it fits"));
    assert_eq!(fresh.pending(Domain::Event, 8).count(), 1);
}
