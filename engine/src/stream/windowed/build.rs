//! From windows to the operator that computes them, and to the reference.
//!
//! The trait seals [`Windows`](super::Windows): its methods are the engine's.

use millstream_storage::store::Store;

use crate::key::Key;
use crate::operator::Operator;
use crate::operator::aggregate::{Aggregate, Merge};
use crate::operator::window::ahead::Ahead;
use crate::operator::window::{Cumulative, SlicingOperator, Sliding, Tumbling, TumblingOperator, Windowed};
use crate::reference::{self, Event, Results};
use crate::time::Timestamp;

/// What a core begins with.
pub(crate) struct Begin {
    pub(crate) store: Store,
    pub(crate) watermark: Timestamp,
    pub(crate) ahead: Ahead,
}

/// Windows that an aggregate can be computed over.
pub(crate) trait Build<A: Aggregate>: Clone + Send + 'static {
    /// The operator of one core.
    fn operator<K: Key, F>(
        self,
        key: F,
        aggregate: A,
        begin: Begin,
    ) -> impl Operator<In = A::In, Out = Windowed<K, A::Out>, Side = A::In>
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

impl<A: Aggregate> Build<A> for Tumbling {
    fn operator<K: Key, F>(
        self,
        key: F,
        aggregate: A,
        begin: Begin,
    ) -> impl Operator<In = A::In, Out = Windowed<K, A::Out>, Side = A::In>
    where
        F: Fn(&A::In) -> K + 'static,
    {
        let Begin { store, watermark, ahead } = begin;
        TumblingOperator::new(self, key, aggregate, store, watermark, ahead)
    }

    fn reference<K: Key>(
        &self,
        events: Vec<Event<A::In>>,
        key: &dyn Fn(&A::In) -> K,
        aggregate: &A,
    ) -> Results<K, A::In, A::Out> {
        reference::tumbling(events, self, key, aggregate)
    }

    fn describe(&self) -> String {
        Tumbling::describe(self)
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
                begin: Begin,
            ) -> impl Operator<In = A::In, Out = Windowed<K, A::Out>, Side = A::In>
            where
                F: Fn(&A::In) -> K + 'static,
            {
                let Begin { store, watermark, ahead } = begin;
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
