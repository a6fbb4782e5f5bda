//! The lookup join: records with the rows of a table that is in memory.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::marker::PhantomData;

use millstream_storage::hash::stable_hash;

use crate::error::Result;
use crate::exchange::cursor::Run;
use crate::key::{Key, KeyBuf};
use crate::operator::join::shape::Shape;
use crate::operator::{Operator, Output, Progress};
use crate::time::Timestamp;

/// Hashes encoded keys as they are hashed elsewhere: the same on every run.
#[derive(Default)]
struct Stable(u64);

impl Hasher for Stable {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = self.0.rotate_left(1) ^ stable_hash(bytes);
    }
    fn write_usize(&mut self, _: usize) {
        // The length of the key, which its encoding tells already.
    }
    fn finish(&self) -> u64 {
        self.0
    }
}

/// A table by encoded key.
pub(crate) struct LookupTable<V> {
    rows: HashMap<Box<[u8]>, V, BuildHasherDefault<Stable>>,
}

impl<V> LookupTable<V> {
    /// Of rows of equal keys the last one stays.
    pub(crate) fn load<K: Key>(rows: impl IntoIterator<Item = (K, V)>) -> LookupTable<V> {
        let boxed = |key: K| key.encoded(|bytes| bytes.into());
        LookupTable { rows: rows.into_iter().map(|(key, row)| (boxed(key), row)).collect() }
    }

    fn get<K: Key>(&self, key: &K) -> Option<&V> {
        let mut bytes = KeyBuf::new();
        key.write(&mut bytes);
        self.rows.get(&bytes[..])
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

    fn on_records(&mut self, mut run: Run<'_, T>, out: &mut Output<S::Out>) -> Result<()> {
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
