//! Orders are summed up in windows, and joined with the payments of the same window. The results go to a topic, to tables
//! and to files of every kind, and so do the orders that come too late.

use std::path::Path;
use std::time::Duration;

use millstream::join::FullOuter;
use millstream::prelude::*;
use millstream::source::TopicSource;
use millstream_parquet::Parquet;
use millstream_postgres::{Column, Row, Type, Values, postgres};
use millstream_tests::shop::{ORDERS_BOUND, Order, PAYMENTS_BOUND, Payment, Settled, WINDOW};
use serde::de::DeserializeOwned;

use crate::Run;
use crate::told::Told;

/// The orders of a shop in a window.
#[derive(Clone, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
struct Total {
    shop: i32,
    orders: i64,
    cents: i64,
}

#[derive(Clone)]
struct Sum;

impl Aggregate for Sum {
    type In = Order;
    type Acc = (i64, i64);
    type Out = (i64, i64);

    fn add(&self, (orders, cents): &mut (i64, i64), order: &Order) {
        *orders += 1;
        *cents += order.cents;
    }

    fn finish(&self, total: &(i64, i64)) -> (i64, i64) {
        *total
    }
}

/// A row of the table `settled`, and by its shop of the table `latest`.
struct SettledRow(Settled);

impl Row for SettledRow {
    const COLUMNS: &'static [Column] = &[
        Column::new("shop", Type::Int4),
        Column::new("start", Type::Int8),
        Column::new("orders", Type::Int8),
        Column::new("cents", Type::Int8),
        Column::new("payment", Type::Int8),
        Column::new("paid", Type::Int8),
    ];

    fn put(&self, row: &mut Values<'_>) {
        let Settled { shop, start, orders, cents, payment, paid } = &self.0;
        row.put(shop).put(start).put(orders).put(cents).put(payment).put(paid);
    }
}

/// A row of the table `late`.
struct LateRow(Order);

impl Row for LateRow {
    const COLUMNS: &'static [Column] = &[
        Column::new("id", Type::Int8),
        Column::new("at", Type::Int8),
        Column::new("shop", Type::Int4),
        Column::new("cents", Type::Int8),
    ];

    fn put(&self, row: &mut Values<'_>) {
        row.put(&self.0.id).put(&self.0.at).put(&self.0.shop).put(&self.0.cents);
    }
}

fn input<T: DeserializeOwned>(dir: &Path, name: &str, follow: bool) -> TopicSource<T> {
    let source = topic(dir.join(name)).poll_every(millis(1));
    if follow { source.follow() } else { source }
}

fn millis_of(time: i64) -> Duration {
    millis(u64::try_from(time).expect("a length is not negative"))
}

/// The job, with all that it reads and writes in a directory, but for the tables.
pub fn settle(Run { dir, postgres, pause, follow, .. }: &Run) -> Job {
    let (server, pause, follow) = (postgres.as_deref(), Duration::from_micros(*pause), *follow);
    let job = Job::new("settle");
    let windows = || Tumbling::of(millis_of(WINDOW));
    let totals = job
        .source("orders", input::<Order>(dir, "orders", follow))
        .event_time(|order| order.at, Watermarks::bounded(millis_of(ORDERS_BOUND)))
        .map(move |order| {
            if order.id % 50 == 0 {
                std::thread::sleep(pause);
            }
            order
        })
        .key_by(|order| order.shop)
        .window(windows())
        .aggregate("totals", Sum);
    let payments = job
        .source("payments", input::<Payment>(dir, "payments", follow))
        .event_time(|payment| payment.at, Watermarks::bounded(millis_of(PAYMENTS_BOUND)))
        .key_by(|payment| payment.shop)
        .unaligned();
    let late = totals.late();
    let settled = totals
        .map(|total| Total { shop: total.key, orders: total.value.0, cents: total.value.1 })
        .key_by(|total| total.shop)
        .window_join("settled", payments, windows(), FullOuter)
        .map(settled)
        .stage("rows");
    write_settled(&settled, dir, server);
    write_late(&late, dir, server);
    job
}

fn settled(met: Windowed<i32, (Option<Total>, Option<Payment>)>) -> Settled {
    let (total, payment) = met.value;
    Settled {
        shop: met.key,
        start: met.window.start,
        orders: total.as_ref().map(|total| total.orders),
        cents: total.map(|total| total.cents),
        payment: payment.as_ref().map(|payment| payment.id),
        paid: payment.map(|payment| payment.paid),
    }
}

/// To a topic of several partitions, rolling files, and two tables.
fn write_settled(settled: &Stream<Settled>, dir: &Path, server: Option<&str>) {
    let half = |row: &Settled| format!("half={}", row.shop % 2);
    let by_shop = |row: &Settled, key: &mut Vec<u8>| key.extend(row.shop.to_le_bytes());
    let to_topic = topic_sink(dir.join("settled")).partitions(3).key_by(by_shop).segment_bytes(400_000);
    settled.clone().sink("topic", Told(to_topic));
    let parquet = Parquet::of::<Settled>().row_group_bytes(20_000);
    let parquet = file_sink(dir.join("parquet")).format(parquet).roll_at(40_000);
    settled.clone().sink("parquet", Told(parquet.partition_by(half)));
    let csv = file_sink(dir.join("csv")).csv().roll_at(30_000);
    settled.clone().sink("csv", Told(csv.partition_by(half)));
    let long = file_sink(dir.join("long")).across_checkpoints().roll_at(1 << 20).roll_after(millis(300));
    settled.clone().sink("long", Told(long.partition_by(half)));
    if let Some(server) = server.map(postgres) {
        let rows = settled.clone().map(SettledRow);
        rows.clone().sink("table", Told(server.clone().append("settled")));
        rows.sink("latest", Told(server.upsert("latest", &["shop"])));
    }
}

/// To a topic, files of lines, and a table.
fn write_late(late: &Stream<Order>, dir: &Path, server: Option<&str>) {
    late.clone().sink("late topic", Told(topic_sink(dir.join("late"))));
    late.clone().sink("late lines", Told(ndjson_dir(dir.join("late-lines"))));
    let parquet = file_sink(dir.join("late-parquet")).format(Parquet::of::<Order>());
    late.clone().sink("late parquet", Told(parquet));
    if let Some(server) = server.map(postgres) {
        late.clone().map(LateRow).sink("late table", Told(server.append("late")));
    }
}
