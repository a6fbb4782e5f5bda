//! The example's job computes what its rules say, whatever it runs on.
//!
//! `FLIGHTS=path cargo test --release -p millstream-tests --test flights_rules -- --nocapture` compares another file
//! of flights instead of January's: plain NDJSON, or gzip if its name ends with `.gz`. With `SETTINGS=all` every
//! setting runs with all of the rules, instead of taking turns.

use std::path::{Path, PathBuf};
use std::time::Duration;

use millstream::host::probe;
use millstream::prelude::*;
use millstream_tests::flights;
use millstream_tests::job;
use millstream_tests::rules::{self, Expected, Rules};

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

const CORES: [usize; 4] = [1, 2, 3, 4];

/// How a job is run.
#[derive(Clone, Copy, Debug)]
struct Setting {
    cores: usize,
    batch_size: usize,
    runtime: RuntimeKind,
}

#[test]
fn rows_and_late_records_follow_the_rules_on_every_runtime() {
    let path = std::env::var_os("FLIGHTS").map_or_else(flights::january, PathBuf::from);
    let text = flights::text(&path);
    let (settings, every) = (settings(), std::env::var_os("SETTINGS").is_some_and(|which| which == "all"));
    let mut runs = 0;
    for (i, rules) in all_rules().into_iter().enumerate() {
        let expected = rules::expected(&text, rules);
        // Each of the rules meets each number of cores; over all of the rules each setting has its turn.
        let turns = if every { 1 } else { settings.len() / CORES.len() };
        for setting in settings.iter().skip(i % turns).step_by(turns) {
            let found = run(&path, rules, *setting);
            rules::compare(&found, &expected, &format!("{rules:?} {setting:?}"));
            runs += 1;
        }
        println!("{rules:?}: {} windows, {} late", expected.rows.len(), expected.late.len());
    }
    println!("{}: {runs} runs, {} records each, no difference", path.display(), text.lines().count());
}

fn all_rules() -> Vec<Rules> {
    let mut all = Vec::new();
    for window in [15 * MINUTE, HOUR, DAY] {
        for bound in [0, 30 * MINUTE, 2 * HOUR, DAY] {
            for lateness in [0, HOUR] {
                all.push(Rules { window, bound, lateness });
            }
        }
    }
    all
}

/// The same ones for each number of cores.
fn settings() -> Vec<Setting> {
    let uring = probe::probe().is_ok();
    let runtimes: &[_] =
        if uring { &[RuntimeKind::Threads, RuntimeKind::Uring] } else { &[RuntimeKind::Threads] };
    let mut all = Vec::new();
    for cores in CORES {
        for batch_size in [1, 7, 1024] {
            all.extend(runtimes.iter().map(|&runtime| Setting { cores, batch_size, runtime }));
        }
    }
    all
}

fn run(path: &Path, rules: Rules, setting: Setting) -> Expected {
    let ((hours, rows), (aside, late)) = (collect(), collect());
    let millis = |n: i64| Duration::from_millis(u64::try_from(n).expect("rules are not negative"));
    let rules = job::Rules {
        window: millis(rules.window),
        out_of_orderness: millis(rules.bound),
        allowed_lateness: millis(rules.lateness),
    };
    let Setting { cores, batch_size, runtime } = setting;
    let config = Config::new().cores(cores).batch_size(batch_size).runtime(runtime);
    let report = job::flights(files([path]), rules, hours, aside).run(config);
    let report = report.unwrap_or_else(|error| panic!("{rules:?} {setting:?}: {error}"));
    let (rows, late) = (rows.take(), late.take());
    assert_eq!(report.late, late.len() as u64, "{rules:?} {setting:?}: the count of late records");
    rules::collected(json(&rows), json(&late))
}

fn json<T: serde::Serialize>(records: &[T]) -> Vec<String> {
    records.iter().map(|record| serde_json::to_string(record).expect("a record is JSON")).collect()
}
