//! The records whose results have not left yet, the marks between them, and what may leave next.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use millstream_storage::planted;

use crate::record::MarkKind;
use crate::time::Timestamp;

struct Request<T, U> {
    time: Timestamp,
    record: T,
    /// Its result, or none of it, once it was answered.
    answer: Option<Option<U>>,
}

/// The marks at one place. Nothing is between them, so that nobody can tell if only the last of each kind is left.
#[derive(Clone, Copy, Debug, Default)]
struct Marks {
    watermark: Option<Timestamp>,
    /// Idle or active again.
    activity: Option<MarkKind>,
}

/// What leaves next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Leaving<U> {
    Mark(MarkKind),
    Result(Timestamp, U),
    /// A record without a result.
    Nothing,
}

/// Requests by number, in the order of their records.
pub(super) struct Queue<T, U> {
    ordered: bool,
    capacity: usize,
    requests: BTreeMap<u64, Request<T, U>>,
    answered: BTreeSet<u64>,
    /// Each behind the requests with lower numbers.
    marks: VecDeque<(u64, Marks)>,
    /// The number of the next record.
    next: u64,
    /// The first number for which nobody has been asked.
    unasked: u64,
    /// How many were asked for and are here.
    asked: usize,
}

impl<T: Clone, U> Queue<T, U> {
    pub(super) fn new(ordered: bool, capacity: usize) -> Queue<T, U> {
        let (requests, answered, marks) = (BTreeMap::new(), BTreeSet::new(), VecDeque::new());
        Queue { ordered, capacity, requests, answered, marks, next: 0, unasked: 0, asked: 0 }
    }

    /// How many more records it may take.
    pub(super) fn room(&self) -> usize {
        self.capacity.saturating_sub(self.requests.len())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.requests.is_empty() && self.marks.is_empty()
    }

    pub(super) fn has_requests(&self) -> bool {
        !self.requests.is_empty()
    }

    pub(super) fn in_flight(&self) -> usize {
        self.requests.len() - self.answered.len()
    }

    pub(super) fn push(&mut self, time: Timestamp, record: T) {
        self.requests.insert(self.next, Request { time, record, answer: None });
        self.next += 1;
    }

    /// A mark behind all that is here. Returns it if it need not wait.
    pub(super) fn mark(&mut self, kind: MarkKind) -> Option<MarkKind> {
        if self.is_empty() || planted!(watermark_overtakes_requests) {
            return Some(kind);
        }
        self.wait(kind);
        None
    }

    /// A mark behind all that is here, which leaves when it is asked for.
    pub(super) fn wait(&mut self, kind: MarkKind) {
        if self.marks.back().is_none_or(|(at, _)| *at < self.next) {
            self.marks.push_back((self.next, Marks::default()));
        }
        let (_, marks) = self.marks.back_mut().expect("there is one at this place");
        match kind {
            MarkKind::Watermark(t) => marks.watermark = Some(t),
            activity => marks.activity = Some(activity),
        }
    }

    /// The next record to ask for, while not too many are in flight.
    pub(super) fn ask(&mut self) -> Option<(u64, Timestamp, T)> {
        // After a restore on fewer cores there may be more of them than that.
        if self.asked >= self.capacity {
            return None;
        }
        let (&id, request) = self.requests.range(self.unasked..).next()?;
        self.unasked = id + 1;
        self.asked += 1;
        Some((id, request.time, request.record.clone()))
    }

    pub(super) fn answer(&mut self, id: u64, result: Option<U>) {
        let request = self.requests.get_mut(&id).expect("a request is here until it was answered");
        request.answer = Some(result);
        self.answered.insert(id);
    }

    /// Whether something may leave.
    pub(super) fn can_leave(&self) -> bool {
        self.mark_is_due() || self.due().is_some()
    }

    /// All requests before the first marks have left.
    fn mark_is_due(&self) -> bool {
        self.marks.front().is_some_and(|(at, _)| *at <= self.first())
    }

    /// The number of the first request that is here, or of the next.
    fn first(&self) -> u64 {
        self.requests.first_key_value().map_or(self.next, |(id, _)| *id)
    }

    /// The answered request that may leave next: never one that is behind a mark.
    fn due(&self) -> Option<u64> {
        let before = self.marks.front().map_or(self.next, |(at, _)| *at);
        let id = *self.answered.first()?;
        (id < before && (!self.ordered || id == self.first())).then_some(id)
    }

    /// Takes what leaves next.
    pub(super) fn leave(&mut self) -> Option<Leaving<U>> {
        if self.mark_is_due() {
            return self.leave_mark().map(Leaving::Mark);
        }
        let id = self.due()?;
        self.answered.remove(&id);
        self.asked -= 1;
        let request = self.requests.remove(&id).expect("what was answered is here");
        let result = request.answer.expect("it was answered");
        Some(result.map_or(Leaving::Nothing, |result| Leaving::Result(request.time, result)))
    }

    /// An input becomes active before its watermark rises, and idle after it.
    fn leave_mark(&mut self) -> Option<MarkKind> {
        let (_, marks) = self.marks.front_mut()?;
        let active = marks.activity.take_if(|kind| *kind == MarkKind::Active);
        let kind = active.or_else(|| marks.watermark.take().map(MarkKind::Watermark));
        let kind = kind.or_else(|| marks.activity.take());
        if marks.watermark.is_none() && marks.activity.is_none() {
            self.marks.pop_front();
        }
        kind
    }

    /// The records that are here, in order.
    pub(super) fn records(&self) -> impl Iterator<Item = (Timestamp, &T)> {
        self.requests.values().map(|request| (request.time, &request.record))
    }

    /// The watermarks that are here, each with the number of records before it.
    pub(super) fn watermarks(&self) -> impl Iterator<Item = (usize, Timestamp)> {
        let (mut requests, mut before) = (self.requests.keys().peekable(), 0);
        self.marks.iter().filter_map(move |(at, marks)| {
            while requests.next_if(|number| *number < at).is_some() {
                before += 1;
            }
            Some((before, marks.watermark?))
        })
    }
}
