//! Through checkpoints.

use millstream::prelude::*;
use millstream::process::{BroadcastProcess, CoreContext};
use millstream::state::{BroadcastState, OperatorList};
use millstream::testing::TestKit;

/// Counts the records of a key up to a limit that is broadcast; a timer ends the count.
#[derive(Clone)]
struct UpTo;

struct State {
    seen: List<u64>,
    limit: BroadcastState<u8, u64>,
    all: OperatorList<u64>,
}

impl Process for UpTo {
    type Key = u64;
    type In = u64;
    type Out = (u64, Vec<u64>);
    type State = State;

    fn declare(&self, state: &mut Declare) -> State {
        State { seen: state.list("seen"), limit: state.broadcast("limit"), all: state.operator_list("all") }
    }

    fn on_record(&mut self, n: u64, state: &State, cx: &mut Context<'_, Self>) {
        state.all.push(cx, &n);
        let limit = state.limit.get(cx, &0).map_or(0, |limit| limit.to_native());
        if state.seen.len(cx) < limit {
            state.seen.push(cx, &n);
        }
        cx.timer_at(100);
    }

    fn on_timer(&mut self, _: Timestamp, state: &State, cx: &mut Context<'_, Self>) {
        let seen = state.seen.load(cx);
        cx.emit((*cx.key(), seen));
    }

    fn finish(&mut self, state: &State, cx: &mut CoreContext<'_, Self>) {
        let all = state.all.load(cx);
        cx.emit((u64::MAX, all));
    }
}

impl BroadcastProcess for UpTo {
    type Broadcast = u64;

    fn on_broadcast(&mut self, limit: u64, state: &State, cx: &mut CoreContext<'_, Self>) {
        state.limit.put(cx, &0, &limit);
    }
}

#[test]
fn rule_19_what_is_restored_on_any_number_of_cores_goes_on_as_if_nothing_had_been() -> millstream::Result<()>
{
    for through in [&[][..], &[1], &[2], &[4, 3], &[1, 5, 2], &[7, 7, 1]] {
        let mut kit = TestKit::process(UpTo, |n: &u64| n % 10);
        kit.broadcast(0, 3)?;
        (0..20).try_for_each(|n| kit.record(0, n))?;
        kit.watermark(50)?;
        for cores in through {
            kit.restart(*cores)?;
        }
        (20..40).try_for_each(|n| kit.record(60, n))?;
        assert!(kit.take_output().is_empty());
        assert_eq!(kit.timers(&7), [100]);
        kit.end()?;
        let (mut ends, mut all) = (kit.take_output(), Vec::<u64>::new());
        ends.retain(|(key, of_core)| {
            *key < 10 || {
                all.extend(of_core);
                false
            }
        });
        ends.sort();
        let expected: Vec<_> = (0..10).map(|key| (key, vec![key, key + 10, key + 20])).collect();
        assert_eq!(ends, expected, "through {through:?}");
        all.sort_unstable();
        assert_eq!(all, (0..40).collect::<Vec<u64>>(), "through {through:?}");
    }
    Ok(())
}

#[test]
fn output_stays_over_a_restart_and_the_end_too() -> millstream::Result<()> {
    let mut kit = TestKit::process(UpTo, |n: &u64| n % 10);
    kit.record(0, 1)?;
    kit.watermark(100)?;
    kit.restart(2)?;
    assert_eq!(kit.take_output(), [(1, vec![])]);
    kit.end()?;
    kit.take_output();
    kit.restart(1)?;
    assert!(kit.end().is_err(), "the input had ended");
    Ok(())
}

#[test]
fn a_number_of_cores_that_cannot_be_is_refused() {
    let mut kit = TestKit::process(UpTo, |n: &u64| n % 10);
    for cores in [0, 129] {
        assert_eq!(kit.restart(cores).expect_err("there are 128 groups").kind(), ErrorKind::Config);
    }
    kit.restart(128).expect("what was refused has changed nothing");
}

/// Counts in a state of another type in each version.
#[derive(Clone)]
struct First;
#[derive(Clone)]
struct Second;

macro_rules! counts {
    ($process:ty, $count:ty, $declared:expr) => {
        impl Process for $process {
            type Key = char;
            type In = char;
            type Out = $count;
            type State = Value<$count>;
            fn declare(&self, state: &mut Declare) -> Value<$count> {
                $declared(state.value("count"))
            }
            fn on_record(&mut self, _: char, count: &Value<$count>, cx: &mut Context<'_, Self>) {
                let n = count.update(cx, |n| {
                    n.0 += 1;
                    *n
                });
                cx.emit(n);
            }
        }
    };
}

#[derive(Clone, Copy, Debug, Default, PartialEq, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
struct Small(u32);
#[derive(Clone, Copy, Debug, Default, PartialEq, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
struct Large(u64);

impl Migrate<Small> for Large {
    fn migrate(old: Small) -> Large {
        Large(u64::from(old.0) * 100)
    }
}

counts!(First, Small, |count| count);
counts!(Second, Large, |count: Value<Large>| count.version(2).upgrades::<Small>(1));

#[test]
fn rule_21_another_version_upgrades_the_state_and_what_cannot_be_is_refused() -> millstream::Result<()> {
    let key: fn(&char) -> char = |c| *c;
    let counted = || {
        let mut kit = TestKit::process(First, key);
        kit.record(0, 'a').map(|()| kit)
    };
    let mut second = counted()?.restart_as(Second, key, 2)?;
    second.record(0, 'a')?;
    assert_eq!(second.take_output(), [Large(101)]);

    let refused = second.restart_as(First, key, 1).err().expect("there is no way back");
    assert_eq!(refused.kind(), ErrorKind::Restore);
    assert!(refused.to_string().contains("state `count`"), "{refused}");
    Ok(())
}

#[test]
fn rule_15_timers_are_in_the_checkpoint_and_follow_their_keys_to_other_cores() -> millstream::Result<()> {
    for cores in 1..6 {
        let mut kit = TestKit::process(UpTo, |n: &u64| n % 10);
        kit.broadcast(0, 3)?;
        // Twice the same timer for each key.
        (0..20).try_for_each(|n| kit.record(0, n))?;
        kit.restart(cores)?;
        kit.watermark(100)?;
        let mut fired: Vec<u64> = kit.take_output().into_iter().map(|(key, _)| key).collect();
        fired.sort_unstable();
        assert_eq!(fired, (0..10).collect::<Vec<_>>(), "on {cores} cores");
    }
    Ok(())
}
