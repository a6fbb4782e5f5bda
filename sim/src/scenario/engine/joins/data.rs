//! What the sides of the joins consist of.

use millstream::table::ChangeKind;

use crate::random::Random;

use super::super::data::events;

/// A change of a row, as a feed has it.
#[derive(Clone, Debug)]
pub(super) struct Fed {
    pub kind: ChangeKind,
    pub id: u64,
    pub key: u64,
    /// Milliseconds.
    pub time: i64,
    /// The time of the row's first change, which is part of it.
    pub since: i64,
    pub value: u64,
}

/// A row as the steps keep it.
#[derive(Clone, Debug, PartialEq, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub(super) struct Row {
    pub id: u64,
    pub key: u64,
    pub time: i64,
    pub value: u64,
    pub weight: Vec<u64>,
}

impl Row {
    pub(super) fn new(fed: &Fed, weight: usize) -> Row {
        Row { id: fed.id, key: fed.key, time: fed.since, value: fed.value, weight: vec![fed.id; weight] }
    }
}

/// What a step needs of a side.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Records in several splits.
    Records,
    /// Records in one split: their order counts.
    Ordered,
    /// Rows that come and go.
    Changes,
    /// Versions of rows, each of a time of its own, and some deletes.
    Versions,
}

/// Keys of heavy rows: so many that each is much smaller than memory.
const MANY: u64 = 200;

/// The splits of a side, of so many events at most; `heavy` if its rows are.
pub(super) fn side(
    random: &mut Random,
    disorder: u64,
    kind: Kind,
    most: usize,
    heavy: bool,
) -> Vec<Vec<Fed>> {
    let splits = if matches!(kind, Kind::Records | Kind::Changes) { random.range(1, 3) } else { 1 };
    (0..splits).map(|split| one(random, disorder, kind, most, (heavy, split << 32))).collect()
}

fn one(random: &mut Random, disorder: u64, kind: Kind, most: usize, (heavy, first): (bool, u64)) -> Vec<Fed> {
    let mut events = events(random, disorder);
    events.truncate(most);
    if heavy {
        events.iter_mut().for_each(|event| event.key = random.below(MANY));
    }
    let records: Vec<Fed> = events
        .into_iter()
        .map(|event| Fed {
            kind: ChangeKind::Insert,
            id: first + event.id,
            key: event.key,
            time: event.time,
            since: event.time,
            value: event.value,
        })
        .collect();
    match kind {
        Kind::Records | Kind::Ordered => records,
        Kind::Changes => come_and_go(random, records),
        Kind::Versions => versions(random, records),
    }
}

/// Takes back some of the rows later on, or changes them.
fn come_and_go(random: &mut Random, records: Vec<Fed>) -> Vec<Fed> {
    let stays = random.range(1, 4);
    let mut there: Vec<Fed> = Vec::new();
    let mut log = Vec::new();
    for record in records {
        let time = record.time;
        // Now and then a row that is there already.
        let again = random.one_in(10) && !there.is_empty();
        let row = if again { there[random.index(there.len())].clone() } else { record };
        there.push(row.clone());
        log.push(Fed { time, ..row });
        if random.below(stays + 1) > 0 {
            continue;
        }
        let row = there.swap_remove(random.index(there.len()));
        let update = random.coin();
        let kind = if update { ChangeKind::UpdateBefore } else { ChangeKind::Delete };
        log.push(Fed { kind, time, ..row.clone() });
        if update {
            let row = Fed { value: row.value + 1, kind: ChangeKind::Insert, ..row };
            there.push(row.clone());
            log.push(Fed { kind: ChangeKind::UpdateAfter, time, ..row });
        }
    }
    log
}

/// Some are deletes.
fn versions(random: &mut Random, mut records: Vec<Fed>) -> Vec<Fed> {
    let deletes = random.range(2, 20);
    for record in &mut records {
        if random.one_in(deletes) {
            record.kind = ChangeKind::Delete;
        }
    }
    records
}
