//! Records from the partitions of a topic.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::marker::PhantomData;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use millstream::host::{Class, LocalFuture};
use millstream::source::{DeadLetter, Fetched as Polls, Poison, Polled, Reader, Source, SourceContext};
use millstream::{Error, ErrorKind, Result};
use millstream_storage::planted;
use serde::de::DeserializeOwned;
use serde_json::{Value as Json, json};

use super::super::requests::{
    Answer, End, ErrorCode, Fetched, Isolation, Message, Port, Refusal, Request, TopicPartition,
};
use super::{Asker, PAUSE, nonsense, visible};

/// How many records are fetched at once.
const AT_ONCE: usize = 32;

/// The committed records of a topic, up to given offsets, decoded from JSON. A split is a partition, its position the offset of
/// the next record. A partition that does not exist yet is waited for.
///
/// A position that the broker does not have any more, or not yet, ends the job: none is ever moved silently.
///
/// ```
/// use std::time::Duration;
/// use millstream::source::Source;
/// use millstream_sim::broker::Broker;
/// use millstream_sim::broker::client::BrokerSource;
/// use millstream_sim::random::Streams;
///
/// let broker = Broker::new(Streams::new(1).stream("broker"), Duration::from_millis(3));
/// let source: BrokerSource<u64> = BrokerSource::new(broker, "numbers", vec![10, 20]);
/// assert_eq!(source.patience(Duration::from_secs(5)).describe(), "topic numbers");
/// ```
pub struct BrokerSource<T> {
    port: Arc<dyn Port>,
    topic: String,
    ends: Arc<Vec<u64>>,
    patience: Duration,
    records: PhantomData<fn() -> T>,
}

impl<T> BrokerSource<T> {
    /// Reads each partition up to its end: one offset for each.
    pub fn new(port: impl Port, topic: &str, ends: Vec<u64>) -> BrokerSource<T> {
        BrokerSource {
            port: Arc::new(port),
            topic: topic.to_owned(),
            ends: Arc::new(ends),
            patience: Duration::from_secs(15),
            records: PhantomData,
        }
    }

    /// How long a broker that does not answer is tried before the job fails. 15 seconds by default.
    pub fn patience(mut self, patience: Duration) -> BrokerSource<T> {
        self.patience = patience;
        self
    }
}

// Not derived: that would ask `T` to be `Clone`.
impl<T> Clone for BrokerSource<T> {
    fn clone(&self) -> BrokerSource<T> {
        BrokerSource { port: self.port.clone(), topic: self.topic.clone(), ends: self.ends.clone(), ..*self }
    }
}

impl<T> fmt::Debug for BrokerSource<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BrokerSource({} of {})", self.topic, self.port.describe())
    }
}

impl<T: DeserializeOwned + 'static> Source<T> for BrokerSource<T> {
    fn describe(&self) -> String {
        format!("topic {}", self.topic)
    }

    fn is_bounded(&self) -> bool {
        true
    }

    fn poison(&self) -> Poison {
        Poison::Fail
    }

    fn open(self, cx: SourceContext) -> LocalFuture<Result<Box<dyn Reader<T>>>> {
        Box::pin(async move { Ok(Box::new(PartitionsReader::open(self, cx)?) as Box<dyn Reader<T>>) })
    }
}

struct PartitionsReader<T> {
    source: BrokerSource<T>,
    cx: SourceContext,
    names: Vec<String>,
    splits: Vec<Split>,
    /// Not ended yet, in the order of the next polls.
    open: VecDeque<usize>,
}

struct Split {
    partition: TopicPartition,
    /// The offset after the last record that was polled.
    position: u64,
    end: u64,
    paused: bool,
    ahead: Rc<RefCell<Ahead>>,
}

/// What was fetched and not polled yet.
#[derive(Debug)]
struct Ahead {
    messages: VecDeque<(u64, Message)>,
    /// Where the next fetch begins.
    next: u64,
    fetching: bool,
    /// By the last answer.
    found_nothing: bool,
    failed: Option<(Refusal, Option<[u64; 2]>)>,
}

impl<T> PartitionsReader<T> {
    fn open(source: BrokerSource<T>, cx: SourceContext) -> Result<PartitionsReader<T>> {
        let (mut names, mut splits) = (Vec::new(), Vec::new());
        for (place, end) in source.ends.iter().enumerate().filter(|(place, _)| cx.owns(*place)) {
            let partition = TopicPartition::new(&source.topic, place as u32);
            let name = format!("{place:05}");
            let position = cx.restored.get(&name).map_or(Some(0), Json::as_u64);
            let position = position.filter(|position| position <= end).ok_or_else(|| {
                let at = &cx.restored[&name];
                Error::new(
                    ErrorKind::Restore,
                    format!("{partition} cannot be at {at}: it is read up to {end}"),
                )
            })?;
            let ahead = Ahead {
                messages: VecDeque::new(),
                next: position,
                fetching: false,
                found_nothing: false,
                failed: None,
            };
            let ahead = Rc::new(RefCell::new(ahead));
            splits.push(Split { partition, position, end: *end, paused: false, ahead });
            names.push(name);
        }
        let open = (0..splits.len()).collect();
        Ok(PartitionsReader { source, cx, names, splits, open })
    }

    /// Begins to fetch what comes next of a split.
    fn fetch(&self, index: usize) {
        let Split { partition, end, ahead, .. } = &self.splits[index];
        ahead.borrow_mut().fetching = true;
        let asker = Asker::new(&self.source.port, &self.cx.host, self.source.patience);
        let (partition, end, ahead, wake) = (partition.clone(), *end, ahead.clone(), self.cx.wake.clone());
        let fetch = async move {
            let offset = ahead.borrow().next;
            let told = fetch(&asker, &partition, offset).await;
            let empty = told.as_ref().is_ok_and(|(fetched, _)| fetched.next == offset);
            ahead.borrow_mut().found_nothing = empty;
            if empty {
                // A transaction goes on, or the records are still to come.
                asker.host.sleep(PAUSE).await;
            }
            ahead.borrow_mut().take(told, end);
            wake.wake();
        };
        self.cx.host.spawn(Class::Records, Box::pin(fetch));
    }

    fn failed(&self, split: &Split, refusal: &Refusal, range: Option<[u64; 2]>) -> Error {
        let (partition, offset) = (&split.partition, split.ahead.borrow().next);
        let message = match range {
            Some([start, end]) => format!(
                "cannot go on at offset {offset} of {partition}: the broker has {start}..{end}; start without the \
                 checkpoint to begin at what is left"
            ),
            None if !refusal.is_retriable() => {
                format!("{partition} cannot be read at offset {offset}: {refusal}")
            }
            None => format!(
                "to read {partition} at offset {offset} took longer than {:?}: {refusal}",
                self.source.patience
            ),
        };
        Error::new(ErrorKind::Source, message)
    }
}

/// Fetches what a reader may see; if the offset is out of range, says with it what is not.
async fn fetch(
    asker: &Asker,
    from: &TopicPartition,
    offset: u64,
) -> Result<(Fetched, Isolation), (Refusal, Option<[u64; 2]>)> {
    let isolation = match planted!(broker_source_reads_uncommitted) {
        true => Isolation::Uncommitted,
        false => Isolation::Committed,
    };
    let fetch = Request::Fetch { from: from.clone(), offset, most: AT_ONCE, isolation };
    match asker.ask(fetch).await {
        Ok(Answer::Fetched(fetched)) => Ok((fetched, isolation)),
        Ok(_) => Err((nonsense(), None)),
        Err(refusal @ Refusal::Error(ErrorCode::OffsetOutOfRange)) => {
            let ends = [ask_end(asker, from, End::Earliest).await, ask_end(asker, from, End::Latest).await];
            Err((refusal, Some(ends)))
        }
        Err(refusal) => Err((refusal, None)),
    }
}

/// An end, for a message.
async fn ask_end(asker: &Asker, of: &TopicPartition, end: End) -> u64 {
    let list = Request::ListOffsets { of: of.clone(), end, isolation: Isolation::Uncommitted };
    match asker.ask(list).await {
        Ok(Answer::Offset(offset)) => offset,
        _ => 0,
    }
}

impl Ahead {
    fn take(&mut self, told: Result<(Fetched, Isolation), (Refusal, Option<[u64; 2]>)>, end: u64) {
        self.fetching = false;
        match told {
            Ok((fetched, isolation)) => {
                let seen = visible(&fetched, isolation).into_iter().filter(|(offset, _)| *offset < end);
                self.messages.extend(seen.map(|(offset, message)| (offset, message.clone())));
                self.next = fetched.next;
            }
            Err(failed) => self.failed = Some(failed),
        }
    }
}

impl<T: DeserializeOwned> Reader<T> for PartitionsReader<T> {
    fn splits(&self) -> &[String] {
        &self.names
    }

    fn poll(&mut self, max: usize, out: &mut Polls<T>) -> Result<Polled> {
        if self.open.is_empty() {
            return Ok(Polled::End);
        }
        for _ in 0..self.open.len() {
            let index = self.open[0];
            self.open.rotate_left(1);
            let split = &self.splits[index];
            if split.paused {
                continue;
            }
            if let Some((refusal, range)) = &split.ahead.borrow().failed {
                return Err(self.failed(split, refusal, *range));
            }
            let (left, next, fetching) = {
                let ahead = split.ahead.borrow();
                (ahead.messages.len(), ahead.next, ahead.fetching)
            };
            let ended = next >= split.end;
            if !ended && !fetching && left < AT_ONCE {
                self.fetch(index);
            }
            if left > 0 {
                self.splits[index].take(max, out);
                return Ok(Polled::Split(index));
            }
            if ended {
                self.open.pop_back();
                return Ok(Polled::SplitEnd(index));
            }
        }
        Ok(Polled::Pending)
    }

    fn is_silent(&self, split: usize) -> bool {
        let ahead = self.splits[split].ahead.borrow();
        ahead.messages.is_empty() && ahead.found_nothing
    }

    fn set_paused(&mut self, split: usize, paused: bool) -> bool {
        self.splits[split].paused = paused;
        true
    }

    fn positions(&self) -> BTreeMap<String, Json> {
        let position = |split: &Split| match planted!(broker_position_of_fetch) {
            true => json!(split.ahead.borrow().next.min(split.end)),
            false => json!(split.position),
        };
        self.names.iter().cloned().zip(self.splits.iter().map(position)).collect()
    }
}

impl Split {
    /// Decodes up to `max` of the records that were fetched.
    fn take<T: DeserializeOwned>(&mut self, max: usize, out: &mut Polls<T>) {
        let mut ahead = self.ahead.borrow_mut();
        let count = ahead.messages.len().min(max.max(1));
        for (offset, message) in ahead.messages.drain(..count) {
            self.position = offset + 1;
            let value = message.value.unwrap_or_default();
            match serde_json::from_slice(&value) {
                Ok(record) => out.records.push(record),
                Err(error) => out.poison.push(DeadLetter {
                    split: self.partition.to_string(),
                    offset,
                    line: None,
                    record: String::from_utf8_lossy(&value).into_owned(),
                    reason: error.to_string(),
                }),
            }
        }
    }
}
