//! What a full disk, or a lack of descriptors, may do to a job that runs: its checkpoints fail, and it goes on until too many
//! have failed in a row, or no memory can be given up for a minute.

use std::time::Duration;

use millstream::{Error, ErrorKind, JobControl, Report, Result as Outcome};

use crate::disk::DiskView;
use crate::scenario::Finding;

const RULE: &str =
    "a full disk aborts checkpoints, and ends a job only after too many in a row, or a minute without memory";

/// Looks at how a process ended whose job tolerates so many failures.
pub(crate) fn check(
    outcome: Option<&Outcome<Report>>,
    control: &JobControl,
    tolerated: u32,
    disk: &DiskView,
) -> Result<(), Finding> {
    let Some(Err(error)) = outcome else { return Ok(()) };
    let text = error.to_string();
    if !is_of_want(error, &text) || !has_run(control) {
        return Ok(());
    }
    if waited_for_room(&text, disk) {
        return Ok(());
    }
    let history = control.metrics().checkpoint_history();
    let in_a_row = history.iter().rev().take_while(|attempt| !attempt.is_complete()).count();
    match in_a_row > tolerated as usize {
        true => Ok(()),
        false => Err(Finding::new(
            RULE,
            format!("{in_a_row} checkpoints have failed of {tolerated} tolerated: {text}"),
        )),
    }
}

/// What a job reads it needs: only what it writes can wait.
fn is_of_want(error: &Error, text: &str) -> bool {
    let want = text.contains("os error 28)") || text.contains("os error 24)");
    want && matches!(error.kind(), ErrorKind::Checkpoint | ErrorKind::Sink | ErrorKind::Exhausted)
}

/// Whether a step says that it has waited for a minute to write ahead what memory has no place for, and none of its files was
/// written meanwhile.
fn waited_for_room(error: &str, disk: &DiskView) -> bool {
    let seconds = error.split_once(" times in ").and_then(|(_, rest)| rest.split_once(" s;")?.0.parse().ok());
    let seconds = seconds.filter(|seconds| *seconds >= 60).map(Duration::from_secs);
    let file = error.split(' ').find_map(|word| word.split_once("state/data/")?.1.strip_suffix(".log:"));
    // NAME-ID-CORE, and the number of the epoch and of the file.
    let store = file.and_then(|file| file.rsplitn(3, '-').nth(2));
    seconds.zip(store).is_some_and(|(seconds, store)| !disk.has_synced_within(seconds, store))
}

/// A job that has not begun to run has nothing to go on with.
fn has_run(control: &JobControl) -> bool {
    let metrics = control.metrics();
    !metrics.checkpoint_history().is_empty() || metrics.sum(|shard| &shard.records_in) > 0
}
