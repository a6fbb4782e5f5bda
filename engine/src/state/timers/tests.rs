//! The order of timers that outlive restores.

use millstream_storage::store::{Store, StoreConfig};

use super::{Domain, Timers};

/// Sets a timer, as one of many that fired before.
fn set(timers: &mut Timers, store: &mut Store, key: &[u8]) {
    timers.set(store, Domain::Event, 7, key).expect("it fits");
}

#[test]
fn timers_of_one_time_fire_in_the_order_in_which_they_were_set_however_often_they_are_restored() {
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
