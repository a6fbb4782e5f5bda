//! How the end of a process is judged.

use std::path::Path;

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
        Tolerance::Damage if !excused && !names_damage(&text, disk) => Err(Finding::new(NAMED, text)),
        _ => Ok(None),
    }
}

/// Whether an error names a file that is damaged, or its copy in an object store.
fn names_damage(error: &str, disk: &DiskView) -> bool {
    let copy = |path: &Path| {
        let name = path.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| ["chain/", "files/"].iter().any(|of| error.contains(&format!("{of}{name}"))))
    };
    disk.damaged().iter().any(|path| error.contains(&*path.to_string_lossy()) || copy(path))
}

/// Whether an error tells that another process has taken over what this one works on, or has gone on with it.
pub(crate) fn is_overtaken(error: &str) -> bool {
    let told = [SUPERSEDED, "another run", "which would be written again"];
    told.iter().any(|reason| error.contains(reason))
}

/// Whether an error tells of a fault that was injected, or of the time that it took.
pub(crate) fn is_injected(error: &str) -> bool {
    let injected = ["os error 5)", "os error 24)", "os error 28)", "took longer than", "(injected)"];
    injected.iter().any(|reason| error.contains(reason))
}
