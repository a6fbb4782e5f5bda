//! A source that gives out as many of its records as it is allowed to.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::task::Waker;

use millstream::host::LocalFuture;
use millstream::prelude::*;
use millstream::source::{Fetched, Polled, Reader, Source, SourceContext};
use serde_json::Value as Json;

/// The numbers from 0, in splits that take turns.
#[derive(Clone)]
pub struct Gated {
    total: u64,
    splits: u64,
    gate: Arc<Mutex<Gate>>,
}

#[derive(Default)]
struct Gate {
    allowed: u64,
    waiting: Vec<Waker>,
}

impl Gated {
    /// None of the `total` records may be read yet.
    pub fn new(total: u64, splits: u64) -> Gated {
        Gated { total, splits, gate: Arc::default() }
    }

    /// Lets the first `allowed` records be read.
    pub fn allow(&self, allowed: u64) {
        let mut gate = self.gate.lock().expect("nobody panics under it");
        gate.allowed = allowed;
        gate.waiting.drain(..).for_each(Waker::wake);
    }
}

impl Source<u64> for Gated {
    fn describe(&self) -> String {
        "numbers behind a gate".to_owned()
    }

    fn poison(&self) -> Poison {
        Poison::Fail
    }

    fn is_bounded(&self) -> bool {
        true
    }

    fn open(self, cx: SourceContext) -> LocalFuture<Result<Box<dyn Reader<u64>>>> {
        let mine: Vec<u64> = (0..self.splits).filter(|&split| cx.owns(split as usize)).collect();
        let names: Vec<String> = mine.iter().map(|split| format!("split-{split}")).collect();
        let start =
            |(name, &split): (&String, &u64)| cx.restored.get(name).and_then(Json::as_u64).unwrap_or(split);
        let next = names.iter().zip(&mine).map(start).collect();
        let reader =
            GatedReader { open: (0..mine.len()).collect(), source: self, names, next, wake: cx.wake };
        Box::pin(async { Ok(Box::new(reader) as Box<dyn Reader<u64>>) })
    }
}

struct GatedReader {
    source: Gated,
    names: Vec<String>,
    next: Vec<u64>,
    /// Splits that have not ended.
    open: Vec<usize>,
    wake: Waker,
}

impl Reader<u64> for GatedReader {
    fn splits(&self) -> &[String] {
        &self.names
    }

    fn poll(&mut self, max: usize, out: &mut Fetched<u64>) -> Result<Polled> {
        let GatedReader { source, next, open, wake, .. } = self;
        if open.is_empty() {
            return Ok(Polled::End);
        }
        if let Some(at) = open.iter().position(|&split| next[split] >= source.total) {
            return Ok(Polled::SplitEnd(open.remove(at)));
        }
        let mut gate = source.gate.lock().expect("nobody panics under it");
        let Some(&split) = open.iter().find(|&&split| next[split] < gate.allowed.min(source.total)) else {
            gate.waiting.push(wake.clone());
            return Ok(Polled::Pending);
        };
        while out.records.len() < max.min(7) && next[split] < gate.allowed.min(source.total) {
            out.records.push(next[split]);
            next[split] += source.splits;
        }
        Ok(Polled::Split(split))
    }

    fn is_silent(&self, _: usize) -> bool {
        false
    }

    fn positions(&self) -> BTreeMap<String, Json> {
        self.names.iter().cloned().zip(self.next.iter().map(|&next| next.into())).collect()
    }
}
