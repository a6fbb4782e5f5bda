//! Results depend on nothing but the events and, where they can be late, their order.

use millstream::prelude::*;
use millstream_bench::nexmark::answer;
use millstream_bench::nexmark::input::Input;
use millstream_bench::nexmark::queries::Query;

use crate::{Order, assert_same, config, data, table};

/// All but the one that goes by the clock.
fn queries() -> impl Iterator<Item = Query> {
    Query::ALL.iter().copied().filter(|query| *query != Query::Q12)
}

#[test]
fn late_events_are_the_same_late_on_any_number_of_cores() {
    for query in [Query::Q5, Query::Q7, Query::Q8, Query::Q11, Query::X1, Query::X2, Query::X5] {
        let one = table(query, Order::Late, 1, 1024);
        assert_same(&format!("{query:?}, 4 cores, batches of 7"), &table(query, Order::Late, 4, 7), &one);
    }
}

#[test]
fn a_file_is_read_as_events_are() {
    let file = Input::open(&data("events.jsonl.gz"), None).expect("the file is there");
    let read = answer(Query::X2, file, config(2, 1024)).expect("the job runs");
    assert_same("x2", &read, &table(Query::X2, Order::ByTime, 2, 1024));
}

/// `cargo test --release -p millstream-bench --test nexmark -- --ignored` runs it, in some minutes.
#[test]
#[ignore = "every query in every order, on 1, 2 and 4 cores: minutes"]
fn every_result_is_the_same_on_any_number_of_cores() {
    for query in queries() {
        for order in crate::ORDERS {
            let one = table(query, order, 1, 1024);
            for (cores, batch) in [(2, 1), (2, 1024), (4, 33)] {
                let what = format!("{query:?}, {order:?}, {cores} cores, batches of {batch}");
                assert_same(&what, &table(query, order, cores, batch), &one);
            }
        }
    }
}

#[test]
fn out_of_order_is_as_in_order() {
    // Not q6, whose ties are by order, and what Flink's results show elsewhere.
    for query in [Query::Q7, Query::Q9, Query::Q16, Query::Q20] {
        let in_order = table(query, Order::ByTime, 2, 1024);
        assert_same(&format!("{query:?}"), &table(query, Order::Shuffled, 2, 1024), &in_order);
    }
}

/// The clock's windows hold every bid that came before the last of them began.
#[test]
fn windows_of_the_clock_never_count_a_bid_twice() {
    let table = table(Query::Q12, Order::ByTime, 2, 1024);
    let mut seen = std::collections::BTreeSet::new();
    let mut bids = 0;
    for line in table.lines().skip(1) {
        let fields: Vec<Timestamp> = line.split(',').map(|n| n.parse().expect("a number")).collect();
        assert_eq!((fields[2] % 10_000, fields[3]), (0, fields[2] + 10_000), "{line}");
        assert!(seen.insert((fields[0], fields[2])), "a window twice: {line}");
        bids += fields[1];
    }
    assert!(bids <= 184_000, "{bids} bids");
}
