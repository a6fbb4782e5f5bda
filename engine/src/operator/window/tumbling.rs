//! Tumbling windows with an incremental aggregate.
//!
//! A window's accumulators are a table of their own in the store: a record costs one update, firing scans the
//! table, and expiry drops it whole. There are no timers per key: what has fired follows from the watermark.

use std::marker::PhantomData;

use millstream_storage::hash::stable_hash;
use millstream_storage::planted;
use millstream_storage::store::{Presence, Store, TableId};
use serde_json::Value as Json;

use crate::error::Result;
use crate::exchange::cursor::{Run, View};
use crate::key::Key;
use crate::operator::aggregate::Aggregate;
use crate::operator::window::accumulators::{ACCUMULATORS, Adding, reject, unreadable};
use crate::operator::window::ahead::Ahead;
use crate::operator::window::firing::Firing;
use crate::operator::window::{Spans, Windowed};
use crate::operator::{Operator, Output, Progress};
use crate::state::codec;
use crate::time::{MAX_TIME, Timestamp};

pub(crate) struct TumblingOperator<W, K, F, A: Aggregate> {
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
    /// Windows that end up to here have fired.
    fired_until: Timestamp,
    /// The table of the last record's window: the next one's is mostly the same.
    last: Option<(Timestamp, TableId)>,
    of: PhantomData<fn() -> K>,
}

impl<W, K, F, A> TumblingOperator<W, K, F, A>
where
    W: Spans,
    K: Key,
    A: Aggregate,
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
        let mut operator = TumblingOperator {
            windows,
            adding: Adding::new(key, aggregate),
            store,
            watermark,
            next_event: MAX_TIME,
            ahead,
            firing: None,
            // A window has fired once the watermark has reached its last timestamp.
            fired_until: watermark.saturating_add(1),
            last: None,
            of: PhantomData,
        };
        if planted!(fired_forgotten) {
            operator.fired_until = Timestamp::MIN;
        }
        operator.next_event = operator.following_event();
        operator
    }

    /// The earliest watermark at which one of the tables fires or expires.
    fn following_event(&self) -> Timestamp {
        let event =
            |end| if end <= self.fired_until { self.windows.cleanup(end) } else { end.saturating_sub(1) };
        self.store.tables(ACCUMULATORS).map(|(end, _)| event(end)).min().unwrap_or(MAX_TIME)
    }

    fn table(&mut self, end: Timestamp) -> TableId {
        match self.last {
            Some((of, table)) if of == end => table,
            _ => {
                let table = self.store.create_table(ACCUMULATORS, end);
                let event =
                    if end <= self.fired_until { self.windows.cleanup(end) } else { end.saturating_sub(1) };
                self.next_event = self.next_event.min(event);
                self.last = Some((end, table));
                table
            }
        }
    }

    /// Adds the first `n` records of a run to the window that ends at `end`.
    fn add(&mut self, run: &mut Run<'_, A::In>, n: usize, end: Timestamp) -> Result<()> {
        let table = self.table(end);
        self.adding.add(&mut self.store, table, run, n)
    }

    /// A record for a window that has fired and is still kept: the new result is emitted at once.
    fn refine(
        &mut self,
        run: &mut Run<'_, A::In>,
        end: Timestamp,
        out: &mut Output<Windowed<K, A::Out>>,
    ) -> Result<()> {
        let (key, hash) = ((self.adding.key)(&run.records()[0]), run.hashes()[0]);
        self.add(run, 1, end)?;
        let table = self.table(end);
        let value = key.encoded(|key| self.store.get(table, hash, key).map(codec::decode::<A::Acc>));
        let acc = value.expect("the record has just been added");
        let window = self.windows.window_ending(end);
        let value = self.adding.aggregate.finish(&acc);
        if !planted!(late_firing_swallowed) {
            out.main.push(window.max_timestamp(), Windowed { key, window, value });
        }
        Ok(())
    }

    /// Emits the results of a window, from where it stopped.
    fn fire(&mut self, end: Timestamp, out: &mut Output<Windowed<K, A::Out>>) -> Result<Progress> {
        let table = self.store.table(ACCUMULATORS, end).expect("only windows with a table fire");
        let firing = self.firing.take().unwrap_or_else(|| Firing::begin(&self.store));
        let window = self.windows.window_ending(end);
        let room = out.limit.saturating_sub(out.emitted()).max(1);
        let (aggregate, mut readable) = (&self.adding.aggregate, true);
        let ahead = &self.ahead;
        let fired = |key: &[u8]| !ahead.is_over() && ahead.watermark_of(stable_hash(key)) >= end - 1;
        let visit = |key: &[u8], bytes: &[u8]| match K::decode(key) {
            Some(_) if fired(key) => {}
            Some(key) => {
                let value = aggregate.finish(&codec::decode::<A::Acc>(bytes));
                out.main.push(window.max_timestamp(), Windowed { key, window, value });
            }
            None => readable = false,
        };
        let (firing, progress) = firing.visit(&mut self.store, table, room, visit);
        if !readable {
            return Err(unreadable());
        }
        self.firing = Some(firing).filter(|_| progress != Progress::Done);
        Ok(progress)
    }

    /// Drops the windows that no record can reach any more.
    fn expire(&mut self, watermark: Timestamp) {
        let windows = self.windows.clone();
        let dead = |end: Timestamp| end <= watermark.saturating_add(1) && windows.cleanup(end) <= watermark;
        loop {
            let first = self.store.tables(ACCUMULATORS).next();
            let Some((end, table)) = first.filter(|(end, _)| dead(*end)) else { return };
            self.store.drop_table(table);
            self.last = self.last.filter(|(of, _)| *of != end);
        }
    }

    /// How many of the next records fall into the same window as the first.
    fn same_window(&self, times: &[Timestamp]) -> (Timestamp, usize) {
        let window = self.windows.window_of(times[0]);
        let same = times.iter().take_while(|&&t| t >= window.start && t < window.end).count();
        (window.end, same.max(1))
    }
}

impl<W, K, F, A> Operator for TumblingOperator<W, K, F, A>
where
    W: Spans,
    K: Key,
    A: Aggregate,
    F: Fn(&A::In) -> K + 'static,
{
    type In = A::In;
    type Out = Windowed<K, A::Out>;

    const FETCHES: bool = true;

    fn fetch(&mut self, view: View<'_, A::In>) -> usize {
        let mut presence = Presence { covered: 0, complete: true };
        while presence.covered < view.records.len() {
            let (end, same) = self.same_window(&view.times[presence.covered..]);
            let hashes = &view.hashes[presence.covered..presence.covered + same];
            let Some(table) = self.store.table(ACCUMULATORS, end) else {
                presence.covered += same;
                continue;
            };
            let of_window = self.store.missing(table, hashes.iter().copied());
            presence.covered += of_window.covered;
            presence.complete &= of_window.complete;
            if of_window.covered < same {
                break;
            }
        }
        if presence.complete { presence.covered } else { 0 }
    }

    fn is_visiting(&self) -> bool {
        matches!(self.firing, Some(Firing::ByHash(_)))
    }

    fn on_records(&mut self, mut run: Run<'_, A::In>, out: &mut Output<Self::Out>) -> Result<()> {
        while !run.is_empty() {
            let (end, same) = self.same_window(run.times());
            let (watermark, n) = match self.ahead.is_over() {
                true => (self.watermark, same),
                false => (self.watermark.max(self.ahead.watermark_of(run.hashes()[0])), 1),
            };
            let late_from = self.windows.cleanup(end).saturating_add(i64::from(planted!(late_off_by_one)));
            if late_from <= watermark {
                reject(&mut run, n, out);
            } else if end <= self.fired_until || (end - 1 <= watermark && !planted!(fired_forgotten)) {
                self.refine(&mut run, end, out)?;
            } else {
                self.add(&mut run, n, end)?;
            }
        }
        Ok(())
    }

    fn on_watermark(&mut self, watermark: Timestamp, out: &mut Output<Self::Out>) -> Result<Progress> {
        if watermark < self.next_event && self.firing.is_none() {
            self.watermark = watermark;
            self.fired_until = watermark.saturating_add(1);
            self.ahead.pass(watermark);
            return Ok(Progress::Done);
        }
        let due = watermark.saturating_add(1);
        loop {
            let unfired = |(end, _): &(Timestamp, TableId)| *end > self.fired_until;
            let next = self.store.tables(ACCUMULATORS).find(unfired).filter(|(end, _)| *end <= due);
            let Some((end, _)) = next else { break };
            let progress = self.fire(end, out)?;
            if progress != Progress::Done {
                return Ok(progress);
            }
            self.fired_until = end;
        }
        self.fired_until = due;
        self.watermark = watermark;
        self.ahead.pass(watermark);
        self.expire(watermark);
        self.next_event = self.following_event();
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
