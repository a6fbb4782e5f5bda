//! The input of a stage: its channels, their merged watermark, and the alignment of barriers.

use std::time::Duration;

use millstream_storage::planted;

use crate::exchange::edge::Receiver;
use crate::record::{Barrier, Batch, Mark, MarkKind, Tail};
use crate::time::{MAX_TIME, Timestamp};
use crate::watermark::{Merged, WatermarkMerge};

struct Channel<T> {
    receiver: Receiver<T>,
    /// Delivered the barrier of this epoch; not read until the others have.
    blocked: Option<u64>,
    /// Its last batch ends with something that is settled before the next is read: batches may be read ahead.
    held: bool,
    /// Delivered its end of data.
    ended: bool,
    /// Delivered its start, or its end.
    heard: bool,
}

impl<T> Channel<T> {
    fn new(receiver: Receiver<T>) -> Channel<T> {
        Channel { receiver, blocked: None, held: false, ended: false, heard: false }
    }

    /// Whether its next batch may be read.
    fn is_open(&self, started: bool) -> bool {
        (self.blocked.is_none() || planted!(no_alignment)) && (started || !self.heard) && !self.held
    }
}

/// What the tail of a batch completed, on all channels together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Aligned {
    /// Nothing, or still waiting for others.
    No,
    /// Every channel has been heard, and records will come.
    Start,
    /// The barrier has come on every channel.
    Barrier(Barrier),
    /// All channels have ended.
    EndOfData,
}

/// The channels of a stage on one core.
pub(crate) struct Intake<T> {
    channels: Vec<Channel<T>>,
    merge: WatermarkMerge,
    /// The channel to look at first: they take turns.
    turn: usize,
    aligning: Option<Barrier>,
    /// The time of the step, when the first barrier of an alignment came, and how long the last alignment took.
    now: Duration,
    since: Duration,
    alignment: Duration,
    /// Every channel has been heard. No record is read before: a channel without splits behind it must have left
    /// the watermark's minimum by then, or what is late would depend on which core starts first.
    started: bool,
    scratch: Vec<Mark>,
}

impl<T> Intake<T> {
    /// `restored` is the watermark that the stage had reached in the restored checkpoint.
    pub(crate) fn new(receivers: Vec<Receiver<T>>, restored: Timestamp) -> Intake<T> {
        let channels: Vec<_> = receivers.into_iter().map(Channel::new).collect();
        let merge = WatermarkMerge::new(channels.len(), restored);
        Intake {
            channels,
            merge,
            turn: 0,
            aligning: None,
            now: Duration::ZERO,
            since: Duration::ZERO,
            alignment: Duration::ZERO,
            started: false,
            scratch: Vec::new(),
        }
    }

    /// The time of the step that begins, by which alignments are measured.
    pub(crate) fn set_now(&mut self, monotonic: Duration) {
        self.now = monotonic;
    }

    /// How long the last barrier waited for its slowest channel.
    pub(crate) fn alignment(&self) -> Duration {
        self.alignment
    }

    /// Whether every channel has been heard: before that nothing may be emitted, as the start goes ahead of records.
    pub(crate) fn has_started(&self) -> bool {
        self.started
    }

    /// The watermark that the stage has reached.
    pub(crate) fn watermark(&self) -> Timestamp {
        self.merge.output()
    }

    /// The next batch of a channel that may be read, with the stage's own marks in place of the channel's.
    pub(crate) fn next(&mut self) -> Option<(usize, Box<Batch<T>>)> {
        for _ in 0..self.channels.len() {
            let i = self.turn;
            self.turn = (self.turn + 1) % self.channels.len();
            let channel = &mut self.channels[i];
            if channel.is_open(self.started)
                && let Ok(mut batch) = channel.receiver.full.pop()
            {
                channel.held = batch.tail != Tail::None;
                self.translate(i, &mut batch);
                return Some((i, batch));
            }
        }
        None
    }

    /// Whether there is a batch that may be read.
    pub(crate) fn is_ready(&mut self) -> bool {
        let started = self.started;
        self.channels.iter_mut().any(|channel| channel.is_open(started) && channel.receiver.full.slots() > 0)
    }

    /// Gives the emptied batch back, and settles what its tail meant.
    pub(crate) fn finish(&mut self, i: usize, mut batch: Box<Batch<T>>) -> Aligned {
        let tail = batch.tail;
        batch.clear();
        let channel = &mut self.channels[i];
        // With no room on the way back, or nobody there any more, the buffers are freed.
        let _ = channel.receiver.empty.push(batch);
        if let Some(bell) = &channel.receiver.bell {
            bell.ring();
        }
        channel.held &= tail == Tail::None;
        channel.heard = true;
        match tail {
            Tail::None => Aligned::No,
            Tail::Start => self.start(),
            Tail::Barrier(barrier) => self.align(i, barrier),
            Tail::EndOfData => {
                channel.ended = true;
                let all = self.channels.iter().all(|channel| channel.ended);
                let start = self.start();
                if all { Aligned::EndOfData } else { start }
            }
        }
    }

    /// Starts, once, when every channel has been heard.
    fn start(&mut self) -> Aligned {
        let heard = self.channels.iter().all(|channel| channel.heard);
        if heard && !std::mem::replace(&mut self.started, heard) { Aligned::Start } else { Aligned::No }
    }

    /// A newer barrier aborts the alignment of an older one: the channels that wait for the older are read on.
    fn align(&mut self, i: usize, barrier: Barrier) -> Aligned {
        let waited_for = self.aligning.map_or(0, |older| older.epoch);
        if barrier.epoch < waited_for {
            return Aligned::No;
        }
        if barrier.epoch > waited_for {
            self.channels.iter_mut().for_each(|channel| channel.blocked = None);
            self.aligning = Some(barrier);
            self.since = self.now;
        }
        self.channels[i].blocked = Some(barrier.epoch);
        if self.channels.iter().any(|channel| channel.blocked.is_none()) {
            return Aligned::No;
        }
        self.channels.iter_mut().for_each(|channel| channel.blocked = None);
        self.aligning = None;
        self.alignment = self.now.saturating_sub(self.since);
        Aligned::Barrier(barrier)
    }

    /// Replaces the channel's marks by what they change for the stage, in place.
    fn translate(&mut self, i: usize, batch: &mut Batch<T>) {
        if batch.tail == Tail::EndOfData {
            batch.mark(MarkKind::Watermark(MAX_TIME));
        }
        if batch.marks.is_empty() {
            return;
        }
        std::mem::swap(&mut self.scratch, &mut batch.marks);
        for mark in self.scratch.drain(..) {
            let merged = match mark.kind {
                MarkKind::Watermark(t) => self.merge.advance(i, t),
                MarkKind::Idle => self.merge.set_idle(i),
                MarkKind::Active => self.merge.set_active(i),
            };
            let mut keep = |kind| batch.marks.push(Mark { at: mark.at, kind });
            match merged {
                Merged::Same => {}
                Merged::Advanced(t) => keep(MarkKind::Watermark(t)),
                Merged::Idle(watermark) => {
                    watermark.into_iter().for_each(|t| keep(MarkKind::Watermark(t)));
                    keep(MarkKind::Idle);
                }
                Merged::Active => keep(MarkKind::Active),
            }
        }
    }
}
