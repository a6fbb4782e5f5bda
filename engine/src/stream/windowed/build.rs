//! From windows to the operator that computes them, and to the reference.
//!
//! The trait seals [`Windows`](super::Windows): its methods are the engine's.

use millstream_storage::store::Store;

use crate::checkpoint::manifest::Part;
use crate::error::Result;
use crate::key::Key;
use crate::operator::Operator;
use crate::operator::aggregate::{Aggregate, Merge};
use crate::operator::window::accumulators::unreadable;
use crate::operator::window::ahead::Ahead;
use crate::operator::window::session::{self, Gap, Session, SessionOperator};
use crate::operator::window::{
    ClockOperator, ClockTumbling, Cumulative, Days, SlicingOperator, Sliding, Tumbling, TumblingOperator,
    Windowed,
};
use crate::reference::{self, Event, Results};
use crate::time::Timestamp;

/// What a core begins with.
pub(crate) struct Begin<K> {
    pub store: Store,
    pub watermark: Timestamp,
    pub ahead: Ahead,
    /// What the restored checkpoint has of the step.
    pub parts: Vec<Part>,
    /// What was found in the restored store; see [`Build::adopt`].
    pub queued: Vec<(Timestamp, K)>,
}

/// Windows that an aggregate can be computed over.
pub(crate) trait Build<A: Aggregate>: Clone + Send + 'static {
    /// What checkpoints call such a step.
    const KIND: &str = "window";

    /// Whether every restored value goes through [`Build::adopt`]; otherwise all are accumulators, and only checked.
    const QUEUES: bool = false;

    /// Checks a restored record of the store. Keys that have a turn are queued.
    ///
    /// # Errors
    /// If it is not what this operator has written.
    fn adopt<K: Key>(_queued: &mut Vec<(Timestamp, K)>, _key: &[u8], _value: &[u8]) -> Result<()> {
        Ok(())
    }

    /// The operator of one core.
    fn operator<K: Key, F>(
        self,
        key: F,
        aggregate: A,
        begin: Begin<K>,
    ) -> impl Operator<In = A::In, Out = Windowed<K, A::Out>>
    where
        F: Fn(&A::In) -> K + 'static;

    /// What the reference makes of a stream.
    fn reference<K: Key>(
        &self,
        events: Vec<Event<A::In>>,
        key: &dyn Fn(&A::In) -> K,
        aggregate: &A,
    ) -> Results<K, A::In, A::Out>;

    /// For messages and the schema of checkpoints.
    fn describe(&self) -> String;
}

/// Windows side by side, and the function of the reference for them.
macro_rules! build_of_spans {
    ($windows:ty, $reference:path) => {
        impl<A: Aggregate> Build<A> for $windows {
            fn operator<K: Key, F>(
                self,
                key: F,
                aggregate: A,
                begin: Begin<K>,
            ) -> impl Operator<In = A::In, Out = Windowed<K, A::Out>>
            where
                F: Fn(&A::In) -> K + 'static,
            {
                let Begin { store, watermark, ahead, .. } = begin;
                TumblingOperator::new(self, key, aggregate, store, watermark, ahead)
            }

            fn reference<K: Key>(
                &self,
                events: Vec<Event<A::In>>,
                key: &dyn Fn(&A::In) -> K,
                aggregate: &A,
            ) -> Results<K, A::In, A::Out> {
                $reference(events, self, key, aggregate)
            }

            fn describe(&self) -> String {
                <$windows>::describe(self)
            }
        }
    };
}
build_of_spans!(Tumbling, reference::tumbling);
build_of_spans!(Days, reference::days);

impl<A: Aggregate> Build<A> for ClockTumbling {
    fn operator<K: Key, F>(
        self,
        key: F,
        aggregate: A,
        begin: Begin<K>,
    ) -> impl Operator<In = A::In, Out = Windowed<K, A::Out>>
    where
        F: Fn(&A::In) -> K + 'static,
    {
        ClockOperator::new(self, key, aggregate, begin.store, &begin.parts)
    }

    /// The clock does not move there.
    fn reference<K: Key>(
        &self,
        events: Vec<Event<A::In>>,
        _: &dyn Fn(&A::In) -> K,
        _: &A,
    ) -> Results<K, A::In, A::Out> {
        let marks = events.into_iter().filter_map(|event| match event {
            Event::Record(..) => None,
            Event::Watermark(t) => Some(t),
        });
        let (results, late) = marks.map(|t| (Event::Watermark(t), Event::Watermark(t))).unzip();
        Results { results, late }
    }

    fn describe(&self) -> String {
        ClockTumbling::describe(self)
    }
}

/// Windows that share slices, and the function of the reference for them.
macro_rules! build_of_slices {
    ($windows:ty, $reference:path) => {
        impl<A: Merge> Build<A> for $windows {
            fn operator<K: Key, F>(
                self,
                key: F,
                aggregate: A,
                begin: Begin<K>,
            ) -> impl Operator<In = A::In, Out = Windowed<K, A::Out>>
            where
                F: Fn(&A::In) -> K + 'static,
            {
                let Begin { store, watermark, ahead, .. } = begin;
                SlicingOperator::new(self, key, aggregate, store, watermark, ahead)
            }

            fn reference<K: Key>(
                &self,
                events: Vec<Event<A::In>>,
                key: &dyn Fn(&A::In) -> K,
                aggregate: &A,
            ) -> Results<K, A::In, A::Out> {
                $reference(events, self, key, aggregate)
            }

            fn describe(&self) -> String {
                <$windows>::describe(self)
            }
        }
    };
}
build_of_slices!(Sliding, reference::sliding);
build_of_slices!(Cumulative, reference::cumulative);

impl<A: Merge, G: Gap<A::In>> Build<A> for Session<G> {
    const KIND: &str = "session";
    const QUEUES: bool = true;

    fn adopt<K: Key>(queued: &mut Vec<(Timestamp, K)>, key: &[u8], value: &[u8]) -> Result<()> {
        session::check::<A::Acc>(value)?;
        queued.push((session::next_of(value), K::decode(key).ok_or_else(unreadable)?));
        Ok(())
    }

    fn operator<K: Key, F>(
        self,
        key: F,
        aggregate: A,
        begin: Begin<K>,
    ) -> impl Operator<In = A::In, Out = Windowed<K, A::Out>>
    where
        F: Fn(&A::In) -> K + 'static,
    {
        let Begin { store, watermark, ahead, queued, .. } = begin;
        SessionOperator::new(self, key, aggregate, (store, watermark, ahead), queued)
    }

    fn reference<K: Key>(
        &self,
        events: Vec<Event<A::In>>,
        key: &dyn Fn(&A::In) -> K,
        aggregate: &A,
    ) -> Results<K, A::In, A::Out> {
        let gap = |record: &A::In| self.gap_of(record);
        reference::sessions(events, &gap, self.lateness(), key, aggregate)
    }

    fn describe(&self) -> String {
        Session::describe::<A::In>(self)
    }
}
