//! Lists.

use std::collections::BTreeMap;

use millstream_storage::collection::list;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::world::{Event, World, event};

/// By owner: the elements, and until when each lives.
type Model = BTreeMap<u8, Vec<(Vec<u8>, i64)>>;

#[derive(Clone, Debug)]
enum Op {
    Push { owner: u8, len: usize, count: u8 },
    Touch { owner: u8 },
    Clear { owner: u8 },
    Event(Event),
}

fn op() -> impl Strategy<Value = Op> {
    let owner = || 0..3u8;
    let len = prop_oneof![Just(8usize), Just(8), 0..40usize, Just(700), Just(6000)];
    prop_oneof![
        30 => (owner(), len, 1..40u8).prop_map(|(owner, len, count)| Op::Push { owner, len, count }),
        1 => owner().prop_map(|owner| Op::Touch { owner }),
        1 => owner().prop_map(|owner| Op::Clear { owner }),
        8 => event().prop_map(Op::Event),
    ]
}

fn apply(world: &mut World<Model>, op: &Op) {
    let now = world.now;
    let until = world.life().map_or(i64::MAX, |life| life.until);
    match *op {
        Op::Push { owner, len, count } => {
            for fill in 0..count {
                let element = vec![fill; len];
                let (store, of, life) = world.of(owner);
                list::push(store, &of, &element, life).expect("it fits");
                world.model.entry(owner).or_default().push((element, until));
            }
        }
        Op::Touch { owner } => {
            let (store, of, life) = world.of(owner);
            let Some(life) = life else { return };
            list::touch(store, &of, life);
            let elements = world.model.entry(owner).or_default();
            elements.iter_mut().filter(|element| element.1 > now).for_each(|element| element.1 = until);
        }
        Op::Clear { owner } => {
            world.model.remove(&owner);
            let (store, of, life) = world.of(owner);
            list::clear(store, &of, life);
        }
        Op::Event(ref event) => world.apply(event),
    }
}

fn check(world: &mut World<Model>) {
    for owner in 0..3 {
        let now = world.now;
        let model = world.model.get(&owner).cloned().unwrap_or_default();
        let expected: Vec<_> =
            model.into_iter().filter(|element| element.1 > now).map(|element| element.0).collect();
        let (store, of, life) = world.of(owner);
        assert_eq!(list::len(store, &of, life), expected.len() as u64);
        let found: Vec<_> = list::iter(store, &of, life).map(|(element, _)| element.to_vec()).collect();
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
    (0..3).for_each(|owner| apply(&mut world, &Op::Clear { owner }));
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
    fn a_list_is_a_vector_across_seals_and_restores(ops in vec(op(), 1..150)) {
        run(&ops, None);
    }

    #[test]
    fn elements_of_a_list_expire_one_by_one(ops in vec(op(), 1..150)) {
        run(&ops, Some(1000));
    }
}
