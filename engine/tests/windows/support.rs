//! Jobs with one window, over records of one split, at once and record by record.

use millstream::aggregate::{Aggregate, Merge};
use millstream::prelude::*;
use millstream::reference::Inputs;
use millstream::stream::Windows;
use proptest::prelude::*;

/// A record: its time, its key, and a number of its own.
pub type Record = (i64, u8, u64);

/// A result: key, start and end of its window, and the records in it.
pub type Row = (u8, i64, i64, Vec<u64>);

/// Which records a window has: the plainest aggregate that forgets nothing.
#[derive(Clone)]
pub struct Ids;

impl Aggregate for Ids {
    type In = Record;
    type Acc = Vec<u64>;
    type Out = Vec<u64>;

    fn add(&self, acc: &mut Vec<u64>, record: &Record) {
        acc.push(record.2);
    }

    fn finish(&self, acc: &Vec<u64>) -> Vec<u64> {
        let mut ids = acc.clone();
        ids.sort_unstable();
        ids
    }
}

impl Merge for Ids {
    fn merge(&self, into: &mut Vec<u64>, from: &Vec<u64>) {
        into.extend(from);
    }
}

/// The number of records and the sum of theirs: an accumulator of fixed size.
#[derive(Clone)]
pub struct Sum;

#[derive(Clone, Copy, Debug, Default, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct CountSum {
    count: u64,
    sum: u64,
}

impl Aggregate for Sum {
    type In = Record;
    type Acc = CountSum;
    type Out = Vec<u64>;

    fn add(&self, acc: &mut CountSum, record: &Record) {
        acc.count += 1;
        acc.sum += record.2;
    }

    fn finish(&self, acc: &CountSum) -> Vec<u64> {
        vec![acc.count, acc.sum]
    }
}

impl Merge for Sum {
    fn merge(&self, into: &mut CountSum, from: &CountSum) {
        into.count += from.count;
        into.sum += from.sum;
    }
}

/// What a window put out, in order, and what came too late for it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Got {
    pub rows: Vec<Row>,
    pub late: Vec<Record>,
}

/// A job's results, and the reference's, for watermarks that are `bound` behind.
pub fn run<W, A>(records: &[Record], bound: u64, windows: W, aggregate: A, batch: usize) -> (Got, Got)
where
    W: Windows<A>,
    A: Aggregate<In = Record, Out = Vec<u64>>,
{
    let job = Job::new("windows");
    let ((rows, got), (aside, late)) = (collect(), collect());
    let results = job
        .source("records", from_vec(records.to_vec()))
        .event_time(|record| record.0, Watermarks::bounded(millis(bound)))
        .key_by(|record| record.1)
        .window(windows)
        .aggregate("window", aggregate);
    results.late().sink("late", aside);
    results.map(|row| (row.key, row.window.start, row.window.end, row.value)).sink("rows", rows);
    let split = records.to_vec();
    let inputs = Inputs::new().with("records", move || vec![split.clone()]);
    let expected = Got { rows: job.expected("rows", &inputs), late: job.expected("late", &inputs) };
    job.run(Config::new().cores(1).batch_size(batch)).expect("the job runs");
    (Got { rows: got.take(), late: late.take() }, expected)
}

/// What a window puts out for one record after another, which the reference agrees with.
pub fn rows<W: Windows<Ids>>(records: &[Record], bound: u64, windows: W) -> Got {
    let (got, expected) = run(records, bound, windows, Ids, 1);
    assert_eq!(by_key(&got), by_key(&expected));
    got
}

/// The same, but for the order of what different keys put out.
pub fn by_key(got: &Got) -> (Vec<Row>, Vec<Record>) {
    let (mut rows, mut late) = (got.rows.clone(), got.late.clone());
    rows.sort_by_key(|row| row.0);
    late.sort_by_key(|record| record.1);
    (rows, late)
}

/// Records whose times rise with disorder.
pub fn records() -> impl Strategy<Value = Vec<Record>> {
    let step = (0..12_i64, 0..40_i64, 0..4_u8);
    proptest::collection::vec(step, 0..80).prop_map(|steps| {
        let mut now = -50;
        let record = |(id, (pace, back, key)): (usize, (i64, i64, u8))| {
            now += pace;
            (now - if back < 20 { back } else { 0 }, key, id as u64)
        };
        steps.into_iter().enumerate().map(record).collect()
    })
}
