//! The ring beside `rtrb`, and both beside what one cache line costs to change cores.
//!
//! Two threads, pinned to the first two cores that this process may use. `cargo bench -p millstream-ring` runs the
//! cases one after the other by criterion, and before that, in `compare`, ours and theirs in turns, which a noisy
//! machine disturbs alike; it prints the medians.
#![cfg(not(loom))]

mod compare;
mod pin;
mod work;

use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use work::{CASES, Unit};

fn cases(c: &mut Criterion) {
    compare::run();
    let mut group = c.benchmark_group("ring");
    group.sample_size(10).warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(2));
    for case in CASES {
        group.throughput(match case.unit {
            Unit::Items => Throughput::Elements(1),
            Unit::RoundTrips => Throughput::Elements(2),
        });
        group.bench_function(case.name, |b| b.iter_custom(case.run));
    }
    group.finish();
}

criterion_group!(ring, cases);
criterion_main!(ring);
