//! The command itself, as a user calls it.

use std::process::{Command, Output};

use crate::{data, unpack};

fn nexmark(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_millstream-bench"));
    command.arg("nexmark").args(args).output().expect("the program starts")
}

fn path(path: &std::path::Path) -> &str {
    path.to_str().expect("a plain path")
}

#[test]
fn a_file_in_another_order_becomes_a_table() {
    let table = tempfile::NamedTempFile::new().expect("a temporary file");
    let (events, order) = (data("events.jsonl.gz"), data("events_late.idx.gz"));
    let files = ["--input", path(&events), "--order", path(&order), "--output", path(table.path())];
    let output = nexmark(&[&["--query", "x1", "--runtime", "threads"], &files[..]].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let written = std::fs::read_to_string(table.path()).expect("it was written");
    assert!(written == unpack(&data("flink/x1_tumble_auction_late.csv.gz")), "the table differs");
}

#[test]
fn every_query_is_measured_with_the_generator_inside() {
    let json = tempfile::NamedTempFile::new().expect("a temporary file");
    let args = "--query all --events 20000 --repeat 1 --cores 2 --runtime threads --json";
    let output = nexmark(&args.split(' ').chain([path(json.path())]).collect::<Vec<_>>());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = std::fs::read_to_string(json.path()).expect("it was written");
    let report: serde_json::Value = serde_json::from_str(&text).expect("it is JSON");
    let rows = report["rows"].as_array().expect("rows");
    assert_eq!(rows.len(), 23);
    assert!(rows.iter().all(|row| row["median"].as_f64().is_some_and(|speed| speed > 0.0)));
}

#[test]
fn what_is_asked_for_wrongly_is_refused_with_the_reason() {
    let cases = [
        (["--query", "q99", "--events", "10"], "q99"),
        (["--query", "q0", "--input", "there-is-none.jsonl"], "--output"),
    ];
    for (args, reason) in cases {
        let output = nexmark(&args);
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && message.contains(reason), "{message}");
    }
}
