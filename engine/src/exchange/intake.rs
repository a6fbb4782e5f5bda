//! The input of a stage: its channels, their merged watermark, and the alignment of barriers.
//!
//! A barrier that may overtake records is looked for behind them: what stands before it is taken out of the rings and put
//! aside, so that the senders have room for theirs, however slow this stage is. Once the barrier has come on every channel,
//! what is aside before it goes into the checkpoint, and is worked on afterwards as if nothing had been. From then on it
//! counts as in its ring: the sender has no room for more before it is worked on, and the next checkpoint finds little.

use std::collections::VecDeque;
use std::time::Duration;

use millstream_storage::planted;

use crate::exchange::codec::SharedCodec;
use crate::exchange::edge::Receiver;
use crate::exchange::overtaken::Waiting;
use crate::record::{Barrier, Batch, Mark, MarkKind, Tail};
use crate::time::{MAX_TIME, Timestamp};
use crate::watermark::{Merged, WatermarkMerge};

struct Channel<T> {
    receiver: Receiver<T>,
    /// Delivered the barrier of this epoch; not read until the others have.
    blocked: Option<u64>,
    /// What its last batch ends with, if that is settled before the next is read: batches may be read ahead.
    held: Tail,
    /// Batches that were taken out of the ring to look behind them.
    aside: VecDeque<Box<Batch<T>>>,
    /// So many of them, the first, count as in the ring: a barrier has overtaken them.
    counted: usize,
    /// The barrier that was looked for is at the end of them.
    seen: bool,
    /// Delivered its end of data.
    ended: bool,
    /// Delivered its start, or its end.
    heard: bool,
}

impl<T> Channel<T> {
    fn new(receiver: Receiver<T>) -> Channel<T> {
        let (held, aside) = (Tail::None, VecDeque::new());
        Channel { receiver, blocked: None, held, aside, counted: 0, seen: false, ended: false, heard: false }
    }

    /// Whether its next batch may be read.
    fn is_open(&self, started: bool) -> bool {
        (self.blocked.is_none() || planted!(no_alignment))
            && (started || !self.heard)
            && self.held == Tail::None
    }

    fn has_batch(&mut self) -> bool {
        !self.aside.is_empty() || self.receiver.full.slots() > 0
    }

    fn may_put_aside(&self) -> bool {
        self.aside.len() < MOST_ASIDE * self.receiver.full.capacity()
    }

    fn pop(&mut self) -> Option<Box<Batch<T>>> {
        let batch = match self.aside.pop_front() {
            Some(batch) => {
                if self.counted > 0 && !planted!(overtaken_never_settled) {
                    self.count_aside(self.counted - 1);
                }
                batch
            }
            None => self.receiver.full.pop().ok()?,
        };
        self.held = batch.tail;
        self.seen &= !matches!(batch.tail, Tail::Barrier(_));
        Some(batch)
    }

    /// Whether the barrier of `epoch` has come, or can be seen behind records that it may overtake.
    fn has_barrier(&self, epoch: u64) -> bool {
        let at_hand = self.seen || self.held == Tail::Barrier(Barrier { epoch });
        self.blocked == Some(epoch) || (at_hand && self.receiver.codec.is_some())
    }

    /// Tells the sender how many of them a barrier has overtaken. It need not wake for more; for less it is woken when it
    /// gets the batch back.
    fn count_aside(&mut self, count: usize) {
        self.counted = count;
        self.receiver.aside.iter().for_each(|aside| aside.set(count));
    }

    fn ring(&self) {
        self.receiver.bell.iter().for_each(|bell| bell.ring());
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
    /// What was overtaken before the restored checkpoint: it comes before all channels.
    restored: VecDeque<Box<Batch<T>>>,
    /// Whoever is behind has heard of a start, by that.
    preceded: bool,
    /// The checkpoint whose barrier is looked for behind what waits.
    overtaking: Option<u64>,
    /// The last checkpoint whose barrier has come everywhere: it is not looked for again.
    last: u64,
}

/// In place of a channel's number, for what was overtaken before the restored checkpoint.
const RESTORED: usize = usize::MAX;

/// What is put aside of a channel at most, in rings full of batches, while its barrier has not come: then the sender has to
/// wait as ever, and the barrier with it.
const MOST_ASIDE: usize = 16;

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
            restored: VecDeque::new(),
            preceded: false,
            overtaking: None,
            last: 0,
        }
    }

    /// Puts batches before all that comes.
    pub(crate) fn precede(&mut self, mut batches: VecDeque<Box<Batch<T>>>) {
        if batches.is_empty() {
            return;
        }
        // Whoever is behind has to hear a start before the first record.
        let start = Batch { tail: Tail::Start, ..Batch::default() };
        batches.push_front(Box::new(start));
        self.restored = batches;
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
        if let Some(batch) = self.restored.pop_front() {
            return Some((RESTORED, batch));
        }
        for _ in 0..self.channels.len() {
            let i = self.turn;
            self.turn = (self.turn + 1) % self.channels.len();
            let channel = &mut self.channels[i];
            if channel.is_open(self.started)
                && let Some(mut batch) = channel.pop()
            {
                self.translate(i, &mut batch);
                return Some((i, batch));
            }
        }
        None
    }

    /// Whether there is a batch that may be read.
    pub(crate) fn is_ready(&mut self) -> bool {
        let started = self.started;
        let mut channels = self.channels.iter_mut();
        !self.restored.is_empty() || channels.any(|channel| channel.is_open(started) && channel.has_batch())
    }

    /// Gives the emptied batch back, and settles what its tail meant.
    pub(crate) fn finish(&mut self, i: usize, mut batch: Box<Batch<T>>) -> Aligned {
        let tail = batch.tail;
        batch.clear();
        if i == RESTORED {
            self.preceded = true;
            return if tail == Tail::Start { Aligned::Start } else { Aligned::No };
        }
        let channel = &mut self.channels[i];
        // With no room on the way back, or nobody there any more, the buffers are freed.
        let _ = channel.receiver.empty.push(batch);
        channel.ring();
        if tail != Tail::None {
            channel.held = Tail::None;
        }
        channel.heard = true;
        match tail {
            Tail::None => Aligned::No,
            Tail::Start => self.start(),
            Tail::Barrier(barrier) => {
                debug_assert!(self.started, "every channel says a start or an end before its first barrier");
                self.align(i, barrier)
            }
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
        self.alignment = self.now.saturating_sub(self.since);
        self.aligned(barrier);
        Aligned::Barrier(barrier)
    }

    /// The channels are read on.
    fn aligned(&mut self, barrier: Barrier) {
        self.last = barrier.epoch;
        self.channels.iter_mut().for_each(|channel| channel.blocked = None);
        self.aligning = None;
        self.overtaking = None;
    }

    /// From now on looks for the barrier of a checkpoint behind what waits, where it may overtake that.
    pub(crate) fn overtake(&mut self, epoch: u64) {
        // The order may come late: what is over is not waited for.
        if epoch > self.last && self.codec().is_some() {
            self.overtaking = Some(epoch);
        }
    }

    /// Writes the records of an edge on which they may be overtaken: all such edges of a stage have the same type.
    pub(crate) fn codec(&self) -> Option<SharedCodec<T>> {
        self.channels.iter().find_map(|channel| channel.receiver.codec.clone())
    }

    /// Whether looking behind what waits would find something new.
    pub(crate) fn can_look(&mut self) -> bool {
        let Some(epoch) = self.overtaking else { return false };
        let hidden = |channel: &mut Channel<T>| {
            channel.receiver.codec.is_some() && !channel.has_barrier(epoch) && channel.may_put_aside()
        };
        self.channels.iter_mut().any(|channel| hidden(channel) && channel.receiver.full.slots() > 0)
    }

    /// Puts aside what waits, up to the barrier.
    pub(crate) fn look(&mut self) {
        let Some(epoch) = self.overtaking else { return };
        let barrier = Tail::Barrier(Barrier { epoch });
        for channel in self.channels.iter_mut().filter(|channel| channel.receiver.codec.is_some()) {
            let before = channel.aside.len();
            while !channel.has_barrier(epoch)
                && channel.may_put_aside()
                && let Ok(batch) = channel.receiver.full.pop()
            {
                channel.seen = batch.tail == barrier;
                channel.aside.push_back(batch);
            }
            if channel.aside.len() > before {
                channel.ring();
            }
        }
    }

    /// The barrier that has come, or can be seen, on every channel.
    pub(crate) fn overtaking(&self) -> Option<Barrier> {
        let epoch = self.overtaking.filter(|_| self.started || self.preceded)?;
        let all = self.channels.iter().all(|channel| channel.has_barrier(epoch));
        all.then_some(Barrier { epoch })
    }

    /// Has the barrier overtake what waits before it, which is added to `waiting`. What was taken by `next` and is not
    /// finished is not among it.
    pub(crate) fn pass(&mut self, barrier: Barrier, waiting: &mut Waiting) {
        let Some(codec) = self.codec() else { return };
        self.restored.iter().for_each(|batch| waiting.add_batch(&*codec, batch));
        let waited = self.aligning.map(|_| self.now.saturating_sub(self.since));
        self.alignment = waited.unwrap_or_default();
        let tail = Tail::Barrier(barrier);
        for channel in &mut self.channels {
            if channel.held == tail {
                channel.held = Tail::None;
            }
            let before = if std::mem::take(&mut channel.seen) { channel.aside.len() } else { 0 };
            for batch in channel.aside.iter_mut().take(before) {
                waiting.add_batch(&*codec, batch);
                if batch.tail == tail {
                    batch.tail = Tail::None;
                }
            }
            if before > 0 {
                channel.aside.retain(|batch| !batch.is_empty());
                channel.count_aside(channel.aside.len());
            }
        }
        self.aligned(barrier);
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

#[cfg(test)]
mod tests;
