//! State of cores, not keys: nothing is lost or doubled on any other number of them.

use std::collections::BTreeSet;

use millstream::prelude::*;
use millstream::process::Core;
use millstream::state::{BroadcastState, OperatorList, UnionList};

use crate::interrupted::{Place, run};

/// Remembers on each core the latest number that it saw of each key, and settings that are the same everywhere.
#[derive(Clone)]
struct Remember;

struct States {
    /// Of numbers that have not been told yet.
    waiting: OperatorList<u64>,
    cores: UnionList<u64>,
    settings: BroadcastState<String, u64>,
}

/// A number, what the core had when it was full, what all cores had in common, and a setting.
type Told = (u64, Vec<u64>, usize, u64);

impl Process for Remember {
    type Key = u64;
    type In = u64;
    type Out = Told;
    type State = States;
    fn declare(&self, state: &mut Declare) -> States {
        States {
            waiting: state.operator_list("waiting"),
            cores: state.union_list("cores"),
            settings: state.broadcast("settings"),
        }
    }
    fn open(&mut self, state: &States, core: &mut Core<'_>) {
        if !core.is_restored() {
            state.settings.put(core, &"size".to_owned(), &100);
        }
    }
    fn on_record(&mut self, n: u64, state: &States, cx: &mut Context<'_, Self>) {
        if state.cores.own().is_empty(cx) {
            state.cores.own().push(cx, &1);
        }
        state.waiting.push(cx, &n);
        if state.waiting.len(cx) < 100 {
            return;
        }
        let all = state.waiting.load(cx);
        state.waiting.clear(cx);
        let (cores, setting) = (state.cores.restored(cx).count(), state.settings.get(cx, &"size".to_owned()));
        let setting = setting.map_or(0, |setting| setting.to_native());
        cx.emit((n, all, cores, setting));
    }
}

#[test]
fn rule_19_what_waits_on_a_core_is_told_once_whatever_the_number_of_cores() {
    let place = Place::new();
    let mut told: Vec<u64> = Vec::new();
    // As many as all cores had that ran before, and had records.
    for (cores, had) in [(1, 0..=0), (3, 1..=1), (2, 1..=3), (2, 1..=3)] {
        let new = run(&place, cores, Remember).expect("it goes on");
        assert!(new.iter().all(|(_, _, restored, setting)| had.contains(restored) && *setting == 100));
        told.extend(new.into_iter().flat_map(|(_, all, ..)| all));
    }
    let distinct: BTreeSet<u64> = told.iter().copied().collect();
    assert_eq!(distinct.len(), told.len(), "a number was told twice");
}
