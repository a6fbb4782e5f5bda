//! The same job, the same answer.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt::Debug;

use millstream::join::{FullOuter, Inner, LeftOuter};
use millstream::prelude::*;
use millstream::table::{ChangeKind, count, max, sum};

/// Time, key, value.
type Row = (i64, u64, u64);

/// Rows of some keys, up to 20 ms out of order.
fn rows(salt: u64) -> Vec<Row> {
    let mixed = move |n: u64| (n + salt).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40;
    (0..600).map(|n| (n as i64 * 3 - (mixed(n) % 20) as i64, mixed(n + 7) % 11, mixed(n + 9) % 100)).collect()
}

type Rows = Stream<Row>;

fn input(job: &Job, name: &str, salt: u64) -> Rows {
    let rows = job.source(name, from_vec(rows(salt)));
    rows.event_time(|row| row.0, Watermarks::bounded(millis(20))).stage(&format!("plain {name}"))
}

fn run<T: Send + 'static>(build: impl Fn(Rows, Rows) -> Stream<T>, config: Config) -> Vec<T> {
    let job = Job::new("same");
    let (sink, out) = collect();
    build(input(&job, "left", 0), input(&job, "right", 7_000)).sink("out", sink);
    let report = job.run(config).expect("nothing fails");
    assert_eq!(report.late, 0);
    out.take()
}

/// Runs a job in both ways on one core and on three, and compares what `last` makes of its output.
fn compare<T, L>(build: impl Fn(Rows, Rows) -> Stream<T>, last: impl Fn(Vec<T>) -> L)
where
    T: Send + 'static,
    L: PartialEq + Debug,
{
    let continuous = last(run(&build, Config::new().cores(1)));
    for cores in [1, 3] {
        let batch = last(run(&build, Config::new().cores(cores).batch_size(16).batch()));
        assert_eq!(batch, continuous, "on {cores} cores");
    }
}

fn sorted<T: Ord>(mut rows: Vec<T>) -> Vec<T> {
    assert!(!rows.is_empty());
    rows.sort();
    rows
}

/// The table that a changelog of a batch consists of: nothing but new rows.
fn table<T: Ord + Clone + Debug>(changes: Vec<Change<T>>) -> Vec<T> {
    let table: Table<T> = changes.into_iter().collect();
    sorted(table.into_rows())
}

fn add(sum: &mut Row, row: &Row) {
    *sum = (sum.0.max(row.0), sum.1, sum.2 + row.2);
}

#[test]
fn windows_of_every_kind_have_one_result_each() {
    fn windows<T: Send + 'static>(w: Windowed<u64, T>) -> (u64, i64, i64, T) {
        (w.key, w.window.start, w.window.end, w.value)
    }
    let by = |row: &Row| row.1;
    compare(
        move |l, _| {
            l.key_by(by).window(Tumbling::of(millis(50))).reduce("sum", add).map(windows).stage("out of")
        },
        sorted,
    );
    compare(
        move |l, _| {
            let windows_of = Sliding::of(millis(60), millis(20));
            l.key_by(by).window(windows_of).reduce("sum", add).map(windows).stage("out of")
        },
        sorted,
    );
    compare(
        move |l, _| {
            let steps = Cumulative::of(millis(100), millis(20));
            l.key_by(by).window(steps).reduce("sum", add).map(windows).stage("out of")
        },
        sorted,
    );
    compare(
        move |l, _| {
            let visits = Session::with_gap(millis(30));
            l.key_by(by).window(visits).reduce("sum", add).map(windows).stage("out of")
        },
        sorted,
    );
    compare(
        move |l, _| {
            let late = Tumbling::of(millis(50)).allow_late(millis(100));
            l.window_all(late).reduce("sum", add).map(|w| (w.window.start, w.value)).stage("out of")
        },
        sorted,
    );
}

#[test]
fn windows_over_the_results_of_windows_agree() {
    compare(
        |l, _| {
            l.key_by(|row| row.1)
                .window(Tumbling::of(millis(50)))
                .reduce("sum", add)
                .map(|w| (w.window.start, w.value.2))
                .key_by(|_| 0_u64)
                .window(Tumbling::of(millis(100)))
                .reduce("most", |most, sum| *most = (most.0.max(sum.0), most.1.max(sum.1)))
                .map(|w| (w.window.start, w.value.1))
                .stage("out of")
        },
        sorted,
    );
}

#[test]
fn joins_find_the_same_pairs() {
    let by = |row: &Row| row.1;
    compare(
        move |l, r| {
            l.key_by(by)
                .window_join("met", r.key_by(by), Tumbling::of(millis(40)), Inner)
                .map(|w| w.value)
                .stage("out of")
        },
        sorted,
    );
    compare(
        move |l, r| {
            l.key_by(by).interval_join("near", r.key_by(by), Within::millis(-15..=30)).stage("out of")
        },
        sorted,
    );
    compare(
        move |l, r| {
            l.insertions()
                .key_by(|row| row.row.1)
                .table_join("both", r.insertions().key_by(|row| row.row.1), Inner)
                .stage("out of")
        },
        table,
    );
    compare(
        move |l, r| {
            let left = l.key_by(by).deduplicate("newest", Keep::Last).key_by(|row| row.row.1 / 2);
            left.table_join("both", r.insertions().key_by(|row| row.row.2), FullOuter).stage("out of")
        },
        table,
    );
}

#[test]
fn tables_end_in_the_same_rows() {
    let by = |row: &Row| row.1;
    compare(move |l, _| l.key_by(by).deduplicate("first", Keep::First).stage("out of"), table);
    compare(move |l, _| l.key_by(by).deduplicate("last", Keep::Last).stage("out of"), table);
    compare(move |l, _| l.key_by(by).top("top", 3, |row| Reverse((row.2, row.0))).stage("out of"), table);
    compare(
        move |l, r| {
            let left = l.key_by(by).deduplicate("newest", Keep::Last).key_by(|row| row.row.1);
            left.table_join("both", r.insertions().key_by(|row| row.row.1), LeftOuter)
                .map_rows(|(l, r)| (l.2 % 4, r.map_or(0, |r| r.2)))
                .key_by(|row| row.row.0)
                .table_aggregate(
                    "statistics",
                    (count(), sum(|row: &(u64, u64)| row.1 as i64), max(|row: &(u64, u64)| row.1)),
                )
                .stage("out of")
        },
        table,
    );
}

#[test]
fn running_results_end_in_the_same_ones() {
    let last = |rows: Vec<(u64, Row)>| rows.into_iter().collect::<BTreeMap<u64, Row>>();
    compare(|l, _| l.key_by(|row| row.1).reduce("sum", add).map(|row| (row.1, row)).stage("out of"), last);
    compare(|l, _| l.key_by(|row| row.2).distinct("once").map(|row| row.2).stage("out of"), sorted);
}

/// The sum of the values.
#[derive(Clone)]
struct Total;

impl Aggregate for Total {
    type In = Row;
    type Acc = u64;
    type Out = u64;

    fn add(&self, total: &mut u64, row: &Row) {
        *total += row.2;
    }

    fn finish(&self, total: &u64) -> u64 {
        *total
    }
}

#[test]
fn each_key_has_one_result_with_the_time_of_its_latest_record() {
    let latest: BTreeMap<u64, i64> = {
        let mut latest = BTreeMap::new();
        rows(0).into_iter().for_each(|(at, key, _)| {
            let before = latest.entry(key).or_insert(at);
            *before = at.max(*before);
        });
        latest
    };
    let timed = |rows: Rows| rows.key_by(|row| row.1).aggregate("total", Total);
    let batch = run(
        |l, _| {
            timed(l)
                .key_by(|(key, _)| *key)
                .window(Tumbling::of(millis(1)))
                .reduce("at", |_, _| panic!("there is one of each"))
                .map(|w| (w.key, w.window.start))
                .stage("out of")
        },
        Config::new().cores(2).batch(),
    );
    assert_eq!(batch.len(), latest.len());
    assert_eq!(batch.into_iter().collect::<BTreeMap<_, _>>(), latest);

    let changes = run(
        |l, _| l.key_by(|row| row.1).top("top", 2, |row| row.2).stage("out of"),
        Config::new().cores(2).batch(),
    );
    assert_eq!(changes.len(), 22, "two of each of eleven keys");
    assert!(changes.iter().all(|change| change.kind == ChangeKind::Insert));
}
