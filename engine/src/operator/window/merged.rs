//! Several tables visited as one: each key once, with its accumulators merged, the earlier slice's first.

use std::collections::VecDeque;

use millstream_storage::hash::stable_hash;
use millstream_storage::store::{Scan, ScanStep, Store, TableId};

use crate::error::Result;
use crate::operator::Progress;
use crate::operator::aggregate::Merge;
use crate::operator::rounds::Rounds;
use crate::state::codec::{self, StateValue};

/// Keys that are visited in a row while some of the tables are on disk, at most.
const TOGETHER: usize = 256;
/// Of them, those whose other accumulators are asked for ahead.
const AHEAD: usize = 64;

/// A key of one of the tables, with its accumulator there.
struct Entry<Acc> {
    hash: u64,
    /// Which of the tables.
    table: usize,
    /// Where its key lies among those that were gathered.
    key: (usize, usize),
    acc: Acc,
}

/// Keys gathered from several tables in memory. It is kept for its buffers.
pub(crate) struct Gathered<Acc> {
    entries: Vec<Entry<Acc>>,
    keys: Vec<u8>,
}

impl<Acc> Default for Gathered<Acc> {
    fn default() -> Self {
        Gathered { entries: Vec::new(), keys: Vec::new() }
    }
}

impl<Acc> Gathered<Acc> {
    /// Visits about `limit` keys by ascending hash, from this one on. Returns the hash to go on from, if there may be more.
    ///
    /// The largest table says how far: of all tables the keys below that hash are gathered, and sorted. As each table's
    /// come sorted already, this merges them.
    pub(crate) fn visit<A>(
        &mut self,
        (store, tables): (&Store, &[TableId]),
        from: u64,
        limit: usize,
        aggregate: &A,
        mut emit: impl FnMut(&[u8], u64, &Acc),
    ) -> Option<u64>
    where
        A: Merge<Acc = Acc>,
        Acc: StateValue,
    {
        let (leading, leader) =
            tables.iter().copied().enumerate().max_by_key(|(_, table)| store.len(*table))?;
        let Gathered { entries, keys } = self;
        entries.clear();
        keys.clear();
        let mut gather = |table: usize, hash: u64, key: &[u8], bytes: &[u8]| {
            let start = keys.len();
            keys.extend_from_slice(key);
            let acc = codec::decode::<Acc>(bytes);
            entries.push(Entry { hash, table, key: (start, keys.len()), acc });
        };
        let visit = |key: &[u8], bytes: &[u8]| gather(leading, stable_hash(key), key, bytes);
        let until = store.for_each_from(leader, from, limit, visit);
        let below = |hash: u64| until.is_none_or(|until| hash < until);
        for (at, table) in tables.iter().copied().enumerate().filter(|(at, _)| *at != leading) {
            let share = limit.saturating_mul(store.len(table)) / store.len(leader).max(1) + 16;
            let mut next = Some(from);
            while let Some(hash) = next.filter(|hash| below(*hash)) {
                next = store.for_each_from(table, hash, share, |key, bytes| {
                    let hash = stable_hash(key);
                    if below(hash) {
                        gather(at, hash, key, bytes);
                    }
                });
            }
        }
        let key = |entry: &Entry<Acc>| &keys[entry.key.0..entry.key.1];
        let order = |a: &Entry<Acc>, b: &Entry<Acc>| {
            a.hash.cmp(&b.hash).then_with(|| key(a).cmp(key(b))).then(a.table.cmp(&b.table))
        };
        entries.sort_by(order);
        let mut rest = entries.as_mut_slice();
        while let Some((first, others)) = rest.split_first_mut() {
            let same = others.iter().take_while(|of| of.hash == first.hash && key(of) == key(first)).count();
            others[..same].iter().for_each(|other| aggregate.merge(&mut first.acc, &other.acc));
            emit(key(first), first.hash, &first.acc);
            rest = &mut others[same..];
        }
        until
    }
}

/// A visit of tables of which some lie on disk: table by table, in the order of the log. A key is visited with the
/// first table that has it.
#[derive(Default)]
pub(crate) struct Walk {
    /// Which table is being walked through, and how far.
    at: usize,
    scan: Scan,
    walked: bool,
    /// Keys that were come upon, with their accumulators in this table.
    found: VecDeque<(Vec<u8>, Vec<u8>)>,
    rounds: Rounds,
}

impl Walk {
    /// Visits up to `limit` keys more. To be called until it says that it is done; the tables must not change meanwhile.
    ///
    /// # Errors
    /// If what one key needs could be waited for for ever.
    pub(crate) fn visit<A: Merge>(
        &mut self,
        (store, tables): (&mut Store, &[TableId]),
        limit: usize,
        aggregate: &A,
        mut emit: impl FnMut(&[u8], u64, &A::Acc),
    ) -> Result<Progress> {
        let mut left = limit.max(1);
        while self.at < tables.len() {
            while !self.found.is_empty() {
                if left == 0 {
                    return Ok(Progress::More);
                }
                if !self.is_present(store, tables)? {
                    return Ok(Progress::Fetch);
                }
                let (key, bytes) = self.found.pop_front().expect("it is not empty");
                self.merge(store, tables, (&key, &bytes), aggregate, &mut emit);
                left -= 1;
            }
            if self.walked {
                store.end_scan();
                (self.at, self.walked, self.scan) = (self.at + 1, false, Scan::default());
                continue;
            }
            let (found, together) = (&mut self.found, TOGETHER.min(store.records_per_segment()));
            let visit = |key: &[u8], bytes: &[u8]| found.push_back((key.to_vec(), bytes.to_vec()));
            match store.scan(tables[self.at], &mut self.scan, together, visit) {
                ScanStep::Done => self.walked = true,
                ScanStep::Fetch if self.found.is_empty() => return Ok(Progress::Fetch),
                ScanStep::More | ScanStep::Fetch => {}
            }
        }
        Ok(Progress::Done)
    }

    /// Whether all that belongs to the next key is in memory. If not, what belongs to those behind it is asked for too.
    fn is_present(&mut self, store: &mut Store, tables: &[TableId]) -> Result<bool> {
        if store.is_resident() {
            return Ok(true);
        }
        let asked = self.rounds.narrow(AHEAD);
        for (i, (key, _)) in self.found.iter().take(asked).enumerate() {
            let hash = stable_hash(key);
            let mut present = true;
            for (_, table) in tables.iter().enumerate().filter(|(at, _)| *at != self.at) {
                // What one key needs may be more than reads may take together.
                if !present && !store.may_ask() {
                    break;
                }
                present &= store.is_present(*table, hash);
            }
            if present && i == 0 {
                self.rounds.end();
                return Ok(true);
            }
            if !store.may_ask() {
                break;
            }
        }
        self.rounds.wait(store, asked)?;
        Ok(false)
    }

    fn merge<A: Merge>(
        &self,
        store: &Store,
        tables: &[TableId],
        (key, bytes): (&[u8], &[u8]),
        aggregate: &A,
        emit: &mut impl FnMut(&[u8], u64, &A::Acc),
    ) {
        let hash = stable_hash(key);
        let (before, after) = (&tables[..self.at], &tables[self.at + 1..]);
        if before.iter().any(|table| store.get(*table, hash, key).is_some()) {
            return;
        }
        let mut acc = codec::decode::<A::Acc>(bytes);
        for bytes in after.iter().filter_map(|table| store.get(*table, hash, key)) {
            aggregate.merge(&mut acc, &codec::decode(bytes));
        }
        emit(key, hash, &acc);
    }
}

/// The accumulators of one key in these tables, merged; nothing if none of them has it.
pub(crate) fn of_key<A: Merge>(
    store: &Store,
    tables: &[TableId],
    hash: u64,
    key: &[u8],
    aggregate: &A,
) -> Option<A::Acc> {
    let mut found =
        tables.iter().filter_map(|table| store.get(*table, hash, key)).map(codec::decode::<A::Acc>);
    let mut acc = found.next()?;
    found.for_each(|other| aggregate.merge(&mut acc, &other));
    Some(acc)
}
