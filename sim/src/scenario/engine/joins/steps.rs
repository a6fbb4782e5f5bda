//! The steps, and how each becomes a job.

use std::cmp::Reverse;

use millstream::aggregate::Aggregate;
use millstream::join::{Anti, FullOuter, Inner, LeftOuter, RightOuter, Semi};
use millstream::prelude::{Context, Declare, Keep, Process, Sliding, Stream, Windowed, Within, millis};
use millstream::stream::chain::Chain;
use millstream::table::{Change, avg, count, max, min, sum};

use crate::random::Random;

use super::Told;
use super::data::{Kind, Row};
use super::oracle::Order;

/// A side of the join.
pub(super) type Items = Stream<Change<Row>>;

/// What of two sides comes out: the third is where rows that meet none stay.
#[derive(Clone, Copy, Debug)]
pub(super) enum Shape {
    Inner,
    Left,
    Right,
    Full,
    Semi,
    Anti,
}

/// A step.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    Interval(i64, i64),
    Append,
    Table(Shape, bool),
    /// Aggregates over the changelog of a join.
    Aggregate(Shape),
    Temporal(bool),
    Window(Shape, Sliding),
    CoGroup(Sliding),
    Lookup(bool),
    Deduplicate(Keep),
    Top(usize),
    Distinct,
    Reduce,
    Rolling,
}

impl Step {
    pub(super) fn draw(random: &mut Random) -> Step {
        let shapes = [Shape::Inner, Shape::Left, Shape::Right, Shape::Full, Shape::Semi, Shape::Anti];
        let shape = *random.pick(&shapes);
        let size = random.magnitude(1000);
        let window = Sliding::of(millis(size), millis(size.div_ceil(random.range(1, 3))));
        match random.below(18) {
            0..=3 => {
                let lo = random.below(600) as i64 - 300;
                Step::Interval(lo, lo + random.magnitude(400) as i64)
            }
            4 => Step::Append,
            5..=7 => Step::Table(shape, random.coin()),
            8 => Step::Aggregate(shape),
            9 | 10 => Step::Temporal(random.coin()),
            11 => Step::Window(shape, window),
            12 => Step::CoGroup(window),
            13 => Step::Lookup(random.coin()),
            14 => Step::Deduplicate(if random.coin() { Keep::First } else { Keep::Last }),
            15 => Step::Top(random.range(1, 6) as usize),
            16 => Step::Distinct,
            _ => [Step::Reduce, Step::Rolling][random.index(2)],
        }
    }

    /// What it needs of its left side.
    pub(super) fn left(self) -> Kind {
        match self {
            Step::Table(..) | Step::Aggregate(_) => Kind::Changes,
            Step::Interval(..) | Step::Append | Step::Temporal(_) | Step::Window(..) | Step::CoGroup(_) => {
                Kind::Records
            }
            _ => Kind::Ordered,
        }
    }

    pub(super) fn right(self) -> Kind {
        match self {
            Step::Table(..) | Step::Aggregate(_) => Kind::Changes,
            Step::Temporal(_) => Kind::Versions,
            _ => Kind::Records,
        }
    }

    pub(super) fn folds(self) -> Order {
        match self {
            Step::Table(..) | Step::Aggregate(_) => Order::Folded,
            _ if self.left() == Kind::Ordered => Order::Input,
            _ => Order::Any,
        }
    }

    /// How many events a split may have. If all have one key, each pair of two of them is a row, and the reference aggregates all
    /// rows anew after each.
    pub(super) fn most(self) -> usize {
        if matches!(self, Step::Aggregate(_)) { 50 } else { usize::MAX }
    }

    /// How many numbers of dead weight a row may carry: those that are keys are short.
    pub(super) fn heaviest(self) -> usize {
        if self.folds() == Order::Folded { 200 } else { 600 }
    }

    pub(super) fn build(self, left: Items, right: Items) -> Stream<Change<Told>> {
        match self {
            Step::Interval(lo, hi) => {
                let (left, right) = (left.map(row).key_by(key), right.map(row).key_by(key));
                timed(left.interval_join("join", right, Within::millis(lo..=hi)).stage("pairs"))
            }
            Step::Append => {
                let (left, right) = (left.map(row).key_by(key), right.map(row).key_by(key));
                timed(left.join("join", right))
            }
            Step::Table(shape, on) => table(shape, on, left, right),
            Step::Aggregate(shape) => aggregate(table(shape, true, left, right)),
            Step::Temporal(outer) => temporal(outer, left, right),
            Step::Window(shape, windows) => window(shape, windows, left, right),
            Step::CoGroup(windows) => {
                let (left, right) = (left.map(row).key_by(key), right.map(row).key_by(key));
                let groups = left.co_group("join", right, windows, |_, l: &[Row], r: &[Row]| {
                    let mut ids: Vec<u64> = l.iter().chain(r).map(|row| row.id).collect();
                    ids.sort_unstable();
                    ids.push(l.len() as u64);
                    [ids]
                });
                groups.map(|w| Change::insert((w.key, w.value, w.window.start))).stage("told of join")
            }
            Step::Lookup(outer) => lookup(outer, left, right),
            _ => self.ready(left, right),
        }
    }

    /// Those of one input. The other one ends in nothing.
    fn ready(self, left: Items, right: Items) -> Stream<Change<Told>> {
        let left = left.union("both", right.filter(|_| false)).map(row).key_by(key);
        let one = |row: Row| (row.key, vec![row.id], row.time);
        match self {
            Step::Deduplicate(keep) => left.deduplicate("step", keep).map_rows(one).stage("told of step"),
            Step::Top(n) => {
                let top = left.top("step", n, |row| Reverse(row.value % 50));
                let told = top.map_rows(|ranked| (ranked.row.key, vec![ranked.rank, ranked.row.id], 0));
                told.stage("told of step")
            }
            Step::Distinct => left.distinct("step").map(one).insertions().stage("told of step"),
            Step::Reduce => {
                let combined = left.reduce("step", |all, row| {
                    all.value = all.value.wrapping_mul(31).wrapping_add(row.id);
                });
                let told = combined.map(|row| Change::insert((row.key, vec![row.id, row.value], row.time)));
                told.stage("told of step")
            }
            _ => {
                let counted = left.aggregate("step", Digest);
                counted.map(|(key, digest)| Change::insert((key, vec![digest], 0))).stage("told of step")
            }
        }
    }
}

fn row(change: Change<Row>) -> Row {
    change.row
}

fn key(row: &Row) -> u64 {
    row.key
}

fn told(left: Option<Row>, right: Option<Row>) -> Told {
    let row = left.as_ref().or(right.as_ref()).expect("there is a row of one side");
    let of = |row: Option<&Row>| row.map_or([u64::MAX; 2], |row| [row.id, row.value]);
    (row.key, [of(left.as_ref()), of(right.as_ref())].concat(), 0)
}

/// Pairs with their times.
fn timed(pairs: Stream<(Row, Row)>) -> Stream<Change<Told>> {
    pairs.key_by(|(left, _)| left.key).process("times", Timed).stage("told of join")
}

/// Tells the time of each pair.
#[derive(Clone)]
struct Timed;

impl Process for Timed {
    type Key = u64;
    type In = (Row, Row);
    type Out = Change<Told>;
    type State = ();

    fn declare(&self, _: &mut Declare) {}

    fn on_record(&mut self, (left, right): (Row, Row), (): &(), cx: &mut Context<'_, Self>) {
        let (key, ids, _) = told(Some(left), Some(right));
        let at = cx.time();
        cx.emit(Change::insert((key, ids, at)));
    }
}

fn table(shape: Shape, on: bool, left: Items, right: Items) -> Stream<Change<Told>> {
    let (left, right) = (left.key_by(|l| l.row.key), right.key_by(|r| r.row.key));
    let on = move |l: &Row, r: &Row| !on || (l.id + r.id).is_multiple_of(2);
    let name = "told of join";
    match shape {
        Shape::Inner => {
            let rows = left.table_join_on("join", right, Inner, on);
            rows.map_rows(|(l, r)| told(Some(l), Some(r))).stage(name)
        }
        Shape::Left => {
            let rows = left.table_join_on("join", right, LeftOuter, on);
            rows.map_rows(|(l, r)| told(Some(l), r)).stage(name)
        }
        Shape::Right => {
            let rows = left.table_join_on("join", right, RightOuter, on);
            rows.map_rows(|(l, r)| told(l, Some(r))).stage(name)
        }
        Shape::Full => {
            left.table_join_on("join", right, FullOuter, on).map_rows(|(l, r)| told(l, r)).stage(name)
        }
        Shape::Semi => {
            left.table_join_on("join", right, Semi, on).map_rows(|l| told(Some(l), None)).stage(name)
        }
        Shape::Anti => {
            left.table_join_on("join", right, Anti, on).map_rows(|l| told(Some(l), None)).stage(name)
        }
    }
}

/// Per a few keys of its own: what is counted and summed must follow every change.
fn aggregate(rows: Stream<Change<Told>>) -> Stream<Change<Told>> {
    let number = |told: &Told| told.1[0] as i64 % 1000;
    let all = (count(), sum(number), avg(number), min(number), max(number));
    let rows = rows.key_by(|change| change.row.0 % 3).table_aggregate("aggregate", all);
    let told = rows.map_rows(|(key, (count, sum, avg, min, max))| {
        (key, vec![count, sum as u64, avg as u64, min as u64, max as u64], 0)
    });
    told.stage("told of aggregate")
}

fn temporal(outer: bool, left: Items, right: Items) -> Stream<Change<Told>> {
    let (left, right) = (left.map(row).key_by(key), right.key_by(|r| r.row.key));
    match outer {
        true => {
            let rows = left.temporal_join("join", right, LeftOuter);
            rows.map(|(l, r)| told(Some(l), r)).insertions().stage("told of join")
        }
        false => {
            let rows = left.temporal_join("join", right, Inner);
            rows.map(|(l, r)| told(Some(l), Some(r))).insertions().stage("told of join")
        }
    }
}

fn windowed<C, T>(
    rows: Stream<Windowed<u64, T>, C>,
    told: impl Fn(T) -> Told + Clone + Send + 'static,
) -> Stream<Change<Told>>
where
    T: Send + 'static,
    C: Chain<Out = Windowed<u64, T>>,
{
    let told = rows.map(move |w| {
        let (key, ids, _) = told(w.value);
        Change::insert((key, ids, w.window.start))
    });
    told.stage("told of join")
}

fn window(shape: Shape, windows: Sliding, left: Items, right: Items) -> Stream<Change<Told>> {
    let (left, right) = (left.map(row).key_by(key), right.map(row).key_by(key));
    match shape {
        Shape::Inner => {
            windowed(left.window_join("join", right, windows, Inner), |(l, r)| told(Some(l), Some(r)))
        }
        Shape::Left => {
            windowed(left.window_join("join", right, windows, LeftOuter), |(l, r)| told(Some(l), r))
        }
        Shape::Right => {
            windowed(left.window_join("join", right, windows, RightOuter), |(l, r)| told(l, Some(r)))
        }
        Shape::Full => windowed(left.window_join("join", right, windows, FullOuter), |(l, r)| told(l, r)),
        Shape::Semi => windowed(left.window_join("join", right, windows, Semi), |l| told(Some(l), None)),
        Shape::Anti => windowed(left.window_join("join", right, windows, Anti), |l| told(Some(l), None)),
    }
}

/// Every other key has a row in the table. The right side ends in nothing.
fn lookup(outer: bool, left: Items, right: Items) -> Stream<Change<Told>> {
    let left = left.union("both", right.filter(|_| false)).map(row);
    let table = || Ok((0..50).map(|n: u64| (2 * n, n)));
    match outer {
        true => {
            let rows = left.lookup_join("join", table, key, LeftOuter);
            let told = rows.map(|(l, n)| (l.key, vec![l.id, n.unwrap_or(u64::MAX)], 0));
            told.insertions().stage("told of join")
        }
        false => {
            let rows = left.lookup_join("join", table, key, Inner);
            rows.map(|(l, n)| (l.key, vec![l.id, n], 0)).insertions().stage("told of join")
        }
    }
}

/// Depends on the order of the records.
#[derive(Clone)]
struct Digest;

impl Aggregate for Digest {
    type In = Row;
    type Acc = u64;
    type Out = u64;

    fn add(&self, acc: &mut u64, row: &Row) {
        *acc = crate::trace::mix(*acc, row.id);
    }

    fn finish(&self, acc: &u64) -> u64 {
        *acc
    }
}
