//! What cannot be right is refused, and the message says what it is about.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::thread::sleep;
use std::time::Duration;

use millstream_tests::example::{fail, flights, newest_checkpoint, start, visible};
use millstream_tests::flights::{january, write_long};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
use tempfile::TempDir;

/// A directory with an input long enough to be interrupted.
struct Room {
    dir: TempDir,
    input: PathBuf,
}

impl Room {
    fn new() -> Room {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let input = dir.path().join("flights.ndjson");
        write_long(&input, 10).expect("the input is written");
        Room { dir, input }
    }

    fn output(&self) -> PathBuf {
        self.dir.path().join("output")
    }

    fn command(&self) -> Command {
        let mut command = example(&self.input, &self.output());
        command.args(["--checkpoint-every", "5ms", "--cores", "2"]);
        command
    }

    /// A process that is stopped before its end, with state and output in its newest checkpoint.
    fn stopped(&self) -> Stopped {
        let child = start(&mut self.command());
        let pid = Pid::from_child(&child);
        loop {
            sleep(Duration::from_millis(1));
            kill_process(pid, Signal::STOP).expect("an own child can be stopped");
            waitpid(Some(pid), WaitOptions::UNTRACED).expect("an own child can be waited for");
            let manifest = newest_checkpoint(&self.output()).map(|path| text(&path)).unwrap_or_default();
            if manifest.contains(".log") && manifest.contains(".pending-") {
                return Stopped(child);
            }
            kill_process(pid, Signal::CONT).expect("an own child can go on");
        }
    }

    /// The checkpoint of a process that was killed half-way.
    fn interrupted(&self) -> PathBuf {
        drop(self.stopped());
        newest_checkpoint(&self.output()).expect("it has completed a checkpoint")
    }
}

/// Killed when dropped.
struct Stopped(Child);

impl Drop for Stopped {
    fn drop(&mut self) {
        self.0.kill().expect("an own child can be killed");
        let status = self.0.wait().expect("an own child can be waited for");
        assert_eq!(status.code(), None, "it was stopped before its end");
    }
}

fn example(input: &Path, output: &Path) -> Command {
    flights(env!("CARGO_BIN_EXE_flights"), &[input.to_owned()], output)
}

/// The readable part of a manifest.
fn text(path: &Path) -> String {
    String::from_utf8_lossy(&fs::read(path).expect("a manifest can be read")).into_owned()
}

/// Changes one bit in the middle.
fn damage(path: &Path) {
    let mut bytes = fs::read(path).expect("the file can be read");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(path, bytes).expect("the file can be written");
}

#[track_caller]
fn assert_says(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "{message:?} should say {part:?}");
    }
}

#[test]
fn a_damaged_manifest_is_refused_by_name() {
    let room = Room::new();
    let manifest = room.interrupted();
    damage(&manifest);
    assert_says(&fail(&mut room.command()), &[&manifest.display().to_string(), "checksum"]);
}

#[test]
fn damaged_state_is_refused_by_name() {
    let room = Room::new();
    let manifest = text(&room.interrupted());
    let states = visible(&room.output().join("checkpoints/data"));
    let named = |path: &&PathBuf| {
        let name = path.file_name().expect("a file has a name").to_string_lossy();
        manifest.contains(&*name)
    };
    let state = states.iter().rfind(named).expect("the checkpoint names state files");
    damage(state);
    assert_says(&fail(&mut room.command()), &[&state.display().to_string(), "step `hourly`"]);
}

#[test]
fn missing_output_is_refused_by_name() {
    let room = Room::new();
    room.interrupted();
    for name in ["hourly", "late"] {
        fs::remove_dir_all(room.output().join(name)).expect("the output can be removed");
    }
    assert_says(&fail(&mut room.command()), &[&room.output().display().to_string(), "is missing", "sink `"]);
}

#[test]
fn a_second_process_is_refused_while_the_first_lives() {
    let room = Room::new();
    let first = room.stopped();
    assert_says(&fail(&mut room.command()), &["checkpoint directory", "another process runs this job"]);
    drop(first);
    let status = room.command().output().expect("the example can be started").status;
    assert!(status.success(), "the lease ends with the process");
}

#[test]
fn another_window_is_refused_with_both_descriptions() {
    let room = Room::new();
    room.interrupted();
    let message = fail(room.command().args(["--window", "15m"]));
    assert_says(&message, &["step `hourly`", "tumbling 3600000 ms", "tumbling 900000 ms"]);
}

#[test]
fn a_bad_record_is_refused_with_file_line_and_reason() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let input = dir.path().join("flights.ndjson");
    let good = r#"{"scheduled_at":1357035300000,"origin":"EWR","dep_delay":2}"#;
    for (bad, reason) in [
        (r#"{"scheduled_at":1357035300000,"origin":"EWR","dep"#, "EOF"),
        (r#"{"scheduled_at":1357035300000,"dep_delay":2}"#, "missing field `origin`"),
        (r#"{"scheduled_at":"soon","origin":"EWR","dep_delay":2}"#, "invalid type: string"),
    ] {
        fs::write(&input, format!("{good}\n{good}\n{bad}\n{good}\n")).expect("the input is written");
        let message = fail(&mut example(&input, &dir.path().join("output")));
        assert_says(&message, &[&input.display().to_string(), "line 3", reason]);
    }
}

#[test]
fn a_missing_input_is_refused_by_name() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let message = fail(&mut example(Path::new("no/such/flights.ndjson"), &dir.path().join("output")));
    assert_says(&message, &["source `flights`", "no/such/flights.ndjson", "No such file"]);
}

#[test]
fn output_without_its_checkpoints_is_refused() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let output = dir.path().join("output");
    let run = |checkpoints: &str| {
        let mut command = example(&january(), &output);
        command.arg("--checkpoints").arg(dir.path().join(checkpoints));
        command
    };
    assert!(run("one").output().expect("the example can be started").status.success());
    assert_says(&fail(&mut run("other")), &["holds the output of another run"]);
}
