//! What a process may take, at the most, at any moment of its life.
//!
//! Rings need no rule of their own: one holds as many batches as it was made for, and refuses more.

use millstream::JobControl;

use super::Work;
use crate::disk::DiskView;
use crate::scenario::Finding;

/// The rule of memory.
pub(crate) const MEMORY: &str = "state stays within its memory";

/// The rule of open files.
pub(crate) const FILES: &str = "no process has more files open than it may";

/// Looks at a process that is over.
pub(super) fn check(control: &JobControl, disk: &DiskView, work: &dyn Work) -> Result<(), Finding> {
    within_memory(control, work.memory())?;
    match work.open_files() {
        Some(may) if disk.most_open_files() > may => {
            let seen = format!("{} were open at once, and {may} may be", disk.most_open_files());
            Err(Finding::new(FILES, seen))
        }
        _ => Ok(()),
    }
}

/// The segments of a store whose limit is as small as the scenarios draw it, in bytes.
const SEGMENT: u64 = 16 << 10;

/// Whether no core has taken a tenth more than its memory, and one segment. A step looks at its memory after as many
/// records as usually fill a segment; where some values are several times as long as the usual one, and two of those fit
/// a segment, such a piece takes more, and a segment is a thirtieth of these limits.
fn within_memory(control: &JobControl, memory: Option<u64>) -> Result<(), Finding> {
    let Some(memory) = memory else { return Ok(()) };
    let shards = control.metrics().shards();
    match shards
        .iter()
        .map(|shard| shard.most_state_bytes.get())
        .find(|most| *most > memory + memory / 10 + SEGMENT)
    {
        None => Ok(()),
        Some(most) => Err(Finding::new(MEMORY, format!("{most} of {memory} bytes were taken"))),
    }
}
