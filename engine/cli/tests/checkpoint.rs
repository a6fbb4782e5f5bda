//! `millstream checkpoint` on the checkpoints of a job.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use millstream::prelude::*;
use tempfile::TempDir;

/// Those of a job that has ended, with a thousand keys.
fn checkpoints() -> TempDir {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let job = job("sums");
    let config = Config::new().cores(2).checkpoints(dir.path()).retained_checkpoints(1000);
    job.run(config.checkpoint_every(millis(1))).expect("the job ends well");
    dir
}

fn job(sums: &str) -> Job {
    let job = Job::new("tools");
    job.source("numbers", generator(200_000, |n| n))
        .key_by(|n: &u64| n % 1000)
        .process(sums, Sums)
        .sink("nowhere", discard());
    job
}

#[derive(Clone)]
struct Sums;

impl Process for Sums {
    type Key = u64;
    type In = u64;
    type Out = u64;
    type State = Value<u64>;
    fn declare(&self, declare: &mut Declare) -> Value<u64> {
        declare.value("sum")
    }
    fn on_record(&mut self, n: u64, sum: &Value<u64>, cx: &mut Context<'_, Self>) {
        sum.update(cx, |sum| *sum += n);
    }
}

fn millstream(dir: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_millstream"));
    command.arg("checkpoint").args(&arguments[..1]).arg(dir).args(&arguments[1..]);
    command.output().expect("the program can be started")
}

#[track_caller]
fn says(dir: &Path, arguments: &[&str], parts: &[&str]) -> String {
    let output = millstream(dir, arguments);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    for part in parts {
        assert!(said.contains(part), "{arguments:?} should say {part:?}:\n{said}");
    }
    said
}

fn state_files(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir.join("data")).expect("the directory of state files");
    entries.map(|entry| entry.expect("an entry").path()).collect()
}

#[test]
fn checkpoints_are_listed_shown_verified_and_compared() {
    let dir = checkpoints();
    let listed = says(dir.path(), &["ls"], &["EPOCH", "tools", "finished"]);
    let rows = listed.lines().count() - 1;
    says(dir.path(), &["show"], &["job `tools`", "step `sums`: process", "sum", "1000", "has ended"]);
    let verified = says(dir.path(), &["verify"], &["its manifest", "records in"]);
    assert_eq!(verified.lines().filter(|line| line.contains("its manifest")).count(), rows, "{verified}");
    assert!(verified.lines().all(|line| line.starts_with("ok ")), "{verified}");
    if rows > 1 {
        says(dir.path(), &["diff"], &["→", "shared", "sums"]);
    }
}

#[test]
fn damage_is_named_with_file_and_offset() {
    let dir = checkpoints();
    let file = state_files(dir.path()).into_iter().next().expect("a state file");
    let mut bytes = fs::read(&file).expect("the file can be read");
    bytes[100] ^= 1;
    fs::write(&file, bytes).expect("the file can be written");
    let output = millstream(dir.path(), &["verify"]);
    let said = String::from_utf8_lossy(&output.stdout);
    let named = said.lines().find(|line| line.starts_with("DAMAGED")).expect("damage is found");
    assert!(named.contains(&file.display().to_string()) && named.contains("at byte 0"), "{named}");
    assert!(!output.status.success());
}

#[test]
fn what_is_not_there_is_said() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    for (arguments, part) in [(&["ls"][..], "holds no checkpoint"), (&["show", "7"], "holds no checkpoint")] {
        let output = millstream(dir.path(), arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains(part), "{said}");
    }
}

#[test]
fn whether_a_job_can_start_is_told_by_its_description() {
    let dir = checkpoints();
    let description = dir.path().join("job.json");
    let describe = |sums: &str, config: Config| {
        let described = job(sums).describe(&config).expect("the job is well formed");
        described.save(&description).expect("it can be written");
    };
    let check = ["check", "--job", description.to_str().expect("a plain path")];
    describe("sums", Config::new().cores(3));
    says(dir.path(), &check, &["the job has ended with checkpoint", "step `sums`: restored"]);
    describe("totals", Config::new().cores(3).renamed("sums", "totals"));
    says(dir.path(), &check, &["step `totals`: restored from `sums`", "step `numbers`: restored"]);

    describe("totals", Config::new().cores(3));
    let output = millstream(dir.path(), &check);
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("step `sums`: refused") && said.contains("step `totals`: added"), "{said}");

    describe("sums", Config::new().cores(3));
    for file in state_files(dir.path()) {
        fs::remove_file(file).expect("it is there");
    }
    let output = millstream(dir.path(), &check);
    assert_eq!(output.status.code(), Some(1), "its state is missing");
    assert!(String::from_utf8_lossy(&output.stdout).contains("is missing"));
}
