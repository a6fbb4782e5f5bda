//! Cores that were ahead of the others in a restored checkpoint.
//!
//! The cores of a step get the same marks from each channel, but in different orders between channels; with idle
//! inputs, one may therefore have reached a later watermark than another when the barrier came. All go on from the
//! earliest. For the keys of a core that was ahead, windows up to its watermark have fired nevertheless, and must
//! not fire again.

use millstream_storage::planted;
use serde_json::{Value as Json, json};

use crate::checkpoint::manifest::Part;
use crate::key_group::Placement;
use crate::stage::OpenContext;
use crate::time::{MIN_TIME, Timestamp};

/// The watermarks that the cores had reached in one checkpoint.
struct Level {
    placement: Placement,
    /// By core.
    watermarks: Vec<Timestamp>,
}

/// What is known of the cores that were ahead, until all are as far.
#[derive(Default)]
pub(crate) struct Ahead {
    /// One per checkpoint that was restored while the last one's was not reached yet.
    levels: Vec<Level>,
}

impl Ahead {
    /// From what the restored checkpoint holds of a step.
    pub(crate) fn restore(cx: &OpenContext, step: &str) -> Ahead {
        Ahead::of(cx.parts(step), cx.cores_before(step), cx.placements.groups())
    }

    /// From the parts of a step, the first `cores` of which had its keys.
    fn of(parts: &[Part], cores: usize, groups: u32) -> Ahead {
        if planted!(ahead_forgotten) {
            return Ahead::default();
        }
        let reached = || parts.iter().map(|part| part.meta["watermark"].as_i64().unwrap_or(MIN_TIME));
        let slowest = reached().min().unwrap_or(MIN_TIME);
        let earlier = parts.iter().flat_map(|part| part.meta["operator"]["ahead"].as_array()).flatten();
        let earlier = earlier.filter_map(|level| serde_json::from_value(level.clone()).ok());
        let mut all: Vec<Vec<Timestamp>> = earlier.chain([reached().take(cores).collect()]).collect();
        all.sort_unstable();
        all.dedup();
        let lowest = all.iter().flatten().min().map_or(slowest, |&lowest| lowest.min(slowest));
        let levels = all.into_iter().filter(|level| !level.is_empty());
        let levels = levels
            .map(|watermarks| Level { placement: Placement::new(groups, watermarks.len()), watermarks });
        let mut ahead = Ahead { levels: levels.collect() };
        ahead.pass(lowest);
        ahead
    }

    /// Whether all cores are as far.
    #[inline]
    pub(crate) fn is_over(&self) -> bool {
        self.levels.is_empty()
    }

    /// The latest watermark that the core of a key had reached.
    pub(crate) fn watermark_of(&self, hash: u64) -> Timestamp {
        let of = |level: &Level| level.watermarks[level.placement.owner(hash)];
        self.levels.iter().map(of).max().unwrap_or(MIN_TIME)
    }

    /// This core has reached a watermark: forgets what it has caught up with.
    pub(crate) fn pass(&mut self, watermark: Timestamp) {
        self.levels.retain(|level| level.watermarks.iter().any(|&reached| reached > watermark));
    }

    /// For the next checkpoint.
    pub(crate) fn meta(&self) -> Json {
        let levels: Vec<_> = self.levels.iter().map(|level| &level.watermarks).collect();
        json!({ "ahead": levels })
    }
}
