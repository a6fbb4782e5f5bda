//! From a topic into a topic and files, all on the simulated disk: the job opens them as it does in production, by their
//! paths. What a crash leaves of them is what a power loss would leave.
//!
//! `cargo run -p millstream-sim --example topics` simulates it; so does its test.

use millstream::prelude::*;
use millstream_sim::prelude::*;
use serde::{Deserialize, Serialize};

/// A reading of a sensor, at a time in milliseconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Reading {
    at: i64,
    sensor: u32,
    celsius: i32,
}

/// The greatest of a minute.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Peak {
    sensor: u32,
    minute: i64,
    celsius: i32,
}

#[derive(Clone)]
struct Greatest;

impl Aggregate for Greatest {
    type In = Reading;
    type Acc = Option<i32>;
    type Out = i32;

    fn add(&self, greatest: &mut Option<i32>, reading: &Reading) {
        *greatest = (*greatest).max(Some(reading.celsius));
    }

    fn finish(&self, greatest: &Option<i32>) -> i32 {
        greatest.unwrap_or(i32::MIN)
    }
}

/// Peaks go into a topic, and those that are too high into files, too.
fn peaks(dir: &str) -> Job {
    let job = Job::new("peaks");
    let peaks = job
        .source("readings", topic(format!("{dir}/input/readings")))
        .event_time(|reading: &Reading| reading.at, Watermarks::bounded(secs(10)))
        .key_by(|reading| reading.sensor)
        .window(Tumbling::of(minutes(1)))
        .aggregate("peak", Greatest)
        .map(|w| Peak { sensor: w.key, minute: w.window.start, celsius: w.value })
        .stage("peaks of a minute");
    peaks.clone().filter(|peak| peak.celsius > 90).sink("alarms", ndjson_dir(format!("{dir}/output/alarms")));
    peaks.sink("peaks", topic_sink(format!("{dir}/output/peaks")));
    job
}

fn readings(random: &mut Random) -> Vec<Reading> {
    let mut at = 0;
    let mut reading = |_| {
        at += random.below(2_000) as i64;
        Reading { at, sensor: random.below(6) as u32, celsius: random.range(0, 100) as i32 }
    };
    (0..500).map(&mut reading).collect()
}

fn simulated(sim: &mut Simulation<'_>) {
    let feed = sim.feed("readings", readings).splits(2, |reading| reading.sensor);
    feed.out_of_order(secs(10), |reading| reading.at).in_topic("plant/input/readings");
    let peaks_of_all = sim.topic_sink("peaks", "plant/output/peaks", |peak: &Peak| peak.sensor);
    let alarms = sim.files_sink("alarms", "plant/output/alarms", |peak: &Peak| peak.sensor);
    sim.config(|config| config.retained_checkpoints(2));
    sim.at_end(move |_| {
        // Two sinks of one job: what is in one of them agrees with what is in the other.
        let hot: Vec<_> = peaks_of_all.committed().into_iter().filter(|peak| peak.celsius > 90).collect();
        assert_same(&alarms.committed(), &hot, |peak| (peak.sensor, peak.minute));
    });
    sim.run(|| peaks("plant"));
}

fn main() {
    check("peaks", simulated);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peaks_are_exact() {
        check("peaks", simulated);
    }
}
