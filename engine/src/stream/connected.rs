//! Two streams in one process function.

use std::sync::Arc;

use crate::exchange::codec::sides;
use crate::exchange::edge::Edge;
use crate::key::Key;
use crate::operator::process::{BroadcastProcess, Process};
use crate::reference::{self, Compute};
use crate::stream::chain::Chain;
use crate::stream::process::{ProcessResults, ProcessStep};
use crate::stream::two::{Either, TwoInputs, two_inputs};
use crate::stream::{Keyed, Stream};

/// Two streams with keys of one type: records of both with equal keys meet on one core. Made by [`Keyed::connect`].
///
/// ```
/// use millstream::prelude::*;
/// use millstream::stream::Connected;
///
/// /// Runs any process function on letters and numbers by their first digit.
/// fn meet<P, F>(both: Connected<char, u8, F>, process: P) -> Stream<P::Out>
/// where
///     P: Process<Key = u32, In = Either<char, u8>>,
///     F: Fn(&Either<char, u8>) -> u32 + Clone + Send + 'static,
/// {
///     both.process("meet", process).stage("met")
/// }
/// # let _ = meet::<Nothing, fn(&Either<char, u8>) -> u32>;
/// # #[derive(Clone)]
/// # struct Nothing;
/// # impl Process for Nothing {
/// #     type Key = u32;
/// #     type In = Either<char, u8>;
/// #     type Out = ();
/// #     type State = ();
/// #     fn declare(&self, _: &mut Declare) {}
/// #     fn on_record(&mut self, _: Self::In, (): &(), _: &mut Context<'_, Self>) {}
/// # }
/// ```
pub struct Connected<L, R, F> {
    inputs: TwoInputs<L, R, F>,
}

impl<K, L, C, F> Keyed<K, L, C, F>
where
    K: Key,
    L: Send + 'static,
    C: Chain<Out = L>,
    F: Fn(&L) -> K + Clone + Send + 'static,
{
    /// Both streams as the input of one process function, whose records are [`Either`] of them. Between the two there is
    /// no order but what their times and watermarks say.
    ///
    /// ```
    /// use millstream::prelude::*;
    ///
    /// type Order = (u64, &'static str);
    /// type Payment = u64;
    ///
    /// /// Orders that are paid, whichever comes first.
    /// #[derive(Clone)]
    /// struct Paid;
    /// struct Known { order: Value<String>, paid: Value<bool> }
    /// impl Process for Paid {
    ///     type Key = u64;
    ///     type In = Either<Order, Payment>;
    ///     type Out = (u64, String);
    ///     type State = Known;
    ///     fn declare(&self, state: &mut Declare) -> Known {
    ///         Known { order: state.value("order"), paid: state.value("paid") }
    ///     }
    ///     fn on_record(&mut self, record: Self::In, known: &Known, cx: &mut Context<'_, Self>) {
    ///         match record {
    ///             Either::Left((_, what)) => known.order.set(cx, &what.to_owned()),
    ///             Either::Right(_) => known.paid.set(cx, &true),
    ///         }
    ///         if known.paid.load(cx).is_some()
    ///             && let Some(what) = known.order.take(cx)
    ///         {
    ///             cx.emit((*cx.key(), what));
    ///         }
    ///     }
    /// }
    ///
    /// let job = Job::new("doc");
    /// let (sink, paid) = collect();
    /// let orders = job.source("orders", from_vec(vec![(1, "tea"), (2, "milk")])).key_by(|order| order.0);
    /// let payments = job.source("payments", from_vec(vec![2])).key_by(|order| *order);
    /// orders.connect(payments).process("paid", Paid).sink("out", sink);
    /// job.run(Config::new().cores(2))?;
    /// assert_eq!(paid.take(), [(2, "milk".to_owned())]);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn connect<R, D, G>(
        self,
        other: Keyed<K, R, D, G>,
    ) -> Connected<L, R, impl Fn(&Either<L, R>) -> K + Clone + Send + 'static>
    where
        R: Send + 'static,
        D: Chain<Out = R>,
        G: Fn(&R) -> K + Clone + Send + 'static,
    {
        Connected { inputs: two_inputs(self, other) }
    }

    /// The stream beside a broadcast one; [`BroadcastProcess`] has an example.
    pub fn connect_broadcast<B>(self, other: Broadcast<B>) -> BesideBroadcast<K, L, C, F, B>
    where
        B: Clone + Send + 'static,
    {
        BesideBroadcast { keyed: self, other }
    }
}

impl<L, R, F> Connected<L, R, F>
where
    L: Send + 'static,
    R: Send + 'static,
{
    /// Runs a [`Process`] function on the records of both; [`Keyed::connect`] has an example. The name is for ever.
    pub fn process<P>(self, name: &str, process: P) -> ProcessResults<P::Out>
    where
        P: Process<In = Either<L, R>>,
        F: Fn(&Either<L, R>) -> P::Key + Clone + Send + 'static,
    {
        let TwoInputs { graph, edges, key, left, right } = self.inputs;
        let (function, of) = (process.clone(), key.clone());
        let step = ProcessStep { graph, name, kind: "connected process", settings: &[], edges };
        step.run(process, key, move |inputs| {
            let left = reference::flat_map(left(inputs), |record| vec![Either::Left(record)]);
            let right = reference::flat_map(right(inputs), |record| vec![Either::Right(record)]);
            reference::process(reference::union(vec![left, right]), &function, &of)
        })
    }
}

/// A stream that all cores see, in the same order. Made by [`Stream::broadcast`], to be taken by
/// [`Keyed::connect_broadcast`].
///
/// ```
/// use millstream::prelude::*;
/// use millstream::stream::Broadcast;
///
/// fn for_all(rules: Stream<String>) -> Broadcast<String> {
///     rules.broadcast("rules for all")
/// }
/// # let _ = for_all;
/// ```
pub struct Broadcast<T: Send + 'static> {
    pub(crate) stream: Stream<T>,
}

/// A keyed stream and a broadcast one. Made by [`Keyed::connect_broadcast`], for a
/// [`BroadcastProcess`], which has an example.
///
/// ```
/// use millstream::prelude::*;
/// use millstream::process::BroadcastProcess;
/// use millstream::stream::{BesideBroadcast, Broadcast};
///
/// /// Runs any such function on words by their length, beside signals.
/// fn beside<P>(words: Stream<String>, signals: Broadcast<u8>, process: P) -> Stream<P::Out>
/// where
///     P: BroadcastProcess<Key = u64, In = String, Broadcast = u8>,
/// {
///     let both: BesideBroadcast<_, _, _, _, _> =
///         words.key_by(|word| word.len() as u64).connect_broadcast(signals);
///     both.process("beside", process).stage("done")
/// }
/// # let _ = beside::<Nothing>;
/// # #[derive(Clone)]
/// # struct Nothing;
/// # impl Process for Nothing {
/// #     type Key = u64;
/// #     type In = String;
/// #     type Out = ();
/// #     type State = ();
/// #     fn declare(&self, _: &mut Declare) {}
/// #     fn on_record(&mut self, _: String, (): &(), _: &mut Context<'_, Self>) {}
/// # }
/// # impl BroadcastProcess for Nothing {
/// #     type Broadcast = u8;
/// #     fn on_broadcast(&mut self, _: u8, (): &(), _: &mut millstream::process::CoreContext<'_, Self>) {}
/// # }
/// ```
pub struct BesideBroadcast<K, L, C, F, B>
where
    C: Chain<Out = L>,
    B: Send + 'static,
{
    keyed: Keyed<K, L, C, F>,
    other: Broadcast<B>,
}

impl<K, L, C, F, B> BesideBroadcast<K, L, C, F, B>
where
    K: Key,
    L: Send + 'static,
    C: Chain<Out = L>,
    F: Fn(&L) -> K + Clone + Send + 'static,
    B: Clone + Send + 'static,
{
    /// Runs a [`BroadcastProcess`] function on both. The name is for ever.
    pub fn process<P>(self, name: &str, process: P) -> ProcessResults<P::Out>
    where
        P: BroadcastProcess<Key = K, In = L, Broadcast = B>,
    {
        let BesideBroadcast { keyed: Keyed { stream, key, codec, .. }, other } = self;
        let graph = stream.graph.clone();
        let (left, right): (Compute<L>, Compute<B>) = (stream.compute.clone(), other.stream.compute.clone());
        let of = key.clone();
        let of_either = move |record: &Either<L, B>| match record {
            Either::Left(record) => of(record),
            Either::Right(_) => unreachable!("what is broadcast goes along an edge of its own"),
        };
        let [of_left, _] = sides(codec, None);
        let edges: Vec<Arc<Edge<Either<L, B>>>> = vec![
            stream.map(Either::Left).by_key(of_either, of_left),
            other.stream.map(Either::Right).into_all(copy_broadcast),
        ];
        let (function, of) = (process.clone(), key.clone());
        let step = ProcessStep { graph, name, kind: "broadcast process", settings: &[], edges };
        step.run_beside_broadcast(process, key, move |inputs| {
            reference::beside_broadcast(left(inputs), right(inputs), &function, &of)
        })
    }
}

fn copy_broadcast<L, B: Clone>(record: &Either<L, B>) -> Either<L, B> {
    match record {
        Either::Right(record) => Either::Right(record.clone()),
        Either::Left(_) => unreachable!("what has a key goes along an edge of its own"),
    }
}
