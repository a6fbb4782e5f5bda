//! The clock is the test's.

use millstream::prelude::*;
use millstream::testing::JobKit;

/// Reminds of what was not answered within a minute, and forgets who asked after ten.
#[derive(Clone)]
struct Remind;

struct Asked {
    asked: Value<u32>,
}

impl Process for Remind {
    type Key = char;
    type In = char;
    type Out = (char, u32, Timestamp);
    type State = Asked;

    fn declare(&self, state: &mut Declare) -> Asked {
        Asked { asked: state.value("asked").ttl(Ttl::after(minutes(10))) }
    }

    fn on_record(&mut self, _: char, state: &Asked, cx: &mut Context<'_, Self>) {
        state.asked.update(cx, |n| *n += 1);
        cx.processing_timer_at(cx.processing_time() + 60_000);
    }

    fn on_processing_timer(&mut self, at: Timestamp, state: &Asked, cx: &mut Context<'_, Self>) {
        cx.emit((*cx.key(), state.asked.load(cx).unwrap_or(0), at));
    }
}

fn reminders() -> Job {
    let job = Job::new("reminders");
    job.source("questions", from_vec(Vec::<char>::new()))
        .key_by(|c| *c)
        .process("remind", Remind)
        .sink("out", discard());
    job
}

#[test]
fn timers_of_the_clock_fire_at_their_times_and_state_expires() -> Result<()> {
    for cores in [1, 4] {
        let kit = JobKit::with(Config::new().cores(cores), reminders)?;
        kit.input("questions").push('a')?;
        kit.advance_clock(secs(30))?;
        kit.input("questions").push('b')?;
        assert_eq!(kit.processing_timers::<char>("remind")?, [(60_000, 'a'), (90_000, 'b')]);
        kit.advance_clock(millis(29_999))?;
        assert!(kit.output::<(char, u32, Timestamp)>("out").take().is_empty());
        kit.advance_clock(hours(1))?;
        assert_eq!(kit.output::<(char, u32, Timestamp)>("out").take(), [('a', 1, 60_000), ('b', 1, 90_000)]);
        assert!(kit.state_of::<char, Value<u32>>("remind", "asked", &'a')?.is_empty(), "it has expired");
        assert_eq!(kit.clock(), 3_659_999);
    }
    Ok(())
}

#[test]
fn a_clock_that_jumps_fires_what_is_due_at_once() -> Result<()> {
    let kit = JobKit::new(reminders)?;
    kit.set_clock(1_000_000_000_000)?;
    kit.input("questions").push('a')?;
    kit.set_clock(1_000_000_059_999)?;
    assert!(kit.output::<(char, u32, Timestamp)>("out").take().is_empty());
    kit.set_clock(1_000_000_100_000)?;
    assert_eq!(kit.output::<(char, u32, Timestamp)>("out").take(), [('a', 1, 1_000_000_060_000)]);
    kit.set_clock(0)?;
    assert_eq!(kit.clock(), 0);
    Ok(())
}

#[test]
fn windows_of_the_clock_are_over_when_the_test_says_so() -> Result<()> {
    let job = || {
        let job = Job::new("by the clock");
        job.source("numbers", from_vec(Vec::<u64>::new()))
            .key_by(|_| 'k')
            .window(Tumbling::of(secs(10)).processing_time())
            .reduce("sum", |sum, n| *sum += n)
            .map(|w| (w.window.start, w.value))
            .sink("out", discard());
        job
    };
    let kit = JobKit::new(job)?;
    kit.input("numbers").push_all([1_u64, 2])?;
    kit.advance_clock(secs(9))?;
    kit.input("numbers").push(3_u64)?;
    assert!(kit.output::<(i64, u64)>("out").take().is_empty());
    kit.advance_clock(secs(1))?;
    kit.input("numbers").push(4_u64)?;
    kit.advance_clock(secs(100))?;
    assert_eq!(kit.output::<(i64, u64)>("out").take(), [(0, 6), (10_000, 4)]);
    Ok(())
}
