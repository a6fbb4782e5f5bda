//! What a changelog amounts to.

use std::collections::BTreeMap;

use crate::stream::changelog::Change;

/// A table: the rows that a changelog leaves. For sinks and tests.
///
/// ```
/// use millstream::prelude::*;
///
/// let mut table = Table::default();
/// assert!(table.apply(Change::insert("a")));
/// assert!(table.apply(Change::insert("a")));
/// assert!(table.apply(Change::delete("a")));
/// assert!(!table.apply(Change::delete("b")), "there is no such row");
/// assert_eq!((table.len(), table.is_empty()), (1, false));
/// assert_eq!(table.into_rows(), ["a"]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table<T> {
    /// How often there is each row.
    rows: BTreeMap<T, usize>,
}

impl<T> Default for Table<T> {
    fn default() -> Table<T> {
        Table { rows: BTreeMap::new() }
    }
}

impl<T: Ord> Table<T> {
    /// Changes the table. Returns `false` if a row is taken back that is not there.
    #[must_use]
    pub fn apply(&mut self, change: Change<T>) -> bool {
        if change.is_addition() {
            *self.rows.entry(change.row).or_default() += 1;
            return true;
        }
        let Some(times) = self.rows.get_mut(&change.row) else { return false };
        *times -= 1;
        if *times == 0 {
            self.rows.remove(&change.row);
        }
        true
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.rows.values().sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The rows in order, equal ones as often as they are there.
    pub fn into_rows(self) -> Vec<T>
    where
        T: Clone,
    {
        self.rows.into_iter().flat_map(|(row, times)| std::iter::repeat_n(row, times)).collect()
    }
}

/// # Panics
/// If a row is taken back that is not there.
impl<T: Ord> FromIterator<Change<T>> for Table<T> {
    fn from_iter<I: IntoIterator<Item = Change<T>>>(changes: I) -> Table<T> {
        let mut table = Table::default();
        for (i, change) in changes.into_iter().enumerate() {
            assert!(table.apply(change), "change {i} takes back a row that is not there");
        }
        table
    }
}
