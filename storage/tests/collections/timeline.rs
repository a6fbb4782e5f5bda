//! Timelines.

use std::collections::BTreeMap;

use millstream_storage::collection::timeline;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::world::{Event, World, event};

/// By owner: by time, then by order of insertion.
type Model = BTreeMap<u8, BTreeMap<(i64, u64), Vec<u8>>>;

#[derive(Clone, Debug)]
enum Op {
    Insert { owner: u8, time: i64, step: i64, count: u8, len: usize },
    Remove { owner: u8, from: i64, span: i64 },
    Prefix { owner: u8, to: i64 },
    Clear { owner: u8 },
    Read { owner: u8, from: i64, span: i64 },
    Event(Event),
}

fn op() -> impl Strategy<Value = Op> {
    let (owner, time, span) = (|| 0..2u8, || -500..1500i64, || -1..600i64);
    let len = prop_oneof![Just(8usize), Just(8), 0..40usize, Just(700), Just(3000)];
    let step = prop_oneof![Just(0i64), Just(1), Just(7), Just(-3)];
    prop_oneof![
        30 => (owner(), time(), step, 1..40u8, len)
            .prop_map(|(owner, time, step, count, len)| Op::Insert { owner, time, step, count, len }),
        5 => (owner(), time(), span()).prop_map(|(owner, from, span)| Op::Remove { owner, from, span }),
        3 => (owner(), time()).prop_map(|(owner, to)| Op::Prefix { owner, to }),
        1 => owner().prop_map(|owner| Op::Clear { owner }),
        10 => (owner(), time(), span()).prop_map(|(owner, from, span)| Op::Read { owner, from, span }),
        8 => event().prop_map(Op::Event),
    ]
}

fn apply(world: &mut World<Model>, next: &mut u64, op: &Op) {
    match *op {
        Op::Insert { owner, time, step, count, len } => {
            for i in 0..count {
                let (time, value) = (time + step * i64::from(i), vec![*next as u8; len]);
                let (store, of, _) = world.of(owner);
                timeline::insert(store, &of, time, &value).expect("it fits");
                world.model.entry(owner).or_default().insert((time, *next), value);
                *next += 1;
            }
        }
        Op::Remove { owner, from, span } => remove(world, owner, from, from + span),
        Op::Prefix { owner, to } => remove(world, owner, i64::MIN, to),
        Op::Clear { owner } => {
            world.model.remove(&owner);
            let (store, of, _) = world.of(owner);
            timeline::clear(store, &of);
        }
        Op::Read { owner, from, span } => {
            let model = world.model.get(&owner).cloned().unwrap_or_default();
            let (to, pair) =
                (from + span, |((time, _), value): (&(i64, u64), &Vec<u8>)| (*time, value.clone()));
            let floor = model.range(..=(from, u64::MAX)).next_back().map(pair);
            let inside: Vec<_> =
                model.iter().filter(|((time, _), _)| (from..=to).contains(time)).map(pair).collect();
            let (store, of, _) = world.of(owner);
            let found = timeline::floor(store, &of, from).map(|entry| (entry.time, entry.value.to_vec()));
            assert_eq!(found, floor);
            let found: Vec<_> = timeline::range(store, &of, from, to)
                .map(|entry| (entry.time, entry.value.to_vec()))
                .collect();
            assert_eq!(found, inside);
        }
        Op::Event(ref event) => world.apply(event),
    }
}

fn remove(world: &mut World<Model>, owner: u8, from: i64, to: i64) {
    let model = world.model.entry(owner).or_default();
    let before = model.len();
    model.retain(|(time, _), _| !(from..=to).contains(time));
    let expected = (before - model.len()) as u64;
    let (store, of, _) = world.of(owner);
    assert_eq!(timeline::remove(store, &of, from, to), expected);
}

fn check(world: &mut World<Model>) {
    for owner in 0..2 {
        let model = world.model.get(&owner).cloned().unwrap_or_default();
        let expected: Vec<_> = model.into_iter().map(|((time, _), value)| (time, value)).collect();
        let (store, of, _) = world.of(owner);
        assert_eq!(timeline::len(store, &of), expected.len() as u64);
        let pair = |entry: timeline::TimelineEntry<'_>| (entry.time, entry.value.to_vec());
        assert_eq!(timeline::first(store, &of).map(pair), expected.first().cloned());
        assert_eq!(timeline::last(store, &of).map(pair), expected.last().cloned());
        let found: Vec<_> = timeline::range(store, &of, i64::MIN, i64::MAX).map(pair).collect();
        assert_eq!(found, expected);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, max_shrink_iters: 2000, ..ProptestConfig::default() })]

    #[test]
    fn a_timeline_is_an_ordered_map_across_seals_and_restores(ops in vec(op(), 1..200)) {
        let mut world = World::new(None);
        let mut next = 0;
        for op in &ops {
            apply(&mut world, &mut next, op);
        }
        check(&mut world);
        world.checkpoint(true);
        world.restore(2);
        check(&mut world);
        (0..2).for_each(|owner| apply(&mut world, &mut next, &Op::Clear { owner }));
        assert_eq!(world.stores.iter().map(|store| store.stats().keys).sum::<u64>(), 0, "nodes were left behind");
    }
}
