//! How the end of a process is judged.

use millstream::{ErrorKind, Report, Result as Outcome};

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
    /// Every loud stop that names a file.
    Damage,
}

/// The report of a job that got to its end; nothing of one that was killed or was allowed to fail.
pub(crate) fn judge(
    outcome: Option<Outcome<Report>>,
    calm: bool,
    tolerance: Tolerance,
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
        Tolerance::Damage if !excused && !names_file(&text) => Err(Finding::new(NAMED, text)),
        _ => Ok(None),
    }
}

/// Whether an error names a file: in the directory of a job or of a topic, or in an object store.
fn names_file(error: &str) -> bool {
    ["state/", "/manifest", ".log", "chain/", "files/"].iter().any(|file| error.contains(file))
}

/// Whether an error tells of a fault that was injected, or of the time that it took.
pub(crate) fn is_injected(error: &str) -> bool {
    let injected = ["os error 5)", "os error 24)", "os error 28)", "took longer than", "(injected)"];
    injected.iter().any(|reason| error.contains(reason))
}
