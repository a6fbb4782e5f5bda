//! Operator state on other numbers of cores.

use std::collections::BTreeMap;
use std::rc::Rc;

use serde_json::json;

use super::{Held, OperatorStates, Place};
use crate::checkpoint::manifest::Part;
use crate::state::declare::Declare;
use crate::state::spec::Spec;

fn specs() -> Vec<Rc<Spec>> {
    let mut declare = Declare::default();
    declare.operator_list::<u8>("list");
    declare.union_list::<u8>("union");
    declare.broadcast::<u8, u8>("rules");
    declare.operator().to_vec()
}

fn bytes(elements: &[u8]) -> Vec<Vec<u8>> {
    elements.iter().map(|element| vec![*element]).collect()
}

/// Checkpointed by this many cores, each with as many elements as its number.
fn parts(cores: u8) -> Vec<Part> {
    let part = |core: u8| {
        let mut states = OperatorStates::new(&specs());
        let own: Vec<u8> = (0..core).map(|i| 10 * core + i).collect();
        states.held[0].own = bytes(&own);
        states.held[1].own = bytes(&own);
        states.held[2].map = BTreeMap::from([(vec![1], vec![2]), (vec![3], vec![4])]);
        let meta = json!({ "operator": { "states": states.meta() } });
        Part { shard: usize::from(core), meta, store: None, prepared: None, overtaken: None }
    };
    (0..cores).map(part).collect()
}

fn place(shard: usize, cores: usize, before: usize) -> Place {
    Place { shard, cores, before }
}

fn restore(parts: &[Part], cores: usize) -> Vec<Vec<Held>> {
    let core =
        |core| OperatorStates::restore(&specs(), parts, &BTreeMap::new(), place(core, cores, parts.len()));
    (0..cores).map(|i| core(i).expect("the parts are sound").held).collect()
}

#[test]
fn rule_19_lists_are_dealt_in_turn_unions_seen_by_all_and_broadcast_state_is_everywhere_for_every_pair_of_core_counts()
 {
    for before in 1..5 {
        let parts = parts(before);
        let all: Vec<u8> = (0..before).flat_map(|core| (0..core).map(move |i| 10 * core + i)).collect();
        for after in 1..5 {
            let cores = restore(&parts, after);
            let mut dealt: Vec<_> = cores.iter().flat_map(|held| held[0].own.clone()).collect();
            dealt.sort();
            assert_eq!(dealt, bytes(&all), "{before} to {after}");
            let lens = cores.iter().map(|held| held[0].own.len());
            if usize::from(before) != after {
                assert!(lens.clone().max() <= lens.min().map(|least| least + 1), "{before} to {after}");
            }
            for held in &cores {
                assert_eq!(held[1].all, bytes(&all));
                assert_eq!(held[2].map, BTreeMap::from([(vec![1], vec![2]), (vec![3], vec![4])]));
            }
        }
    }
}

#[test]
fn rule_19_on_as_many_cores_each_keeps_its_own() {
    let cores = restore(&parts(4), 4);
    assert_eq!(cores[3][0].own, bytes(&[30, 31, 32]));
}

#[test]
fn rule_19_cores_that_a_step_has_no_records_on_are_dealt_nothing() {
    let parts = parts(4);
    let core = |shard, cores, before| {
        let restored =
            OperatorStates::restore(&specs(), &parts, &BTreeMap::new(), place(shard, cores, before));
        restored.expect("the parts are sound").held[0].own.clone()
    };
    // From four cores to one of four.
    assert_eq!(core(0, 1, 4).len(), 6);
    assert!((1..4).all(|shard| core(shard, 1, 4).is_empty()));
    // On as many of them as before, but what others had is dealt out, too.
    assert_eq!((0..2).map(|shard| core(shard, 2, 2).len()).sum::<usize>(), 6);
    assert!((2..4).all(|shard| core(shard, 2, 2).is_empty()));
}

#[test]
fn rule_20_copies_of_broadcast_state_that_differ_are_refused() {
    let mut parts = parts(3);
    parts[2].meta["operator"]["states"]["rules"] = json!([["01", "03"]]);
    let refused = OperatorStates::restore(&specs(), &parts, &BTreeMap::new(), place(0, 2, 2));
    let message = refused.err().expect("it differs").to_string();
    assert!(
        message.contains("state `rules`: broadcast state was not the same on cores 0 and 2"),
        "{message}"
    );
}

#[test]
fn what_cannot_be_read_is_refused() {
    let mut parts = parts(1);
    parts[0].meta["operator"]["states"]["list"] = json!(["0g"]);
    assert!(OperatorStates::restore(&specs(), &parts, &BTreeMap::new(), place(0, 1, 1)).is_err());
    parts[0].meta["operator"]["states"]["list"] = json!(["0000"]);
    assert!(OperatorStates::restore(&specs(), &parts, &BTreeMap::new(), place(0, 1, 1)).is_err());
}
