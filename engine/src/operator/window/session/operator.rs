//! Sessions with an incremental aggregate.
//!
//! All sessions of a key are one record of the store: mostly there is one, and a record of the stream costs one update
//! where it lies. When a key has something to do is kept in a queue in memory, and found again at a restore. A session
//! that grows stays where it is in the queue: when its turn comes it is looked at, and put where it belongs by then. So a
//! session is looked at once per gap, not once per record.

use std::marker::PhantomData;

use millstream_storage::hash::stable_hash;
use millstream_storage::planted;
use millstream_storage::store::{Store, TableId};
use rkyv::util::AlignedVec;
use serde_json::Value as Json;

use super::encoded::{self, Open};
use super::queue::Queue;
use super::{Gap, Session};
use crate::error::Result;
use crate::exchange::cursor::{Run, View};
use crate::key::Key;
use crate::operator::aggregate::{Aggregate, Merge};
use crate::operator::rounds::Rounds;
use crate::operator::window::accumulators::{ACCUMULATORS, BatchKeys, reject, too_large};
use crate::operator::window::ahead::Ahead;
use crate::operator::window::{Window, Windowed};
use crate::operator::{Operator, Output, Progress};
use crate::state::codec;
use crate::time::Timestamp;

/// Keys whose sessions are asked for ahead when they are due.
const AHEAD: usize = 64;

/// What a session operator emits to.
type Out<K, A> = Output<Windowed<K, <A as Aggregate>::Out>>;

pub(crate) struct SessionOperator<G, K, F, A: Merge> {
    sessions: Session<G>,
    key: F,
    aggregate: A,
    store: Store,
    table: TableId,
    watermark: Timestamp,
    ahead: Ahead,
    queue: Queue<K>,
    rounds: Rounds,
    /// Of a batch: where records begin a session, when it ends, and which have to wait for the others.
    begun: Vec<(usize, Timestamp)>,
    waiting: Vec<usize>,
    bytes: Vec<u8>,
    scratch: AlignedVec,
    of: PhantomData<fn() -> A>,
}

impl<G, K, F, A> SessionOperator<G, K, F, A>
where
    G: Gap<A::In>,
    K: Key,
    A: Merge,
    F: Fn(&A::In) -> K,
{
    /// `queued` are the keys of the restored store, each with the time of its turn.
    pub(crate) fn new(
        sessions: Session<G>,
        key: F,
        aggregate: A,
        (mut store, watermark, ahead): (Store, Timestamp, Ahead),
        queued: Vec<(Timestamp, K)>,
    ) -> Self {
        let mut queue = Queue::new();
        if !planted!(sessions_not_queued) {
            queued.into_iter().for_each(|(at, key)| queue.insert(at, key));
        }
        let table = store.create_table(ACCUMULATORS, 0);
        SessionOperator {
            sessions,
            key,
            aggregate,
            store,
            table,
            watermark,
            ahead,
            queue,
            rounds: Rounds::default(),
            begun: Vec::new(),
            waiting: Vec::new(),
            bytes: Vec::new(),
            scratch: AlignedVec::new(),
            of: PhantomData,
        }
    }

    /// When a session that ends at `end` is over: once the watermark has reached this.
    fn cleanup(&self, end: Timestamp) -> Timestamp {
        end.saturating_sub(1).saturating_add(self.sessions.lateness())
    }

    /// When there is next something to do for one of these sessions.
    fn next_event(&self, sessions: &[Open<A::Acc>]) -> Option<Timestamp> {
        let event =
            |of: &Open<A::Acc>| if of.fired { self.cleanup(of.end) } else { of.end.saturating_sub(1) };
        sessions.iter().map(event).min()
    }

    /// How many of the next records end in the future if each is a session by itself: they are not late, and nothing that
    /// they join is emitted at once.
    fn in_time(&self, run: &Run<'_, A::In>) -> usize {
        let ends = run.records().iter().zip(run.times()).map(|(record, at)| {
            // The end is exclusive.
            at.saturating_add(self.sessions.gap_of(record)).saturating_sub(1)
        });
        ends.take_while(|last| *last > self.watermark).count()
    }

    /// Adds the first `n` records of a run, all of them in time.
    fn add(&mut self, run: &mut Run<'_, A::In>, n: usize, out: &mut Out<K, A>) -> Result<()> {
        let (records, times, hashes) = (&run.records()[..n], &run.times()[..n], &run.hashes()[..n]);
        let SessionOperator { store, sessions, aggregate, key, begun, waiting, .. } = self;
        let keys = BatchKeys { records, key: &*key };
        let change = |i: usize, new: bool, bytes: &mut [u8]| {
            let (start, end) = (times[i], times[i].saturating_add(sessions.gap_of(&records[i])));
            if new {
                let mut acc = A::Acc::default();
                aggregate.add(&mut acc, &records[i]);
                encoded::write_single(bytes, (start, end, end.saturating_sub(1)), &acc);
                begun.push((i, end.saturating_sub(1)));
            } else if !encoded::join::<A::Acc>(bytes, (start, end), |acc| aggregate.add(acc, &records[i])) {
                waiting.push(i);
            }
        };
        store
            .upsert_batch(self.table, hashes, &keys, encoded::single::<A::Acc>(), change)
            .map_err(too_large)?;
        for (i, at) in self.begun.drain(..) {
            self.queue.insert(at, (self.key)(&records[i]));
        }
        let mut waiting = std::mem::take(&mut self.waiting);
        for i in waiting.drain(..) {
            self.place(&records[i], (times[i], hashes[i]), self.watermark, out)?;
        }
        self.waiting = waiting;
        run.skip(n);
        Ok(())
    }

    /// One record, whatever it takes. Returns whether it was in time.
    fn place(
        &mut self,
        record: &A::In,
        (at, hash): (Timestamp, u64),
        watermark: Timestamp,
        out: &mut Out<K, A>,
    ) -> Result<bool> {
        let key = (self.key)(record);
        let alone = (at, at.saturating_add(self.sessions.gap_of(record)));
        let old = key.encoded(|key| {
            let bytes = self.store.get(self.table, hash, key)?;
            Some((encoded::next_of(bytes), encoded::decode::<A::Acc>(bytes)))
        });
        let (queued, mut sessions) = old.map_or((None, Vec::new()), |(next, all)| (Some(next), all));
        let joined = |of: &Open<A::Acc>| of.touches(alone.0, alone.1);
        let end = sessions.iter().filter(|of| joined(of)).map(|of| of.end).fold(alone.1, Timestamp::max);
        let judged = if planted!(session_late_before_merging) { alone.1 } else { end };
        if self.cleanup(judged) <= watermark {
            return Ok(false);
        }
        let (mut merged, mut rest) = (None::<Open<A::Acc>>, Vec::new());
        for of in sessions.drain(..) {
            match (of.touches(alone.0, alone.1), &mut merged) {
                (false, _) => rest.push(of),
                (true, None) => merged = Some(of),
                (true, Some(into)) => {
                    self.aggregate.merge(&mut into.acc, &of.acc);
                    into.end = into.end.max(of.end);
                    if planted!(merged_away_kept) {
                        rest.push(of);
                    }
                }
            }
        }
        let first = Open { start: alone.0, end: alone.1, fired: false, acc: A::Acc::default() };
        let mut merged = merged.unwrap_or(first);
        (merged.start, merged.end) = (merged.start.min(alone.0), merged.end.max(alone.1));
        self.aggregate.add(&mut merged.acc, record);
        merged.fired = merged.end.saturating_sub(1) <= watermark;
        if merged.fired {
            self.emit(&key, &merged, out);
        }
        let place = rest.partition_point(|of| of.start < merged.start);
        rest.insert(place, merged);
        self.keep(key, hash, &rest, queued)?;
        Ok(true)
    }

    fn emit(&self, key: &K, session: &Open<A::Acc>, out: &mut Out<K, A>) {
        let window = Window { start: session.start, end: session.end };
        let value = self.aggregate.finish(&session.acc);
        out.main.push(window.max_timestamp(), Windowed { key: key.clone(), window, value });
    }

    /// Keeps a key's sessions, and queues the key if it is not queued early enough.
    fn keep(
        &mut self,
        key: K,
        hash: u64,
        sessions: &[Open<A::Acc>],
        queued: Option<Timestamp>,
    ) -> Result<()> {
        let Some(next) = self.next_event(sessions) else {
            key.encoded(|key| self.store.remove(self.table, hash, key));
            return Ok(());
        };
        let SessionOperator { store, scratch, bytes, .. } = self;
        let at = queued.map_or(next, |queued| queued.min(next));
        encoded::encode(at, sessions, scratch, bytes);
        key.encoded(|key| store.put(self.table, hash, key, bytes)).map_err(too_large)?;
        if queued.is_none_or(|queued| at < queued) {
            self.queue.insert(at, key);
        }
        Ok(())
    }

    /// A key's turn has come: emits what ends, and forgets what is over.
    fn attend(&mut self, at: Timestamp, key: K, out: &mut Out<K, A>) -> Result<()> {
        let (hash, sessions) = key.encoded(|key| {
            let hash = stable_hash(key);
            let bytes = self.store.get(self.table, hash, key);
            (hash, bytes.filter(|bytes| encoded::next_of(bytes) == at).map(encoded::decode::<A::Acc>))
        });
        let Some(mut sessions) = sessions else { return Ok(()) };
        sessions.sort_by_key(|of| of.end);
        let ends = |of: &Open<A::Acc>| !of.fired && of.end.saturating_sub(1) <= at;
        let stays = |of: &Open<A::Acc>| self.cleanup(of.end) > at;
        let (ending, any_stays) = (sessions.iter().filter(|of| ends(of)).count(), sessions.iter().any(stays));
        if !any_stays {
            key.encoded(|key| self.store.remove(self.table, hash, key));
        }
        // The last to need the key has it.
        let mut keys = std::iter::repeat_n(key, ending + usize::from(any_stays));
        for (of, key) in sessions.iter_mut().filter(|of| ends(of)).zip(keys.by_ref().take(ending)) {
            of.fired = true;
            let window = Window { start: of.start, end: of.end };
            let value = self.aggregate.finish(&of.acc);
            out.main.push(window.max_timestamp(), Windowed { key, window, value });
        }
        let Some(key) = keys.next() else { return Ok(()) };
        sessions.retain(|of| self.cleanup(of.end) > at);
        self.keep(key, hash, &sessions, None)
    }

    /// Whether the sessions of the next key that is due are in memory. If not, those of the keys behind it are asked for
    /// too.
    fn due_is_present(&mut self, until: Timestamp) -> Result<bool> {
        let SessionOperator { store, queue, rounds, table, .. } = self;
        let asked = rounds.narrow(AHEAD);
        let mut any = false;
        for (i, key) in queue.due(until).take(asked).enumerate() {
            any = true;
            let present = key.encoded(|key| store.is_present(*table, stable_hash(key)));
            if present && i == 0 {
                rounds.end();
                return Ok(true);
            }
            if !store.may_ask() {
                break;
            }
        }
        if any {
            rounds.wait(store, asked)?;
        }
        Ok(!any)
    }
}

impl<G, K, F, A> Operator for SessionOperator<G, K, F, A>
where
    G: Gap<A::In>,
    K: Key,
    A: Merge,
    F: Fn(&A::In) -> K + 'static,
{
    type In = A::In;
    type Out = Windowed<K, A::Out>;

    const FETCHES: bool = true;

    fn fetch(&mut self, view: View<'_, A::In>) -> usize {
        let presence = self.store.missing(self.table, view.hashes.iter().copied());
        if presence.complete { presence.covered } else { 0 }
    }

    fn on_records(&mut self, mut run: Run<'_, A::In>, out: &mut Out<K, A>) -> Result<()> {
        let fast = codec::is_flat::<A::Acc>() && self.ahead.is_over();
        while !run.is_empty() {
            let n = if fast { self.in_time(&run) } else { 0 };
            if n > 0 {
                self.add(&mut run, n, out)?;
                continue;
            }
            let (at, hash) = (run.times()[0], run.hashes()[0]);
            let watermark = match self.ahead.is_over() {
                true => self.watermark,
                false => self.watermark.max(self.ahead.watermark_of(hash)),
            };
            match self.place(&run.records()[0], (at, hash), watermark, out)? {
                true => run.skip(1),
                false => reject(&mut run, 1, out),
            }
        }
        Ok(())
    }

    fn on_watermark(&mut self, watermark: Timestamp, out: &mut Out<K, A>) -> Result<Progress> {
        if self.queue.first_time().is_some_and(|at| at <= watermark) {
            // What is looked at need not emit anything, and the step must end.
            for _ in 0..out.limit {
                if out.is_full() {
                    break;
                }
                if !self.store.is_resident() && !self.due_is_present(watermark)? {
                    return Ok(Progress::Fetch);
                }
                let Some((at, key)) = self.queue.pop(watermark) else { break };
                self.attend(at, key, out)?;
            }
            if self.queue.first_time().is_some_and(|at| at <= watermark) {
                return Ok(Progress::More);
            }
        }
        self.watermark = watermark;
        self.ahead.pass(watermark);
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
