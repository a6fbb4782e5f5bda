//! A reader's view of what was decided about transactions.

use std::path::PathBuf;
use std::rc::Rc;

use crate::disk::Disk;
use crate::error::{Damage, StoreError};

use super::config::TopicConfig;
use super::decisions::{Decision, State};
use super::frame::{Kind, Meta, Place};
use super::names::{self, Name};
use super::window::{Found, Window};
use super::writer::read_decision;
use super::{DECISIONS, decisions_dir};

/// How often a file may vanish between its listing and its opening.
const RACES: u32 = 8;

/// Follows the log of decisions. Only what is durable counts.
pub(super) struct Follow {
    disk: Rc<dyn Disk>,
    dir: PathBuf,
    config: TopicConfig,
    current: Option<Current>,
    pub(super) state: State,
    /// The first offset that is left of each partition, also by decisions that are whole but not known here to be
    /// durable. Segments are removed only when such a decision is, so a crash may leave their absence to be seen by
    /// who cannot know more.
    pub(super) starts: Vec<u64>,
    /// There are decisions that are whole but not known here to be durable.
    pub(super) untold: bool,
}

/// The file that is being followed.
struct Current {
    name: Name,
    window: Window,
    /// Behind the last decision that was applied.
    position: u64,
    /// Durable bytes, as far as is known.
    synced: u64,
}

impl Follow {
    pub(super) fn new(disk: Rc<dyn Disk>, dir: &std::path::Path, config: TopicConfig) -> Follow {
        let state = State::new(config.partitions);
        let starts = state.starts.clone();
        Follow { disk, dir: decisions_dir(dir), config, current: None, state, starts, untold: false }
    }

    /// Applies what was decided since.
    ///
    /// # Errors
    /// If the disk refuses, or what was decided is damaged.
    pub(super) async fn refresh(&mut self) -> Result<(), StoreError> {
        let listing = names::list(&*self.disk, &self.dir).await?;
        let newest = listing.chain.last().map(|(name, _)| *name);
        if self.current.as_ref().map(|current| current.name) != newest {
            self.open_newest(newest).await?;
        }
        let Some(current) = &mut self.current else { return Ok(()) };
        current.window.refresh();
        let (mut at, mut queue) = (current.position, Vec::new());
        loop {
            let place = current.place(&self.config, at);
            let damage = match current.window.frame(place).await? {
                Found::Frame(meta, synced, payload) => {
                    current.synced = current.synced.max(synced);
                    if meta.kind == Kind::Mark {
                        break;
                    }
                    at += meta.bytes();
                    queue.push((place.position, meta, payload));
                    continue;
                }
                Found::Bad(damage) => damage,
                Found::End => Damage::Truncated { found: at, expected: current.synced },
            };
            if current.synced > at {
                return Err(StoreError::damaged(&current.window.path, at, damage));
            }
            break;
        }
        for (position, meta, payload) in queue {
            current.apply(&mut self.state, &self.config, position, &meta, &payload)?;
            if let Ok(Decision::Trim { partition, start }) =
                read_decision(&meta, &payload, self.config.partitions, position == 0)
                && let Some(at) = self.starts.get_mut(partition as usize)
            {
                *at = (*at).max(start);
            }
        }
        self.untold = current.position < at;
        for (at, start) in self.starts.iter_mut().zip(&self.state.starts) {
            *at = (*at).max(*start);
        }
        Ok(())
    }

    async fn open_newest(&mut self, mut newest: Option<Name>) -> Result<(), StoreError> {
        for _ in 0..RACES {
            let Some(name) = newest else { return Ok(()) };
            match Window::open(&*self.disk, &self.dir.join(name.file())).await {
                Ok(window) => {
                    self.current = Some(Current { name, window, position: 0, synced: 0 });
                    return Ok(());
                }
                Err(StoreError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
            newest = names::list(&*self.disk, &self.dir).await?.chain.last().map(|(name, _)| *name);
        }
        // Writers come and go faster than this reader reads: it asks again later.
        Ok(())
    }
}

impl Current {
    fn place(&self, config: &TopicConfig, position: u64) -> Place {
        Place { topic: config.id, partition: DECISIONS, generation: self.name.generation, position }
    }

    /// Applies a decision if it is known to be durable. The first one of a file always is: the file had no name
    /// before.
    fn apply(
        &mut self,
        state: &mut State,
        config: &TopicConfig,
        position: u64,
        meta: &Meta,
        payload: &[u8],
    ) -> Result<(), StoreError> {
        let end = position + meta.bytes();
        if position == self.position && (end <= self.synced || position == 0) {
            let decision: Result<Decision, Damage> =
                read_decision(meta, payload, config.partitions, position == 0);
            let decision =
                decision.map_err(|damage| StoreError::damaged(&self.window.path, position, damage))?;
            state.apply(&decision);
            self.position = end;
        }
        Ok(())
    }
}
