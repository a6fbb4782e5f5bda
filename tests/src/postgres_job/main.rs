//! A job into PostgreSQL that kills itself where it is told to: `postgres_job ADDRESS CHECKPOINTS RECORDS CORES`.
//!
//! `DIE_AT=point:n` kills it when it comes to a point for the n-th time, and `STOP_AT=point:n` stops it there. Points are
//! `pre-commit`, `commit` and `recovery`, each `:before` and `:after`, and the steps of sessions (`Lock`, `Rows`, `Apply`,
//! `Mark`, `Commit`, `TakeOver`, `Prepare`): `:before` one is sent, once it is `:sent`, and `:after` it was answered.
//! `SLOW` makes it last: so many microseconds for ten records.

mod points;

use std::time::Duration;

use millstream::prelude::*;
use millstream_postgres::{Column, Millis, PostgresSink, Row, Type, Values, postgres};
use points::Deadly;

/// Keys, and milliseconds from one record to the next: the statements that check the tables have them, too.
const KEYS: u64 = 17;
const STEP: i64 = 10;

/// The result of a window.
struct Total {
    key: i32,
    start: i64,
    count: i64,
    sum: i64,
}

impl Row for Total {
    const COLUMNS: &'static [Column] = &[
        Column::new("key", Type::Int4),
        Column::new("start", Type::Timestamptz),
        Column::new("count", Type::Int8),
        Column::new("sum", Type::Int8),
    ];

    fn put(&self, row: &mut Values<'_>) {
        row.put(&self.key).put(&Millis(self.start)).put(&self.count).put(&self.sum);
    }
}

/// What a key has come to.
struct Latest(i32, i64, i64);

impl Row for Latest {
    const COLUMNS: &'static [Column] =
        &[Column::new("key", Type::Int4), Column::new("count", Type::Int8), Column::new("sum", Type::Int8)];

    fn put(&self, row: &mut Values<'_>) {
        row.put(&self.0).put(&self.1).put(&self.2);
    }
}

/// Counts and adds up.
#[derive(Clone)]
struct Sum;

impl Aggregate for Sum {
    type In = u64;
    type Acc = (u64, u64);
    type Out = (u64, u64);

    fn add(&self, acc: &mut (u64, u64), n: &u64) {
        acc.0 += 1;
        acc.1 += n;
    }

    fn finish(&self, acc: &(u64, u64)) -> (u64, u64) {
        *acc
    }
}

/// Slowly, if that is asked for: so that many checkpoints are taken.
fn pace() -> impl Fn(u64) -> u64 + Clone + Send + 'static {
    let slow = std::env::var("SLOW").ok().map(|micros| micros.parse().expect("microseconds"));
    move |n| {
        if let Some(micros) = slow.filter(|_| n.is_multiple_of(10)) {
            std::thread::sleep(Duration::from_micros(micros));
        }
        n
    }
}

fn job(address: &str, records: u64) -> Job {
    let job = Job::new("to postgres");
    let server = || Deadly(postgres(address));
    // Whatever the machine is busy with.
    let patience = secs(300);
    let totals = PostgresSink::append(server(), "totals").patience(patience);
    let latest = PostgresSink::upsert(server(), "latest", &["key"]).patience(patience);
    job.source("numbers", generator(records, |n| n))
        .event_time(|n| *n as i64 * STEP, Watermarks::bounded(secs(1)))
        .map(pace())
        .key_by(|n| n % KEYS)
        .window(Tumbling::of(secs(1)))
        .aggregate("totals", Sum)
        .map(|total| Total {
            key: total.key as i32,
            start: total.window.start,
            count: total.value.0 as i64,
            sum: total.value.1 as i64,
        })
        .sink("to totals", Deadly(totals));
    job.source("others", generator(records, |n| n))
        .map(pace())
        .key_by(|n| n % KEYS)
        .aggregate("latest", Sum)
        .map(|(key, (count, sum))| Latest(key as i32, count as i64, sum as i64))
        .sink("to latest", Deadly(latest));
    job
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, checkpoints, records, cores] = &arguments[..] else {
        return Err(Error::new(ErrorKind::Config, "usage: postgres_job ADDRESS CHECKPOINTS RECORDS CORES"));
    };
    let number = |text: &str| text.parse().map_err(|_| Error::new(ErrorKind::Config, "not a number"));
    let config = Config::new()
        .cores(number(cores)? as usize)
        .checkpoints(checkpoints)
        .max_parallelism(64)
        // A checkpoint goes on between steps only.
        .batch_size(20)
        .step_budget(20)
        .checkpoint_every(Duration::from_millis(10));
    let report = job(address, number(records)?).run(config)?;
    println!("{} checkpoints, restored {:?}", report.checkpoints, report.restored);
    Ok(())
}
