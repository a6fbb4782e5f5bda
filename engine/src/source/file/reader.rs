//! The files of one shard, a few of them open at a time.

use std::collections::{BTreeMap, VecDeque};

use serde::de::DeserializeOwned;
use serde_json::Value as Json;

use super::Limits;
use super::parser::Format;
use super::split::{Progress, Split};
use crate::error::Result;
use crate::source::{Fetched, Polled, Reader, SourceContext};

/// Polls its open splits in turn, so that their event times advance together.
pub(super) struct FileReader<T> {
    cx: SourceContext,
    format: Format,
    limits: Limits,
    names: Vec<String>,
    splits: Vec<Split<T>>,
    /// Ended already in the restored checkpoint; to be reported once.
    ended: VecDeque<usize>,
    /// Being read, in the order of the next polls.
    open: VecDeque<usize>,
    /// To be opened.
    waiting: VecDeque<usize>,
    /// By split.
    paused: Vec<bool>,
}

impl<T: DeserializeOwned + 'static> FileReader<T> {
    pub(super) fn new(
        cx: SourceContext,
        format: Format,
        limits: Limits,
        splits: Vec<Split<T>>,
    ) -> FileReader<T> {
        let (ended, waiting) = (0..splits.len()).partition(|&index| splits[index].position().ended);
        let names = splits.iter().map(|split| split.name().to_owned()).collect();
        let (open, paused) = (VecDeque::new(), vec![false; splits.len()]);
        let mut reader = FileReader { cx, format, limits, names, splits, ended, open, waiting, paused };
        reader.open_more();
        reader
    }

    fn open_more(&mut self) {
        while self.open.len() < self.limits.open
            && let Some(index) = self.waiting.pop_front()
        {
            self.splits[index].open(&self.cx, self.format, self.limits);
            self.open.push_back(index);
        }
    }
}

impl<T: DeserializeOwned + 'static> Reader<T> for FileReader<T> {
    fn splits(&self) -> &[String] {
        &self.names
    }

    fn poll(&mut self, max: usize, out: &mut Fetched<T>) -> Result<Polled> {
        if let Some(index) = self.ended.pop_front() {
            return Ok(Polled::SplitEnd(index));
        }
        if self.open.is_empty() {
            return Ok(Polled::End);
        }
        for _ in 0..self.open.len() {
            let index = self.open[0];
            if self.paused[index] {
                self.open.rotate_left(1);
                continue;
            }
            match self.splits[index].poll(max, out)? {
                Progress::Ended => {
                    self.open.pop_front();
                    self.open_more();
                    return Ok(Polled::SplitEnd(index));
                }
                Progress::Records => {
                    self.open.rotate_left(1);
                    return Ok(Polled::Split(index));
                }
                // One such step is enough for one poll.
                Progress::Working => {
                    self.open.rotate_left(1);
                    self.cx.wake.wake_by_ref();
                    return Ok(Polled::Pending);
                }
                Progress::Pending => self.open.rotate_left(1),
            }
        }
        Ok(Polled::Pending)
    }

    /// A file has its next record or has ended; what takes time is getting at it.
    fn is_silent(&self, _: usize) -> bool {
        false
    }

    fn set_paused(&mut self, split: usize, paused: bool) -> bool {
        self.paused[split] = paused;
        true
    }

    /// Files that have ended in the restored checkpoint, too, are not waited for.
    fn is_queued(&self, split: usize) -> bool {
        !self.open.contains(&split)
    }

    fn positions(&self) -> BTreeMap<String, Json> {
        let position = |split: &Split<T>| {
            let json = serde_json::to_value(split.position()).expect("a position is plain data");
            (split.name().to_owned(), json)
        };
        self.splits.iter().map(position).collect()
    }
}
