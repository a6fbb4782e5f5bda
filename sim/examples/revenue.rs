//! A job that holds: revenue per shop and hour, with sales that come out of order, late and twice.
//!
//! `cargo run -p millstream-sim --example revenue` simulates it; so does its test.

use millstream::prelude::*;
use millstream::sink::Sink;
use millstream::source::Source;
use millstream_sim::prelude::*;

/// A sale, at a time in milliseconds.
#[derive(Clone, Debug, PartialEq)]
struct Sale {
    at: i64,
    shop: &'static str,
    cents: u64,
}

/// What a shop took in an hour.
#[derive(Clone, Debug, PartialEq)]
struct Revenue {
    shop: String,
    hour: i64,
    cents: u64,
}

/// Adds up.
#[derive(Clone)]
struct Sum;

impl Aggregate for Sum {
    type In = Sale;
    type Acc = u64;
    type Out = u64;

    fn add(&self, cents: &mut u64, sale: &Sale) {
        *cents += sale.cents;
    }

    fn finish(&self, cents: &u64) -> u64 {
        *cents
    }
}

/// The job, as production runs it: what it reads and writes are parameters.
fn revenue(sales: impl Source<Sale>, out: impl Sink<Revenue>, late: impl Sink<Sale>) -> Job {
    let job = Job::new("revenue");
    let hourly = job
        .source("sales", sales)
        .event_time(|sale| sale.at, Watermarks::bounded(minutes(5)))
        .key_by(|sale| sale.shop.to_owned())
        .window(Tumbling::of(hours(1)))
        .aggregate("hourly", Sum);
    hourly.late().sink("late", late);
    hourly.map(|w| Revenue { shop: w.key, hour: w.window.start, cents: w.value }).sink("revenue", out);
    job
}

/// Some hours of sales, about one a minute.
fn sales(random: &mut Random) -> Vec<Sale> {
    let mut at = 0;
    let mut sale = |_| {
        at += random.below(120_000) as i64;
        let shop = *random.pick(&["baker", "grocer", "smith"]);
        Sale { at, shop, cents: random.range(1, 9_999) }
    };
    (0..400).map(&mut sale).collect()
}

/// One stream of sales: some come more than five minutes late, and these must be in the late stream.
fn one_stream(sim: &mut Simulation<'_>) {
    let feed = sim.feed("sales", sales).out_of_order(minutes(5), |sale| sale.at).straggling(1, 30, 20);
    let feed = feed.duplicated(1, 50).pausing(millis(20));
    let rows = sim.sink("revenue", |row: &Revenue| row.shop.clone());
    let late = sim.sink("late", |sale: &Sale| sale.shop);
    sim.always({
        let rows = rows.clone();
        move |_| assert_unique(&rows.committed(), |row| (row.shop.clone(), row.hour))
    });
    sim.run(|| revenue(feed.clone(), rows.clone(), late.clone()));
    let total = |sales: &[Sale]| sales.iter().map(|sale| sale.cents).sum::<u64>();
    let taken: u64 = rows.committed().iter().map(|row| row.cents).sum();
    assert_eq!(taken + total(&late.committed()), total(&feed.records()[0]), "no sale is lost");
}

/// Three streams of them, each of some shops, and none more than five minutes late.
fn three_streams(sim: &mut Simulation<'_>) {
    let feed = sim.feed("sales", sales).splits(3, |sale| sale.shop).out_of_order(minutes(5), |sale| sale.at);
    let rows = sim.sink("revenue", |row: &Revenue| row.shop.clone());
    let late = sim.sink("late", |sale: &Sale| sale.shop);
    sim.run(|| revenue(feed.clone(), rows.clone(), late.clone()));
    assert!(late.committed().is_empty());
}

fn main() {
    check("revenue of one stream", one_stream);
    check("revenue of three streams", three_streams);
    explore("revenue, killed at each point", three_streams);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn revenue_is_exact() {
        check("revenue of one stream", one_stream);
    }

    #[test]
    fn revenue_of_several_streams_is_exact() {
        check("revenue of three streams", three_streams);
    }
}
