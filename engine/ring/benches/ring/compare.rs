//! All cases in turns, several rounds, and the median of each.

use std::time::Duration;

use crate::work::{CASES, Unit};

/// Many short rounds: most then fall between two disturbances by other processes.
const ROUNDS: usize = 31;

/// Runs and prints, in a few seconds.
pub fn run() {
    let mut times = vec![Vec::new(); CASES.len()];
    for _ in 0..ROUNDS {
        for (case, times) in CASES.iter().zip(&mut times) {
            times.push((case.run)(units(case.unit)));
        }
    }
    println!("medians of {ROUNDS} rounds in turns:");
    for (case, times) in CASES.iter().zip(&mut times) {
        times.sort_unstable();
        let (fastest, median, slowest) = (times[0], times[ROUNDS / 2], times[ROUNDS - 1]);
        let show = |time| figure(case.unit, time);
        println!("{:20} {} ({} .. {})", case.name, show(median), show(slowest), show(fastest));
    }
}

fn units(unit: Unit) -> u64 {
    match unit {
        Unit::Items => 1_000_000,
        Unit::RoundTrips => 10_000,
    }
}

fn figure(unit: Unit, time: Duration) -> String {
    let seconds = time.as_secs_f64() / units(unit) as f64;
    match unit {
        Unit::Items => format!("{:8.1} M items/s", 1e-6 / seconds),
        Unit::RoundTrips => format!("{:6.1} ns there and back", 1e9 * seconds),
    }
}
