//! Process functions, the plainest way.

use millstream_storage::hash::stable_hash;
use rkyv::util::AlignedVec;

use crate::error::Error;
use crate::key::Key;
use crate::operator::process::{BroadcastProcess, Context, Core, CoreContext, Declare, Process};
use crate::operator::sides::Sides;
use crate::record::{Batch, MarkKind};
use crate::reference::Event;
use crate::reference::state::PlainBackend;
use crate::state::operator::OperatorStates;
use crate::time::{MAX_TIME, MIN_TIME, Timestamp};

/// The results, and what is in the side outputs.
pub(crate) struct Processed<Out> {
    pub results: Vec<Event<Out>>,
    pub sides: Sides,
}

struct Interpreter<P: Process> {
    process: P,
    state: P::State,
    backend: PlainBackend,
    operator: OperatorStates,
    watermark: Timestamp,
    out: Batch<P::Out>,
    sides: Sides,
    results: Vec<Event<P::Out>>,
}

impl<P: Process> Interpreter<P> {
    fn new(process: &P) -> Interpreter<P> {
        let mut process = process.clone();
        let mut declare = Declare::default();
        let state = process.declare(&mut declare);
        let mut operator = OperatorStates::new(declare.operator());
        process.open(&state, &mut Core { shard: 0, shards: 1, restored: false, operator: &mut operator });
        let mut sides = Sides::default();
        declare.sides().iter().for_each(|side| side.add_batch(&mut sides));
        let (backend, out, results) = (PlainBackend::default(), Batch::default(), Vec::new());
        Interpreter { process, state, backend, operator, watermark: MIN_TIME, out, sides, results }
    }

    fn call(&mut self, key_bytes: &[u8], time: Timestamp, record: Option<P::In>) {
        let key = P::Key::decode(key_bytes).expect("it was encoded from a key");
        let (mut scratch, mut failure): (AlignedVec, Option<Error>) = (AlignedVec::new(), None);
        let mut cx = Context {
            key: &key,
            key_bytes,
            hash: stable_hash(key_bytes),
            time,
            watermark: self.watermark,
            now: MIN_TIME,
            out: &mut self.out,
            sides: &mut self.sides,
            late: &mut 0,
            backend: &mut self.backend,
            operator: &mut self.operator,
            scratch: &mut scratch,
            failure: &mut failure,
        };
        match record {
            Some(record) => self.process.on_record(record, &self.state, &mut cx),
            None => self.process.on_timer(time, &self.state, &mut cx),
        }
        self.drain();
    }

    /// Calls a function without a key.
    fn without_key(&mut self, time: Timestamp, f: impl FnOnce(&mut P, &P::State, &mut CoreContext<'_, P>)) {
        let Interpreter { process, state, operator, watermark, out, sides, .. } = self;
        let mut cx = CoreContext { time, watermark: *watermark, now: MIN_TIME, out, sides, operator };
        f(process, state, &mut cx);
        self.drain();
    }

    fn drain(&mut self) {
        self.results.append(&mut events(&mut std::mem::take(&mut self.out)));
    }

    fn advance(&mut self, watermark: Timestamp) {
        self.watermark = watermark;
        while let Some((at, bytes)) = self.backend.pop(watermark) {
            self.call(&bytes, at, None);
        }
        self.results.push(Event::Watermark(watermark));
        self.sides.mark(MarkKind::Watermark(watermark));
    }

    fn finish(mut self) -> Processed<P::Out> {
        self.without_key(MAX_TIME, |process, state, cx| process.finish(state, cx));
        Processed { results: self.results, sides: self.sides }
    }
}

pub(crate) fn process<P: Process>(
    events: Vec<Event<P::In>>,
    process: &P,
    key: &dyn Fn(&P::In) -> P::Key,
) -> Processed<P::Out> {
    let mut run = Interpreter::new(process);
    for event in events {
        match event {
            Event::Record(at, record) => run.call(&key(&record).encoded(<[u8]>::to_vec), at, Some(record)),
            Event::Watermark(t) => run.advance(t),
        }
    }
    run.finish()
}

/// All that is broadcast, and then the records with keys: what does not depend on the order of the two.
pub(crate) fn beside_broadcast<P: BroadcastProcess>(
    events: Vec<Event<P::In>>,
    broadcast: Vec<Event<P::Broadcast>>,
    process: &P,
    key: &dyn Fn(&P::In) -> P::Key,
) -> Processed<P::Out> {
    let mut run = Interpreter::new(process);
    for event in broadcast {
        if let Event::Record(at, record) = event {
            run.without_key(at, |process, state, cx| process.on_broadcast(record, state, cx));
        }
    }
    for event in events {
        if let Event::Record(at, record) = event {
            run.call(&key(&record).encoded(<[u8]>::to_vec), at, Some(record));
        }
    }
    run.advance(MAX_TIME);
    run.finish()
}

/// What is in a batch, marks among records.
pub(crate) fn events<T>(batch: &mut Batch<T>) -> Vec<Event<T>> {
    let mut marks = batch.marks.drain(..).peekable();
    let mut events = Vec::new();
    let mut pass = |events: &mut Vec<Event<T>>, at: usize| {
        while let Some(mark) = marks.next_if(|mark| mark.at as usize <= at) {
            if let MarkKind::Watermark(t) = mark.kind {
                events.push(Event::Watermark(t));
            }
        }
    };
    let records = batch.times.drain(..).zip(batch.records.drain(..));
    for (i, (at, record)) in records.enumerate() {
        pass(&mut events, i);
        events.push(Event::Record(at, record));
    }
    pass(&mut events, usize::MAX);
    events
}
