//! The queries of Nexmark, byte for byte: against what Flink made of the same events, against plain code where Flink's
//! result is not there, and the same on any number of cores.

mod command;
mod flink;
mod formats;
mod generator;
mod plain;
mod same;

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use flate2::read::MultiGzDecoder;
use millstream::prelude::*;
use millstream_bench::nexmark::answer;
use millstream_bench::nexmark::event::Event;
use millstream_bench::nexmark::input::Input;
use millstream_bench::nexmark::queries::Query;

/// The order in which the events of the file arrive.
#[derive(Clone, Copy, Debug)]
enum Order {
    /// By time.
    ByTime,
    /// Up to four seconds of event time apart from it: none is late.
    Shuffled,
    /// One in a hundred comes a minute late.
    Late,
}

const ORDERS: [Order; 3] = [Order::ByTime, Order::Shuffled, Order::Late];

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data/nexmark").join(name)
}

/// The events in an order, read once.
fn events(order: Order) -> Vec<Event> {
    static READ: [OnceLock<Vec<Event>>; 3] = [const { OnceLock::new() }; 3];
    let read = || {
        let name = match order {
            Order::ByTime => None,
            Order::Shuffled => Some("events_ooo.idx.gz"),
            Order::Late => Some("events_late.idx.gz"),
        };
        let order = name.map(data);
        Input::read(&data("events.jsonl.gz"), order.as_deref()).expect("the events can be read")
    };
    READ[order as usize].get_or_init(read).clone()
}

fn config(cores: usize, batch: usize) -> Config {
    Config::new().cores(cores).batch_size(batch).runtime(RuntimeKind::Threads).pin(false)
}

/// The table of a query over the events in an order.
fn table(query: Query, order: Order, cores: usize, batch: usize) -> String {
    let table = answer(query, Input::Events(events(order)), config(cores, batch));
    table.unwrap_or_else(|error| panic!("{query:?}, {order:?}, {cores} cores: {error}"))
}

/// A compressed text.
fn unpack(path: &Path) -> String {
    let file = std::fs::File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut text = String::new();
    MultiGzDecoder::new(file).read_to_string(&mut text).expect("it is compressed text");
    text
}

/// Compares two tables, and shows the first line that differs.
fn assert_same(what: &str, ours: &str, theirs: &str) {
    if ours == theirs {
        return;
    }
    let lines = ours.lines().zip(theirs.lines()).enumerate();
    let differs = lines.map(|(at, (a, b))| (at + 1, a, b)).find(|(_, a, b)| a != b);
    let (ours, theirs) = (ours.lines().count(), theirs.lines().count());
    panic!("{what}: {ours} lines instead of {theirs}; the first that differs: {differs:?}");
}
