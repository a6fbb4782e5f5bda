//! Asynchronous requests in the graph.

use std::error::Error as StdError;
use std::future::Future;
use std::rc::Rc;

use crate::checkpoint::manifest::Schema;
use crate::exchange::outlet::OutletSpec;
use crate::graph::{Layout, Node};
use crate::operator::async_map::{AsyncContext, AsyncOptions, AsyncSpec, declared};
use crate::reference::{self, Compute};
use crate::state::StateValue;
use crate::stream::Stream;
use crate::stream::chain::{Chain, Identity};

impl<T, C> Stream<T, C>
where
    T: Send + 'static,
    C: Chain<Out = T>,
{
    /// Each record through a request that takes its time: to a service, a database, a cache. Many are in flight at a
    /// time, and none stops its core.
    ///
    /// The function is called on the core, for each attempt, and its future runs there; neither needs to be `Send`, and
    /// neither may block. It may wait by [`AsyncContext::sleep`], and for whatever wakes it from another thread.
    ///
    /// Watermarks stay behind the results of the records before them. Barriers do not wait: a checkpoint has the records
    /// whose results have not left, and after a restore they are asked for again, before new ones. So a request may be
    /// made more than once for a record, and its result is counted once. On another number of cores, these records are
    /// dealt out anew: then their results are in no order with those of later records.
    ///
    /// A request that fails for good, by its error, its [timeout](AsyncOptions::timeout) or a panic, ends the job.
    ///
    /// ```
    /// # use std::convert::Infallible;
    /// use millstream::prelude::*;
    /// use millstream::async_map::{AsyncOptions, Retry};
    ///
    /// let job = Job::new("doc");
    /// let (sink, out) = collect();
    /// let options = AsyncOptions::ordered().capacity(2).timeout(secs(60)).retry(Retry::fixed(3, millis(1)));
    /// job.source("delays", from_vec(vec![3_u64, 2, 1]))
    ///     .async_map("ask", options, |delay, cx| async move {
    ///         cx.sleep(millis(delay)).await;
    ///         Ok::<String, Infallible>(format!("after {delay} ms"))
    ///     })
    ///     .sink("out", sink);
    /// job.run(Config::new().cores(1))?;
    /// assert_eq!(out.take(), ["after 3 ms", "after 2 ms", "after 1 ms"]);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn async_map<U, E, F, A>(self, name: &str, options: AsyncOptions<T, U>, function: F) -> Stream<U>
    where
        T: StateValue + Clone,
        U: Send + 'static,
        E: Into<Box<dyn StdError + Send + Sync>> + 'static,
        F: Fn(T, AsyncContext) -> A + Clone + Send + 'static,
        A: Future<Output = Result<U, E>> + 'static,
    {
        let (graph, outlet) = (self.graph.clone(), OutletSpec::shared());
        let (up, how, f) = (self.compute.clone(), options.clone(), function.clone());
        let compute: Compute<U> =
            Rc::new(move |inputs| reference::async_map::async_map(up(inputs), &how, &f));
        let mut schema = Schema::new("async map", &[]);
        declared::<T>().0.describe(&mut schema);
        let main = outlet.clone();
        let spec = AsyncSpec { name: name.to_owned(), edge: self.forward(), main, options, function };
        let make = move |layout: &Layout<'_>| spec.seed(layout);
        let node = Node { name: name.to_owned(), schema, make: Box::new(make), recover: None };
        graph.borrow_mut().nodes.push(node);
        Stream { graph, outlet, chain: Identity::new(), compute, extra: None }
    }
}
