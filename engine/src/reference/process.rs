//! Process functions, the plainest way: state in a map, timers in a list.

use std::collections::BTreeMap;

use millstream_storage::hash::stable_hash;
use rkyv::util::AlignedVec;

use crate::error::{Error, Result};
use crate::key::Key;
use crate::operator::process::{Context, Declare, Process};
use crate::record::Batch;
use crate::reference::Event;
use crate::state::backend::Backend;
use crate::state::timers::Domain;
use crate::time::{MIN_TIME, Timestamp};

/// State and timers of all keys.
#[derive(Default)]
struct PlainBackend {
    values: BTreeMap<(u32, Vec<u8>), Vec<u8>>,
    /// In the order in which they were set.
    timers: Vec<(Timestamp, Vec<u8>)>,
}

impl Backend for PlainBackend {
    fn get(&self, state: u32, _: u64, key: &[u8]) -> Option<&[u8]> {
        self.values.get(&(state, key.to_vec())).map(Vec::as_slice)
    }
    fn get_mut(&mut self, state: u32, _: u64, key: &[u8]) -> Option<&mut [u8]> {
        self.values.get_mut(&(state, key.to_vec())).map(Vec::as_mut_slice)
    }
    fn put(&mut self, state: u32, _: u64, key: &[u8], value: &[u8]) -> Result<()> {
        self.values.insert((state, key.to_vec()), value.to_vec());
        Ok(())
    }
    fn remove(&mut self, state: u32, _: u64, key: &[u8]) {
        self.values.remove(&(state, key.to_vec()));
    }
    fn set_timer(&mut self, domain: Domain, at: Timestamp, key: &[u8]) -> Result<()> {
        let timer = (at, key.to_vec());
        // Processing time does not pass here: such timers are still pending when the input ends.
        if domain == Domain::Event && !self.timers.contains(&timer) {
            self.timers.push(timer);
        }
        Ok(())
    }
    fn delete_timer(&mut self, domain: Domain, at: Timestamp, key: &[u8]) {
        if domain == Domain::Event {
            self.timers.retain(|timer| timer.0 != at || timer.1 != key);
        }
    }
}

impl PlainBackend {
    /// The earliest timer up to `until`, the first set among equals.
    fn pop(&mut self, until: Timestamp) -> Option<(Timestamp, Vec<u8>)> {
        let earliest = self.timers.iter().map(|timer| timer.0).min().filter(|&at| at <= until)?;
        let place = self.timers.iter().position(|timer| timer.0 == earliest)?;
        Some(self.timers.remove(place))
    }
}

struct Interpreter<P: Process> {
    process: P,
    state: P::State,
    backend: PlainBackend,
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
    let state = process.declare(&mut Declare::default());
    let (backend, out) = (PlainBackend::default(), Batch::default());
    let mut run = Interpreter { process: process.clone(), state, backend, watermark: MIN_TIME, out };
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
