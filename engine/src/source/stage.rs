//! The stage of a source: polls its reader, gives records their times, makes watermarks, and starts barriers.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use millstream_storage::planted;
use serde_json::{Value as Json, json};

use crate::error::{Error, ErrorKind, Result};
use crate::exchange::outlet::Outlet;
use crate::record::{Barrier, Batch, Mark, MarkKind, Tail};
use crate::source::alignment::{Aligned, Member};
use crate::source::watermarks::{AnyGenerator, MakeGenerator, SplitTime, Watermarks};
use crate::source::{DeadLetter, Fetched, Poison, Polled, Reader};
use crate::stage::{Event, Now, Snapshot, Stage, StepContext};
use crate::time::{MAX_TIME, MIN_TIME, Timestamp};
use crate::watermark::{Merged, WatermarkMerge};

/// Gives the records of a batch their times: one call per batch.
pub(crate) trait AssignTimes<T>: Send {
    fn assign(&self, records: &[T], times: &mut Vec<Timestamp>);
}

impl<T, F: Fn(&T) -> Timestamp + Send> AssignTimes<T> for F {
    fn assign(&self, records: &[T], times: &mut Vec<Timestamp>) {
        times.extend(records.iter().map(self));
    }
}

/// Event time of a source: who tells it and how watermarks follow from it.
pub(crate) struct EventTime<T> {
    pub assign: Box<dyn AssignTimes<T>>,
    pub marks: Watermarks,
    pub generator: Option<MakeGenerator<T>>,
}

pub(crate) struct SourceStage<T> {
    pub name: String,
    pub reader: Box<dyn Reader<T>>,
    pub time: Option<EventTime<T>>,
    pub poison: Poison,
    pub main: Outlet<T>,
    /// Where dead letters go, if anybody takes them.
    pub dead: Option<Outlet<DeadLetter>>,
    fetched: Fetched<T>,
    batch: Batch<T>,
    dead_batch: Batch<DeadLetter>,
    splits: Vec<SplitTime>,
    /// One per split, if watermarks do not follow the timestamps.
    generators: Vec<AnyGenerator<T>>,
    merge: WatermarkMerge,
    /// The watermark that downstream has to be told before the first record.
    announce: Option<Timestamp>,
    ended: bool,
    /// Gives no records for now.
    held: bool,
    /// Is to end, whatever there would still be to read.
    draining: bool,
    /// Its part in a group of aligned sources.
    aligned: Option<Aligned>,
    /// When the reader was last asked; nothing after a step in which it was not.
    asked: Option<Duration>,
    /// The split that was read last, and how many records of it: for messages.
    taken: Option<(usize, usize)>,
}

/// What a source stage is made of.
pub(crate) struct SourceParts<T> {
    pub name: String,
    pub reader: Box<dyn Reader<T>>,
    pub time: Option<EventTime<T>>,
    pub member: Option<Member>,
    pub poison: Poison,
    pub main: Outlet<T>,
    pub dead: Option<Outlet<DeadLetter>>,
    /// The greatest timestamp of each split in the restored checkpoint.
    pub seen: BTreeMap<String, Timestamp>,
    /// The splits that had ended there.
    pub had_ended: BTreeSet<String>,
}

impl<T> SourceStage<T> {
    /// # Errors
    /// If it is to be aligned, and its reader cannot pause.
    pub(crate) fn new(parts: SourceParts<T>) -> Result<SourceStage<T>> {
        let SourceParts { name, mut reader, time, member, poison, main, dead, seen, had_ended } = parts;
        let splits: Vec<_> = reader
            .splits()
            .iter()
            .map(|split| {
                let time = SplitTime::new(seen.get(split).copied().unwrap_or(MIN_TIME));
                SplitTime { had_ended: had_ended.contains(split), ..time }
            })
            .collect();
        let mut merge = WatermarkMerge::new(splits.len(), MIN_TIME);
        if let Some(time) = &time {
            for (i, split) in splits.iter().enumerate() {
                merge.advance(i, split.watermark(&time.marks));
            }
        }
        let generators = generators(time.as_ref(), &splits);
        let aligned = match member {
            Some(member) => Some(Aligned::new(member, &name, &mut *reader)?),
            None => None,
        };
        let announce = Some(merge.output()).filter(|&t| t > MIN_TIME);
        // Without splits the first thing that is said is the end.
        let first = if splits.is_empty() { Tail::None } else { Tail::Start };
        let mut stage = SourceStage {
            name,
            reader,
            time,
            poison,
            main,
            dead,
            fetched: Fetched { records: Vec::new(), poison: Vec::new() },
            batch: Batch { tail: first, ..Batch::default() },
            dead_batch: Batch { tail: first, ..Batch::default() },
            splits,
            generators,
            merge,
            announce,
            ended: false,
            held: false,
            draining: false,
            aligned,
            asked: None,
            taken: None,
        };
        stage.send();
        Ok(stage)
    }

    fn poll(&mut self, cx: &mut StepContext<'_>) -> Result<bool> {
        if let Some(t) = self.announce.take() {
            self.mark(MarkKind::Watermark(t));
        }
        self.align();
        let polled = self.reader.poll(cx.batch_size.min(cx.budget), &mut self.fetched)?;
        match polled {
            Polled::Pending => return Ok(false),
            Polled::Split(i) => self.take(i, cx)?,
            Polled::Watermark(i, t) => self.tell(i, t, cx)?,
            Polled::Idle(_) if self.is_silent() => {}
            Polled::Idle(i) => {
                let merged = self.merge.set_idle(i);
                self.apply(merged);
            }
            Polled::SplitEnd(i) => self.end_split(i),
            Polled::End => self.end(cx),
        }
        self.send();
        Ok(true)
    }

    /// Times, marks and counts what was fetched of a split.
    fn take(&mut self, i: usize, cx: &mut StepContext<'_>) -> Result<()> {
        self.wake(i);
        let count = self.fetched.records.len();
        self.taken = Some((i, count));
        self.splits[i].had_ended &= count == 0 && self.fetched.poison.is_empty();
        cx.budget = cx.budget.saturating_sub(count.max(1));
        cx.metrics.records_in.add(count as u64);
        // The batch is empty here: what was fetched moves in, and its buffer is the next to be filled.
        std::mem::swap(&mut self.batch.records, &mut self.fetched.records);
        match &self.time {
            None => self.batch.times.resize(count, MIN_TIME),
            Some(time) => {
                time.assign.assign(&self.batch.records, &mut self.batch.times);
                self.advance(i);
            }
        }
        self.bury(cx)
    }

    /// Moves the watermark on behind each record of the batch, all of a split, that raises it.
    fn advance(&mut self, i: usize) {
        let SourceStage { batch, splits, merge, generators, time: Some(time), .. } = self else { return };
        if time.marks.at_end_only && !planted!(watermark_in_batch) {
            return;
        }
        let Batch { records, times, marks, .. } = batch;
        let own = if planted!(watermark_after_merge) { 0..splits.len() } else { i..i + 1 };
        let mut raise = |at: usize, t: Timestamp| {
            for i in own.clone() {
                if t > splits[i].seen {
                    splits[i].seen = t;
                    if let Merged::Advanced(t) = merge.advance(i, time.marks.after(t)) {
                        marks.push(mark_after(at, t));
                    }
                }
            }
        };
        match generators.get_mut(i) {
            None => times.iter().enumerate().for_each(|(at, &t)| raise(at, t)),
            Some(generator) => {
                for (at, (record, &t)) in records.iter().zip(times.iter()).enumerate() {
                    if let Some(told) = generator.on_record(record, t) {
                        raise(at, told.saturating_add(1));
                    }
                }
            }
        }
    }

    /// Sees to records that could not be decoded, by policy.
    fn bury(&mut self, cx: &mut StepContext<'_>) -> Result<()> {
        for letter in self.fetched.poison.drain(..) {
            match (&self.dead, self.poison) {
                (Some(_), _) => self.dead_batch.push(MIN_TIME, letter),
                (None, Poison::Skip) => {}
                (None, Poison::Fail) => return Err(refuse(&letter)),
            }
            cx.metrics.poison.add(1);
        }
        Ok(())
    }

    /// A split that was idle has records again.
    fn wake(&mut self, i: usize) {
        self.splits[i].silent = Duration::ZERO;
        if self.merge.is_idle(i) && self.merge.set_active(i) == Merged::Active {
            self.mark(MarkKind::Active);
        }
    }

    /// Whether nothing is told of watermarks before the end.
    fn is_silent(&self) -> bool {
        self.time.as_ref().is_some_and(|time| time.marks.at_end_only)
    }

    /// The input itself tells a watermark of a split.
    fn tell(&mut self, i: usize, t: Timestamp, cx: &mut StepContext<'_>) -> Result<()> {
        cx.budget = cx.budget.saturating_sub(1);
        let Some(rule) = self.time.as_ref().map(|time| time.marks) else {
            let message =
                "the input tells a watermark, but its records have no times; give it an `event_time`";
            return Err(Error::new(ErrorKind::Source, message));
        };
        if rule.at_end_only {
            return Ok(());
        }
        self.wake(i);
        // The greatest is the end's.
        let t = t.min(MAX_TIME - 1);
        let split = &mut self.splits[i];
        if t > split.watermark(&rule) {
            split.seen = rule.seen_at(t);
            let merged = self.merge.advance(i, t);
            self.apply(merged);
        }
        Ok(())
    }

    fn end_split(&mut self, i: usize) {
        self.splits[i].ended = true;
        let merged = self.merge.advance(i, MAX_TIME);
        self.apply(merged);
    }

    /// Ends before its input does. Returns whether it has ended now.
    fn end_early(&mut self, cx: &mut StepContext<'_>) -> bool {
        if !self.draining || self.ended || !self.has_room() {
            return false;
        }
        let open = (0..self.splits.len()).filter(|&i| !self.splits[i].ended);
        open.collect::<Vec<_>>().into_iter().for_each(|i| self.end_split(i));
        self.end(cx);
        self.send();
        true
    }

    fn end(&mut self, cx: &mut StepContext<'_>) {
        self.ended = true;
        self.batch.tail = Tail::EndOfData;
        self.dead_batch.tail = Tail::EndOfData;
        cx.events.push(Event::Drained);
    }

    /// Counts the silence of each split since the last step in which the reader was asked, and finds the idle ones.
    fn listen(&mut self, now: Now) {
        let Some(idle_after) = self.time.as_ref().and_then(|time| time.marks.idle_after) else { return };
        let Some(before) = self.asked.replace(now.monotonic) else { return };
        let passed = now.monotonic.saturating_sub(before);
        for i in 0..self.splits.len() {
            // Not allowed to be asked is not silent either.
            let paused = self.aligned.as_ref().is_some_and(|aligned| aligned.is_paused(i));
            if planted!(paused_is_idle) && paused {
                let merged = self.merge.set_idle(i);
                self.apply(merged);
            }
            let split = &mut self.splits[i];
            if split.ended || paused || !self.reader.is_silent(i) {
                split.silent = Duration::ZERO;
                continue;
            }
            split.silent += passed;
            if split.silent >= idle_after || planted!(pending_is_idle) {
                let merged = self.merge.set_idle(i);
                self.apply(merged);
            }
        }
    }

    /// Tells the group how far this source is, and pauses the splits that are too far ahead of it. Returns whether one may
    /// go on that was paused.
    fn align(&mut self) -> bool {
        let SourceStage { aligned: Some(aligned), time: Some(time), splits, merge, reader, .. } = self else {
            return false;
        };
        let rule = &time.marks;
        let counts = |i: usize| !splits[i].ended && !merge.is_idle(i) && !reader.is_queued(i);
        let counted = (0..splits.len()).filter(|&i| counts(i)).map(|i| splits[i].watermark(rule));
        aligned.member.tell(counted.min().unwrap_or(MAX_TIME));
        aligned
            .settle(splits.iter().map(|split| (!split.ended).then(|| split.watermark(rule))), &mut **reader)
    }

    fn apply(&mut self, merged: Merged) {
        match merged {
            Merged::Same => {}
            Merged::Advanced(t) => self.mark(MarkKind::Watermark(t)),
            Merged::Active => self.mark(MarkKind::Active),
            Merged::Idle(watermark) => {
                watermark.into_iter().for_each(|t| self.mark(MarkKind::Watermark(t)));
                self.mark(MarkKind::Idle);
            }
        }
    }

    fn mark(&mut self, kind: MarkKind) {
        self.batch.mark(kind);
    }

    fn send(&mut self) {
        if !self.batch.is_empty() {
            self.main.send(&mut self.batch);
        }
        if let Some(dead) = &mut self.dead
            && !self.dead_batch.is_empty()
        {
            dead.send(&mut self.dead_batch);
        }
    }

    fn has_room(&mut self) -> bool {
        self.main.has_room() && self.dead.as_mut().is_none_or(|dead| dead.has_room())
    }

    fn meta(&self) -> Json {
        let seen: BTreeMap<&str, Timestamp> = self
            .reader
            .splits()
            .iter()
            .zip(&self.splits)
            .map(|(name, split)| (name.as_str(), split.seen))
            .collect();
        if planted!(finished_source_forgotten) && self.ended {
            return json!({ "positions": {}, "seen": {} });
        }
        let ended =
            self.reader.splits().iter().zip(&self.splits).filter(|(_, split)| split.ended || split.had_ended);
        let ended: Vec<&String> = ended.map(|(name, _)| name).collect();
        let mut meta = json!({ "positions": self.reader.positions(), "seen": seen });
        if !ended.is_empty() {
            // What has ended says so again, perhaps not before the next checkpoint. A replay has to know.
            meta["ended"] = json!(ended);
        }
        let splits = self.reader.splits().iter().zip(&self.splits);
        let unsaid: Vec<&String> =
            splits.filter(|(_, split)| split.had_ended && !split.ended).map(|(name, _)| name).collect();
        if !unsaid.is_empty() {
            // Until then it holds back the watermark of those that go on.
            meta["unsaid"] = json!(unsaid);
        }
        meta
    }
}

/// The generators of the splits, if they have any, each going on from where its split is.
fn generators<T>(time: Option<&EventTime<T>>, splits: &[SplitTime]) -> Vec<AnyGenerator<T>> {
    let Some(EventTime { marks, generator: Some(make), .. }) = time else { return Vec::new() };
    let generator = |split: &SplitTime| {
        let mut generator = make();
        if split.seen > MIN_TIME {
            generator.resume(split.watermark(marks));
        }
        generator
    };
    splits.iter().map(generator).collect()
}

/// A watermark right behind record `at` of a batch.
fn mark_after(at: usize, t: Timestamp) -> Mark {
    let at = u32::try_from(at + 1).expect("a batch holds fewer than 2^32 records");
    Mark { at, kind: MarkKind::Watermark(t) }
}

fn refuse(letter: &DeadLetter) -> Error {
    let place = match letter.line {
        Some(line) => format!("line {line} (byte {})", letter.offset),
        None => format!("offset {}", letter.offset),
    };
    let message = format!(
        "{}: {place} cannot be decoded: {}; correct the input, skip such records (`Poison::Skip`), or take them \
         with `dead_letters()`",
        letter.split, letter.reason
    );
    Error::new(ErrorKind::Source, message)
}

impl<T> Stage for SourceStage<T> {
    fn name(&self) -> &str {
        &self.name
    }

    fn run(&mut self, cx: &mut StepContext<'_>) -> Result<bool> {
        let mut busy = self.end_early(cx);
        while !self.ended && !self.held && cx.budget > 0 && self.has_room() && self.poll(cx)? {
            busy = true;
        }
        if self.has_room() && !self.held {
            self.listen(cx.now);
        } else {
            // Not asked is not silent.
            self.asked = None;
        }
        // A split that goes on has to be asked.
        busy |= self.align();
        // Only marks, if anything, are left here: idleness, and the watermark to begin with.
        busy |= !self.batch.is_empty();
        self.send();
        Ok(busy)
    }

    fn place(&self) -> Option<String> {
        let (split, count) = self.taken?;
        let split = self.reader.splits().get(split)?;
        let position = self.reader.positions().remove(split)?;
        Some(format!(
            "of the {count} records that were read last of split `{split}`, up to position {position}"
        ))
    }

    fn watermarks(&self, tell: &mut dyn FnMut(Option<&str>, Timestamp)) {
        tell(None, if self.ended { MAX_TIME } else { self.merge.output() });
        let rule = self.time.as_ref().map_or(Watermarks::monotonous(), |time| time.marks);
        for (name, split) in self.reader.splits().iter().zip(&self.splits) {
            tell(Some(name), split.watermark(&rule));
        }
    }

    fn flush(&mut self) -> bool {
        self.main.flush() | self.dead.as_mut().is_some_and(|dead| dead.flush())
    }

    fn is_ready(&mut self) -> bool {
        let flushes = self.main.can_flush() || self.dead.as_mut().is_some_and(|dead| dead.can_flush());
        flushes || (self.draining && !self.ended && self.has_room())
    }

    fn deadline(&self, now: Now) -> Option<Duration> {
        let idle_after = self.time.as_ref()?.marks.idle_after?;
        let since = now.monotonic.saturating_sub(self.asked?);
        let paused = |i| self.aligned.as_ref().is_some_and(|aligned| aligned.is_paused(i));
        let silent = |&i: &usize| {
            !self.splits[i].ended && !paused(i) && !self.merge.is_idle(i) && self.reader.is_silent(i)
        };
        let counted = (0..self.splits.len()).filter(silent);
        let left = counted.map(|i| idle_after.saturating_sub(self.splits[i].silent + since));
        left.min().filter(|_| !self.ended)
    }

    fn inject(&mut self, barrier: Barrier, cx: &mut StepContext<'_>) {
        // A checkpoint may be ordered before the first step: those behind read no record, and no second barrier, before
        // they have heard a start or an end of every channel.
        if self.splits.is_empty() && !self.ended && !planted!(barrier_before_end) {
            self.end(cx);
            self.send();
        }
        if planted!(position_of_next_epoch) && !self.ended {
            // Goes out with the next poll.
            let _ = self.reader.poll(1, &mut self.fetched);
        }
        let snapshot = Snapshot {
            step: self.name.clone(),
            epoch: barrier.epoch,
            meta: self.meta(),
            sealed: None,
            prepare: None,
            overtaken: None,
            alignment: Duration::ZERO,
        };
        cx.events.push(Event::Snapshot(Box::new(snapshot)));
        if planted!(stop_ends_windows) && self.held && !self.ended {
            self.mark(MarkKind::Watermark(MAX_TIME));
        }
        self.batch.tail = Tail::Barrier(barrier);
        self.dead_batch.tail = Tail::Barrier(barrier);
        self.send();
    }

    fn hold(&mut self, held: bool) {
        self.held = held;
    }

    fn drain(&mut self) {
        self.draining = true;
    }
}

#[cfg(test)]
mod tests;
