//! The operator around a process function.

use millstream_storage::hash::stable_hash;
use millstream_storage::planted;
use millstream_storage::store::Store;
use rkyv::util::AlignedVec;
use serde_json::{Value as Json, json};

use crate::error::{Error, ErrorKind, Result};
use crate::exchange::cursor::{Run, View};
use crate::key::Key;
use crate::operator::process::{BroadcastProcess, Context, Core, CoreContext, Process};
use crate::operator::rounds::Rounds;
use crate::operator::window::ahead::Ahead;
use crate::operator::{Operator, Output, Progress};
use crate::stage::OpenContext;
use crate::state::backend::Backend;
use crate::state::log::LogBackend;
use crate::state::operator::OperatorStates;
use crate::state::timers::Domain;
use crate::time::{MAX_TIME, Timestamp};

/// What of a process operator is not its state.
struct Calls<P: Process> {
    process: P,
    state: P::State,
    watermark: Timestamp,
    /// What is known of keys whose cores had come further in a restored checkpoint.
    ahead: Ahead,
    now: Timestamp,
    operator: OperatorStates,
    scratch: AlignedVec,
    failure: Option<Error>,
}

/// Which of the user's functions is called.
enum Call<P: Process> {
    Record(P::In),
    Timer(Domain),
}

impl<P: Process> Calls<P> {
    #[inline]
    fn call(
        &mut self,
        call: Call<P>,
        key: &P::Key,
        bytes: (&[u8], u64),
        time: Timestamp,
        backend: &mut LogBackend,
        out: &mut Output<P::Out>,
    ) -> Result<()> {
        self.with_key(key, bytes, time, backend, out, |process, state, cx| match call {
            Call::Record(record) => process.on_record(record, state, cx),
            Call::Timer(Domain::Event) => process.on_timer(time, state, cx),
            Call::Timer(Domain::Processing) => process.on_processing_timer(time, state, cx),
        })
    }

    /// Runs `visit` as the user's functions are run: at the state of a key.
    #[inline]
    fn with_key<R>(
        &mut self,
        key: &P::Key,
        (key_bytes, hash): (&[u8], u64),
        time: Timestamp,
        backend: &mut LogBackend,
        out: &mut Output<P::Out>,
        visit: impl FnOnce(&mut P, &P::State, &mut Context<'_, P>) -> R,
    ) -> Result<R> {
        let Calls { process, state, watermark, ahead, now, operator, scratch, failure } = self;
        let mut watermark = *watermark;
        if !ahead.is_over() {
            watermark = watermark.max(ahead.watermark_of(hash));
        }
        let mut cx = Context {
            key,
            key_bytes,
            hash,
            time,
            watermark,
            now: *now,
            out: &mut out.main,
            sides: &mut out.sides,
            late: &mut out.late,
            backend: &mut *backend,
            operator,
            scratch,
            failure,
        };
        let seen = visit(process, state, &mut cx);
        backend.settle(hash, key_bytes);
        self.failure.take().map_or(Ok(seen), Err)
    }

    /// What the function sees without a key.
    fn without_key<'a>(
        &'a mut self,
        time: Timestamp,
        out: &'a mut Output<P::Out>,
    ) -> (&'a mut P, &'a P::State, CoreContext<'a, P>) {
        let Calls { process, state, watermark, now, operator, .. } = self;
        let Output { main, sides, .. } = out;
        (process, state, CoreContext { time, watermark: *watermark, now: *now, out: main, sides, operator })
    }
}

/// Where and from where on a process function runs.
pub(crate) struct Opened {
    shard: usize,
    shards: usize,
    restored: bool,
    watermark: Timestamp,
    ahead: Ahead,
}

impl Opened {
    pub(crate) fn new(cx: &OpenContext, step: &str, watermark: Timestamp) -> Opened {
        let OpenContext { shard, shards, restored_epoch, .. } = *cx;
        let ahead = match planted!(level_forgotten) {
            true => Ahead::default(),
            false => Ahead::restore(cx, step),
        };
        Opened { shard, shards, restored: restored_epoch.is_some(), watermark, ahead }
    }
}

pub(crate) struct ProcessOperator<P: Process, F> {
    calls: Calls<P>,
    key: F,
    backend: LogBackend,
    /// How often the state of the next timer was asked for.
    rounds: Rounds,
}

/// Timers whose state is asked for ahead.
const AHEAD: usize = 64;

impl<P, F> ProcessOperator<P, F>
where
    P: Process,
    F: Fn(&P::In) -> P::Key,
{
    pub(crate) fn new(
        mut process: P,
        state: P::State,
        key: F,
        backend: LogBackend,
        mut operator: OperatorStates,
        opened: Opened,
    ) -> Self {
        let Opened { shard, shards, restored, watermark, ahead } = opened;
        process.open(&state, &mut Core { shard, shards, restored, operator: &mut operator });
        let (scratch, failure) = (AlignedVec::new(), None);
        let calls = Calls { process, state, watermark, ahead, now: 0, operator, scratch, failure };
        ProcessOperator { calls, key, backend, rounds: Rounds::default() }
    }

    /// Asks for the state of a record. Returns whether it is in memory.
    pub(super) fn ask(&mut self, record: &P::In, hash: u64) -> bool {
        let ProcessOperator { key, backend, .. } = self;
        match backend.has_collections() {
            true => key(record).encoded(|bytes| backend.ask(hash, bytes)),
            false => backend.ask(hash, &[]),
        }
    }

    /// Whether more may be asked for.
    pub(super) fn may_ask(&self) -> bool {
        self.backend.store.may_ask()
    }

    #[inline]
    pub(crate) fn on_record(
        &mut self,
        time: Timestamp,
        hash: u64,
        record: P::In,
        out: &mut Output<P::Out>,
    ) -> Result<()> {
        let ProcessOperator { calls, key, backend, .. } = self;
        let key = key(&record);
        key.encoded(|bytes| calls.call(Call::Record(record), &key, (bytes, hash), time, backend, out))
    }

    /// Visits the state of a key.
    ///
    /// # Errors
    /// If something was written that does not fit the store.
    pub(crate) fn visit<R>(
        &mut self,
        key: &P::Key,
        out: &mut Output<P::Out>,
        visit: impl FnOnce(&P::State, &mut Context<'_, P>) -> R,
    ) -> Result<R> {
        let ProcessOperator { calls, backend, .. } = self;
        let time = calls.watermark;
        key.encoded(|bytes| {
            let place = (bytes, stable_hash(bytes));
            calls.with_key(key, place, time, backend, out, |_, state, cx| visit(state, cx))
        })
    }

    /// The pending timers, in the order in which they fire: their times and their keys.
    pub(crate) fn timers(&self, domain: Domain) -> impl Iterator<Item = (Timestamp, &[u8])> {
        self.backend.timers.pending(domain, Timestamp::MAX)
    }

    /// Whether the state of the next timer that is due is in memory. If not, that of those behind it is asked for too.
    ///
    /// # Errors
    /// If it could be waited for for ever.
    fn due_is_present(&mut self, domain: Domain, until: Timestamp) -> Result<bool> {
        let ProcessOperator { backend, rounds, .. } = self;
        let asked = rounds.narrow(AHEAD);
        let due = backend.timers.due(domain, until).take(asked).map(Vec::from);
        for (i, key) in due.collect::<Vec<_>>().into_iter().enumerate() {
            let present = backend.ask(stable_hash(&key), &key);
            if present && i == 0 {
                rounds.end();
                return Ok(true);
            }
            if !backend.store.may_ask() {
                break;
            }
        }
        if backend.timers.next_time(domain).is_none_or(|at| at > until) {
            // Nothing is due.
            return Ok(true);
        }
        rounds.wait(&backend.store, asked)?;
        Ok(false)
    }

    /// Fires what is due, until the output is full or as many timers have fired: they need not emit anything, and
    /// the step must end.
    fn fire(&mut self, domain: Domain, until: Timestamp, out: &mut Output<P::Out>) -> Result<Progress> {
        for _ in 0..out.limit {
            if out.is_full() {
                break;
            }
            if !self.backend.store.is_resident() && !self.due_is_present(domain, until)? {
                return Ok(Progress::Fetch);
            }
            let ProcessOperator { calls, backend, .. } = self;
            let LogBackend { store, timers, .. } = backend;
            let Some((at, bytes)) = timers.pop(store, domain, until) else { return Ok(Progress::Done) };
            let key = P::Key::decode(&bytes).ok_or_else(|| {
                let message = "a timer's key cannot be decoded; has the key's type changed its encoding?";
                Error::new(ErrorKind::Restore, message)
            })?;
            let hash = stable_hash(&bytes);
            calls.call(Call::Timer(domain), &key, (&bytes, hash), at, backend, out)?;
        }
        Ok(Progress::More)
    }
}

impl<P, F> ProcessOperator<P, F>
where
    P: BroadcastProcess,
{
    pub(crate) fn on_broadcast(&mut self, time: Timestamp, record: P::Broadcast, out: &mut Output<P::Out>) {
        let (process, state, mut cx) = self.calls.without_key(time, out);
        process.on_broadcast(record, state, &mut cx);
    }
}

impl<P, F> Operator for ProcessOperator<P, F>
where
    P: Process,
    F: Fn(&P::In) -> P::Key + 'static,
{
    type In = P::In;
    type Out = P::Out;

    const FETCHES: bool = true;

    fn fetch(&mut self, view: View<'_, P::In>) -> usize {
        let (mut first, mut missing) = (0, false);
        for (record, &hash) in view.records.iter().zip(view.hashes) {
            missing |= !self.ask(record, hash);
            first += usize::from(!missing);
            if missing && !self.backend.store.may_ask() {
                break;
            }
        }
        first
    }

    fn prefetch(&mut self, view: View<'_, P::In>) -> usize {
        self.backend.prefetch(view.hashes);
        view.records.len()
    }

    fn piece(&self) -> usize {
        // To change a collection may copy much of it.
        if self.backend.has_collections() { 1 } else { usize::MAX }
    }

    fn on_records(&mut self, run: Run<'_, P::In>, out: &mut Output<P::Out>) -> Result<()> {
        let mut run = run.one_by_one();
        while !run.is_empty() {
            let hash = run.hashes()[0];
            let (time, record) = run.take().expect("the run is not empty");
            self.on_record(time, hash, record, out)?;
        }
        Ok(())
    }

    fn on_watermark(&mut self, watermark: Timestamp, out: &mut Output<P::Out>) -> Result<Progress> {
        self.calls.watermark = watermark;
        if planted!(timers_dropped_at_end) && watermark == MAX_TIME {
            return Ok(Progress::Done);
        }
        let progress = self.fire(Domain::Event, watermark, out)?;
        if progress == Progress::Done {
            self.calls.ahead.pass(watermark);
        }
        Ok(progress)
    }

    fn set_now(&mut self, now: Timestamp) {
        self.calls.now = now;
        self.backend.set_now(now);
    }

    fn on_processing_time(&mut self, now: Timestamp, out: &mut Output<P::Out>) -> Result<Progress> {
        self.fire(Domain::Processing, now, out)
    }

    fn next_processing_time(&self) -> Option<Timestamp> {
        self.backend.timers.next_time(Domain::Processing)
    }

    fn finish(&mut self, out: &mut Output<P::Out>) {
        let (process, state, mut cx) = self.calls.without_key(MAX_TIME, out);
        process.finish(state, &mut cx);
    }

    fn store_ref(&self) -> Option<&Store> {
        Some(&self.backend.store)
    }

    fn store(&mut self) -> Option<&mut Store> {
        Some(&mut self.backend.store)
    }

    fn meta(&self) -> Json {
        let mut meta = json!({ "clock": self.backend.clock() });
        if !self.calls.ahead.is_over() {
            meta["ahead"] = self.calls.ahead.meta()["ahead"].take();
        }
        if let Some(states) = self.calls.operator.meta() {
            meta["states"] = states;
        }
        meta
    }
}

#[cfg(test)]
mod tests;
