//! Every benchmark runs, small, so that none can rot.

use std::process::Command;

fn bench(args: &[&str]) -> serde_json::Value {
    let json = tempfile::NamedTempFile::new().expect("a temporary file");
    let path = json.path().to_str().expect("a plain path");
    let mut command = Command::new(env!("CARGO_BIN_EXE_millstream-bench"));
    let output = command.args(args).args(["--json", path]).output().expect("the program starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&std::fs::read(path).expect("it was written")).expect("it is JSON")
}

#[test]
fn keyed_sum_measures_every_combination() {
    let args = ["keyed-sum", "--events", "200000", "--keys", "10,1000", "--cores", "1,2", "--runs", "1"];
    let report = bench(&args);
    let rows = report["rows"].as_array().expect("rows");
    assert_eq!(rows.len(), 4);
    assert!(rows.iter().all(|row| row["median"].as_f64().expect("a figure") > 0.0));
}

#[test]
fn latency_counts_every_record() {
    let report = bench(&["latency", "--rate", "2000", "--seconds", "1", "--warm-up", "0", "--cores", "2"]);
    assert_eq!(report["rows"][0]["samples"], 2000);
}

#[test]
fn restarts_and_slow_checkpoints_are_measured() {
    let report = bench(&["recovery", "--keys", "100", "--runs", "2", "--seconds", "0.2"]);
    assert_eq!(report["rows"].as_array().expect("rows").len(), 5);
    assert!(report["rows"][0]["median ms"].as_f64().expect("a figure") > 0.0);
}

#[test]
fn limits_are_all_measured() {
    let report = bench(&["limits", "--disk-mib", "4", "--events", "100000"]);
    let rows = report["rows"].as_array().expect("rows");
    assert!(rows.len() >= 12);
    assert!(rows.iter().all(|row| row["figure"].as_f64().is_none_or(|figure| figure > 0.0)));
}

#[test]
fn the_store_is_measured_in_every_part_and_loses_no_update() {
    let small = "--keys 2000 --rounds 1 --seconds 0.01 --elements 2000 --pause-mib 1 --snapshots 2 \
                 --overhead-seconds 0.05 --disk-mib 1";
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut args = vec!["store", "--dir", dir.path().to_str().expect("a plain path")];
    args.extend(small.split_whitespace());
    let report = bench(&args);
    let rows = report["rows"].as_array().expect("rows");
    assert!(rows.len() > 30, "{} rows", rows.len());
    assert!(rows.iter().all(|row| row["median"].is_number()), "a figure per row");
    let left: Vec<_> = dir.path().read_dir().expect("it is there").collect();
    assert!(left.is_empty(), "files are left: {left:?}");
}
