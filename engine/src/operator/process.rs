//! Process functions: the user's code with keyed state and timers.

use millstream_storage::hash::stable_hash;
use millstream_storage::store::Store;
use rkyv::util::AlignedVec;
use serde_json::{Value as Json, json};

use crate::error::{Error, ErrorKind, Result};
use crate::exchange::cursor::{Run, View};
use crate::key::Key;
use crate::operator::rounds::Rounds;
use crate::operator::{Operator, Output, Progress};
use crate::record::Batch;
use crate::state::backend::Backend;
use crate::state::log::LogBackend;
use crate::state::operator::OperatorStates;
use crate::state::timers::Domain;
use crate::time::Timestamp;

pub use crate::state::declare::Declare;

/// Code that sees every record of a key in order, keeps state for the key, and sets timers.
///
/// A value of the type is cloned to every core; what must survive belongs into state, not into its fields.
///
/// ```
/// use millstream::prelude::*;
///
/// /// Emits how many records a key had, a minute of event time after the first.
/// #[derive(Clone)]
/// struct CountForAMinute;
///
/// struct Counts { count: Value<u64> }
///
/// impl Process for CountForAMinute {
///     type Key = u64;
///     type In = u64;
///     type Out = (u64, u64);
///     type State = Counts;
///
///     fn declare(&self, state: &mut Declare) -> Counts {
///         Counts { count: state.value("count") }
///     }
///     fn on_record(&mut self, _: u64, state: &Counts, cx: &mut Context<'_, Self>) {
///         if state.count.update(cx, |n| { *n += 1; *n }) == 1 {
///             cx.timer_at(cx.time() + 60_000);
///         }
///     }
///     fn on_timer(&mut self, _: Timestamp, state: &Counts, cx: &mut Context<'_, Self>) {
///         if let Some(n) = state.count.take(cx) {
///             cx.emit((*cx.key(), n));
///         }
///     }
/// }
/// # let job = Job::new("doc");
/// # let (sink, counts) = collect();
/// # let numbers = job
/// #     .source("numbers", from_vec(vec![7, 7]))
/// #     .event_time(|_| 1_000, Watermarks::monotonous());
/// # numbers.key_by(|n| *n).process("count", CountForAMinute).sink("counts", sink);
/// # job.run(Config::new().cores(1))?;
/// # assert_eq!(counts.take(), [(7, 2)]);
/// # Ok::<(), millstream::Error>(())
/// ```
pub trait Process: Clone + Send + 'static {
    /// What the stream is keyed by.
    type Key: Key;
    /// What comes in.
    type In: Send + 'static;
    /// What goes out.
    type Out: Send + 'static;
    /// The handles to the state.
    type State;

    /// Declares the state, each with a name of its own. Called once per core.
    fn declare(&self, state: &mut Declare) -> Self::State;

    /// A record of the current key.
    fn on_record(&mut self, record: Self::In, state: &Self::State, cx: &mut Context<'_, Self>);

    /// The watermark has reached an event-time timer of the current key.
    fn on_timer(&mut self, at: Timestamp, state: &Self::State, cx: &mut Context<'_, Self>) {
        let _ = (at, state, cx);
    }

    /// The clock has reached a processing-time timer of the current key.
    fn on_processing_timer(&mut self, at: Timestamp, state: &Self::State, cx: &mut Context<'_, Self>) {
        let _ = (at, state, cx);
    }
}

/// What a process function sees of the world: the current key, the times, state and timers.
///
/// A visit is over when its visitor is silent for a second of event time: a record sets a timer, and takes back that of
/// the one before it unless it came too late for the same visit.
///
/// ```
/// # use millstream::prelude::*;
/// #[derive(Clone)]
/// struct Visits;
/// impl Process for Visits {
///     type Key = char;
///     type In = (i64, char);
///     type Out = (char, Timestamp);
///     type State = Value<i64>;
///     fn declare(&self, state: &mut Declare) -> Value<i64> {
///         state.value("over at")
///     }
///     fn on_record(&mut self, _: (i64, char), over_at: &Value<i64>, cx: &mut Context<'_, Self>) {
///         let over = cx.time() + 1_000;
///         if let Some(before) = over_at.load(cx)
///             && cx.time() < before
///         {
///             cx.delete_timer_at(before);
///         }
///         over_at.set(cx, &over);
///         cx.timer_at(over);
///     }
///     fn on_timer(&mut self, at: Timestamp, over_at: &Value<i64>, cx: &mut Context<'_, Self>) {
///         assert!(cx.watermark() >= at && cx.processing_time() > at);
///         if over_at.load(cx) == Some(at) {
///             over_at.clear(cx);
///         }
///         cx.emit((*cx.key(), at));
///     }
/// }
///
/// let job = Job::new("doc");
/// let (sink, visits) = collect();
/// job.source("clicks", from_vec(vec![(0, 'a'), (900, 'a'), (2_500, 'a')]))
///     .event_time(|click| click.0, Watermarks::monotonous())
///     .key_by(|click| click.1)
///     .process("visits", Visits)
///     .sink("visits of", sink);
/// job.run(Config::new().cores(1))?;
/// assert_eq!(visits.take(), [('a', 1_900), ('a', 3_500)]);
/// # Ok::<(), millstream::Error>(())
/// ```
pub struct Context<'a, P: Process> {
    pub(crate) key: &'a P::Key,
    pub(crate) key_bytes: &'a [u8],
    pub(crate) hash: u64,
    pub(crate) time: Timestamp,
    pub(crate) watermark: Timestamp,
    pub(crate) now: Timestamp,
    pub(crate) out: &'a mut Batch<P::Out>,
    pub(crate) backend: &'a mut dyn Backend,
    pub(crate) operator: &'a mut OperatorStates,
    pub(crate) scratch: &'a mut AlignedVec,
    pub(crate) failure: &'a mut Option<Error>,
}

impl<P: Process> Context<'_, P> {
    /// The current key.
    pub fn key(&self) -> &P::Key {
        self.key
    }

    /// The event time of the record, or of the timer.
    pub fn time(&self) -> Timestamp {
        self.time
    }

    /// The watermark: no more records with a timestamp up to it are expected.
    pub fn watermark(&self) -> Timestamp {
        self.watermark
    }

    /// Milliseconds since the epoch when the current step began.
    pub fn processing_time(&self) -> Timestamp {
        self.now
    }

    /// The time by which state expires: [`Context::processing_time`], but for that it never runs backwards for a key, not
    /// over a restart either.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// fn age<P: Process>(made: &Value<i64>, cx: &Context<'_, P>) -> i64 {
    ///     made.load(cx).map_or(0, |made| cx.state_time() - made)
    /// }
    /// ```
    pub fn state_time(&self) -> Timestamp {
        self.backend.clock()
    }

    /// Emits a record with the current event time.
    pub fn emit(&mut self, record: P::Out) {
        self.out.push(self.time, record);
    }

    /// Calls [`Process::on_timer`] for this key once the watermark has reached `at`; if it has already, when it
    /// next rises, or at once if it is just rising, that is, if a timer sets this one. Set twice, it is called once.
    ///
    /// The end of the input is a watermark that reaches every time: a timer that always sets the next one never lets
    /// a job end.
    pub fn timer_at(&mut self, at: Timestamp) {
        let set = self.backend.set_timer(Domain::Event, at, self.key_bytes);
        self.note(set);
    }

    /// Takes an event-time timer of this key back.
    pub fn delete_timer_at(&mut self, at: Timestamp) {
        self.backend.delete_timer(Domain::Event, at, self.key_bytes);
    }

    /// Calls [`Process::on_processing_timer`] for this key once the clock has reached `at`. Timers that are still
    /// pending when the input ends are dropped.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// /// Asks again when a question has no answer after a minute.
    /// #[derive(Clone)]
    /// struct AskAgain;
    /// impl Process for AskAgain {
    ///     type Key = u64;
    ///     type In = (u64, bool);
    ///     type Out = u64;
    ///     type State = Value<i64>;
    ///     fn declare(&self, state: &mut Declare) -> Value<i64> {
    ///         state.value("again at")
    ///     }
    ///     fn on_record(&mut self, (_, is_answer): (u64, bool), again: &Value<i64>, cx: &mut Context<'_, Self>) {
    ///         if is_answer && let Some(at) = again.take(cx) {
    ///             cx.delete_processing_timer_at(at);
    ///         } else if !is_answer {
    ///             let at = cx.processing_time() + 60_000;
    ///             again.set(cx, &at);
    ///             cx.processing_timer_at(at);
    ///         }
    ///     }
    ///     fn on_processing_timer(&mut self, _: Timestamp, _: &Value<i64>, cx: &mut Context<'_, Self>) {
    ///         cx.emit(*cx.key());
    ///     }
    /// }
    ///
    /// let job = Job::new("doc");
    /// let (sink, again) = collect();
    /// job.source("talk", from_vec(vec![(7, false), (7, true)]))
    ///     .key_by(|line| line.0)
    ///     .process("ask again", AskAgain)
    ///     .sink("questions", sink);
    /// job.run(Config::new().cores(1))?;
    /// assert!(again.take().is_empty(), "the answer came in time");
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn processing_timer_at(&mut self, at: Timestamp) {
        let set = self.backend.set_timer(Domain::Processing, at, self.key_bytes);
        self.note(set);
    }

    /// Takes a processing-time timer of this key back.
    pub fn delete_processing_timer_at(&mut self, at: Timestamp) {
        self.backend.delete_timer(Domain::Processing, at, self.key_bytes);
    }

    /// Keeps the first failure, for the step to end with.
    pub(crate) fn note(&mut self, result: Result<()>) {
        if let Err(error) = result {
            self.failure.get_or_insert(error);
        }
    }
}

/// What of a process operator is not its state.
struct Calls<P: Process> {
    process: P,
    state: P::State,
    watermark: Timestamp,
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
    fn call(
        &mut self,
        call: Call<P>,
        key: &P::Key,
        (key_bytes, hash): (&[u8], u64),
        time: Timestamp,
        backend: &mut LogBackend,
        out: &mut Batch<P::Out>,
    ) -> Result<()> {
        let Calls { process, state, watermark, now, operator, scratch, failure } = self;
        let mut cx = Context {
            key,
            key_bytes,
            hash,
            time,
            watermark: *watermark,
            now: *now,
            out,
            backend: &mut *backend,
            operator,
            scratch,
            failure,
        };
        match call {
            Call::Record(record) => process.on_record(record, state, &mut cx),
            Call::Timer(Domain::Event) => process.on_timer(time, state, &mut cx),
            Call::Timer(Domain::Processing) => process.on_processing_timer(time, state, &mut cx),
        }
        backend.settle(hash, key_bytes);
        self.failure.take().map_or(Ok(()), Err)
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
        process: P,
        state: P::State,
        key: F,
        backend: LogBackend,
        operator: OperatorStates,
        watermark: Timestamp,
    ) -> Self {
        let (scratch, failure) = (AlignedVec::new(), None);
        let calls = Calls { process, state, watermark, now: 0, operator, scratch, failure };
        ProcessOperator { calls, key, backend, rounds: Rounds::default() }
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
    fn fire(&mut self, domain: Domain, until: Timestamp, out: &mut Output<P::Out, ()>) -> Result<Progress> {
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
            calls.call(Call::Timer(domain), &key, (&bytes, hash), at, backend, &mut out.main)?;
        }
        Ok(Progress::More)
    }
}

impl<P, F> Operator for ProcessOperator<P, F>
where
    P: Process,
    F: Fn(&P::In) -> P::Key + 'static,
{
    type In = P::In;
    type Out = P::Out;
    type Side = ();

    const FETCHES: bool = true;

    fn fetch(&mut self, view: View<'_, P::In>) -> usize {
        let ProcessOperator { key, backend, .. } = self;
        let (mut first, mut missing) = (0, false);
        for (record, &hash) in view.records.iter().zip(view.hashes) {
            let present = match backend.has_collections() {
                true => key(record).encoded(|bytes| backend.ask(hash, bytes)),
                false => backend.ask(hash, &[]),
            };
            missing |= !present;
            first += usize::from(!missing);
            if missing && !backend.store.may_ask() {
                break;
            }
        }
        first
    }

    fn piece(&self) -> usize {
        // To change a collection may copy much of it.
        if self.backend.has_collections() { 1 } else { usize::MAX }
    }

    fn on_records(&mut self, mut run: Run<'_, P::In>, out: &mut Output<P::Out, ()>) -> Result<()> {
        let ProcessOperator { calls, key, backend, .. } = self;
        while !run.is_empty() {
            let hash = run.hashes()[0];
            let (time, record) = run.take().expect("the run is not empty");
            let key = key(&record);
            key.encoded(|bytes| {
                calls.call(Call::Record(record), &key, (bytes, hash), time, backend, &mut out.main)
            })?;
        }
        Ok(())
    }

    fn on_watermark(&mut self, watermark: Timestamp, out: &mut Output<P::Out, ()>) -> Result<Progress> {
        self.calls.watermark = watermark;
        self.fire(Domain::Event, watermark, out)
    }

    fn set_now(&mut self, now: Timestamp) {
        self.calls.now = now;
        self.backend.set_now(now);
    }

    fn on_processing_time(&mut self, now: Timestamp, out: &mut Output<P::Out, ()>) -> Result<Progress> {
        self.fire(Domain::Processing, now, out)
    }

    fn next_processing_time(&self) -> Option<Timestamp> {
        self.backend.timers.next_time(Domain::Processing)
    }

    fn store_ref(&self) -> Option<&Store> {
        Some(&self.backend.store)
    }

    fn store(&mut self) -> Option<&mut Store> {
        Some(&mut self.backend.store)
    }

    fn meta(&self) -> Json {
        let mut meta = json!({ "clock": self.backend.clock() });
        if let Some(states) = self.calls.operator.meta() {
            meta["states"] = states;
        }
        meta
    }
}
