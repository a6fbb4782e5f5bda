//! Against Flink's results: those out of order are the same as in order, and late events have results of their own.

use clap::ValueEnum;
use millstream_bench::nexmark::queries::Query;

use crate::{ORDERS, Order, assert_same, data, table, unpack};

/// The queries of which Flink's result is there, and under which name.
const RESULTS: [&str; 13] = [
    "q2",
    "q3",
    "q4",
    "q5",
    "q8",
    "q11",
    "q13",
    "q15",
    "q17",
    "q21",
    "x1_tumble_auction",
    "x2_tumble_all",
    "x5_interval_join",
];

/// Of these there is a result with late events. Those that have no notion of late are the same in any order.
const WITH_LATE: [&str; 3] = ["q5", "x1_tumble_auction", "x5_interval_join"];
const IN_ANY_ORDER: [&str; 7] = ["q2", "q3", "q4", "q13", "q15", "q17", "q21"];

/// Flink's result of a query over the events in an order, if it is known.
fn result(name: &str, order: Order) -> Option<String> {
    let is_late = matches!(order, Order::Late);
    if is_late && !WITH_LATE.contains(&name) && !IN_ANY_ORDER.contains(&name) {
        return None;
    }
    let late = if is_late && WITH_LATE.contains(&name) { "_late" } else { "" };
    Some(unpack(&data(&format!("flink/{name}{late}.csv.gz"))))
}

fn compare(name: &str, order: Order, cores: usize, batch: usize) {
    let Some(flink) = result(name, order) else { return };
    let query = Query::from_str(name, true).expect("it is a query");
    let ours = table(query, order, cores, batch);
    assert_same(&format!("{name}, {order:?}, {cores} cores, batches of {batch}"), &ours, &flink);
}

#[test]
fn results_in_order_are_those_of_flink() {
    RESULTS.iter().for_each(|name| compare(name, Order::ByTime, 2, 1024));
}

#[test]
fn results_out_of_order_are_those_of_flink() {
    RESULTS.iter().for_each(|name| compare(name, Order::Shuffled, 2, 100));
}

#[test]
fn results_with_late_events_are_those_of_flink() {
    RESULTS.iter().for_each(|name| compare(name, Order::Late, 4, 1024));
}

/// `cargo test --release -p millstream-bench --test nexmark -- --ignored` runs it, in some minutes.
#[test]
#[ignore = "every result in every order, on 1, 2 and 4 cores, with batches of 1 to 4096: minutes"]
fn every_result_is_that_of_flink_on_any_number_of_cores() {
    for name in RESULTS {
        for order in ORDERS {
            for cores in [1, 2, 4] {
                [1, 7, 4096].into_iter().for_each(|batch| compare(name, order, cores, batch));
            }
        }
    }
}
