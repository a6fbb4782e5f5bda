//! What the processes of a run have been through: a run in which nothing has happened shows nothing.

/// What the processes of a run, or of several, have been through.
///
/// ```
/// use millstream_sim::world::{Crash, When, World, WorldConfig};
/// use millstream_sim::disk::CrashKind;
///
/// let mut world = World::new(7, WorldConfig::default());
/// world.set_crash(Some(Crash { when: When::Point(0), kind: CrashKind::Process }));
/// world.run(vec![Box::new(|_| Box::pin(async {}))]);
/// assert_eq!(world.endured().kills, 1);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Endured {
    /// Processes that were killed.
    pub kills: u64,
    /// Processes that were killed, or failed, when a checkpoint of the job was complete: the next one restored it.
    pub restores: u64,
    /// Runs in which nothing was to be killed, by what the test says.
    pub calm: u64,
    /// Runs of a job that takes no checkpoints on its way, by what the test says.
    pub unsaved: u64,
}

impl Endured {
    pub(crate) fn add(&mut self, other: Endured) {
        self.kills += other.kills;
        self.restores += other.restores;
        self.calm += other.calm;
        self.unsaved += other.unsaved;
    }
}
