//! The sources of a replay: the job's own, which give a record when it is their turn, and one after the other only.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use serde_json::Value as Json;

use super::trace::Trace;
use super::until::{Name, Target, Until, place};
use crate::error::{Error, ErrorKind, Result};
use crate::host::LocalFuture;
use crate::source::{Fetched, Poison, Polled, Reader, Source, SourceContext};

/// What all readers of a replay share with whoever drives it. All is done by one thread; the lock is there for the types.
#[derive(Clone, Default)]
pub(super) struct Gate(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// Those that have splits, in the order in which they were opened.
    readers: Vec<Member>,
    /// Whose turn it is, and how many records are left of it.
    turn: Option<(usize, u64)>,
    /// Something was read in this turn.
    used: bool,
    /// Records that were read, in all.
    read: u64,
    aimed: bool,
    /// The record that was read last, in the form in which a replay takes it.
    last: Option<String>,
    /// What is wrong with where the replay is to end.
    failed: Option<Error>,
    trace: Trace,
    /// Held by every source that is not open yet.
    opening: Arc<()>,
}

struct Member {
    source: String,
    wake: Waker,
    splits: Vec<Split>,
    pauses: bool,
}

/// A split, as far as it was read.
#[derive(Clone, Debug)]
pub(super) struct Split {
    pub name: String,
    pub from: Json,
    pub at: Json,
    pub records: u64,
    pub ended: bool,
    target: Option<Target>,
}

impl Split {
    fn is_reached(&self) -> bool {
        self.target.as_ref().is_some_and(|target| target.is_reached(&self.at, self.ended))
    }

    /// Whether it may still be read.
    fn is_open(&self) -> bool {
        !self.ended && !self.is_reached()
    }
}

impl Gate {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// To be held by a source until it is open.
    pub(super) fn opening(&self) -> Arc<()> {
        self.state().opening.clone()
    }

    /// Whether some source is not open yet.
    pub(super) fn is_opening(&self) -> bool {
        Arc::strong_count(&self.state().opening) > 1
    }

    /// The trace of the replay: all that is read, and all that is put out.
    pub(super) fn trace<R>(&self, note: impl FnOnce(&mut Trace) -> R) -> R {
        note(&mut self.state().trace)
    }

    /// The record that was read last, in the form in which a replay takes it.
    pub(super) fn last(&self) -> Option<String> {
        self.state().last.clone()
    }

    /// Says where the replay is to end. To be called once all readers are open.
    ///
    /// # Errors
    /// If there is no such split, or it is beyond that already, or cannot be stopped by itself.
    pub(super) fn aim(&self, untils: &[Until]) -> Result<()> {
        let mut state = self.state();
        let mut resolved = Vec::new();
        let (names, places) = state.names();
        for until in untils {
            let (i, target) = until.resolve(&names)?;
            resolved.push((places[i], target));
        }
        state.aimed = !resolved.is_empty();
        for ((reader, split), target) in resolved {
            let Member { source, splits, pauses, .. } = &mut state.readers[reader];
            let (alone, split) = (splits.len() == 1, &mut splits[split]);
            let refuse = |what: String| {
                let message = format!("the replay cannot end at {target} of {source}:{}: {what}", split.name);
                Error::new(ErrorKind::Config, message)
            };
            if target.is_behind(&split.at) {
                let what = format!("the checkpoint is at {}; take an earlier one", split.at);
                return Err(refuse(what));
            }
            if !alone && !*pauses {
                let what = "its source cannot pause one of several splits; let its reader do so by `Reader::set_paused`";
                return Err(refuse(what.to_owned()));
            }
            if let Some(other) = &split.target {
                return Err(refuse(format!("it is to end at {other} as well; name one of them")));
            }
            split.target = Some(target);
        }
        Ok(())
    }

    /// Whether all is read that was asked for.
    pub(super) fn is_reached(&self) -> bool {
        let state = self.state();
        let mut aimed = state.splits().filter(|(_, split)| split.target.is_some());
        state.aimed && aimed.all(|(_, split)| split.is_reached())
    }

    /// The readers that may have something.
    pub(super) fn open(&self) -> Vec<usize> {
        let state = self.state();
        (0..state.readers.len()).filter(|&i| state.readers[i].splits.iter().any(Split::is_open)).collect()
    }

    /// It is this reader's turn, for so many records.
    pub(super) fn grant(&self, reader: usize, records: u64) {
        let mut state = self.state();
        state.turn = Some((reader, records));
        state.used = false;
        let wake = state.readers[reader].wake.clone();
        drop(state);
        wake.wake();
    }

    /// Records that were read, in all.
    pub(super) fn read(&self) -> u64 {
        self.state().read
    }

    /// Whether something was read in this turn.
    ///
    /// # Errors
    /// If a split has ended that was to be read further.
    pub(super) fn used(&self) -> Result<bool> {
        let mut state = self.state();
        state.failed.take().map_or(Ok(state.used), Err)
    }

    /// Nobody has anything now: what was asked for is not to be had.
    pub(super) fn unreached(&self) -> Error {
        let state = self.state();
        let short = state.splits().find(|(_, split)| split.target.is_some() && !split.is_reached());
        let (source, split) = short.expect("this is asked if something is not reached");
        missed(source, split)
    }

    /// The splits, with their sources.
    pub(super) fn splits(&self) -> Vec<(String, Split)> {
        self.state().splits().map(|(source, split)| (source.to_owned(), split.clone())).collect()
    }

    fn join(&self, source: &str, wake: Waker, splits: Vec<Split>, pauses: bool) -> usize {
        let mut state = self.state();
        state.readers.push(Member { source: source.to_owned(), wake, splits, pauses });
        state.readers.len() - 1
    }
}

fn missed(source: &str, split: &Split) -> Error {
    let Split { name, at, ended, target, .. } = split;
    let target = target.as_ref().map(Target::to_string).unwrap_or_default();
    let what = if *ended { "ends at" } else { "has nothing more behind" };
    let message = format!("the replay was to end at {target} of {source}:{name}, but the split {what} {at}");
    Error::new(ErrorKind::Source, message)
}

impl State {
    fn splits(&self) -> impl Iterator<Item = (&str, &Split)> {
        self.readers.iter().flat_map(|of| of.splits.iter().map(|split| (of.source.as_str(), split)))
    }

    /// The names of the splits, and where they are.
    fn names(&self) -> (Vec<Name<'_>>, Vec<(usize, usize)>) {
        let of = |(i, reader): (usize, &'_ Member)| (0..reader.splits.len()).map(move |k| (i, k));
        let places = self.readers.iter().enumerate().flat_map(of).collect();
        let names = self.splits().map(|(source, split)| Name { source, split: &split.name }).collect();
        (names, places)
    }

    /// A split of a reader has moved.
    fn moved(&mut self, reader: usize, split: usize, at: Json, records: u64) {
        let Member { source, splits, .. } = &mut self.readers[reader];
        let split = &mut splits[split];
        let place = place(Name { source, split: &split.name }, &split.at, &at);
        (split.at, split.records) = (at, split.records + records);
        self.trace.note(&[b"read", place.as_bytes(), split.at.to_string().as_bytes()]);
        self.last = Some(place);
        self.used = true;
        self.read += records;
        self.turn = self.turn.and_then(|(reader, left)| Some((reader, left.checked_sub(1)?)));
        self.turn = self.turn.filter(|(_, left)| *left > 0);
    }

    fn ended(&mut self, reader: usize, split: usize, at: Json) {
        let Member { source, splits, .. } = &mut self.readers[reader];
        let split = &mut splits[split];
        (split.at, split.ended) = (at, true);
        if split.target.is_some() && !split.is_reached() {
            self.failed.get_or_insert(missed(source, split));
        }
        self.trace.note(&[b"end", source.as_bytes(), split.name.as_bytes()]);
        self.used = true;
    }
}

/// A source that waits for its turn.
pub(crate) struct Gated<S> {
    pub(super) source: S,
    pub(super) name: String,
    /// Whether splits that have nothing do not hold back others.
    pub(super) idles: bool,
    pub(super) gate: Gate,
    /// The only splits that are read, if that is known.
    pub(super) splits: Option<BTreeSet<String>>,
    pub(super) opening: Arc<()>,
}

impl<S: Clone> Clone for Gated<S> {
    fn clone(&self) -> Gated<S> {
        let Gated { source, name, idles, gate, splits, opening } = self;
        let (gate, splits, opening) = (gate.clone(), splits.clone(), opening.clone());
        Gated { source: source.clone(), name: name.clone(), idles: *idles, gate, splits, opening }
    }
}

impl<T: 'static, S: Source<T>> Source<T> for Gated<S> {
    fn describe(&self) -> String {
        self.source.describe()
    }

    fn poison(&self) -> Poison {
        self.source.poison()
    }

    fn is_bounded(&self) -> bool {
        self.source.is_bounded()
    }

    fn open(self, cx: SourceContext) -> LocalFuture<Result<Box<dyn Reader<T>>>> {
        Box::pin(async move {
            let Gated { source, name, idles, gate, splits, opening: _opening } = self;
            if let Some(splits) = splits {
                // What came later is not read.
                cx.agreement.on(splits);
            }
            let wake = cx.wake.clone();
            let mut inner = source.open(cx).await?;
            let (names, mut positions) = (inner.splits().to_vec(), inner.positions());
            if names.is_empty() {
                return Ok(inner);
            }
            let pauses = (0..names.len()).all(|split| inner.set_paused(split, false));
            let split = |name: &String| {
                let from = positions.remove(name).unwrap_or(Json::Null);
                Split { name: name.clone(), at: from.clone(), from, records: 0, ended: false, target: None }
            };
            let splits: Vec<Split> = names.iter().map(split).collect();
            let (held, told_idle) = (vec![false; splits.len()], vec![false; splits.len()]);
            let index = gate.join(&name, wake, splits, pauses);
            let reader = GatedReader { inner, gate, index, idles, pauses, held, told_idle };
            Ok(Box::new(reader) as Box<dyn Reader<T>>)
        })
    }
}

struct GatedReader<T> {
    inner: Box<dyn Reader<T>>,
    gate: Gate,
    /// Which of the gate's.
    index: usize,
    idles: bool,
    pauses: bool,
    /// The splits that the job itself has paused.
    held: Vec<bool>,
    /// Those that have nothing, and have said so.
    told_idle: Vec<bool>,
}

impl<T> GatedReader<T> {
    /// What the gate says before the reader is asked: what to answer at once, if so.
    fn before(&mut self) -> Option<Polled> {
        let GatedReader { gate, index, inner, held, pauses, .. } = self;
        let mut state = gate.state();
        let splits = &state.readers[*index].splits;
        if splits.iter().all(|split| split.ended) {
            return Some(Polled::End);
        }
        if !splits.iter().any(Split::is_open) || state.turn.is_none_or(|(reader, _)| reader != *index) {
            return Some(Polled::Pending);
        }
        let at_end = |split: &Split| {
            split.is_open() && split.target.as_ref().is_some_and(|target| target.is_at_end(&split.at))
        };
        if let Some(split) = splits.iter().position(at_end) {
            let at = splits[split].at.clone();
            state.ended(*index, split, at);
            return Some(Polled::SplitEnd(split));
        }
        if *pauses {
            for (i, split) in splits.iter().enumerate() {
                inner.set_paused(i, held[i] || !split.is_open());
            }
        }
        None
    }

    fn position(&self, split: usize) -> Json {
        self.inner.positions().remove(&self.inner.splits()[split]).unwrap_or(Json::Null)
    }

    /// A split that has nothing, and has not said so.
    fn idle(&mut self) -> Option<usize> {
        let GatedReader { inner, told_idle, idles, .. } = self;
        let idle = (0..told_idle.len()).find(|&i| *idles && !told_idle[i] && inner.is_silent(i))?;
        told_idle[idle] = true;
        Some(idle)
    }
}

impl<T> Reader<T> for GatedReader<T> {
    fn splits(&self) -> &[String] {
        self.inner.splits()
    }

    fn poll(&mut self, _: usize, out: &mut Fetched<T>) -> Result<Polled> {
        if let Some(answer) = self.before() {
            return Ok(answer);
        }
        // By itself, so that whatever it does is known to be done by it.
        let polled = self.inner.poll(1, out)?;
        match polled {
            Polled::Split(i) => {
                self.told_idle[i] = false;
                let (at, records) = (self.position(i), out.records.len() + out.poison.len());
                self.gate.state().moved(self.index, i, at, records as u64);
            }
            Polled::SplitEnd(i) => {
                let at = self.position(i);
                self.gate.state().ended(self.index, i, at);
            }
            Polled::Pending => return Ok(self.idle().map_or(Polled::Pending, Polled::Idle)),
            Polled::End => {
                let mut state = self.gate.state();
                state.readers[self.index].splits.iter_mut().for_each(|split| split.ended = true);
            }
            Polled::Watermark(..) | Polled::Idle(_) => {}
        }
        Ok(polled)
    }

    fn is_silent(&self, split: usize) -> bool {
        self.inner.is_silent(split)
    }

    fn set_paused(&mut self, split: usize, paused: bool) -> bool {
        self.held[split] = paused;
        self.pauses
    }

    fn is_queued(&self, split: usize) -> bool {
        self.inner.is_queued(split)
    }

    fn positions(&self) -> BTreeMap<String, Json> {
        self.inner.positions()
    }
}
