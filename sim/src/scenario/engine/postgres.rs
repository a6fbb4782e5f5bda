//! A window into the tables of a database whose connections break, through files on the simulated disk.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use millstream::job::Job;
use millstream::reference::Inputs;
use millstream::source::watermarks::Watermarks;
use millstream_postgres::{Column, PostgresSink, Row as TableRow, Type, Values};

use super::data::{Event, Row, Total, events, feed, outside};
use super::expected::Expected;
use super::windows::Shape;
use super::{Finding, Work};
use crate::disk::DiskView;
use crate::feed::Feed;
use crate::postgres::{Database, Tuple};
use crate::world::World;

const ROWS: &str = "public.rows";
const LATE: &str = "public.late";

impl TableRow for Row<[u64; 3]> {
    const COLUMNS: &'static [Column] = &[
        Column::new("key", Type::Int8),
        Column::new("start", Type::Int8),
        Column::new("count", Type::Int8),
        Column::new("sum", Type::Int8),
        Column::new("chain", Type::Int8),
    ];

    fn put(&self, row: &mut Values<'_>) {
        let [count, sum, chain] = self.value.map(|n| n as i64);
        row.put(&(self.key as i64)).put(&self.start).put(&count).put(&sum).put(&chain);
    }
}

impl TableRow for Event {
    const COLUMNS: &'static [Column] = &[
        Column::new("id", Type::Int8),
        Column::new("key", Type::Int8),
        Column::new("time", Type::Int8),
        Column::new("value", Type::Int8),
    ];

    fn put(&self, row: &mut Values<'_>) {
        row.put(&(self.id as i64)).put(&(self.key as i64)).put(&self.time).put(&(self.value as i64));
    }
}

pub(super) struct Tables {
    shape: Shape,
    feed: Feed<Event>,
    database: Database,
    patience: Duration,
    /// The last row of each key is its row; otherwise each is one.
    upserts: bool,
    expected_rows: Expected<Row<[u64; 3]>>,
    expected_late: Expected<Event>,
    /// By key, all rows that it has in turn.
    in_turn: BTreeMap<u64, Vec<Row<[u64; 3]>>>,
    /// By key, which of them it had when that was last looked at.
    reached: RefCell<BTreeMap<u64, usize>>,
}

impl Tables {
    pub(super) fn new(world: &World) -> Tables {
        let mut random = world.streams().stream("workload");
        let shape = Shape::draw(&mut random);
        let events = events(&mut random, shape.disorder);
        let mut work = Tables {
            shape,
            feed: feed(&mut random, vec![events.clone()]),
            database: Database::new(world.streams().stream("postgres"), outside(&mut random)),
            patience: Duration::from_millis(random.magnitude(60_000)),
            upserts: random.coin(),
            expected_rows: Expected::new("rows", Row::name, Vec::new()),
            expected_late: Expected::new("late", Event::name, Vec::new()),
            in_turn: BTreeMap::new(),
            reached: RefCell::default(),
        };
        let inputs = Inputs::new().with("events", move || vec![events.clone()]);
        let job = work.job();
        let rows: Vec<Row<[u64; 3]>> = job.expected("rows", &inputs);
        for row in &rows {
            work.in_turn.entry(row.key).or_default().push(row.clone());
        }
        work.expected_rows = Expected::new("rows", Row::name, rows);
        work.expected_late = Expected::new("late", Event::name, job.expected("late", &inputs));
        work
    }

    fn sink<T: TableRow + 'static>(&self, table: &str) -> PostgresSink<T> {
        PostgresSink::append(self.database.clone(), table).patience(self.patience)
    }

    /// Whether each key has a row that it has to have at some time, none earlier than before, and in the end the last.
    fn check_latest(&self, rows: Vec<Row<[u64; 3]>>, done: bool) -> Result<(), Finding> {
        let rule = "the row of a key is the last that was put out for it";
        let mut reached = self.reached.borrow_mut();
        for row in &rows {
            let turns = self.in_turn.get(&row.key).map_or(&[][..], Vec::as_slice);
            let turn = turns.iter().rposition(|turn| turn == row);
            let before = reached.get(&row.key).copied().unwrap_or(0);
            match turn.filter(|&turn| turn >= before && (!done || turn + 1 == turns.len())) {
                Some(turn) => drop(reached.insert(row.key, turn)),
                None => {
                    let seen = format!("key {} has {row:?}, which is {turn:?} of {}", row.key, turns.len());
                    return Err(Finding::new(rule, format!("{seen}, after {before}")));
                }
            }
        }
        match done && rows.len() < self.in_turn.len() {
            true => {
                Err(Finding::new(rule, format!("{} keys of {} have one", rows.len(), self.in_turn.len())))
            }
            false => Ok(()),
        }
    }
}

impl Work for Tables {
    fn job(&self) -> Job {
        let job = Job::new("tables");
        let totals = job
            .source("events", self.feed.clone())
            .event_time(|event| event.time, Watermarks::bounded(self.shape.bound))
            .key_by(|event| event.key)
            .window(self.shape.window)
            .aggregate("totals", Total);
        totals.late().sink("late", self.sink("late"));
        let rows = totals.map(Row::new);
        match self.upserts {
            false => rows.sink("rows", self.sink("rows")),
            true => {
                let sink = PostgresSink::upsert(self.database.clone(), "rows", &["key"]);
                rows.sink("rows", sink.patience(self.patience));
            }
        }
        job
    }

    fn check(&self, _: &DiskView, done: bool) -> Result<(), Finding> {
        if done {
            // What was on its way when the job said that it is done must change nothing.
            self.database.settle();
        }
        if let Some(what) = self.database.broken() {
            return Err(Finding::new("the database is asked for what is possible", what));
        }
        let rows = decoded(&self.database.table(ROWS), |[key, start, count, sum, chain]| Row {
            key: key as u64,
            start,
            value: [count, sum, chain].map(|n| n as u64),
        })?;
        let late = decoded(&self.database.table(LATE), |[id, key, time, value]| Event {
            id: id as u64,
            key: key as u64,
            time,
            value: value as u64,
        })?;
        self.expected_late.check(late, done)?;
        if self.upserts { self.check_latest(rows, done) } else { self.expected_rows.check(rows, done) }
    }

    fn calm(&self) {
        self.database.calm();
    }
}

/// The rows of a table all of whose columns are `int8`.
fn decoded<const N: usize, T>(tuples: &[Tuple], make: impl Fn([i64; N]) -> T) -> Result<Vec<T>, Finding> {
    let number = |field: &Option<Vec<u8>>| {
        field.as_deref().and_then(|bytes| bytes.try_into().ok()).map(i64::from_be_bytes)
    };
    let decode = |tuple: &Tuple| {
        let numbers: Option<Vec<i64>> = tuple.iter().map(number).collect();
        let numbers = numbers.and_then(|numbers| <[i64; N]>::try_from(numbers).ok());
        numbers.map(&make).ok_or_else(|| Finding::new("rows are whole", format!("{tuple:?}")))
    };
    tuples.iter().map(decode).collect()
}
