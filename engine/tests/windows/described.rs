//! What a checkpoint keeps of the windows that its state is of: it tells apart all that differ.

use millstream::prelude::*;
use millstream::stream::Windows;
use millstream::window::trigger::{Count, EventTime, Every, ProcessingTime, Trigger};
use millstream::window::{Assign, Global};

use super::support::{Ids, Record};

/// The schema of the step `window`.
fn schema(job: &Job) -> String {
    let described = job.describe(&Config::new().cores(1)).expect("the job is well formed");
    described.to_json()["steps"]["window"]["schema"]["detail"].to_string()
}

fn of<W: Windows<Ids>>(windows: W) -> String {
    let job = Job::new("windows");
    let records = job.source("records", from_vec(Vec::<Record>::new()));
    let records = records.event_time(|record| record.0, Watermarks::monotonous()).key_by(|record| record.1);
    records.window(windows).aggregate("window", Ids).sink("rows", discard());
    schema(&job)
}

fn triggered<W: Assign<Record>, Tr: Trigger<Record>>(windows: W, trigger: Tr) -> String {
    let job = Job::new("windows");
    let records = job.source("records", from_vec(Vec::<Record>::new()));
    let records = records.event_time(|record| record.0, Watermarks::monotonous()).key_by(|record| record.1);
    records.window(windows).trigger(trigger).aggregate("window", Ids).sink("rows", discard());
    schema(&job)
}

#[track_caller]
fn all_differ(schemas: &[String]) {
    for (at, schema) in schemas.iter().enumerate() {
        assert!(!schemas[..at].contains(schema), "{at}: {schema}");
    }
}

#[test]
fn every_parameter_of_windows_is_told() {
    let (days, others) = (Tumbling::days(1, "Europe/Berlin"), Tumbling::days(1, "America/New_York"));
    let (days, others) = (days.expect("a zone"), others.expect("a zone"));
    let (sliding, grow) = (Sliding::of(millis(8), millis(4)), Cumulative::of(millis(8), millis(4)));
    all_differ(&[
        of(Tumbling::of(millis(8))),
        of(Tumbling::of(millis(4))),
        of(Tumbling::of(millis(8)).offset_millis(1)),
        of(Tumbling::of(millis(8)).allow_late(millis(1))),
        of(sliding),
        of(Sliding::of(millis(16), millis(4))),
        of(Sliding::of(millis(8), millis(2))),
        of(sliding.offset_millis(1)),
        of(sliding.allow_late(millis(1))),
        of(grow),
        of(Cumulative::of(millis(16), millis(4))),
        of(Cumulative::of(millis(8), millis(2))),
        of(grow.offset_millis(1)),
        of(grow.allow_late(millis(1))),
        of(days.clone()),
        of(others),
        of(days.clone().from_time(5, 30)),
        of(days.allow_late(millis(1))),
        of(Session::with_gap(millis(4))),
        of(Session::with_gap(millis(8))),
        of(Session::with_gap(millis(8)).allow_late(millis(1))),
        of(Session::with_gap_of(|_: &Record| millis(8))),
    ]);
}

#[test]
fn windows_and_triggers_are_told() {
    let window = Tumbling::of(millis(8));
    all_differ(&[
        triggered(window, EventTime),
        triggered(Tumbling::of(millis(4)), EventTime),
        triggered(Sliding::of(millis(8), millis(4)), EventTime),
        triggered(Cumulative::of(millis(8), millis(4)), EventTime),
        triggered(Session::with_gap(millis(8)), EventTime),
        triggered(Tumbling::days(1, "Europe/Berlin").expect("a zone"), EventTime),
        triggered(Global, EventTime),
        triggered(window, ProcessingTime),
        triggered(window, Count::of(3)),
        triggered(window, Count::of(4)),
        triggered(window, Trigger::<Record>::purging(Count::of(4))),
        triggered(window, Trigger::<Record>::purging(Count::of(3))),
        triggered(window, Every::event_time(millis(2))),
        triggered(window, Every::event_time(millis(3))),
        triggered(window, Every::processing_time(millis(3))),
    ]);
}
