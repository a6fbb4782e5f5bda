//! Checking restored collections before anybody looks at them, one record at a time: no collection needs to be in memory
//! as a whole.
//!
//! Lists and maps that a restore has left on disk are checked when they are read; timelines are all read.
//!
//! What a record holds can be told from its key and its state's kind, but for a timeline's nodes: whether one is a leaf
//! or an inner node, only those above it tell. So the inner nodes, which are few, are found first, level by level.

use std::collections::BTreeMap;

use millstream_storage::collection::{is_head, list, map, timeline};
use millstream_storage::store::{Store, TableId};

use crate::error::{Error, ErrorKind, Result};
use crate::stage::OpenContext;
use crate::state::restore::{check_table, visit_table};
use crate::state::spec::{Kind, Spec};

/// Checks the records of a table of collections.
///
/// # Errors
/// If something is not what the state's description says.
pub(crate) async fn check_collections(
    cx: &OpenContext,
    store: &mut Store,
    table: TableId,
    spec: &Spec,
) -> Result<()> {
    let expires = store.layout(table).expires;
    match spec.kind {
        Kind::Value => Ok(()),
        Kind::List => {
            let check = spec.check;
            check_table(cx, store, table, move |key, record| {
                list::elements_of(key, record, expires).try_for_each(check)
            })
            .await
        }
        Kind::Map => {
            let (check_key, check) = (spec.check_key, spec.check);
            check_table(cx, store, table, move |key, record| {
                map::entries_of(key, record, expires).try_for_each(|(key, value)| {
                    check_key(key)?;
                    check(value)
                })
            })
            .await
        }
        Kind::Timeline => check_timelines(cx, store, table, spec).await,
    }
}

async fn check_records(
    cx: &OpenContext,
    store: &mut Store,
    table: TableId,
    mut check: impl FnMut(&[u8], &[u8]) -> Result<()>,
) -> Result<()> {
    let mut result = Ok(());
    let visit = |key: &[u8], record: &[u8]| {
        if result.is_ok() {
            result = check(key, record);
        }
    };
    visit_table(cx, store, table, visit).await?;
    result
}

/// The inner nodes of all timelines of a table, by their records' keys, with their heights.
type Inner = BTreeMap<Vec<u8>, u32>;

/// Higher than this is no timeline: each level has twice as many entries below it, at least.
const HIGHEST: u32 = 64;

async fn check_timelines(cx: &OpenContext, store: &mut Store, table: TableId, spec: &Spec) -> Result<()> {
    let layout = store.layout(table);
    let node = |key: &[u8], number: u32| [layout.owner(key), &number.to_le_bytes()].concat();
    let (mut inner, mut highest) = (Inner::new(), 0);
    check_records(cx, store, table, |key, record| {
        if let Some((root, height)) = is_head(key).then(|| timeline::root(record)).flatten()
            && height > 1
        {
            if height > HIGHEST {
                return Err(misplaced());
            }
            inner.insert(node(key, root), height);
            highest = highest.max(height);
        }
        Ok(())
    })
    .await?;
    for height in (2..highest).rev() {
        let mut found = Vec::new();
        check_records(cx, store, table, |key, record| {
            if inner.get(key) == Some(&(height + 1)) {
                found.extend(timeline::children_of(record).map(|child| node(key, child)));
            }
            Ok(())
        })
        .await?;
        for child in found {
            if inner.insert(child, height).is_some_and(|known| known != height) {
                return Err(misplaced());
            }
        }
    }
    check_records(cx, store, table, |key, record| match inner.get(key) {
        // What is taken for a leaf must have been checked as one.
        Some(2) if timeline::children_of(record).any(|child| inner.contains_key(&node(key, child))) => {
            Err(misplaced())
        }
        Some(_) => Ok(()),
        None => timeline::values_of(key, record).try_for_each(spec.check),
    })
    .await
}

fn misplaced() -> Error {
    let message = "a timeline's nodes make no tree; the checkpoint was tampered with";
    Error::new(ErrorKind::Restore, message)
}
