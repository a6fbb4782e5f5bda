//! What a job tells of its checkpoints and of its end, as marks in the log.

use millstream::metrics::{CheckpointPurpose, CheckpointStats};
use millstream::{JobControl, Report, Result};

use crate::trace::What;
use crate::world::Marker;

/// Marks how the attempt of a job ended that is started again in its process: of its failures those beyond `told`.
pub(crate) fn of_failures(marker: &Marker, control: &JobControl, told: &mut usize) {
    let failures = control.failures();
    for failure in failures.iter().skip(*told) {
        marker.mark(marker.now(), What::Outcome, [1, 0], || format!("the job failed: {}", failure.cause));
    }
    *told = failures.len();
}

/// Marks what a job of the process that has just ended tells of itself. Returns what came of it, which it tells once.
pub(crate) fn of_job(marker: &Marker, control: &JobControl) -> Option<Result<Report>> {
    if marker.is_on() {
        let metrics = control.metrics();
        metrics.checkpoint_history().iter().for_each(|attempt| of_attempt(marker, attempt, true));
        if let Some(attempt) = metrics.checkpoint_under_way() {
            of_attempt(marker, &attempt, false);
        }
    }
    let outcome = control.outcome();
    if let Some(outcome) = &outcome {
        let failed = u64::from(outcome.is_err());
        marker.mark(marker.now(), What::Outcome, [failed, 0], || match outcome {
            Err(error) => format!("the job failed: {error}"),
            Ok(report) if report.already_finished => format!("the job had ended before: {:?}", report.ended),
            Ok(report) => format!("the job ended: {:?}", report.ended),
        });
    }
    outcome
}

/// Marks an attempt at a checkpoint, which `is_over` or was cut off.
fn of_attempt(marker: &Marker, attempt: &CheckpointStats, is_over: bool) {
    let CheckpointStats { epoch, duration, commit, .. } = attempt;
    let (began, numbers) = (marker.when(attempt.began), [*epoch, 0]);
    let settled = began.saturating_add(*duration);
    let mark = |at, what, told: &str| {
        let told = format!("checkpoint {epoch}{told}");
        marker.mark(at, what, numbers, || told);
    };
    mark(
        began,
        What::Triggered,
        match attempt.purpose {
            CheckpointPurpose::Savepoint => " for a savepoint",
            CheckpointPurpose::End => " for the end",
            _ => "",
        },
    );
    match &attempt.aborted {
        Some(why) => mark(settled, What::Aborted, &format!(": {why}")),
        None if duration.is_zero() && !is_over => {}
        None => {
            let bytes = [attempt.new_bytes(), attempt.shared_bytes()];
            let told = format!(": {} bytes of state written, {} shared", bytes[0], bytes[1]);
            mark(settled, What::Completed, &told);
            if is_over {
                mark(settled.saturating_add(*commit), What::Committed, "");
            }
        }
    }
}
