//! Where records go: nothing is lost or doubled on the way, and each partitioner keeps its word.

use std::collections::BTreeMap;
use std::thread::{self, ThreadId};

use millstream::prelude::*;

/// The numbers that arrived, by the thread that they arrived on.
fn arrivals(cores: usize, route: impl FnOnce(Stream<u64>) -> Stream<u64>) -> Vec<Vec<u64>> {
    let job = Job::new("partitions");
    let (sink, out) = collect();
    let numbers = job.source("numbers", generator(1_000, |n| n)).stage("numbers as they come");
    let arrived = route(numbers).map(|n| (format!("{:?}", here()), n));
    arrived.sink("out", sink);
    job.run(Config::new().cores(cores).batch_size(16)).expect("the job ends well");
    let mut by_thread = BTreeMap::<String, Vec<u64>>::new();
    out.take().into_iter().for_each(|(thread, n)| by_thread.entry(thread).or_default().push(n));
    let mut all: Vec<u64> = by_thread.values().flatten().copied().collect();
    all.sort_unstable();
    assert_eq!(all, (0..1_000).collect::<Vec<_>>(), "nothing is lost or doubled");
    let mut arrivals: Vec<_> = by_thread.into_values().collect();
    arrivals.sort_by_key(Vec::len);
    arrivals
}

fn here() -> ThreadId {
    thread::current().id()
}

#[test]
fn rebalance_deals_out_evenly() {
    let sizes: Vec<_> = arrivals(4, |numbers| numbers.rebalance("even")).iter().map(Vec::len).collect();
    assert_eq!(sizes, [250; 4]);
}

#[test]
fn shuffle_reaches_every_core_about_evenly() {
    let sizes: Vec<_> = arrivals(4, |numbers| numbers.shuffle("any")).iter().map(Vec::len).collect();
    assert_eq!(sizes.len(), 4);
    assert!(sizes[0] > 150 && sizes[3] < 350, "{sizes:?}");
}

#[test]
fn global_brings_all_to_one_core() {
    assert_eq!(arrivals(3, |numbers| numbers.global("one")).len(), 1);
}

#[test]
fn rescale_goes_on_to_so_many_cores() {
    for (cores, to) in [(4, 2), (4, 1), (3, 2), (2, 4), (1, 1)] {
        assert_eq!(
            arrivals(cores, |numbers| numbers.rescale("few", to)).len(),
            to.min(cores),
            "{cores} to {to}"
        );
    }
}

#[test]
fn a_partitioner_of_ones_own_decides_by_the_record() {
    let by_size =
        |numbers: Stream<u64>| numbers.partition("by size", |n, cores| (*n as usize) * cores / 1_000);
    for part in arrivals(4, by_size) {
        let (least, most) = (part.iter().min(), part.iter().max());
        assert_eq!((part.len(), most.unwrap() - least.unwrap()), (250, 249));
    }
    let far_too_much = |numbers: Stream<u64>| numbers.partition("modulo", |_, _| usize::MAX);
    assert_eq!(arrivals(3, far_too_much).len(), 1);
}

#[test]
fn watermarks_and_the_order_within_one_core_survive_a_detour() {
    let job = Job::new("detour");
    let (sink, out) = collect();
    job.source("numbers", from_vec((0..1_000_u64).collect()))
        .event_time(|n| *n as i64, Watermarks::monotonous())
        .rebalance("away")
        .global("and together")
        .key_by(|_| 0_u8)
        .window(Tumbling::of(millis(10)))
        .reduce("sum", |sum, n| *sum += n)
        .map(|sum| (sum.window.start, sum.value))
        .sink("out", sink);
    let report = job.run(Config::new().cores(3).batch_size(8)).expect("the job ends well");
    let expected: Vec<_> = (0..100).map(|w: i64| (w * 10, (w as u64 * 10..).take(10).sum::<u64>())).collect();
    assert_eq!(out.take(), expected);
    assert_eq!(report.late, 0);
}
