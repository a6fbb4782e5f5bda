//! Process functions, the plainest way.

use millstream_storage::hash::stable_hash;
use rkyv::util::AlignedVec;

use crate::error::Error;
use crate::key::Key;
use crate::operator::process::{Context, Declare, Process};
use crate::record::Batch;
use crate::reference::Event;
use crate::reference::state::PlainBackend;
use crate::state::operator::OperatorStates;
use crate::time::{MIN_TIME, Timestamp};

struct Interpreter<P: Process> {
    process: P,
    state: P::State,
    backend: PlainBackend,
    operator: OperatorStates,
    watermark: Timestamp,
    out: Batch<P::Out>,
}

impl<P: Process> Interpreter<P> {
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
            backend: &mut self.backend,
            operator: &mut self.operator,
            scratch: &mut scratch,
            failure: &mut failure,
        };
        match record {
            Some(record) => self.process.on_record(record, &self.state, &mut cx),
            None => self.process.on_timer(time, &self.state, &mut cx),
        }
    }

    fn drain(&mut self, events: &mut Vec<Event<P::Out>>) {
        let times = self.out.times.drain(..);
        events.extend(times.zip(self.out.records.drain(..)).map(|(at, record)| Event::Record(at, record)));
    }
}

pub(crate) fn process<P: Process>(
    events: Vec<Event<P::In>>,
    process: &P,
    key: &dyn Fn(&P::In) -> P::Key,
) -> Vec<Event<P::Out>> {
    let mut declare = Declare::default();
    let state = process.declare(&mut declare);
    let operator = OperatorStates::new(declare.operator());
    let (backend, out) = (PlainBackend::default(), Batch::default());
    let mut run =
        Interpreter { process: process.clone(), state, backend, operator, watermark: MIN_TIME, out };
    let mut results = Vec::new();
    for event in events {
        match event {
            Event::Record(at, record) => {
                let bytes = key(&record).encoded(<[u8]>::to_vec);
                run.call(&bytes, at, Some(record));
                run.drain(&mut results);
            }
            Event::Watermark(t) => {
                run.watermark = t;
                while let Some((at, bytes)) = run.backend.pop(t) {
                    run.call(&bytes, at, None);
                }
                run.drain(&mut results);
                results.push(Event::Watermark(t));
            }
        }
    }
    results
}
