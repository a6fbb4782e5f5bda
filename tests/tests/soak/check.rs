//! Everything is there once, in its order, and nothing else.

use std::path::Path;

use millstream_tests::postgres::Database;
use millstream_tests::readers::{
    csv, lines, parquet_by_arrow, parquet_by_crate, topic_by_format, topic_by_job,
};
use millstream_tests::shop::expected::{Expected, compare, compare_all, expected, latest};

use crate::round::Round;

/// Reads all that a round has written, and returns how many rows that were.
///
/// # Panics
/// If a row is missing, too many, or out of its order.
pub fn check(round: &Round<'_>) -> u64 {
    let must = expected(round.seed, round.orders);
    assert!(must.late.len() as u64 > round.orders / 100, "some come late");
    for (name, rows) in [("orders", &must.orders), ("payments", &must.payments)] {
        // Of one partition.
        same_in_topic(&round.place(name), rows, "the feeder", compare_all);
    }
    let mut read = 0;
    for (topic, parquet, rows) in
        [("settled", "parquet", &must.settled), ("late", "late-parquet", &must.late)]
    {
        read += same_in_topic(&round.place(topic), rows, "the job", compare);
        let parquet = round.place(parquet);
        let by_arrow = parquet_by_arrow(&parquet).map(|found| (found, "Arrow's C++ library"));
        for (found, who) in by_arrow.into_iter().chain([(parquet_by_crate(&parquet), "the crate")]) {
            compare(&found, rows, &format!("{} read by {who}", parquet.display()));
            read += found.len() as u64;
        }
    }
    for (name, found, rows) in [
        ("csv", csv(&round.place("csv")), &must.settled),
        ("long", lines(&round.place("long")), &must.settled),
        ("late-lines", lines(&round.place("late-lines")), &must.late),
    ] {
        compare(&found, rows, name);
        read += found.len() as u64;
    }
    read + round.database.as_ref().map_or(0, |database| tables(database, &must))
}

/// Compares a topic that somebody has written.
fn same_in_topic(dir: &Path, rows: &[String], writer: &str, compare: fn(&[String], &[String], &str)) -> u64 {
    let by_format = topic_by_format(dir).map(|found| (found, "its format"));
    let mut read = 0;
    for (found, how) in by_format.into_iter().chain([(topic_by_job(dir), "a job")]) {
        compare(&found, rows, &format!("topic {} of {writer}, read by {how}", dir.display()));
        read += found.len() as u64;
    }
    read
}

/// Compares the tables, as `psql` prints them.
fn tables(database: &Database<'_>, must: &Expected) -> u64 {
    const SETTLED: &str = "shop, start, orders, cents, payment, paid";
    let mut read = 0;
    for (table, columns, order, rows) in [
        ("settled", SETTLED, "n", &must.settled),
        ("late", "id, at, shop, cents", "n", &must.late),
        ("latest", SETTLED, "shop", &latest(&must.settled)),
    ] {
        let rows_as_json =
            format!("SELECT row_to_json(t) FROM (SELECT {columns} FROM {table} ORDER BY {order}) t");
        let found: Vec<_> = database.psql(&rows_as_json).lines().map(str::to_owned).collect();
        compare(&found, rows, &format!("table {table}"));
        read += found.len() as u64;
    }
    assert_eq!(database.psql("SELECT count(*) FROM pg_prepared_xacts"), "0", "nothing is left behind");
    read
}
