//! The clock is moved by hand.

use millstream::prelude::*;
use millstream::testing::TestKit;

/// Ticks every ten milliseconds from its first record on, and remembers it for 25.
#[derive(Clone)]
struct Tick;

impl Process for Tick {
    type Key = char;
    type In = char;
    type Out = (char, Timestamp, Timestamp);
    type State = Value<u32>;

    fn declare(&self, state: &mut Declare) -> Value<u32> {
        state.value("seen").ttl(Ttl::after(millis(25)))
    }

    fn on_record(&mut self, _: char, seen: &Value<u32>, cx: &mut Context<'_, Self>) {
        seen.set(cx, &1);
        cx.processing_timer_at(cx.processing_time() + 10);
    }

    fn on_processing_timer(&mut self, at: Timestamp, seen: &Value<u32>, cx: &mut Context<'_, Self>) {
        cx.emit((*cx.key(), at, cx.processing_time()));
        if seen.load(cx).is_some() {
            cx.processing_timer_at(at + 10);
        }
    }
}

fn kit() -> millstream::Result<TestKit<Tick, fn(&char) -> char>> {
    let mut kit: TestKit<Tick, fn(&char) -> char> = TestKit::process(Tick, |c| *c);
    kit.record(0, 'a')?;
    kit.advance_clock(millis(5))?;
    kit.record(0, 'b')?;
    Ok(kit)
}

#[test]
fn while_time_passes_each_timer_fires_at_its_time_and_state_expires() -> millstream::Result<()> {
    let mut kit = kit()?;
    kit.advance_clock(millis(4))?;
    assert_eq!(kit.take_output(), []);
    kit.advance_clock(millis(91))?;
    let ticks = [('a', 10), ('b', 15), ('a', 20), ('b', 25), ('a', 30), ('b', 35)];
    assert_eq!(kit.take_output(), ticks.map(|(key, at)| (key, at, at)), "for as long as it is remembered");
    assert_eq!(kit.clock(), 100);
    assert_eq!(kit.state_of(&'a', |seen, cx| seen.load(cx))?, None);
    Ok(())
}

#[test]
fn when_the_clock_jumps_all_that_is_due_fires_at_once() -> millstream::Result<()> {
    let mut kit = kit()?;
    kit.set_clock(22)?;
    let ticks = [('a', 10, 22), ('b', 15, 22), ('a', 20, 22)];
    assert_eq!(kit.take_output(), ticks);
    kit.set_clock(0)?;
    assert_eq!(kit.processing_timers(&'a'), [30], "a clock that goes back takes nothing back");
    Ok(())
}

#[test]
fn rule_07_timers_that_wait_for_the_clock_do_not_fire_after_the_end() -> millstream::Result<()> {
    let mut kit = kit()?;
    kit.end()?;
    kit.advance_clock(secs(1))?;
    assert_eq!(kit.take_output(), []);
    Ok(())
}

#[test]
fn rule_16_timers_that_are_overdue_after_a_restart_fire_at_once_in_order() -> millstream::Result<()> {
    for cores in 1..4 {
        let mut kit = kit()?;
        kit.restart(cores)?;
        kit.set_clock(1_000)?;
        let mut rung = kit.take_output();
        rung.sort_by_key(|tick| tick.1);
        assert_eq!(rung[..2], [('a', 10, 1_000), ('b', 15, 1_000)], "on {cores} cores");
    }
    Ok(())
}
