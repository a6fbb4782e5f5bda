//! A small commit protocol, on the simulated disk alone: the smallest thing that the world must be able to break.
//!
//! Each core replaces one file again and again: write it under a temporary name, sync it, rename it, sync the
//! directory, and only then say that the version is committed. After a crash the file must hold, whole, a version
//! no older than the last one that was called committed. Every step of it can be left out, and must then be missed.

use std::future::poll_fn;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use millstream::host::{CoreMain, Host};
use millstream_storage::disk::{Disk, File, Io, OpenMode};

use super::{Finding, Options, Scenario, restart_until_done};
use crate::faults::FaultPlan;
use crate::random::{Chance, Streams};
use crate::trace::{digest, mix};
use crate::world::{World, WorldConfig};

/// What an implementation of the protocol gets wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Omission {
    /// Nothing.
    None,
    /// The file is renamed unsynced.
    FileSync,
    /// The directory is not synced before the version is called committed.
    DirSync,
    /// After a restart, what is seen is taken for durable.
    SyncAtRestart,
    /// The file is written in place.
    Rename,
    /// A sync that failed is repeated until it succeeds.
    AbandonAfterFailedSync,
    /// The sync is issued while the writes are still under way.
    WaitForWrites,
}

/// What one core has done, as known outside the world.
#[derive(Debug, Default)]
struct Ledger {
    attempted: u64,
    committed: u64,
    broken: Option<String>,
}

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Ledger>>);

impl Shared {
    fn get(&self) -> MutexGuard<'_, Ledger> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The bytes of a version: their length and all of them depend on it.
fn encode(version: u64) -> Vec<u8> {
    let words = 8 + mix(version, 1) % 1024;
    let mut bytes: Vec<u8> = version.to_le_bytes().to_vec();
    bytes.extend((0..words).flat_map(|word| mix(version, word).to_le_bytes()));
    let check = digest(&bytes);
    bytes.extend(check.to_le_bytes());
    bytes
}

fn decode(bytes: &[u8]) -> Option<u64> {
    let version = u64::from_le_bytes(bytes.get(..8)?.try_into().expect("8 bytes"));
    (bytes == encode(version)).then_some(version)
}

/// Waits for all, and returns the first error in their order.
async fn all(mut pending: Vec<Io<()>>) -> io::Result<()> {
    let mut results: Vec<Option<io::Result<()>>> = pending.iter().map(|_| None).collect();
    poll_fn(move |cx| {
        for (io, result) in pending.iter_mut().zip(&mut results).filter(|(_, result)| result.is_none()) {
            if let Poll::Ready(done) = io.as_mut().poll(cx) {
                *result = Some(done);
            }
        }
        if results.iter().any(Option::is_none) {
            return Poll::Pending;
        }
        Poll::Ready(results.iter_mut().filter_map(Option::take).collect())
    })
    .await
}

/// One core's part.
struct Committer {
    disk: Rc<dyn Disk>,
    dir: PathBuf,
    ledger: Shared,
    omission: Omission,
}

impl Committer {
    fn manifest(&self) -> PathBuf {
        self.dir.join("manifest")
    }

    async fn run(&self, versions: u64) -> io::Result<()> {
        self.disk.create_dir_all(&self.dir).await?;
        let _lease = self.disk.lock(&self.dir.join("lease")).await?;
        let start = self.recover().await?;
        for version in start + 1..=versions {
            self.ledger.get().attempted = version;
            self.commit(version).await?;
            self.ledger.get().committed = version;
        }
        Ok(())
    }

    /// The version on the disk, made durable.
    async fn recover(&self) -> io::Result<u64> {
        match self.disk.remove(&self.dir.join("manifest.tmp")).await {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        let found = match self.disk.open(&self.manifest(), OpenMode::Read).await {
            Err(e) if e.kind() == io::ErrorKind::NotFound => 0,
            Err(e) => return Err(e),
            Ok(file) => {
                let bytes = file.read_at(0, file.len().await? as usize).await?;
                decode(&bytes).unwrap_or_else(|| self.damaged(&bytes))
            }
        };
        if self.omission != Omission::SyncAtRestart {
            self.disk.sync_dir(&self.dir).await?;
        }
        self.check(found);
        Ok(found)
    }

    fn damaged(&self, bytes: &[u8]) -> u64 {
        let seen = format!("{} holds {} damaged bytes", self.manifest().display(), bytes.len());
        self.ledger.get().broken.get_or_insert(seen);
        0
    }

    /// Whether a version may be the one on the disk. From here on it is committed.
    fn check(&self, found: u64) {
        let mut ledger = self.ledger.get();
        if found < ledger.committed || found > ledger.attempted {
            let Ledger { committed, attempted, .. } = *ledger;
            let seen = format!(
                "{} holds version {found}, though {committed} was committed and {attempted} attempted",
                self.manifest().display()
            );
            ledger.broken.get_or_insert(seen);
        }
        ledger.committed = found;
    }

    async fn commit(&self, version: u64) -> io::Result<()> {
        let in_place = self.omission == Omission::Rename;
        let target = if in_place { self.manifest() } else { self.dir.join("manifest.tmp") };
        if in_place && version > 1 {
            self.disk.remove(&target).await?;
        }
        let file = self.disk.open(&target, OpenMode::Create).await?;
        self.write(&*file, &encode(version)).await?;
        drop(file);
        if !in_place {
            self.disk.rename(&target, &self.manifest()).await?;
        }
        if self.omission != Omission::DirSync {
            self.disk.sync_dir(&self.dir).await?;
        }
        Ok(())
    }

    /// Writes in pieces that are under way together, and syncs.
    async fn write(&self, file: &dyn File, bytes: &[u8]) -> io::Result<()> {
        let pieces = bytes.chunks(1500).enumerate();
        let mut pending: Vec<_> =
            pieces.map(|(at, piece)| file.write_at(at as u64 * 1500, piece.to_vec().into())).collect();
        match self.omission {
            Omission::FileSync => all(pending).await,
            Omission::WaitForWrites => {
                pending.push(file.sync());
                all(pending).await
            }
            Omission::AbandonAfterFailedSync => {
                all(pending).await?;
                while file.sync().await.is_err() {}
                Ok(())
            }
            _ => {
                all(pending).await?;
                file.sync().await
            }
        }
    }
}

/// One core's main future. An error ends it; whoever runs it starts it again.
fn main_of(ledger: Shared, omission: Omission, versions: u64) -> CoreMain {
    Box::new(move |host: Rc<dyn Host>| {
        Box::pin(async move {
            let dir = Path::new("job").join(host.core().to_string());
            let committer = Committer { disk: host.disk(), dir, ledger, omission };
            // What was not committed is seen by the scenario.
            drop(committer.run(versions).await);
        })
    })
}

fn run(world: &mut World, options: &Options, omission: Omission) -> Result<(), Finding> {
    let mut workload = world.streams().stream("workload");
    // Drawn in any case, so that the rest stays as it is.
    let drawn = workload.range(1, 3) as usize;
    let cores = options.cores.unwrap_or(drawn);
    let versions = workload.range(1, 6);
    let ledgers: Vec<Shared> = (0..cores).map(|_| Shared::default()).collect();
    let mains = || ledgers.iter().map(|ledger| main_of(ledger.clone(), omission, versions)).collect();
    let rule = "what was committed survives, whole";
    let done = || {
        let mut done = true;
        for ledger in &ledgers {
            let ledger = ledger.get();
            if let Some(seen) = &ledger.broken {
                return Err(Finding::new(rule, seen));
            }
            done &= ledger.committed == versions;
        }
        Ok(done)
    };
    restart_until_done(world, 4, mains, done)?;
    // Once more, without power in between: nothing is left to do but to find it all.
    world.cut_power();
    world.end_faults();
    world.run(mains());
    done().map(|_| ())
}

fn config(streams: &Streams) -> WorldConfig {
    let mut random = streams.stream("plan");
    let mut plan = FaultPlan::swarm(&mut random);
    plan.crash = Chance::ALWAYS;
    WorldConfig { plan, max_points: 1_000_000, ..WorldConfig::default() }
}

fn scenario(name: &'static str, about: &'static str, omission: Omission) -> Scenario {
    let planted = omission != Omission::None;
    Scenario {
        name,
        about,
        planted,
        is_job: false,
        config,
        body: Box::new(move |world, options| run(world, options, omission)),
    }
}

/// The protocol, and its faulty implementations.
pub fn scenarios() -> Vec<Scenario> {
    vec![
        scenario("protocol", "write, sync, rename, sync the directory", Omission::None),
        scenario("protocol-no-sync", "the file is renamed unsynced", Omission::FileSync),
        scenario("protocol-no-dir-sync", "the directory is not synced", Omission::DirSync),
        scenario(
            "protocol-trusts-cache",
            "what a restart sees is taken for durable",
            Omission::SyncAtRestart,
        ),
        scenario("protocol-in-place", "the file is written under its name", Omission::Rename),
        scenario("protocol-sync-again", "a failed sync is repeated", Omission::AbandonAfterFailedSync),
        scenario("protocol-sync-early", "the sync does not wait for the writes", Omission::WaitForWrites),
    ]
}
