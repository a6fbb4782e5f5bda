//! The general operator of windows puts out what the others do, and what triggers and evictors say.

use millstream::prelude::*;
use millstream::reference::Inputs;
use millstream::stream::chain::Chain;
use millstream::stream::{TriggeredStream, Windows};
use millstream::window::Assign;
use millstream::window::evict::{Evict, KeepAll, KeepLast, KeepRecent};
use millstream::window::trigger::{Count, EventTime, Every, Trigger};
use proptest::prelude::*;

use super::support::{Got, Ids, Record, Row, by_key, records, run};

/// How the records of a triggered window are computed.
#[derive(Clone, Copy)]
enum Keeping {
    Records,
    Accumulator,
}

fn ids<C, F, W, Tr, E>(stream: TriggeredStream<u8, Record, C, F, W, Tr, E>) -> (Stream<Row>, Stream<Record>)
where
    C: Chain<Out = Record>,
    F: Fn(&Record) -> u8 + Clone + Send + 'static,
    W: Assign<Record>,
    Tr: Trigger<Record>,
    E: Evict<Record>,
{
    let rows = stream.process("window", |cx, records| {
        let mut ids: Vec<u64> = records.map(|record| record.2).collect();
        ids.sort_unstable();
        [(*cx.key, cx.window.start, cx.window.end, ids)]
    });
    let late = rows.late();
    (rows.stage("rows of"), late)
}

/// A job's results, and the reference's.
fn triggered<W, Tr, E>(
    records: &[Record],
    bound: u64,
    (windows, trigger, evictor): (W, Tr, E),
    keeping: Keeping,
    (cores, batch): (usize, usize),
) -> (Got, Got)
where
    W: Assign<Record>,
    Tr: Trigger<Record>,
    E: Evict<Record>,
{
    let job = Job::new("windows");
    let ((rows, got), (aside, late)) = (collect(), collect());
    let stream = job
        .source("records", from_vec(records.to_vec()))
        .event_time(|record| record.0, Watermarks::bounded(millis(bound)))
        .key_by(|record| record.1)
        .window(windows)
        .trigger(trigger);
    let (results, too_late) = match keeping {
        Keeping::Records => ids(stream.evict(evictor)),
        Keeping::Accumulator => {
            let results = stream.aggregate("window", Ids);
            let late = results.late();
            (results.map(|row| (row.key, row.window.start, row.window.end, row.value)).stage("rows of"), late)
        }
    };
    too_late.sink("late", aside);
    results.sink("rows", rows);
    let split = records.to_vec();
    let inputs = Inputs::new().with("records", move || vec![split.clone()]);
    let expected = Got { rows: job.expected("rows", &inputs), late: job.expected("late", &inputs) };
    job.run(Config::new().cores(cores).batch_size(batch)).expect("the job runs");
    (Got { rows: got.take(), late: late.take() }, expected)
}

/// How many records each result has.
fn sizes<W, Tr, E>(records: Vec<Record>, bound: u64, (windows, trigger, evictor): (W, Tr, E)) -> Vec<usize>
where
    W: Assign<Record>,
    Tr: Trigger<Record>,
    E: Evict<Record>,
{
    let job = Job::new("sizes");
    let (sink, sizes) = collect();
    job.source("records", from_vec(records))
        .event_time(|record| record.0, Watermarks::bounded(millis(bound)))
        .key_by(|record| record.1)
        .window(windows)
        .trigger(trigger)
        .evict(evictor)
        .process("window", |_, records| [records.count()])
        .sink("sizes", sink);
    job.run(Config::new().cores(1)).expect("the job runs");
    sizes.take()
}

/// The rows for one record after another, which the reference agrees with.
fn rows<W, Tr, E>(records: &[Record], bound: u64, windows: (W, Tr, E)) -> Vec<Row>
where
    W: Assign<Record>,
    Tr: Trigger<Record>,
    E: Evict<Record>,
{
    let (got, expected) = triggered(records, bound, windows, Keeping::Records, (1, 1));
    assert_eq!(by_key(&got), by_key(&expected));
    got.rows
}

fn tumbling(size: u64) -> Tumbling {
    Tumbling::of(millis(size))
}

/// That the general operator puts out what the one for this kind of window does.
fn same<W>(records: &[Record], bound: u64, windows: W, batch: usize) -> Result<(), TestCaseError>
where
    W: Windows<Ids> + Assign<Record>,
{
    let (_, expected) = run(records, bound, windows.clone(), Ids, batch);
    for keeping in [Keeping::Records, Keeping::Accumulator] {
        let general = (windows.clone(), EventTime, KeepAll);
        let (got, plain) = triggered(records, bound, general, keeping, (1, batch));
        prop_assert_eq!(by_key(&got), by_key(&expected));
        prop_assert_eq!(by_key(&plain), by_key(&expected));
    }
    Ok(())
}

#[test]
fn rule_13_a_count_fires_after_every_so_many_records() {
    let records = [(1, 0, 1), (2, 0, 2), (3, 0, 3), (4, 0, 4), (11, 0, 5)];
    let accumulating = rows(&records, 0, (tumbling(10), Count::of(2), KeepAll));
    assert_eq!(accumulating, [(0, 0, 10, vec![1, 2]), (0, 0, 10, vec![1, 2, 3, 4])]);
    let purging = Trigger::<Record>::purging(Count::of(2));
    assert_eq!(
        rows(&records, 0, (tumbling(10), purging, KeepAll)),
        [(0, 0, 10, vec![1, 2]), (0, 0, 10, vec![3, 4])]
    );
}

#[test]
fn rule_13_a_continuous_trigger_fires_on_the_way_and_at_the_end() {
    let records = [(1, 0, 1), (5, 0, 2), (12, 0, 3), (13, 0, 4), (25, 0, 5)];
    let got = rows(&records, 0, (tumbling(20), Every::event_time(millis(5)), KeepAll));
    let expected = [
        // The watermark of 11, behind the record of 12, passes 5 and 10 at once.
        (0, 0, 20, vec![1, 2, 3]),
        (0, 0, 20, vec![1, 2, 3, 4]),
        (0, 0, 20, vec![1, 2, 3, 4]),
        (0, 20, 40, vec![5]),
        (0, 20, 40, vec![5]),
    ];
    assert_eq!(got, expected);
}

#[test]
fn rule_13_a_continuous_trigger_comes_to_an_end_without_windows_that_do() {
    let got = rows(&[(1, 0, 1), (7, 0, 2)], 0, (Global, Every::event_time(millis(5)), KeepAll));
    assert_eq!(got.iter().map(|row| row.3.clone()).collect::<Vec<_>>(), [vec![1, 2], vec![1, 2]]);
}

#[test]
fn rule_13_evictors_take_records_out_for_good() {
    let records = [(1, 0, 1), (2, 0, 2), (9, 0, 3), (3, 0, 4)];
    assert_eq!(
        rows(&records, 10, (tumbling(10), Count::of(2), KeepLast(1))),
        [(0, 0, 10, vec![2]), (0, 0, 10, vec![4])]
    );
    assert_eq!(
        rows(&records, 10, (tumbling(10), Count::of(1), KeepRecent(millis(3)))),
        [(0, 0, 10, vec![1]), (0, 0, 10, vec![1, 2]), (0, 0, 10, vec![3]), (0, 0, 10, vec![3])]
    );
}

#[test]
fn rule_12_a_session_that_grows_keeps_what_its_trigger_knows() {
    let session = Session::with_gap(millis(5));
    let records = [(0, 0, 1), (8, 0, 2), (4, 0, 3), (30, 0, 4)];
    // One, one, and the one that joins them: three.
    assert_eq!(rows(&records, 20, (session, Count::of(3), KeepAll)), [(0, 0, 13, vec![1, 2, 3])]);
}

#[test]
fn rule_15_windows_that_end_at_the_same_time_all_fire() {
    let windows = Cumulative::of(millis(8), millis(4));
    let got = rows(&[(1, 0, 1), (9, 0, 2)], 0, (windows, Every::event_time(millis(2)), KeepAll));
    assert_eq!(got[..4], [(0, 0, 4, vec![1]), (0, 0, 8, vec![1]), (0, 0, 4, vec![1]), (0, 0, 8, vec![1]),]);
}

#[test]
fn rule_13_a_continuous_trigger_does_not_see_the_steps_of_the_watermark() {
    // On another core than its neighbours a key sees fewer steps.
    let records: Vec<Record> = (0..200).map(|i| (3 * i, (i % 7) as u8, i as u64)).collect();
    let windows = (tumbling(100), Every::event_time(millis(10)), KeepAll);
    for cores in 1..4 {
        let (got, expected) = triggered(&records, 0, windows, Keeping::Records, (cores, 40));
        assert_eq!(by_key(&got), by_key(&expected), "on {cores} cores");
    }
}

#[test]
fn a_jump_of_the_watermark_over_many_windows_of_a_key_looks_at_each_of_them_once() {
    // Once for each of the others would take hours.
    let records: Vec<Record> = (0..50_000).map(|i| (i, 0, i as u64)).collect();
    let windows = (tumbling(1), EventTime, KeepAll);
    assert_eq!(sizes(records.clone(), 100_000, windows), vec![1; records.len()]);
}

#[test]
fn what_was_evicted_is_not_looked_for_again() {
    /// All but the first and the last.
    #[derive(Clone)]
    struct KeepEnds;
    impl Evict<Record> for KeepEnds {
        fn evict(&self, _: Window, records: &[(Timestamp, Record)], keep: &mut [bool]) {
            keep[1..records.len().max(2) - 1].fill(false);
        }
    }
    // To look for all that ever came, at each of them, would take hours.
    let records: Vec<Record> = (0..50_000).map(|i| (i, 0, i as u64)).collect();
    let windows = (Global, Count::of(1), KeepEnds);
    let expected: Vec<usize> = (1..=records.len()).map(|seen| seen.min(2)).collect();
    assert_eq!(sizes(records, 0, windows), expected);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn without_a_trigger_it_is_the_same(
        records in records(), bound in 0..20_u64, size in 1..30_u64, slide in 1..30_u64,
        lateness in prop::sample::select(vec![0, 3, 30]), batch in 1..40_usize,
    ) {
        let lateness = millis(lateness);
        same(&records, bound, tumbling(size).allow_late(lateness), batch)?;
        same(&records, bound, Sliding::of(millis(size), millis(slide)).allow_late(lateness), batch)?;
        same(&records, bound, Session::with_gap(millis(size)).allow_late(lateness), batch)?;
    }

    #[test]
    fn triggers_see_what_the_reference_shows_them(
        records in records(), bound in 0..20_u64, size in 1..30_u64, every in 1..12_u64,
        lateness in prop::sample::select(vec![0, 3, 30]), at in (1..4_usize, 1..40_usize),
    ) {
        let (session, hops) = (
            Session::with_gap(millis(size)).allow_late(millis(lateness)),
            Sliding::of(millis(3 * size), millis(size)).allow_late(millis(lateness)),
        );
        let often = Every::event_time(millis(every));
        for keeping in [Keeping::Records, Keeping::Accumulator] {
            let (got, expected) = triggered(&records, bound, (session.clone(), often, KeepAll), keeping, at);
            prop_assert_eq!(by_key(&got), by_key(&expected));
            let purging = Trigger::<Record>::purging(often);
            let (got, expected) = triggered(&records, bound, (hops, purging, KeepAll), keeping, at);
            prop_assert_eq!(by_key(&got), by_key(&expected));
            let counts = Trigger::<Record>::purging(Count::of(every));
            let (got, expected) = triggered(&records, bound, (session.clone(), counts, KeepAll), keeping, at);
            prop_assert_eq!(by_key(&got), by_key(&expected));
        }
        let some = (hops, Count::of(every), KeepLast(size as usize));
        let (got, expected) = triggered(&records, bound, some, Keeping::Records, at);
        prop_assert_eq!(by_key(&got), by_key(&expected));
    }
}
