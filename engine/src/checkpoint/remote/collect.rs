//! Removing what no retained checkpoint names from the store.
//!
//! Only the owner of the chain removes anything, and what a later owner stores bears a later generation: that is never
//! touched. Links go first, the oldest first, each only when the one before it is known to be gone: so a writer that has
//! put a link in a place that was left behind always finds later ones. What a link names goes only when the link is known
//! to be gone.

use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use millstream_storage::planted;

use super::Refusal;
use super::chain::{Chain, Keeping, kept, unreachable};
use super::link::{CHAIN, FILES, Link, generation_of};
use super::patience::{Limit, Line, Patient, Watch};
use crate::error::Result;

/// Starts that came to nothing leave links of the same checkpoint: no more than so many are kept besides.
const SPARE: u64 = 32;

/// How long a removal is tried before it is left to the next time.
const PATIENCE: Duration = Duration::from_secs(60);

/// Removes what earlier runs have left: links that are not retained, and parts of files that no retained link names, among
/// them those of uploads that came to nothing.
///
/// # Errors
/// If the store cannot be reached, or a link is damaged. What is left is removed by a later start.
pub(crate) async fn collect(chain: Rc<Chain>, keep: usize) -> Result<()> {
    if chain.sweeping.replace(true) {
        return Ok(());
    }
    let collected = collect_all(&chain, keep).await;
    chain.sweeping.set(false);
    collected
}

async fn collect_all(chain: &Chain, keep: usize) -> Result<()> {
    let objects = patient(chain);
    let failed = |refusal| unreachable(chain.place(), refusal);
    let names = objects.list(CHAIN, "").await.map_err(failed)?;
    let mut there: BTreeSet<u64> = names.iter().filter_map(|name| Link::seq_of(name)).collect();
    let own = chain.generation();
    // As far back as they are retained, and no further than a gap: what lies beyond one was put by somebody who was late.
    let mut before = own;
    let most = u64::try_from(keep).unwrap_or(u64::MAX).saturating_add(SPARE);
    while before > 1
        && own - before < most
        && there.contains(&(before - 1))
        && epochs(&chain.keeping.borrow()).len() <= keep
    {
        before -= 1;
        let Some(link) = chain.read(&objects, before).await? else { break };
        chain.keeping.borrow_mut().links.insert(before, kept(&link));
    }
    there.retain(|seq| *seq < before);
    chain.keeping.borrow_mut().old.extend(there);
    chain.collected.set(true);
    drop_old(&mut chain.keeping.borrow_mut(), keep);
    sweep(chain, &objects).await.map_err(failed)?;
    let live = live(&chain.keeping.borrow());
    let orphans = objects.list(FILES, "").await.map_err(failed)?;
    let is_orphan = |name: &String| generation_of(name).is_some_and(|of| of < own) && !live.contains(name);
    chain.keeping.borrow_mut().garbage.extend(orphans.into_iter().filter(is_orphan));
    sweep(chain, &objects).await.map_err(failed)
}

impl Chain {
    /// Whether it is known what earlier runs have left. If not, nothing may be removed: of what is named by this run's first
    /// link, the one before it may be the one that names it, too.
    pub(crate) fn is_collected(&self) -> bool {
        self.collected.get()
    }

    /// Notes what no retained checkpoint names any more. To be called when a checkpoint is complete, and no upload is under
    /// way. False while an earlier removal is.
    pub(crate) fn retire(&self, keep: usize) -> bool {
        if self.sweeping.get() {
            return false;
        }
        let keeping = &mut *self.keeping.borrow_mut();
        drop_old(keeping, keep);
        let live = live(keeping);
        self.stored.borrow_mut().retain(|path, file| {
            let is_live = file.objects(path).all(|object| live.contains(&object));
            if !is_live {
                keeping.garbage.extend(file.objects(path));
            }
            is_live
        });
        keeping.garbage.retain(|object| !live.contains(object));
        true
    }
}

/// Removes what was noted.
///
/// # Errors
/// If the store cannot be reached. What is left is removed the next time.
pub(crate) async fn sweep_noted(chain: Rc<Chain>) -> Result<()> {
    if chain.sweeping.replace(true) {
        return Ok(());
    }
    let swept = sweep(&chain, &patient(&chain)).await;
    chain.sweeping.set(false);
    swept.map_err(|refusal| unreachable(chain.place(), refusal))
}

async fn sweep(chain: &Chain, objects: &Patient) -> Result<(), Refusal> {
    loop {
        let Some(oldest) = chain.keeping.borrow().old.first().copied() else { break };
        objects.delete(&Link::name(oldest)).await?;
        chain.keeping.borrow_mut().old.remove(&oldest);
    }
    loop {
        let Some(object) = chain.keeping.borrow().garbage.first().cloned() else { return Ok(()) };
        objects.delete(&object).await?;
        chain.keeping.borrow_mut().garbage.remove(&object);
    }
}

fn patient(chain: &Chain) -> Patient {
    let until = chain.objects.line.host.monotonic().saturating_add(PATIENCE);
    // What is not removed now is removed later: nobody need hear of each try.
    let line = Line { watch: Watch::new(None), limit: Limit::At(until), ..chain.objects.line.clone() };
    Patient { line, ..chain.objects.clone() }
}

/// The checkpoints of the links that are there.
fn epochs(keeping: &Keeping) -> BTreeSet<u64> {
    keeping.links.values().filter_map(|(epoch, _)| *epoch).collect()
}

/// Gives up the links before those of the last `keep` checkpoints. The last link always stays.
fn drop_old(keeping: &mut Keeping, keep: usize) {
    let oldest = epochs(keeping).into_iter().rev().take(keep).min();
    let is_kept = |epoch: &Option<u64>| epoch.is_some() && *epoch >= oldest;
    let last = keeping.links.keys().next_back().copied();
    let first = keeping.links.iter().find(|(_, (epoch, _))| is_kept(epoch)).map(|(seq, _)| *seq);
    let Some(first) = first.or(last) else { return };
    let later = keeping.links.split_off(&first);
    for (seq, (_, objects)) in std::mem::replace(&mut keeping.links, later) {
        keeping.old.insert(seq);
        keeping.garbage.extend(objects);
    }
    let live = live(keeping);
    keeping.garbage.retain(|object| !live.contains(object));
}

/// The objects that a retained link names.
fn live(keeping: &Keeping) -> BTreeSet<String> {
    let links = keeping.links.values();
    if planted!(shared_object_removed) {
        return links.rev().take(1).flat_map(|(_, objects)| objects).cloned().collect();
    }
    links.flat_map(|(_, objects)| objects).cloned().collect()
}
