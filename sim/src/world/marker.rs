//! Marks: what is learned of a process after its end, put where it belongs in the log.

use std::rc::Rc;
use std::time::Duration;

use super::kernel::Kernel;
use crate::trace::What;

/// Puts marks into the log of a world, if it is kept. They are not part of its hash: a run is the same with and without them.
///
/// ```
/// use std::time::Duration;
/// use millstream_sim::trace::What;
/// use millstream_sim::world::{World, WorldConfig};
///
/// let world = World::new(7, WorldConfig { keep_log: true, ..WorldConfig::default() });
/// let before = world.trace_hash();
/// world.marker().mark(Duration::ZERO, What::Triggered, [1, 0], || "checkpoint 1".to_owned());
/// assert_eq!((world.trace_hash(), world.events().len()), (before, 1));
/// ```
#[derive(Clone)]
pub struct Marker {
    kernel: Rc<Kernel>,
}

impl Marker {
    pub(crate) fn new(kernel: Rc<Kernel>) -> Marker {
        Marker { kernel }
    }

    /// Whether there is a log to put marks into.
    pub fn is_on(&self) -> bool {
        self.kernel.state().trace.keeps_log()
    }

    /// Adds a mark at some virtual time, which may be past. `text` is only made when the log is kept.
    pub fn mark(&self, at: Duration, what: What, numbers: [u64; 2], text: impl FnOnce() -> String) {
        self.kernel.state().trace.mark(at, what, numbers, text);
    }

    /// Virtual time since the world began.
    pub fn now(&self) -> Duration {
        Duration::from_nanos(self.kernel.state().clock.now)
    }

    /// The virtual time at which the monotonic clock of the process that ran last showed this.
    pub fn when(&self, monotonic: Duration) -> Duration {
        self.kernel.state().clock.when(monotonic)
    }
}
