//! The clock is the test's.

use millstream::prelude::*;
use millstream::testing::JobKit;
use millstream::window::trigger::{EventTime, Every};

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

#[test]
fn a_window_that_is_over_leaves_the_clock_to_those_that_wait() -> Result<()> {
    let job = || {
        let job = Job::new("by both");
        job.source("events", from_vec(Vec::<i64>::new()))
            .event_time(|at| *at, Watermarks::monotonous())
            .key_by(|_| 'k')
            .window(Tumbling::of(secs(10)))
            .trigger(Every::processing_time(secs(60)))
            .process("windows", |cx, records| [(cx.window.start, records.count())])
            .sink("out", discard());
        job
    };
    let kit = JobKit::new(job)?;
    let timers = || kit.processing_timers::<char>("windows");
    let rows = || kit.output::<(i64, usize)>("out").take();
    // The first window is over with the record of the second, and both wait for the same minute.
    kit.input("events").push_all([1_000_i64, 9_000])?;
    assert_eq!(timers()?, [(60_000, 'k')]);
    kit.input("events").push(11_000_i64)?;
    assert_eq!(rows(), [(0, 2)]);
    assert_eq!(timers()?, [(60_000, 'k')], "the second window waits");
    kit.advance_clock(secs(60))?;
    assert_eq!(rows(), [(10_000, 1)]);
    kit.input("events").push(12_000_i64)?;
    assert_eq!(timers()?, [(120_000, 'k')]);
    kit.input::<i64>("events").watermark(100_000)?;
    assert!(timers()?.is_empty(), "nobody waits");
    Ok(())
}

#[test]
fn a_session_that_is_joined_to_another_waits_no_more() -> Result<()> {
    let job = || {
        let job = Job::new("sessions");
        job.source("events", from_vec(Vec::<i64>::new()))
            .event_time(|at| *at, Watermarks::bounded(secs(100)))
            .key_by(|_| 'k')
            .window(Session::with_gap(secs(5)))
            .trigger(EventTime)
            .process("windows", |cx, records| [(cx.window.start, records.count())])
            .sink("out", discard());
        job
    };
    let kit = JobKit::new(job)?;
    let timers = || kit.timers::<char>("windows");
    kit.input("events").push_all([1_000_i64, 9_000])?;
    assert_eq!(timers()?, [(5_999, 'k'), (13_999, 'k')]);
    kit.input("events").push(5_000_i64)?;
    assert_eq!(timers()?, [(13_999, 'k')]);
    kit.input::<i64>("events").watermark(13_999)?;
    assert_eq!(kit.output::<(i64, usize)>("out").take(), [(1_000, 3)]);
    assert!(timers()?.is_empty());
    Ok(())
}
