//! Tumbling windows of the clock.
//!
//! A record belongs to the window in which it is worked on. There is nothing late, and no watermark: windows that the
//! clock has not ended when the input does are dropped, as other timers of the clock are.

use std::marker::PhantomData;

use millstream_storage::planted;
use millstream_storage::store::{Store, TableId};
use serde_json::{Value as Json, json};

use crate::checkpoint::manifest::Part;
use crate::error::Result;
use crate::exchange::cursor::{Run, View};
use crate::key::Key;
use crate::operator::aggregate::Aggregate;
use crate::operator::window::accumulators::{ACCUMULATORS, Adding, unreadable};
use crate::operator::window::firing::Firing;
use crate::operator::window::{Tumbling, Windowed};
use crate::operator::{Operator, Output, Progress};
use crate::state::codec;
use crate::time::{MIN_TIME, Timestamp};

/// Tumbling windows by the clock, of [`Tumbling::processing_time`].
///
/// ```
/// use millstream::prelude::*;
/// use millstream::window::ClockTumbling;
/// let windows: ClockTumbling = Tumbling::of(secs(10)).processing_time();
/// # let _ = windows;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockTumbling(Tumbling);

impl Tumbling {
    /// The same windows by the clock: a record belongs to the window in which it comes, and results are put out when the
    /// clock reaches the end of the window. The clock does not run backwards here, not over a restart either. Windows that
    /// have not ended when the input ends are dropped. An allowed lateness has no meaning here.
    ///
    /// ```
    /// use millstream::prelude::*;
    ///
    /// let job = Job::new("doc");
    /// let (sink, counts) = collect();
    /// job.source("clicks", from_vec(vec![1_u64; 10]))
    ///     .key_by(|_| 'k')
    ///     .window(Tumbling::of(hours(1_000_000)).processing_time())
    ///     .reduce("count", |clicks, click| *clicks += click)
    ///     .map(|clicks| clicks.value)
    ///     .sink("counts", sink);
    /// job.run(Config::new().cores(1))?;
    /// assert!(counts.take().is_empty(), "the window ends in 2084");
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn processing_time(self) -> ClockTumbling {
        ClockTumbling(self)
    }
}

impl ClockTumbling {
    /// For messages and the schema of checkpoints.
    pub(crate) fn describe(&self) -> String {
        let (size, offset, _) = self.0.parameters();
        format!("tumbling {size} ms by the clock, offset {offset} ms")
    }
}

pub(crate) struct ClockOperator<K, F, A: Aggregate> {
    windows: Tumbling,
    adding: Adding<F, A>,
    store: Store,
    /// The latest time that was seen: a window that has fired does not come again, wherever the clock jumps.
    clock: Timestamp,
    firing: Option<Firing>,
    of: PhantomData<fn() -> K>,
}

impl<K, F, A> ClockOperator<K, F, A>
where
    K: Key,
    A: Aggregate,
    F: Fn(&A::In) -> K,
{
    pub(crate) fn new(windows: ClockTumbling, key: F, aggregate: A, store: Store, parts: &[Part]) -> Self {
        let clock = parts.iter().filter_map(|part| part.meta["operator"]["clock"].as_i64()).max();
        let clock = clock.filter(|_| !planted!(window_clock_not_restored)).unwrap_or(MIN_TIME);
        let adding = Adding::new(key, aggregate);
        ClockOperator { windows: windows.0, adding, store, clock, firing: None, of: PhantomData }
    }

    fn first(&self) -> Option<(Timestamp, TableId)> {
        self.store.tables(ACCUMULATORS).next()
    }

    /// The end of the window that is open now.
    fn end(&self) -> Timestamp {
        self.windows.window_of(self.clock).end
    }

    /// Emits the results of a window, from where it stopped.
    fn fire(
        &mut self,
        (end, table): (Timestamp, TableId),
        out: &mut Output<Windowed<K, A::Out>>,
    ) -> Result<Progress> {
        let window = self.windows.window_of(end - 1);
        let room = out.limit.saturating_sub(out.emitted()).max(1);
        let firing = self.firing.take().unwrap_or_else(|| Firing::begin(&self.store));
        let (aggregate, mut readable) = (&self.adding.aggregate, true);
        let visit = |key: &[u8], bytes: &[u8]| match K::decode(key) {
            Some(key) => {
                let value = aggregate.finish(&codec::decode::<A::Acc>(bytes));
                out.main.push(window.max_timestamp(), Windowed { key, window, value });
            }
            None => readable = false,
        };
        let (firing, progress) = firing.visit(&mut self.store, table, room, visit);
        self.firing = Some(firing).filter(|_| progress != Progress::Done);
        if readable { Ok(progress) } else { Err(unreadable()) }
    }
}

impl<K, F, A> Operator for ClockOperator<K, F, A>
where
    K: Key,
    A: Aggregate,
    F: Fn(&A::In) -> K + 'static,
{
    type In = A::In;
    type Out = Windowed<K, A::Out>;

    const FETCHES: bool = true;

    fn fetch(&mut self, view: View<'_, A::In>) -> usize {
        let Some(table) = self.store.table(ACCUMULATORS, self.end()) else { return view.records.len() };
        let presence = self.store.missing(table, view.hashes.iter().copied());
        if presence.complete { presence.covered } else { 0 }
    }

    fn is_visiting(&self) -> bool {
        matches!(self.firing, Some(Firing::ByHash(_)))
    }

    /// A snapshot in the middle would not know which keys have been put out.
    fn holds_input(&self) -> bool {
        self.firing.is_some() && !planted!(snapshot_while_firing)
    }

    fn on_records(&mut self, mut run: Run<'_, A::In>, _: &mut Output<Self::Out>) -> Result<()> {
        let (n, table) = (run.records().len(), self.store.create_table(ACCUMULATORS, self.end()));
        self.adding.add(&mut self.store, table, &mut run, n)
    }

    fn on_watermark(&mut self, _: Timestamp, _: &mut Output<Self::Out>) -> Result<Progress> {
        Ok(Progress::Done)
    }

    fn set_now(&mut self, now: Timestamp) {
        self.clock = self.clock.max(now);
    }

    fn on_processing_time(&mut self, _: Timestamp, out: &mut Output<Self::Out>) -> Result<Progress> {
        while let Some((end, table)) = self.first().filter(|(end, _)| *end <= self.clock) {
            if out.is_full() {
                return Ok(Progress::More);
            }
            let progress = self.fire((end, table), out)?;
            if progress != Progress::Done {
                return Ok(progress);
            }
            self.store.drop_table(table);
        }
        Ok(Progress::Done)
    }

    fn next_processing_time(&self) -> Option<Timestamp> {
        // What has been due once stays so when the clock jumps back, or the input would be held until it is there again.
        self.first().map(|(end, _)| if end <= self.clock { MIN_TIME } else { end })
    }

    fn store_ref(&self) -> Option<&Store> {
        Some(&self.store)
    }

    fn store(&mut self) -> Option<&mut Store> {
        Some(&mut self.store)
    }

    fn meta(&self) -> Json {
        json!({ "clock": self.clock })
    }
}
