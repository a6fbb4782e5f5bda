//! Records and watermarks by hand.

use millstream::prelude::*;
use millstream::process::CoreContext;
use millstream::testing::TestKit;

const LATE: OutputTag<(i64, u64)> = OutputTag::new("late");

/// Sums the values of a key by tens of milliseconds, and counts at the end what was put aside.
#[derive(Clone, Default)]
struct Tens {
    late: u64,
}

struct State {
    sums: Map<i64, u64>,
    late: Side<(i64, u64)>,
}

impl Process for Tens {
    type Key = u64;
    type In = (i64, u64);
    type Out = (u64, i64, u64);
    type State = State;

    fn declare(&self, state: &mut Declare) -> State {
        State { sums: state.map("sums"), late: state.side(LATE) }
    }

    fn on_record(&mut self, (time, n): (i64, u64), state: &State, cx: &mut Context<'_, Self>) {
        let end = time - time.rem_euclid(10) + 9;
        if end <= cx.watermark() {
            self.late += 1;
            return cx.emit_late(&state.late, (time, n));
        }
        let before = state.sums.load(cx, &end).unwrap_or(0);
        state.sums.put(cx, &end, &(before + n));
        cx.timer_at(end);
    }

    fn on_timer(&mut self, at: Timestamp, state: &State, cx: &mut Context<'_, Self>) {
        let sum = state.sums.load(cx, &at).expect("the timer was set with the sum");
        state.sums.remove(cx, &at);
        cx.emit((*cx.key(), at, sum));
    }

    fn finish(&mut self, _: &State, cx: &mut CoreContext<'_, Self>) {
        cx.emit((u64::MAX, cx.watermark(), self.late));
    }
}

fn kit() -> TestKit<Tens, fn(&(i64, u64)) -> u64> {
    TestKit::process(Tens::default(), |record| record.1 % 3)
}

#[test]
fn rule_06_timers_fire_by_time_and_then_in_the_order_in_which_they_were_set() -> millstream::Result<()> {
    let mut kit = kit();
    for record in [(15, 4), (3, 2), (12, 3), (5, 1)] {
        kit.record(record.0, record)?;
    }
    assert_eq!(kit.timers(&1), [9, 19], "of key 1 alone");
    kit.watermark(8)?;
    assert_eq!(kit.take_output(), []);
    kit.watermark(19)?;
    let fired = [(9, (2, 9, 2)), (9, (1, 9, 1)), (19, (1, 19, 4)), (19, (0, 19, 3))];
    assert_eq!(kit.take_output_with_times(), fired);
    assert!(kit.timers(&1).is_empty());
    Ok(())
}

#[test]
fn a_late_record_arrives_and_a_lower_watermark_counts_for_nothing() -> millstream::Result<()> {
    let mut kit = kit();
    kit.watermark(9)?;
    kit.watermark(5)?;
    kit.record(9, (9, 1))?;
    kit.record(10, (10, 1))?;
    assert_eq!((kit.take_side(LATE), kit.late()), (vec![(9, 1)], 1));
    assert_eq!(kit.timers(&1), [19]);
    Ok(())
}

#[test]
fn rule_07_the_end_fires_what_waits_and_finishes_the_function() -> millstream::Result<()> {
    let mut kit = kit();
    kit.record(0, (0, 1))?;
    kit.end()?;
    assert_eq!(kit.take_output(), [(1, 9, 1), (u64::MAX, i64::MAX, 0)]);
    for refused in [kit.record(0, (0, 1)), kit.watermark(1), kit.end()] {
        assert_eq!(refused.expect_err("its input has ended").kind(), ErrorKind::Job);
    }
    assert_eq!(kit.take_output(), []);
    Ok(())
}

#[test]
fn state_can_be_set_up_and_looked_at() -> millstream::Result<()> {
    let mut kit = kit();
    kit.state_of(&2, |state, cx| {
        state.sums.put(cx, &9, &40);
        cx.timer_at(9);
    })?;
    kit.record(1, (1, 2))?;
    assert_eq!(kit.state_of(&2, |state, cx| state.sums.load(cx, &9))?, Some(42));
    assert_eq!(kit.state_of(&1, |state, cx| state.sums.load(cx, &9))?, None, "another key's");
    kit.watermark(9)?;
    assert_eq!(kit.take_output(), [(2, 9, 42)]);
    Ok(())
}

#[test]
#[should_panic(expected = "no side output `other` was declared")]
fn a_side_output_that_was_not_declared_cannot_be_taken() {
    kit().take_side(OutputTag::<u64>::new("other"));
}

#[test]
fn the_kit_puts_out_what_a_job_puts_out() -> millstream::Result<()> {
    // A permutation, with jumps back of up to 200 ms.
    let records: Vec<(i64, u64)> = (0..1_000).map(|i| (i - (i * 7_919) % 200, i as u64)).collect();
    let job = Job::new("tens");
    let ((main, sums), (aside, late)) = (collect(), collect());
    let tens = job
        .source("records", from_vec(records.clone()))
        .event_time(|record| record.0, Watermarks::bounded(millis(50)))
        .key_by(|record| record.1 % 3)
        .process("tens", Tens::default());
    tens.side(LATE).sink("late", aside);
    tens.sink("sums", main);
    job.run(Config::new().cores(1))?;

    let (mut kit, mut seen) = (kit(), i64::MIN);
    for record in records {
        kit.record(record.0, record)?;
        seen = seen.max(record.0);
        kit.watermark(seen - 50 - 1)?;
    }
    kit.end()?;
    assert_eq!(kit.take_side(LATE), late.take());
    assert!(kit.late() > 0);
    assert_eq!(kit.take_output(), sums.take());
    Ok(())
}
