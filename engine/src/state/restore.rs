//! Opening a step's store: empty, or from the parts that the restored checkpoint holds of it.

use std::collections::{BTreeMap, BTreeSet};

use millstream_storage::disk::SECTOR;
use millstream_storage::error::StoreError;
use millstream_storage::planted;
use millstream_storage::read::Reader;
use millstream_storage::snapshot::StoreSnapshot;
use millstream_storage::store::{Store, StoreConfig, TableId};

use crate::error::{Error, ErrorKind, Result};
use crate::key_group::Placement;
use crate::stage::OpenContext;
use crate::state::declare::Declare;
use crate::state::log::LogBackend;
use crate::state::operator::{OperatorStates, Place};
use crate::state::timers::{Domain, Timers, is_timer_state, key_of_timer};

/// The store of `step` on the core of `cx`, with the keys that are its own.
///
/// # Errors
/// If a file is missing or damaged.
pub(crate) async fn open_store(cx: &OpenContext, step: &str) -> Result<Store> {
    // A store's name is a file's: steps are told apart by a hash, cores and runs by their numbers.
    let step_hash = millstream_storage::hash::stable_hash(step.as_bytes());
    let id = step_hash ^ cx.run_id.rotate_left(17) ^ cx.shard as u64;
    let config = sized(StoreConfig::new(format!("{}-{:03}", file_stem(step), cx.shard), id), cx);
    let parts = parts_to_read(cx, step)?;
    let (Some(directory), false) = (&cx.directory, parts.is_empty()) else {
        return Ok(Store::new(config));
    };
    let (placement, shard) = (cx.placements.of(step).clone(), cx.shard);
    // What this core wrote when there were as many of them is its own: keys need not be hashed to know that.
    let unchanged = parts.len() == 1 && cx.own_part(step).is_some();
    let owns = move |state: u32, key: &[u8]| {
        let key = if is_timer_state(state) { key_of_timer(key).map_or(key, |(_, key)| key) } else { key };
        if planted!(group_off_by_one) {
            return placement.owner(millstream_storage::hash::stable_hash(key) + 1) == shard;
        }
        placement.owner_of_key(key) == shard
    };
    let restored = match &parts[..] {
        // Nobody is asked about keys then, so that they need not be read.
        [part] if unchanged && !planted!(group_off_by_one) => {
            Store::restore_whole(cx.host.disk(), directory, config, part).await
        }
        parts => Store::restore(cx.host.disk(), directory, config, parts, owns).await,
    };
    restored.map_err(|error| {
        let message = format!("the state of step `{step}` cannot be restored on core {shard}");
        Error::new(ErrorKind::Restore, message).caused_by(error)
    })
}

/// With the sizes that go with the memory that the store may take: the smaller it is, the smaller the segments, so that
/// some 64 of them fit.
fn sized(config: StoreConfig, cx: &OpenContext) -> StoreConfig {
    // Timers are also in a queue in memory, and are taken out of the store without having been asked for.
    let pinned_from = Some(Domain::Processing.state());
    let config = StoreConfig { after_epoch: cx.first_epoch.checked_sub(1), pinned_from, ..config };
    let Some(memory) = cx.memory else { return config };
    let segment = usize::try_from(memory / 64).unwrap_or(usize::MAX).clamp(16 << 10, config.segment_bytes);
    let segment_bytes = 1 << segment.ilog2();
    // A record that is needed again costs the reading of its block.
    let block_bytes = SECTOR;
    StoreConfig { budget: Some(memory), segment_bytes, block_bytes, ..config }
}

/// Visits all keys of a restored table, in memory or not.
///
/// # Errors
/// If what was evicted cannot be read back.
pub(crate) async fn visit_table(
    cx: &OpenContext,
    store: &mut Store,
    table: TableId,
    visit: impl FnMut(&[u8], &[u8]),
) -> Result<()> {
    let Some(directory) = cx.directory.clone().filter(|_| !store.is_resident()) else {
        store.for_each(table, visit);
        return Ok(());
    };
    let reader = Reader::new(cx.host.disk(), directory);
    let visited = store.visit_all(&reader, table, visit).await;
    visited.map_err(unreadable)
}

/// Checks all values of a restored table before they are used: what the restore has left on disk when it is read.
///
/// # Errors
/// If what was evicted cannot be read back, and what the check says.
pub(crate) async fn check_table(
    cx: &OpenContext,
    store: &mut Store,
    table: TableId,
    check: impl Fn(&[u8], &[u8]) -> Result<()> + 'static,
) -> Result<()> {
    let mut result = Ok(());
    let visit = |key: &[u8], value: &[u8]| {
        if result.is_ok() {
            result = check(key, value);
        }
    };
    let Some(directory) = cx.directory.clone().filter(|_| store.leaves_unread()) else {
        visit_table(cx, store, table, visit).await?;
        return result;
    };
    let reader = Reader::new(cx.host.disk(), directory);
    let visited = store.visit_read(&reader, table, visit).await;
    visited.map_err(unreadable)?;
    store.check_when_read(table, move |key, value| check(key, value).map_err(|error| error.to_string()));
    result
}

fn unreadable(error: StoreError) -> Error {
    Error::new(ErrorKind::Restore, "restored state cannot be read").caused_by(error)
}

/// As [`open_store`], without a limit of memory: for state that is changed as a whole.
async fn open_resident(cx: &OpenContext, step: &str) -> Result<Store> {
    open_store(&OpenContext { memory: None, ..cx.clone() }, step).await
}

/// The state of a process function's step on the core of `cx`: of its keys, and of the core itself.
///
/// # Errors
/// If a file is missing or damaged, or holds something else than the checkpoint says.
pub(crate) async fn open_state(
    cx: &OpenContext,
    step: &str,
    declare: &Declare,
) -> Result<(LogBackend, OperatorStates)> {
    let (parts, none) = (cx.parts(step), BTreeMap::new());
    let saved = cx.restored.get(step).map_or(&none, |manifest| &manifest.schema.states);
    // What is upgraded is in memory while it is, and stays there until the next start.
    let mut store = match declare.upgrades(saved) {
        false => open_store(cx, step).await?,
        true => open_resident(cx, step).await?,
    };
    let of_step = |error: Error| error.at(format_args!("step `{step}`"));
    declare.adopt(cx, &mut store, saved).await.map_err(of_step)?;
    let place = Place { shard: cx.shard, cores: cx.placements.cores(step), before: cx.cores_before(step) };
    let operator = OperatorStates::restore(declare.operator(), parts, saved, place).map_err(of_step)?;
    let clock = parts.iter().filter_map(|part| part.meta["operator"]["clock"].as_i64()).max();
    let timers = Timers::restore(&store)?;
    Ok((LogBackend::new(store, timers, declare.keyed(), clock), operator))
}

/// The parts of the restored checkpoint that hold key groups of this core: on as many cores as before its own alone,
/// which the store then adopts with its files.
fn parts_to_read(cx: &OpenContext, step: &str) -> Result<Vec<StoreSnapshot>> {
    let (parts, groups) = (cx.parts(step), cx.placements.groups());
    if parts.is_empty() {
        return Ok(Vec::new());
    }
    let before = cx.cores_before(step);
    if parts.len() > groups as usize
        || !(1..=parts.len()).contains(&before)
        || !parts.iter().map(|part| part.shard).eq(0..parts.len())
    {
        let message =
            format!("the checkpoint does not hold one part of step `{step}` from each core that wrote it");
        return Err(Error::new(ErrorKind::Restore, message));
    }
    let (before, now) = (Placement::new(groups, before), cx.placements.of(step));
    let is_here = |group: &u32| now.owner_of_group(*group) == cx.shard;
    let wanted: BTreeSet<usize> =
        (0..groups).filter(is_here).map(|group| before.owner_of_group(group)).collect();
    let parts = parts.iter().filter(|part| wanted.contains(&part.shard));
    Ok(parts.filter_map(|part| part.store.clone()).collect())
}

/// A step's name as part of a file's: letters and digits stay, everything else becomes `_`, and a hash tells apart
/// what would become the same.
fn file_stem(step: &str) -> String {
    let plain: String =
        step.chars().take(40).map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    format!("{plain}-{:08x}", millstream_storage::hash::stable_hash(step.as_bytes()) as u32)
}
