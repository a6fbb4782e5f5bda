//! What all operators of windows do with accumulators: one per key in a table of the store.

use millstream_storage::store::{Keys, Store, TableId, TooLarge};
use rkyv::util::AlignedVec;

use crate::error::{Error, ErrorKind, Result};
use crate::exchange::cursor::Run;
use crate::key::Key;
use crate::operator::Output;
use crate::operator::aggregate::Aggregate;
use crate::state::codec;

/// The state id of the accumulators.
pub(crate) const ACCUMULATORS: u32 = 0;

/// The place of the side output for late records.
const LATE: usize = 0;

/// How records become part of accumulators.
pub(crate) struct Adding<F, A> {
    pub key: F,
    pub aggregate: A,
    scratch: AlignedVec,
}

impl<F, A> Adding<F, A> {
    pub(crate) fn new(key: F, aggregate: A) -> Adding<F, A> {
        Adding { key, aggregate, scratch: AlignedVec::new() }
    }
}

impl<F, A: Aggregate> Adding<F, A> {
    /// Adds the first `n` records of a run to their accumulators in a table.
    #[inline]
    pub(crate) fn add<K: Key>(
        &mut self,
        store: &mut Store,
        table: TableId,
        run: &mut Run<'_, A::In>,
        n: usize,
    ) -> Result<()>
    where
        F: Fn(&A::In) -> K,
    {
        let (records, hashes) = (&run.records()[..n], &run.hashes()[..n]);
        let Adding { aggregate, key, scratch } = self;
        if codec::is_flat::<A::Acc>() {
            let keys = BatchKeys { records, key: &*key };
            let change = |i: usize, new: bool, bytes: &mut [u8]| {
                let mut acc = if new { A::Acc::default() } else { codec::decode::<A::Acc>(bytes) };
                aggregate.add(&mut acc, &records[i]);
                codec::write_flat(&acc, bytes);
            };
            store.upsert_batch(table, hashes, &keys, size_of::<A::Acc>(), change).map_err(too_large)?;
        } else {
            for (record, &hash) in records.iter().zip(hashes) {
                key(record).encoded(|key| {
                    let old = store.get(table, hash, key);
                    let mut acc = old.map(codec::decode::<A::Acc>).unwrap_or_default();
                    aggregate.add(&mut acc, record);
                    codec::encode(&acc, scratch);
                    store.put(table, hash, key, scratch).map_err(too_large)
                })?;
            }
        }
        run.skip(n);
        Ok(())
    }
}

/// Records that came too late: aside, or counted.
pub(crate) fn reject<O, T: 'static>(run: &mut Run<'_, T>, n: usize, out: &mut Output<O>) {
    out.late += n as u64;
    if !out.sides.is_connected(LATE) {
        return run.skip(n);
    }
    for _ in 0..n {
        let (time, record) = run.take().expect("the run has that many records");
        out.sides.push(LATE, time, record);
    }
}

pub(crate) fn too_large(error: TooLarge) -> Error {
    Error::new(ErrorKind::User, "a key or value does not fit the state store").caused_by(error)
}

pub(crate) fn unreadable() -> Error {
    let message = "a key in the state cannot be decoded; has the key's type changed its encoding?";
    Error::new(ErrorKind::Restore, message)
}

/// The keys of a batch, encoded one at a time.
pub(crate) struct BatchKeys<'a, T, F> {
    pub records: &'a [T],
    pub key: &'a F,
}

impl<T, K: Key, F: Fn(&T) -> K> Keys for BatchKeys<'_, T, F> {
    #[inline]
    fn with<R>(&self, position: usize, f: impl FnOnce(&[u8]) -> R) -> R {
        (self.key)(&self.records[position]).encoded(f)
    }
}
