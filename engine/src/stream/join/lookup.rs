//! Joining records with a table that is loaded once.

use std::rc::Rc;

use crate::checkpoint::manifest::Schema;
use crate::error::Result;
use crate::exchange::outlet::OutletSpec;
use crate::graph::{Layout, Node};
use crate::key::Key;
use crate::operator::join::lookup::{LookupOperator, LookupTable};
use crate::operator::join::shape::Shape;
use crate::operator::sides::SideSpecs;
use crate::reference::{self, Compute};
use crate::stream::Stream;
use crate::stream::chain::{Chain, Identity};
use crate::stream::seeds::OperatorSpec;

impl<T, C> Stream<T, C>
where
    T: Send + 'static,
    C: Chain<Out = T>,
{
    /// Each record with the row of its key in a table that fits into memory and does not change while the job runs. The
    /// table is loaded on each core when the job starts, and after each restore again: it is in no checkpoint. Of rows with
    /// equal keys the last one counts. The shape says what comes of records without a row.
    ///
    /// A table that is elsewhere, in a database or behind a service, is asked record by record through
    /// [`async_map`](Stream::async_map): many requests are in flight at a time, and those in flight are part of a
    /// checkpoint.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// use millstream::async_map::{AsyncOptions, Retry};
    ///
    /// /// What the database says, after a while.
    /// async fn name_of(airport: &str) -> Result<Option<String>> {
    ///     Ok((airport == "LAX").then(|| "Los Angeles".to_owned()))
    /// }
    ///
    /// let job = Job::new("doc");
    /// let (sink, names) = collect();
    /// let options = AsyncOptions::ordered().timeout(secs(5)).retry(Retry::fixed(3, millis(100)));
    /// job.source("flights", from_vec(vec!["LAX".to_owned(), "BOS".to_owned()]))
    ///     .async_map("airports", options, |to, _| async move {
    ///         let name = name_of(&to).await?;
    ///         // As an outer join; an inner one drops what has no row: `.flat_map(|(to, name)| Some((to, name?)))`.
    ///         Ok::<_, Error>((to, name))
    ///     })
    ///     .map(|(to, name)| name.unwrap_or(to))
    ///     .sink("out", sink);
    /// job.run(Config::new().cores(1))?;
    /// assert_eq!(names.take(), ["Los Angeles", "BOS"]);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    ///
    /// # Errors
    /// The job does not start if the table cannot be loaded.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// use millstream::join::LeftOuter;
    ///
    /// let job = Job::new("doc");
    /// let (sink, names) = collect();
    /// let airports = || Ok([("JFK".to_owned(), "New York"), ("LAX".to_owned(), "Los Angeles")]);
    /// job.source("flights", from_vec(vec!["LAX", "BOS"]))
    ///     .lookup_join("airports", airports, |to| to.to_string(), LeftOuter)
    ///     .map(|(to, name)| name.unwrap_or(to))
    ///     .sink("out", sink);
    /// job.run(Config::new().cores(1))?;
    /// assert_eq!(names.take(), ["Los Angeles", "BOS"]);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn lookup_join<K, V, I, M, F, S>(self, name: &str, table: M, key: F, _: S) -> Stream<S::Out>
    where
        K: Key,
        V: 'static,
        I: IntoIterator<Item = (K, V)>,
        M: Fn() -> Result<I> + Clone + Send + 'static,
        F: Fn(&T) -> K + Clone + Send + 'static,
        S: Shape<T, V>,
    {
        let (graph, up) = (self.graph.clone(), self.compute.clone());
        let compute: Compute<S::Out> = {
            let (table, key) = (table.clone(), key.clone());
            Rc::new(move |inputs| {
                let rows = table().expect("the reference needs the table too");
                reference::join::lookup::<K, T, V, S>(up(inputs), rows.into_iter().collect(), &key)
            })
        };
        let outlet = OutletSpec::shared();
        let spec = OperatorSpec::new(name, vec![self.forward()], outlet.clone(), SideSpecs::default());
        let make = move |layout: &Layout<'_>| {
            let (table, key) = (table.clone(), key.clone());
            spec.seed(layout, move |_, _| {
                Box::pin(async move {
                    let table = LookupTable::load(table()?);
                    Ok(LookupOperator::<T, V, F, S>::new(table, key))
                })
            })
        };
        let schema = Schema::new("lookup join", &[("of", std::any::type_name::<T>().to_owned())]);
        let node = Node { name: name.to_owned(), schema, make: Box::new(make), recover: None };
        graph.borrow_mut().nodes.push(node);
        Stream { graph, outlet, chain: Identity::new(), compute, extra: None }
    }
}
