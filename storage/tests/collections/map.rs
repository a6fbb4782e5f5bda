//! Maps.

use std::collections::BTreeMap;

use millstream_storage::collection::map;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::world::{Event, World, event};

/// By owner: by key: the value, and until when it lives.
type Model = BTreeMap<u8, BTreeMap<Vec<u8>, (Vec<u8>, i64)>>;

#[derive(Clone, Debug)]
enum Op {
    Put { owner: u8, key: u16, len: usize, fill: u8 },
    GetMut { owner: u8, key: u16, fill: u8 },
    Remove { owner: u8, key: u16 },
    RemoveMany { owner: u8, from: u16, count: u16 },
    Clear { owner: u8 },
    Event(Event),
}

fn op() -> impl Strategy<Value = Op> {
    let (owner, key) = (|| 0..3u8, || 0..300u16);
    let len = prop_oneof![Just(8usize), Just(8), Just(8), 0..40usize, Just(700), Just(3000)];
    prop_oneof![
        40 => (owner(), key(), len, any::<u8>()).prop_map(|(owner, key, len, fill)| Op::Put { owner, key, len, fill }),
        10 => (owner(), key(), any::<u8>()).prop_map(|(owner, key, fill)| Op::GetMut { owner, key, fill }),
        10 => (owner(), key()).prop_map(|(owner, key)| Op::Remove { owner, key }),
        1 => (owner(), key(), 1..300u16).prop_map(|(owner, from, count)| Op::RemoveMany { owner, from, count }),
        1 => owner().prop_map(|owner| Op::Clear { owner }),
        6 => event().prop_map(Op::Event),
    ]
}

fn key_bytes(key: u16) -> Vec<u8> {
    let mut bytes = key.to_le_bytes().to_vec();
    bytes.resize(2 + usize::from(key % 9), 1);
    bytes
}

fn apply(world: &mut World<Model>, op: &Op) {
    let now = world.now;
    let until = world.life().map_or(i64::MAX, |life| life.until);
    match *op {
        Op::Put { owner, key, len, fill } => {
            let (key, value) = (key_bytes(key), vec![fill; len]);
            let before = world.model.entry(owner).or_default().insert(key.clone(), (value.clone(), until));
            let (store, of, life) = world.of(owner);
            let absent = map::put(store, &of, &key, &value, life).expect("it fits");
            assert_eq!(absent, before.is_none_or(|(_, until)| until <= now));
        }
        Op::GetMut { owner, key, fill } => {
            let key = key_bytes(key);
            let entry = world.model.entry(owner).or_default().get_mut(&key).filter(|entry| entry.1 > now);
            let expected = entry.map(|entry| {
                entry.0.fill(fill);
                entry.1 = until;
                entry.0.len()
            });
            let (store, of, life) = world.of(owner);
            let found = map::get_mut(store, &of, &key, life).map(|value| {
                value.fill(fill);
                value.len()
            });
            assert_eq!(found, expected);
        }
        Op::Remove { owner, key } => remove(world, owner, key),
        Op::RemoveMany { owner, from, count } => {
            (from..from + count).for_each(|key| remove(world, owner, key))
        }
        Op::Clear { owner } => {
            world.model.remove(&owner);
            let (store, of, life) = world.of(owner);
            map::clear(store, &of, life);
        }
        Op::Event(ref event) => world.apply(event),
    }
}

fn remove(world: &mut World<Model>, owner: u8, key: u16) {
    let (key, now) = (key_bytes(key), world.now);
    let expected = world.model.entry(owner).or_default().remove(&key).is_some_and(|(_, until)| until > now);
    let (store, of, life) = world.of(owner);
    assert_eq!(map::remove(store, &of, &key, life), expected);
}

fn check(world: &mut World<Model>) {
    for owner in 0..3 {
        let now = world.now;
        let model = world.model.get(&owner).cloned().unwrap_or_default();
        let mut expected: Vec<_> =
            model.into_iter().filter(|(_, (_, until))| *until > now).map(|(k, (v, _))| (k, v)).collect();
        expected.sort_by_key(|(key, _)| (map::order(key), key.clone()));
        let (store, of, life) = world.of(owner);
        for (key, value) in &expected {
            assert_eq!(map::get(store, &of, key, life), Some(&value[..]));
        }
        assert_eq!(map::len(store, &of, life), expected.len() as u64);
        let found: Vec<_> =
            map::iter(store, &of, life).map(|entry| (entry.key.to_vec(), entry.value.to_vec())).collect();
        assert_eq!(found, expected);
    }
}

fn run(ops: &[Op], after: Option<i64>) {
    let mut world = World::new(after);
    for op in ops {
        apply(&mut world, op);
    }
    check(&mut world);
    world.checkpoint(true);
    world.restore(2);
    check(&mut world);
    (0..3).for_each(|owner| (0..300).for_each(|key| remove(&mut world, owner, key)));
    check(&mut world);
    if after.is_none() {
        assert_eq!(
            world.stores.iter().map(|store| store.stats().keys).sum::<u64>(),
            0,
            "parts were left behind"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, max_shrink_iters: 2000, ..ProptestConfig::default() })]

    #[test]
    fn a_map_is_a_map_across_seals_and_restores(ops in vec(op(), 1..800)) {
        run(&ops, None);
    }

    #[test]
    fn entries_of_a_map_expire_one_by_one(ops in vec(op(), 1..800)) {
        run(&ops, Some(2000));
    }
}
