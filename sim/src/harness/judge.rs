//! How the end of a process is judged.

use std::path::PathBuf;

use millstream::{ErrorKind, Report, Result as Outcome};

use crate::collected::SUPERSEDED;
use crate::disk::DiskView;
use crate::scenario::Finding;

/// The rule of the functions of a job.
pub(crate) const USER: &str = "user code does not fail";

/// The rule of a job's errors.
pub(crate) const INJECTED: &str = "a job fails by an injected fault only";

/// The rule of jobs whose files are damaged.
const NAMED: &str = "who stops for damage says in which file";

/// What of the outcomes is forgiven.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tolerance {
    /// Errors that an injected fault has caused.
    Faults,
    /// Every loud stop.
    Stops,
    /// Every loud stop that names a file that is damaged.
    Damage,
}

/// The report of a job that got to its end; nothing of one that was killed or was allowed to fail.
pub(crate) fn judge(
    outcome: Option<Outcome<Report>>,
    calm: bool,
    tolerance: Tolerance,
    disk: &DiskView,
) -> Result<Option<Report>, Finding> {
    let error = match outcome {
        None => return Ok(None),
        Some(Ok(report)) => return Ok(Some(report)),
        Some(Err(error)) => error,
    };
    let text = error.to_string();
    let excused = is_injected(&text) && !calm;
    match tolerance {
        _ if error.kind() == ErrorKind::User => Err(Finding::new(USER, text)),
        Tolerance::Faults if !excused => Err(Finding::new(INJECTED, text)),
        Tolerance::Damage if !excused && !names_damage(&text, &disk.damaged()) => {
            Err(Finding::new(NAMED, text))
        }
        _ => Ok(None),
    }
}

/// Whether an error names a file that is damaged, or its copy: in an object store, or on a machine that has it from there.
fn names_damage(error: &str, damaged: &[PathBuf]) -> bool {
    damaged.iter().any(|path| {
        let path = path.to_string_lossy();
        // By its name below the directory of a job's checkpoints: a copy elsewhere has the same.
        let name = path.split_once("state/").map_or(path.to_string(), |(_, in_state)| format!("/{in_state}"));
        error.match_indices(&name).any(|(at, _)| {
            let next = error[at + name.len()..].chars().next();
            next.is_none_or(|next| !next.is_alphanumeric())
        })
    })
}

/// Whether an error tells that another process has taken over what this one works on.
pub(crate) fn is_overtaken(error: &str) -> bool {
    let told = [SUPERSEDED, "another run of the job has taken over"];
    told.iter().any(|reason| error.contains(reason))
}

/// Whether an error tells that output is there which comes of a later checkpoint than the one that is restored: that of another
/// process, or what was lost.
pub(crate) fn is_behind(error: &str) -> bool {
    error.contains("which would be written again")
}

/// Whether an error tells of a fault that was injected, or of the time that it took.
pub(crate) fn is_injected(error: &str) -> bool {
    let injected = ["os error 5)", "os error 24)", "os error 28)", "took longer than", "(injected)"];
    injected.iter().any(|reason| error.contains(reason))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_stops_for_damage_names_what_is_damaged() {
        let damaged = [
            "machine-0/state/data/sum-0a-000-0000000003.log",
            "state/manifest-0000000012",
            "output/rows/1",
            "state/epoch",
        ];
        let damaged = damaged.map(PathBuf::from);
        let names = |error: &str| names_damage(error, &damaged);
        assert!(names("machine-0/state/data/sum-0a-000-0000000003.log: block 2 is damaged"));
        assert!(names("machine-7/state/data/sum-0a-000-0000000003.log: block 2 is damaged"));
        assert!(names("files/0000000002/data/sum-0a-000-0000000003.log.0 is not what it was"));
        assert!(
            names("cannot restore from state/manifest-0000000012") && names("output/rows/1: a bad frame")
        );
        assert!(!names("machine-0/state/data/sum-0a-000-0000000004.log: block 2 is damaged"));
        assert!(!names("output/rows/10: a bad frame") && !names("commit of epoch 7"));
        assert!(names("cannot read machine-1/state/epoch: it is damaged"));
        assert!(!names("state/manifest-0000000011 is damaged") && !names("state cannot be restored"));
    }
}
