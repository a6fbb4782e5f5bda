//! Looking into the state of a job.

use millstream_storage::disk::block_on;

use super::kit::{CHECKPOINTS, JobKit};
use crate::checkpoint::inspect::Checkpoints;
use crate::checkpoint::read::target::{EVENT_TIMERS, PROCESSING_TIMERS};
use crate::checkpoint::read::{Kept, StateEntry, StateReader, Timers};
use crate::error::Result;
use crate::key::Key;
use crate::state::timers::Domain;
use crate::time::Timestamp;

impl JobKit {
    /// All entries of a step's state: its key, and the handle that the step declares, as in `Map<u16, Visits>`. It is read
    /// from a checkpoint that is taken for it, and so what a restart would find; what has expired is left out. Entries are
    /// in an order of their own, by key.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// use millstream::testing::JobKit;
    ///
    /// /// Passes on what is greater than all before, and forgets that after a minute of event time.
    /// #[derive(Clone)]
    /// struct Records;
    /// impl Process for Records {
    ///     type Key = char;
    ///     type In = i64;
    ///     type Out = i64;
    ///     type State = Value<i64>;
    ///     fn declare(&self, state: &mut Declare) -> Value<i64> {
    ///         state.value("greatest")
    ///     }
    ///     fn on_record(&mut self, n: i64, greatest: &Value<i64>, cx: &mut Context<'_, Self>) {
    ///         if greatest.load(cx).is_none_or(|greatest| greatest < n) {
    ///             greatest.set(cx, &n);
    ///             cx.timer_at(n + 60_000);
    ///         }
    ///     }
    /// }
    ///
    /// let kit = JobKit::new(|| {
    ///     let job = Job::new("doc");
    ///     let numbers = job.source("numbers", from_vec(vec![])).event_time(|n| *n, Watermarks::monotonous());
    ///     numbers.key_by(|_| 'k').process("records", Records).sink("out", discard());
    ///     job
    /// })?;
    /// kit.input("numbers").push_all([5, 3, 9_i64])?;
    /// let all = kit.state::<char, Value<i64>>("records", "greatest")?;
    /// assert_eq!((all[0].key, all[0].item), ('k', 9));
    /// assert_eq!(kit.timers("records")?, [(60_005, 'k'), (60_009, 'k')]);
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`JobKit::advance_clock`], and if the step has no such state.
    pub fn state<K: Key, S: Kept>(&self, step: &str, state: &str) -> Result<Vec<StateEntry<K, S::Item>>> {
        self.read::<K, S>(step, state, |_| Ok(()))
    }

    /// What a key has in a step's state, in order; see [`JobKit::state`].
    ///
    /// # Errors
    /// As [`JobKit::state`].
    pub fn state_of<K: Key, S: Kept>(&self, step: &str, state: &str, key: &K) -> Result<Vec<S::Item>> {
        let entries = self.read::<K, S>(step, state, |reader| reader.only_key(key))?;
        Ok(entries.into_iter().map(|entry| entry.item).collect())
    }

    /// The event-time timers of a step that are pending, by time.
    ///
    /// # Errors
    /// As [`JobKit::state`].
    pub fn timers<K: Key>(&self, step: &str) -> Result<Vec<(Timestamp, K)>> {
        self.timers_of(step, Domain::Event)
    }

    /// The timers of a step that wait for the clock, by time.
    ///
    /// # Errors
    /// As [`JobKit::state`].
    pub fn processing_timers<K: Key>(&self, step: &str) -> Result<Vec<(Timestamp, K)>> {
        self.timers_of(step, Domain::Processing)
    }

    fn timers_of<K: Key>(&self, step: &str, domain: Domain) -> Result<Vec<(Timestamp, K)>> {
        let state = match domain {
            Domain::Event => EVENT_TIMERS,
            Domain::Processing => PROCESSING_TIMERS,
        };
        let entries = self.state::<K, Timers>(step, state)?;
        let mut timers: Vec<_> = entries.into_iter().map(|entry| (entry.item, entry.key)).collect();
        timers.sort_by_key(|(at, _)| *at);
        Ok(timers)
    }

    fn read<K: Key, S: Kept>(
        &self,
        step: &str,
        state: &str,
        narrow: impl FnOnce(&mut StateReader<K, S>) -> Result<()>,
    ) -> Result<Vec<StateEntry<K, S::Item>>> {
        let running = &*self.running;
        running.settle()?;
        if !running.is_finished() {
            running.checkpoint()?;
        }
        let checkpoints = Checkpoints::at(running.world().disk(), CHECKPOINTS);
        let epoch = running.control().metrics().job().last_epoch.get();
        // Nothing of a disk in memory waits.
        block_on(async {
            let manifest = checkpoints.manifest(epoch).await?;
            let mut reader = checkpoints.state::<K, S>(&manifest, step, state)?;
            narrow(&mut reader)?;
            let mut entries = Vec::new();
            while let Some(entry) = reader.next().await? {
                entries.push(entry);
            }
            Ok(entries)
        })
    }
}
