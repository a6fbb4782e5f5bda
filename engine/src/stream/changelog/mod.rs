//! Changelogs: streams of the changes of a table.

mod aggregate;
mod builtin;
mod chain;
mod extreme;
mod table;

use std::fmt;
use std::rc::Rc;

use serde::{Deserialize, Serialize};

use crate::reference::{self, Compute};
use crate::stream::Stream;
use crate::stream::chain::Chain;
use crate::stream::changelog::chain::{FilterRows, Insertions, MapRows};

pub use aggregate::TableAggregate;
pub use builtin::{Avg, Count, Max, Min, Sum, avg, count, max, min, sum};
pub use table::Table;

/// What a [`Change`] does to the table.
///
/// ```
/// use millstream::table::ChangeKind;
///
/// let kinds = [ChangeKind::Insert, ChangeKind::UpdateBefore, ChangeKind::UpdateAfter, ChangeKind::Delete];
/// assert_eq!(kinds.map(|kind| kind.to_string()), ["+I", "-U", "+U", "-D"]);
/// assert_eq!(kinds.map(ChangeKind::is_addition), [true, false, true, false]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ChangeKind {
    /// +I: a row that is new.
    Insert,
    /// −U: a row as it was, before it changes.
    UpdateBefore,
    /// +U: a row as it is now, after it has changed.
    UpdateAfter,
    /// −D: a row that goes.
    Delete,
}

impl ChangeKind {
    /// Whether a row is added, and not taken back.
    pub fn is_addition(self) -> bool {
        matches!(self, ChangeKind::Insert | ChangeKind::UpdateAfter)
    }
}

impl fmt::Display for ChangeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            ChangeKind::Insert => "+I",
            ChangeKind::UpdateBefore => "-U",
            ChangeKind::UpdateAfter => "+U",
            ChangeKind::Delete => "-D",
        })
    }
}

/// A change of a table, which is a bag of rows: a row that comes, or one that goes and is equal to one that came before.
///
/// ```
/// use millstream::prelude::*;
/// use millstream::table::ChangeKind;
///
/// let log = [Change::insert(1), Change::insert(2), Change::update_before(1), Change::update_after(3)];
/// assert_eq!(log[3].kind, ChangeKind::UpdateAfter);
/// assert!(log[3].is_addition() && !log[2].is_addition());
/// let table: Table<i32> = log.into_iter().chain([Change::delete(2)]).collect();
/// assert_eq!(table.into_rows(), [3]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Change<T> {
    /// What happens.
    pub kind: ChangeKind,
    /// To which row.
    pub row: T,
}

impl<T> Change<T> {
    /// A row that is new.
    pub fn insert(row: T) -> Change<T> {
        Change { kind: ChangeKind::Insert, row }
    }

    /// A row as it was, before it changes.
    pub fn update_before(row: T) -> Change<T> {
        Change { kind: ChangeKind::UpdateBefore, row }
    }

    /// A row as it is now, after it has changed.
    pub fn update_after(row: T) -> Change<T> {
        Change { kind: ChangeKind::UpdateAfter, row }
    }

    /// A row that goes.
    pub fn delete(row: T) -> Change<T> {
        Change { kind: ChangeKind::Delete, row }
    }

    /// Whether a row is added, and not taken back.
    pub fn is_addition(&self) -> bool {
        self.kind.is_addition()
    }

    /// The same change of another row.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// assert_eq!(Change::delete(2).map(|n| n * 10), Change::delete(20));
    /// ```
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Change<U> {
        Change { kind: self.kind, row: f(self.row) }
    }
}

impl<T, C> Stream<T, C>
where
    T: Send + 'static,
    C: Chain<Out = T>,
{
    /// Each record as a new row of a table: for the steps that take a changelog.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// let job = Job::new("doc");
    /// let (sink, changes) = collect();
    /// job.source("numbers", from_vec(vec![1, 2])).insertions().sink("out", sink);
    /// job.run(Config::new().cores(1))?;
    /// assert_eq!(changes.take(), [Change::insert(1), Change::insert(2)]);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn insertions(self) -> Stream<Change<T>, Insertions<C>> {
        let up = self.compute.clone();
        let compute: Compute<Change<T>> =
            Rc::new(move |inputs| reference::flat_map(up(inputs), |row| vec![Change::insert(row)]));
        self.then(compute, Insertions)
    }
}

impl<T, C> Stream<Change<T>, C>
where
    T: Send + 'static,
    C: Chain<Out = Change<T>>,
{
    /// The changelog of the table whose rows are these, through a function. It must be pure: a row that goes must become
    /// what it became when it came.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// let job = Job::new("doc");
    /// let (sink, changes) = collect();
    /// job.source("log", from_vec(vec![Change::insert(1), Change::insert(2), Change::delete(1)]))
    ///     .filter_rows(|n| *n < 2)
    ///     .map_rows(|n| n * 10)
    ///     .sink("out", sink);
    /// job.run(Config::new().cores(1))?;
    /// assert_eq!(changes.take(), [Change::insert(10), Change::delete(10)]);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn map_rows<U, F>(self, function: F) -> Stream<Change<U>, MapRows<C, F>>
    where
        U: Send + 'static,
        F: Fn(T) -> U + Clone + Send + 'static,
    {
        let (up, f) = (self.compute.clone(), function.clone());
        let compute: Compute<Change<U>> =
            Rc::new(move |inputs| reference::flat_map(up(inputs), |change| vec![change.map(&f)]));
        self.then(compute, |before| MapRows { before, function })
    }

    /// The changelog of only those rows that a predicate accepts; see [`Stream::map_rows`].
    pub fn filter_rows<F>(self, predicate: F) -> Stream<Change<T>, FilterRows<C, F>>
    where
        F: Fn(&T) -> bool + Clone + Send + 'static,
    {
        let (up, p) = (self.compute.clone(), predicate.clone());
        let compute: Compute<Change<T>> = Rc::new(move |inputs| {
            let accepted = |change: Change<T>| if p(&change.row) { vec![change] } else { Vec::new() };
            reference::flat_map(up(inputs), accepted)
        });
        self.then(compute, |before| FilterRows { before, predicate })
    }
}
