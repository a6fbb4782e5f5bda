//! Rule 17: what has expired is never returned, entry by entry, over restarts too.

use millstream::prelude::*;
use millstream::testing::TestKit;

/// Keeps numbers for ten milliseconds.
#[derive(Clone)]
struct Keep;

struct States {
    last: Value<u64>,
    first: Value<u64>,
    all: List<u64>,
    distinct: Map<u64, u64>,
}

impl Process for Keep {
    type Key = char;
    type In = u64;
    type Out = ();
    type State = States;

    fn declare(&self, state: &mut Declare) -> States {
        let ttl = Ttl::after(millis(10));
        States {
            last: state.value("last").ttl(ttl),
            first: state.value("first").ttl(ttl.on_create()),
            all: state.list("all").ttl(ttl),
            distinct: state.map("distinct").ttl(ttl),
        }
    }

    fn on_record(&mut self, n: u64, state: &States, cx: &mut Context<'_, Self>) {
        state.last.set(cx, &n);
        let first = state.first.load(cx).unwrap_or(n);
        state.first.set(cx, &first);
        state.all.push(cx, &n);
        state.distinct.put(cx, &n, &n);
    }
}

type Kit = TestKit<Keep, fn(&u64) -> char>;

/// What is returned at a time: last, first, all, distinct.
fn seen(kit: &mut Kit, at: i64) -> (Option<u64>, Option<u64>, Vec<u64>, Vec<u64>) {
    kit.set_clock(at).expect("nothing fails");
    let look = |state: &States, cx: &mut Context<'_, Keep>| {
        let (all, mut distinct) =
            (state.all.load(cx), state.distinct.iter(cx).map(|e| e.0).collect::<Vec<_>>());
        distinct.sort_unstable();
        assert_eq!(state.all.len(cx), all.len() as u64);
        assert_eq!(state.distinct.len(cx), distinct.len() as u64);
        assert!(!state.distinct.contains(cx, &1) || distinct.contains(&1));
        (state.last.load(cx), state.first.load(cx), all, distinct)
    };
    kit.state_of(&'k', look).expect("it is in memory")
}

fn fed() -> Kit {
    let mut kit: Kit = TestKit::process(Keep, |_| 'k');
    kit.record(0, 1).expect("it fits");
    kit.set_clock(5).expect("nothing fails");
    kit.record(0, 2).expect("it fits");
    kit
}

#[test]
fn rule_17_entries_of_lists_and_maps_expire_one_by_one() {
    let mut kit = fed();
    assert_eq!(seen(&mut kit, 9), (Some(2), Some(1), vec![1, 2], vec![1, 2]));
    assert_eq!(seen(&mut kit, 10), (Some(2), None, vec![2], vec![2]));
    assert_eq!(seen(&mut kit, 14), (Some(2), None, vec![2], vec![2]));
    assert_eq!(seen(&mut kit, 15), (None, None, vec![], vec![]));
}

#[test]
fn rule_17_what_has_expired_stays_so_over_restarts_and_when_the_clock_jumps_back() {
    for cores in [1, 3] {
        let mut kit = fed();
        kit.restart(cores).expect("it goes on");
        assert_eq!(seen(&mut kit, 9), (Some(2), Some(1), vec![1, 2], vec![1, 2]));
        assert_eq!(seen(&mut kit, 10), (Some(2), None, vec![2], vec![2]));
        kit.restart(4 - cores).expect("it goes on");
        assert_eq!(seen(&mut kit, 0), (Some(2), None, vec![2], vec![2]), "{cores} cores");
        kit.restart(cores).expect("it goes on");
        assert_eq!(seen(&mut kit, 15), (None, None, vec![], vec![]));
    }
}
