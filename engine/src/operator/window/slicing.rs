//! Windows that overlap, with an incremental aggregate.
//!
//! The accumulators of a slice are a table of their own in the store: a record costs one update, firing merges the
//! slices of the window key by key, and a slice is dropped once its last window is over. What has fired follows from the
//! watermark, as for tumbling windows.

use std::marker::PhantomData;

use millstream_storage::planted;
use millstream_storage::store::{Presence, Store, TableId};
use serde_json::Value as Json;

use crate::error::Result;
use crate::exchange::cursor::{Run, View};
use crate::key::Key;
use crate::operator::aggregate::Merge;
use crate::operator::window::accumulators::{ACCUMULATORS, Adding, reject, unreadable};
use crate::operator::window::ahead::Ahead;
use crate::operator::window::merged::{self, Gathered, Walk};
use crate::operator::window::sliding::Slices;
use crate::operator::window::{Window, Windowed};
use crate::operator::{Operator, Output, Progress};
use crate::time::{MAX_TIME, Timestamp};

/// How far the firing of a window is.
enum Firing {
    /// By the keys' hashes, from this on: everything is in memory, and stays there.
    ByHash(u64),
    /// Slice by slice, as some of it is on disk.
    ByLog(Box<Walk>),
}

pub(crate) struct SlicingOperator<W, K, F, A: Merge> {
    windows: W,
    adding: Adding<F, A>,
    store: Store,
    watermark: Timestamp,
    /// The next watermark at which something fires or expires.
    next_event: Timestamp,
    /// What the restored checkpoint says of windows beyond the watermark.
    ahead: Ahead,
    /// The window being fired, and how far.
    firing: Option<Firing>,
    gathered: Gathered<A::Acc>,
    /// Windows that end up to here have fired.
    fired_until: Timestamp,
    /// The table of the last record's slice: the next one's is mostly the same.
    last: Option<(Timestamp, TableId)>,
    of: PhantomData<fn() -> K>,
}

impl<W, K, F, A> SlicingOperator<W, K, F, A>
where
    W: Slices,
    K: Key,
    A: Merge,
    F: Fn(&A::In) -> K,
{
    pub(crate) fn new(
        windows: W,
        key: F,
        aggregate: A,
        store: Store,
        watermark: Timestamp,
        ahead: Ahead,
    ) -> Self {
        let mut operator = SlicingOperator {
            windows,
            adding: Adding::new(key, aggregate),
            store,
            watermark,
            next_event: MAX_TIME,
            ahead,
            firing: None,
            gathered: Gathered::default(),
            // A window has fired once the watermark has reached its last timestamp.
            fired_until: watermark.saturating_add(1),
            last: None,
            of: PhantomData,
        };
        operator.next_event = operator.following_event();
        operator
    }

    /// When a slice is no longer needed: once the watermark has reached this.
    fn slice_cleanup(&self, slice: Timestamp) -> Timestamp {
        if planted!(slice_dropped_early) {
            return self.windows.cleanup(slice);
        }
        self.windows.cleanup(self.windows.last_window(slice).unwrap_or(slice))
    }

    /// The watermark at which a slice's next window fires, or the slice expires.
    fn event_of(&self, slice: Timestamp) -> Timestamp {
        let next = self.windows.window_from(slice, self.fired_until.saturating_add(1));
        let next = next.filter(|end| *end > self.fired_until);
        next.map_or(MAX_TIME, |end| end.saturating_sub(1)).min(self.slice_cleanup(slice))
    }

    /// The earliest watermark at which something fires or expires.
    fn following_event(&self) -> Timestamp {
        let events = self.store.tables(ACCUMULATORS).map(|(slice, _)| self.event_of(slice));
        events.min().unwrap_or(MAX_TIME)
    }

    fn table(&mut self, slice: Timestamp) -> TableId {
        match self.last {
            Some((of, table)) if of == slice => table,
            _ => {
                let table = self.store.create_table(ACCUMULATORS, slice);
                self.next_event = self.next_event.min(self.event_of(slice));
                self.last = Some((slice, table));
                table
            }
        }
    }

    fn window(&self, end: Timestamp) -> Window {
        Window { start: self.windows.start_of(end), end }
    }

    /// The tables of a window's slices, the earliest first.
    fn slices(&self, end: Timestamp) -> Vec<TableId> {
        let start = self.windows.start_of(end);
        let inside = |(slice, _): &(Timestamp, TableId)| *slice > start && *slice <= end;
        self.store.tables(ACCUMULATORS).filter(inside).map(|(_, table)| table).collect()
    }

    /// The next window that has something to fire.
    fn next_window(&self) -> Option<Timestamp> {
        let least = self.fired_until.saturating_add(1);
        let of = |(slice, _)| self.windows.window_from(slice, least).filter(|end| *end > self.fired_until);
        self.store.tables(ACCUMULATORS).filter_map(of).min()
    }

    /// Emits the results of a window, from where it stopped.
    fn fire(&mut self, end: Timestamp, out: &mut Output<Windowed<K, A::Out>>) -> Result<Progress> {
        let (tables, window) = (self.slices(end), self.window(end));
        let firing = self.firing.take().unwrap_or_else(|| match self.store.is_resident() {
            true => Firing::ByHash(0),
            false => Firing::ByLog(Box::default()),
        });
        let room = out.limit.saturating_sub(out.emitted()).max(1);
        let SlicingOperator { store, gathered, ahead, adding: Adding { aggregate, .. }, .. } = self;
        let mut readable = true;
        let emit = |key: &[u8], hash: u64, acc: &A::Acc| {
            if !ahead.is_over() && ahead.watermark_of(hash) >= end - 1 {
                return;
            }
            match K::decode(key) {
                Some(key) => {
                    let value = aggregate.finish(acc);
                    out.main.push(window.max_timestamp(), Windowed { key, window, value });
                }
                None => readable = false,
            }
        };
        let (firing, progress) = match firing {
            Firing::ByHash(from) => match gathered.visit((store, &tables), from, room, aggregate, emit) {
                Some(next) => (Firing::ByHash(next), Progress::More),
                None => (Firing::ByHash(0), Progress::Done),
            },
            Firing::ByLog(mut walk) => {
                let progress = walk.visit((store, &tables), room, aggregate, emit)?;
                (Firing::ByLog(walk), progress)
            }
        };
        self.firing = Some(firing).filter(|_| progress != Progress::Done);
        if readable { Ok(progress) } else { Err(unreadable()) }
    }

    /// A record of a slice of which windows have fired: those that are still kept are emitted again at once.
    fn refine(
        &mut self,
        run: &mut Run<'_, A::In>,
        slice: Timestamp,
        watermark: Timestamp,
        out: &mut Output<Windowed<K, A::Out>>,
    ) -> Result<()> {
        let (key, hash) = ((self.adding.key)(&run.records()[0]), run.hashes()[0]);
        let table = self.table(slice);
        self.adding.add(&mut self.store, table, run, 1)?;
        let mut next = self.windows.window_from(slice, slice);
        while let Some(end) = next.filter(|end| end.saturating_sub(1) <= watermark) {
            if self.windows.cleanup(end) > watermark {
                let (tables, window) = (self.slices(end), self.window(end));
                let aggregate = &self.adding.aggregate;
                let acc = key.encoded(|key| merged::of_key(&self.store, &tables, hash, key, aggregate));
                let value = aggregate.finish(&acc.expect("the record has just been added"));
                out.main.push(window.max_timestamp(), Windowed { key: key.clone(), window, value });
            }
            next = end.checked_add(1).and_then(|least| self.windows.window_from(slice, least));
        }
        Ok(())
    }

    /// Drops the slices whose windows are over.
    fn expire(&mut self, watermark: Timestamp) {
        let is_over = |(slice, _): &(Timestamp, TableId)| self.slice_cleanup(*slice) <= watermark;
        let dead: Vec<_> = self.store.tables(ACCUMULATORS).filter(is_over).collect();
        for (slice, table) in dead {
            self.store.drop_table(table);
            self.last = self.last.filter(|(of, _)| *of != slice);
        }
    }

    /// How many of the next records fall into the same slice as the first.
    fn same_slice(&self, times: &[Timestamp]) -> (Timestamp, usize) {
        let slice = self.windows.slice_of(times[0]);
        let same = times.iter().take_while(|&&t| t >= slice.start && t < slice.end).count();
        (slice.end, same.max(1))
    }

    /// Whether a record of this slice, at this watermark, may have windows that are emitted again.
    fn may_refine(&self, slice: Timestamp, watermark: Timestamp) -> bool {
        let first = || self.windows.window_from(slice, slice);
        self.windows.lateness() > 0 && first().is_some_and(|end| end.saturating_sub(1) <= watermark)
    }

    /// The tables that the next records need, all of one slice.
    fn needed(&self, slice: Timestamp) -> Vec<TableId> {
        if !self.ahead.is_over() {
            return self.store.tables(ACCUMULATORS).map(|(_, table)| table).collect();
        }
        if self.may_refine(slice, self.watermark) {
            let first = self.windows.window_from(slice, slice).unwrap_or(slice);
            let last = self.windows.last_window(slice).unwrap_or(slice);
            let reach = (self.windows.start_of(first), last);
            let inside = |(slice, _): &(Timestamp, TableId)| *slice > reach.0 && *slice <= reach.1;
            return self.store.tables(ACCUMULATORS).filter(inside).map(|(_, table)| table).collect();
        }
        self.store.table(ACCUMULATORS, slice).into_iter().collect()
    }

    /// Works on the next records, all of one slice; `n` of them share a watermark.
    fn take(
        &mut self,
        run: &mut Run<'_, A::In>,
        (slice, n): (Timestamp, usize),
        watermark: Timestamp,
        out: &mut Output<Windowed<K, A::Out>>,
    ) -> Result<()> {
        let last = match planted!(late_by_first_window) {
            true => self.windows.window_from(slice, slice),
            false => self.windows.last_window(slice),
        };
        let Some(last) = last else {
            // Between two windows. What is behind the watermark is late all the same.
            match run.times()[0].saturating_add(self.windows.lateness()) <= watermark {
                true => reject(run, 1, out),
                false => run.skip(1),
            }
            return Ok(());
        };
        if self.windows.cleanup(last) <= watermark {
            reject(run, n, out);
        } else if self.may_refine(slice, watermark) {
            self.refine(run, slice, watermark, out)?;
        } else {
            let table = self.table(slice);
            self.adding.add(&mut self.store, table, run, n)?;
        }
        Ok(())
    }
}

impl<W, K, F, A> Operator for SlicingOperator<W, K, F, A>
where
    W: Slices,
    K: Key,
    A: Merge,
    F: Fn(&A::In) -> K + 'static,
{
    type In = A::In;
    type Out = Windowed<K, A::Out>;

    const FETCHES: bool = true;

    fn fetch(&mut self, view: View<'_, A::In>) -> usize {
        let (mut covered, mut complete) = (0, true);
        while covered < view.records.len() {
            let (slice, same) = self.same_slice(&view.times[covered..]);
            let hashes = &view.hashes[covered..covered + same];
            let mut together = same;
            for table in self.needed(slice) {
                let of_table: Presence = self.store.missing(table, hashes[..together].iter().copied());
                together = of_table.covered;
                complete &= of_table.complete;
            }
            covered += together;
            if together < same {
                break;
            }
        }
        if complete { covered } else { 0 }
    }

    fn is_visiting(&self) -> bool {
        matches!(self.firing, Some(Firing::ByHash(_)))
    }

    fn on_records(&mut self, mut run: Run<'_, A::In>, out: &mut Output<Self::Out>) -> Result<()> {
        while !run.is_empty() {
            let (slice, same) = self.same_slice(run.times());
            let (watermark, n) = match self.ahead.is_over() {
                true => (self.watermark, same),
                false => (self.watermark.max(self.ahead.watermark_of(run.hashes()[0])), 1),
            };
            self.take(&mut run, (slice, n), watermark, out)?;
        }
        Ok(())
    }

    fn on_watermark(&mut self, watermark: Timestamp, out: &mut Output<Self::Out>) -> Result<Progress> {
        if watermark >= self.next_event || self.firing.is_some() {
            let due = watermark.saturating_add(1);
            while let Some(end) = self.next_window().filter(|end| *end <= due) {
                let progress = self.fire(end, out)?;
                if progress != Progress::Done {
                    return Ok(progress);
                }
                self.fired_until = end;
            }
            self.expire(watermark);
        }
        self.fired_until = watermark.saturating_add(1);
        self.watermark = watermark;
        self.ahead.pass(watermark);
        if watermark >= self.next_event {
            self.next_event = self.following_event();
        }
        Ok(Progress::Done)
    }

    fn store_ref(&self) -> Option<&Store> {
        Some(&self.store)
    }

    fn store(&mut self) -> Option<&mut Store> {
        Some(&mut self.store)
    }

    fn meta(&self) -> Json {
        self.ahead.meta()
    }
}
