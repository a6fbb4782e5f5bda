//! The lookup join: records with the rows of a table that is in memory.

use std::marker::PhantomData;

use millstream_storage::hash::stable_hash;

use crate::error::Result;
use crate::exchange::cursor::Run;
use crate::key::Key;
use crate::operator::join::shape::Shape;
use crate::operator::{Operator, Output, Progress};
use crate::time::Timestamp;

/// A row, and the one before it with the same place.
struct Entry<V> {
    key: Box<[u8]>,
    row: V,
    before: Option<usize>,
}

/// A table by encoded key: twice as many places as rows, by the hash of the key, each with the last row that has it.
pub(crate) struct LookupTable<V> {
    places: Box<[Option<usize>]>,
    entries: Vec<Entry<V>>,
}

impl<V> LookupTable<V> {
    /// Of rows of equal keys the last one is found.
    pub(crate) fn load<K: Key>(rows: impl IntoIterator<Item = (K, V)>) -> LookupTable<V> {
        let entry = |(key, row): (K, V)| Entry { key: key.encoded(|bytes| bytes.into()), row, before: None };
        let entries: Vec<Entry<V>> = rows.into_iter().map(entry).collect();
        let places = vec![None; (2 * entries.len()).next_power_of_two()].into_boxed_slice();
        let mut table = LookupTable { places, entries };
        for i in 0..table.entries.len() {
            let place = table.place(&table.entries[i].key);
            table.entries[i].before = table.places[place].replace(i);
        }
        table
    }

    fn place(&self, key: &[u8]) -> usize {
        stable_hash(key) as usize & (self.places.len() - 1)
    }

    fn get<K: Key>(&self, key: &K) -> Option<&V> {
        key.encoded(|key| {
            let mut next = self.places[self.place(key)];
            while let Some(entry) = next.map(|i| &self.entries[i]) {
                if *entry.key == *key {
                    return Some(&entry.row);
                }
                next = entry.before;
            }
            None
        })
    }
}

/// Looks each record's key up.
pub(crate) struct LookupOperator<T, V, F, S> {
    table: LookupTable<V>,
    key: F,
    of: PhantomData<fn() -> (T, S)>,
}

impl<T, V, F, S> LookupOperator<T, V, F, S> {
    pub(crate) fn new(table: LookupTable<V>, key: F) -> Self {
        LookupOperator { table, key, of: PhantomData }
    }
}

impl<T, K, V, F, S> Operator for LookupOperator<T, V, F, S>
where
    T: Send + 'static,
    K: Key,
    V: 'static,
    F: Fn(&T) -> K + 'static,
    S: Shape<T, V>,
{
    type In = T;
    type Out = S::Out;

    fn on_records(&mut self, run: Run<'_, T>, out: &mut Output<S::Out>) -> Result<()> {
        let mut run = run.one_by_one();
        while let Some((time, record)) = run.take() {
            let result = match self.table.get(&(self.key)(&record)) {
                Some(row) => S::pair(&record, row).or_else(|| S::left(&record, true)),
                None => S::left(&record, false),
            };
            if let Some(result) = result {
                out.main.push(time, result);
            }
        }
        Ok(())
    }

    fn on_watermark(&mut self, _: Timestamp, _: &mut Output<S::Out>) -> Result<Progress> {
        Ok(Progress::Done)
    }
}
