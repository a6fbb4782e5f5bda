//! Judges results whose order depends on how the sides interleave.

use std::collections::BTreeMap;

use millstream::table::{Change, ChangeKind, Table};

use super::super::Finding;
use super::super::expected::Expected;
use super::Told;

/// What the order of a step's results depends on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// Their input's: they come as the reference has them, per key.
    Input,
    /// How its inputs interleave, but each result is final.
    Any,
    /// How its inputs interleave, and results are taken back: only the table that they leave is certain.
    Folded,
}

pub(super) enum Oracle {
    Exact(Expected<Change<Told>>),
    /// How often each result comes.
    Bag(BTreeMap<Told, usize>),
    Table(Table<Told>),
}

const PAIRS: &str = "the committed results are those of the reference";
const LOG: &str = "committed changes are a changelog of the reference's table";

impl Oracle {
    pub(super) fn new(order: Order, expected: Vec<Change<Told>>) -> Oracle {
        match order {
            Order::Input => Oracle::Exact(Expected::new("told", |told| told.row.0.to_string(), expected)),
            Order::Any => Oracle::Bag(bag(expected)),
            Order::Folded => Oracle::Table(expected.into_iter().collect()),
        }
    }

    pub(super) fn check(&self, committed: Vec<Change<Told>>, done: bool) -> Result<(), Finding> {
        match self {
            Oracle::Exact(expected) => expected.check(committed, done),
            Oracle::Bag(expected) => check_bag(expected, bag(committed), done),
            Oracle::Table(expected) => check_table(expected, committed, done),
        }
    }
}

fn bag(results: Vec<Change<Told>>) -> BTreeMap<Told, usize> {
    let mut bag = BTreeMap::new();
    for result in results {
        assert_eq!(result.kind, ChangeKind::Insert, "this step takes nothing back");
        *bag.entry(result.row).or_default() += 1;
    }
    bag
}

fn check_bag(
    expected: &BTreeMap<Told, usize>,
    got: BTreeMap<Told, usize>,
    done: bool,
) -> Result<(), Finding> {
    for (told, times) in &got {
        let want = expected.get(told).copied().unwrap_or(0);
        if *times > want {
            return Err(Finding::new(PAIRS, format!("{told:?} came {times} times, expected {want}")));
        }
    }
    let missing = expected.iter().find(|(told, want)| got.get(told).is_none_or(|times| times < want));
    match missing.filter(|_| done) {
        Some((told, _)) => Err(Finding::new(PAIRS, format!("{told:?} is missing at the end"))),
        None => Ok(()),
    }
}

fn check_table(expected: &Table<Told>, log: Vec<Change<Told>>, done: bool) -> Result<(), Finding> {
    let mut table = Table::default();
    for (i, change) in log.into_iter().enumerate() {
        let text = format!("change {i}, {change:?}, takes back a row that is not there");
        if !table.apply(change) {
            return Err(Finding::new(LOG, text));
        }
    }
    if done && table != *expected {
        let (got, want) = (table.into_rows(), expected.clone().into_rows());
        let place = got.iter().zip(&want).take_while(|(got, want)| got == want).count();
        let (got, want) = (got.get(place), want.get(place));
        return Err(Finding::new(LOG, format!("row {place} at the end is {got:?}, expected {want:?}")));
    }
    Ok(())
}
