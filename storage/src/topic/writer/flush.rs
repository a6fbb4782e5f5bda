//! What was appended and decided becomes durable, is told, and is removed when its time has come.

use crate::error::StoreError;
use crate::topic::decisions::Decision;
use crate::topic::error::TopicError;
use crate::topic::join;
use crate::topic::log::Log;

use super::{TopicWriter, decision_frame};

/// The log of decisions begins anew when it has reached this many bytes.
const DECISIONS_BYTES: u64 = 4 << 20;

impl TopicWriter {
    /// Whether there is nothing for a flush to do. There is also if the last one made everything durable, but could
    /// not tell readers so, on a full disk for instance.
    pub fn is_clean(&self) -> bool {
        let is_dirty = |log: &Log| log.has_pending() || log.is_untold();
        self.late.is_empty() && !self.logs.iter().chain([&self.decisions]).any(is_dirty)
    }

    /// Makes everything durable that was appended and decided since the last flush: one write and one sync for each
    /// partition that has news, all at once, and one or two for decisions.
    ///
    /// # Errors
    /// If the disk refuses. Everything is kept, and may be flushed again: after a full disk that continues the same
    /// file, after a failed sync in a new one. Some of it may have become durable already.
    pub async fn flush(&mut self) -> Result<(), TopicError> {
        self.check()?;
        self.flushing = true;
        let outcome = self.flush_phases().await;
        self.publish().await;
        self.flushing = false;
        Ok(outcome?)
    }

    async fn flush_phases(&mut self) -> Result<(), StoreError> {
        let news = self.logs.iter().any(Log::has_pending);
        if news {
            // Transactions begin before their records are there.
            self.flush_decisions().await?;
            let dirty = self.logs.iter_mut().filter(|log| log.has_pending());
            join::all(dirty.map(|log| Box::pin(log.flush()) as _).collect()).await?;
        }
        // What is prepared or committed has all its records.
        for decision in std::mem::take(&mut self.late) {
            self.decide(decision);
        }
        self.flush_decisions().await
    }

    async fn flush_decisions(&mut self) -> Result<(), StoreError> {
        if !self.decisions.has_pending() {
            return Ok(());
        }
        if self.decisions.active_bytes().is_some_and(|bytes| bytes < DECISIONS_BYTES)
            && let Err(error) = self.decisions.flush_here().await
            && self.decisions.active_bytes().is_some()
        {
            return Err(error);
        }
        // Its file cannot be continued: a new one begins with all that was decided, the pending ones included.
        if self.decisions.has_pending() { self.restart_decisions().await } else { Ok(()) }
    }

    pub(super) async fn restart_decisions(&mut self) -> Result<(), StoreError> {
        self.state.forget();
        let mut snapshot = self.state.clone();
        for (end, log) in snapshot.ends.iter_mut().zip(&self.logs) {
            *end = log.durable_offset();
        }
        let offset = self.decisions.next_offset();
        self.decisions.restart(decision_frame(offset, &Decision::Snapshot(snapshot))).await?;
        // The older files are of no use any more; if they stay, the next writer removes them.
        drop(self.decisions.remove_before(offset).await);
        Ok(())
    }

    /// Lets readers know what is durable.
    pub(super) async fn publish(&mut self) {
        let phases = &mut self.phases;
        phases.retain(|transaction, _| self.state.open.contains_key(transaction));
        let marks = self.logs.iter_mut().chain([&mut self.decisions]);
        let marks = marks.map(|log| Box::pin(log.mark()) as _);
        // A mark is a courtesy, and made up for by the next one: until then the writer is not clean.
        drop(join::all(marks.collect()).await);
        self.signal.give();
    }

    /// Removes what retention allows, and returns how many segments went. `now` is in milliseconds since the Unix
    /// epoch.
    ///
    /// # Errors
    /// If the disk refuses.
    pub async fn retain(&mut self, now: i64) -> Result<u64, TopicError> {
        self.flush().await?;
        let retention = self.config.retention;
        let age = retention.max_age_millis.map(|age| i64::try_from(age).unwrap_or(i64::MAX));
        let oldest = age.map(|age| now.saturating_sub(age));
        for partition in 0..self.config.partitions {
            let log = &mut self.logs[partition as usize];
            if let Some(start) = log.removable(oldest, retention.max_bytes).await? {
                self.decide(Decision::Trim { partition, start });
            }
        }
        self.flush().await?;
        Ok(self.remove_trimmed().await?)
    }

    /// Removes the segments that lie before the starts that were decided.
    pub(super) async fn remove_trimmed(&mut self) -> Result<u64, StoreError> {
        let mut removed = 0;
        for (log, start) in self.logs.iter_mut().zip(&self.state.starts) {
            removed += log.remove_before(*start).await?;
        }
        Ok(removed)
    }

    /// Flushes, and leaves the topic so that readers are told of everything, and the next writer finds nothing to
    /// bring in order.
    ///
    /// # Errors
    /// If the disk refuses. What had been flushed is durable nevertheless, but readers may not know until the next
    /// writer has opened the topic.
    pub async fn close(mut self) -> Result<(), TopicError> {
        self.flush().await?;
        for log in self.logs.iter_mut().chain([&mut self.decisions]) {
            log.close().await?;
        }
        Ok(())
    }
}
