//! The example as a process, and what it leaves in its output directory.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use crate::readers::topic_by_job;
use crate::rules::{self, Expected};

/// The command `flights` with an input and an output directory.
pub fn flights(program: impl AsRef<OsStr>, input: &[PathBuf], output: &Path) -> Command {
    let mut command = Command::new(program);
    command.arg("--input").args(input).arg("--output").arg(output);
    command
}

/// The same from a topic to topics, all in a directory.
pub fn flights_by_topics(program: impl AsRef<OsStr>, input: &[PathBuf], dir: &Path) -> Command {
    let mut command = Command::new(program);
    command.arg("--input").args(input).arg("--dir").arg(dir);
    command
}

/// Starts it, with nothing to read from it.
///
/// # Panics
/// If it cannot be started.
pub fn start(command: &mut Command) -> Child {
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    quiet.spawn().expect("the example can be started")
}

/// Runs it to its end, which must be a good one.
///
/// # Panics
/// If it is not.
pub fn succeed(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.output().expect("the example can be started");
    let errors = String::from_utf8_lossy(&stderr);
    assert!(status.success(), "{command:?} ended with {status}: {errors}");
    String::from_utf8(stdout).expect("the example prints text")
}

/// Runs it, which must fail, and returns what it says.
///
/// # Panics
/// If it does not fail, or panics.
pub fn fail(command: &mut Command) -> String {
    let Output { status, stderr, .. } = command.output().expect("the example can be started");
    let errors = String::from_utf8(stderr).expect("the example prints text");
    assert_eq!(status.code(), Some(1), "{command:?} should fail with exit code 1: {errors}");
    assert!(!errors.contains("panicked"), "{errors}");
    errors
}

/// What it has committed to files, or to topics.
///
/// # Panics
/// If it cannot be read, or is not the example's.
pub fn committed(output: &Path) -> Expected {
    let hours = output.join("hours");
    if hours.exists() {
        return rules::collected(topic_by_job(&hours), topic_by_job(&output.join("late")));
    }
    rules::collected(lines(&output.join("hourly")), lines(&output.join("late")))
}

/// The lines of the visible files, in the order of their names.
fn lines(dir: &Path) -> Vec<String> {
    let texts =
        visible(dir).into_iter().map(|path| fs::read_to_string(path).expect("a visible file is text"));
    texts.flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>()).collect()
}

/// The files of a directory that are not hidden, by name; none if there is no directory.
///
/// # Panics
/// If it cannot be listed.
pub fn visible(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("a directory can be listed").path()).collect();
    paths.retain(|path| !path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b".")));
    paths.sort();
    paths
}

/// The newest checkpoint in an output directory.
pub fn newest_checkpoint(output: &Path) -> Option<PathBuf> {
    visible(&output.join("checkpoints")).into_iter().rfind(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.strip_prefix("manifest-").is_some_and(|epoch| epoch.parse::<u64>().is_ok())
    })
}
