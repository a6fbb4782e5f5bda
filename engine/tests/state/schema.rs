//! A state is restored as what it was, upgraded as declared, or refused with both descriptions.

use millstream::prelude::*;

use crate::interrupted::{Place, refusal, run};

mod old {
    /// The first version: its name stays, wherever it moves.
    #[derive(Clone, Default, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
    pub struct Count {
        pub seen: u32,
    }
}

/// The second version.
#[derive(Clone, Default, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
struct Count {
    seen: u64,
    history: Vec<u64>,
}

impl Migrate<old::Count> for Count {
    fn migrate(old: old::Count) -> Count {
        Count { seen: u64::from(old.seen), history: vec![u64::from(old.seen)] }
    }
}

/// Counts on, and returns what was.
fn next<N: Copy + std::ops::AddAssign + From<u8>>(count: &mut N) -> N {
    let was = *count;
    *count += N::from(1);
    was
}

/// The number, and how many of its key came before, as each state tells.
type Told = (u64, [u64; 3]);

#[derive(Clone)]
struct First {
    ttl: Option<Ttl>,
}

struct FirstStates {
    value: Value<old::Count>,
    list: List<old::Count>,
    map: Map<u64, old::Count>,
}

impl Process for First {
    type Key = u64;
    type In = u64;
    type Out = Told;
    type State = FirstStates;
    fn declare(&self, state: &mut Declare) -> FirstStates {
        let (mut value, list, map) = (state.value("value"), state.list("list"), state.map("map"));
        if let Some(ttl) = self.ttl {
            value = value.ttl(ttl);
        }
        FirstStates { value, list, map }
    }
    fn on_record(&mut self, n: u64, state: &FirstStates, cx: &mut Context<'_, Self>) {
        let seen = state.value.update(cx, |count| next(&mut count.seen));
        let listed = state.list.load(cx).first().map_or(0, |count| count.seen);
        state.list.replace(cx, &[old::Count { seen: listed + 1 }]);
        let mapped = state.map.update(cx, &7, |count| next(&mut count.seen));
        cx.emit((n, [seen, listed, mapped].map(u64::from)));
    }
}

#[derive(Clone)]
struct Second;

struct SecondStates {
    value: Value<Count>,
    list: List<Count>,
    map: Map<u64, Count>,
}

impl Process for Second {
    type Key = u64;
    type In = u64;
    type Out = Told;
    type State = SecondStates;
    fn declare(&self, state: &mut Declare) -> SecondStates {
        SecondStates {
            value: state.value("value").version(2).upgrades::<old::Count>(1),
            list: state.list("list").version(2).upgrades::<old::Count>(1),
            map: state.map("map").version(2).upgrades::<old::Count>(1),
        }
    }
    fn on_record(&mut self, n: u64, state: &SecondStates, cx: &mut Context<'_, Self>) {
        let seen = state.value.update(cx, |count| {
            assert!(count.history.len() == 1 || count.seen < 1, "it was upgraded once");
            count.history.resize(1, 0);
            next(&mut count.seen)
        });
        let listed = state.list.load(cx).first().map_or(0, |count| count.seen);
        state.list.replace(cx, &[Count { seen: listed + 1, history: Vec::new() }]);
        let mapped = state.map.update(cx, &7, |count| next(&mut count.seen));
        cx.emit((n, [seen, listed, mapped]));
    }
}

#[track_caller]
fn assert_counted(told: &[Told]) {
    for (n, counts) in told {
        assert_eq!(counts, &[n / 10; 3], "number {n}");
    }
}

#[test]
fn rule_21_an_upgraded_state_goes_on_where_the_old_one_was_on_other_cores_too() {
    let place = Place::new();
    assert_counted(&run(&place, 1, First { ttl: None }).expect("a new job"));
    let told = run(&place, 2, Second).expect("it is upgraded");
    assert!(told[0].0 > 0, "it was restored");
    assert_counted(&told);
    // Now it is saved as the second version.
    assert_counted(&run(&place, 1, Second).expect("it needs no upgrade"));
    let message = refusal(&place, First { ttl: None });
    assert!(message.contains("saved as [list of Count/16, version 2, without a TTL]"), "{message}");
}

#[test]
fn rule_21_a_changed_type_is_refused_with_both_descriptions() {
    let place = Place::new();
    run(&place, 1, First { ttl: None }).expect("a new job");
    let message = refusal(&place, Other { name: "value", of_first: false, give_up: &["list", "map"] });
    let expected = "step `step`: state `value` was saved as [value of Count/4 flat, version 1, without a TTL] and is now \
                    [value of u64/8 flat, version 1, without a TTL]";
    assert!(message.contains(expected), "{message}");
}

#[test]
fn rule_17_a_ttl_that_comes_or_goes_is_refused() {
    let place = Place::new();
    run(&place, 1, First { ttl: None }).expect("a new job");
    let message = refusal(&place, First { ttl: Some(Ttl::after(hours(1))) });
    assert!(message.contains("version 1, without a TTL] and is now"), "{message}");
    assert!(message.contains("version 1, with a TTL]; give it a TTL again, or no more"), "{message}");
}

#[test]
fn another_duration_of_a_ttl_is_none_of_a_checkpoints_business() {
    let place = Place::new();
    for duration in [hours(1), hours(2)] {
        let told = run(&place, 1, First { ttl: Some(Ttl::after(duration)) });
        assert_counted(&told.expect("it is the same state"));
    }
}

/// A state of any name, and others that are given up.
#[derive(Clone)]
struct Other {
    name: &'static str,
    /// Of the first version's type, or a plain number.
    of_first: bool,
    give_up: &'static [&'static str],
}

enum Either {
    First(Value<old::Count>),
    Plain(Value<u64>),
}

impl Process for Other {
    type Key = u64;
    type In = u64;
    type Out = Told;
    type State = Either;
    fn declare(&self, state: &mut Declare) -> Either {
        self.give_up.iter().for_each(|name| state.give_up(name));
        match self.of_first {
            true => Either::First(state.value(self.name)),
            false => Either::Plain(state.value(self.name)),
        }
    }
    fn on_record(&mut self, n: u64, state: &Either, cx: &mut Context<'_, Self>) {
        let seen = match state {
            Either::First(value) => value.update(cx, |count| u64::from(next(&mut count.seen))),
            Either::Plain(value) => value.update(cx, next),
        };
        cx.emit((n, [seen; 3]));
    }
}

#[test]
fn rule_21_a_state_that_is_missing_or_renamed_is_refused_by_name_unless_it_is_given_up() {
    let place = Place::new();
    run(&place, 1, First { ttl: None }).expect("a new job");
    let message = refusal(&place, Other { name: "values", of_first: true, give_up: &["list", "map"] });
    assert!(message.contains("was saved with state `value` [value of Count/4 flat"), "{message}");
    let told = run(&place, 1, Other { name: "value", of_first: true, give_up: &["list", "map"] });
    assert_counted(&told.expect("the others were given up"));
    // A state that is new begins empty.
    let told = run(&place, 1, Other { name: "new", of_first: false, give_up: &["value"] });
    let first = told.expect("the old one was given up").first().copied();
    assert!(first.is_some_and(|(n, counts)| n > 10 && counts == [0; 3]), "{first:?}");
}
