//! Watermarks, as windows see them.

use millstream::prelude::*;

use super::support::{Ids, Record, Row, rows, run};

#[test]
fn rule_01_a_bounded_watermark_is_the_greatest_time_less_the_bound_and_one() {
    let windows = || Tumbling::of(millis(10));
    // The window's last timestamp is 9: with a bound of 5 it is over at 15, and not at 14.
    assert_eq!(rows(&[(14, 0, 1), (2, 0, 2)], 5, windows()).late, []);
    assert_eq!(rows(&[(15, 0, 1), (2, 0, 2)], 5, windows()).late, [(2, 0, 2)]);
}

#[test]
fn rule_01_it_follows_each_record_whatever_the_size_of_batches() {
    let records: Vec<Record> = (0..100).map(|i| (if i % 3 == 2 { i - 12 } else { i }, 0, i as u64)).collect();
    let (one_by_one, _) = run(&records, 5, Tumbling::of(millis(10)), Ids, 1);
    assert!(!one_by_one.late.is_empty());
    for batch in [2, 3, 10, 64, 1000] {
        assert_eq!(run(&records, 5, Tumbling::of(millis(10)), Ids, batch).0, one_by_one, "{batch} at a time");
    }
}

/// The numbers of records of windows, counted again in windows of the same size behind them.
fn counted_again(records: &[Record], lateness: u64) -> (Vec<(i64, u64)>, usize) {
    let job = Job::new("stacked");
    let ((sink, counts), (aside, late)) = (collect(), collect());
    let again = job
        .source("records", from_vec(records.to_vec()))
        .event_time(|record| record.0, Watermarks::monotonous())
        .key_by(|record| record.1)
        .window(Tumbling::of(millis(10)).allow_late(millis(lateness)))
        .aggregate("first", Ids)
        .map(|row| (row.key, row.window.start, row.window.end, row.value))
        .key_by(|_: &Row| 0_u8)
        .window(Tumbling::of(millis(1)).allow_late(hours(1)))
        .process("second", |cx, rows| [(cx.window.start, rows.map(|row| row.3.len() as u64).sum())]);
    again.late().sink("late", aside);
    again.sink("counts", sink);
    job.run(Config::new().cores(1)).expect("the job runs");
    (counts.take(), late.take().len())
}

#[test]
fn rule_06_what_a_watermark_fires_goes_ahead_of_it() {
    let records: Vec<Record> = (0..100).map(|i| (i, (i % 4) as u8, i as u64)).collect();
    let (counts, late) = counted_again(&records, 0);
    let ends: Vec<(i64, u64)> = (0..10).map(|i| (10 * i + 9, 10)).collect();
    assert_eq!(counts, ends, "each once: nothing comes behind the watermark that fired it");
    assert_eq!(late, 0);
}

#[test]
fn rule_11_results_carry_the_last_timestamp_of_their_window() {
    // At first, and when a late record makes one come again.
    let (counts, _) = counted_again(&[(1, 0, 1), (12, 0, 2), (2, 0, 3)], 5);
    assert_eq!(counts, [(9, 1), (9, 3), (19, 1)]);
}
