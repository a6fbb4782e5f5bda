//! Writing a checkpoint and recovering from it, on one core or several, each beside the disk alone, in turn.

use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::{Arc, Barrier};
use std::time::Instant;

use millstream_storage::disk::Disk;
use millstream_storage::snapshot::StoreSnapshot;
use millstream_storage::store::{Store, StoreConfig};

use crate::raw_disk::{self, RawFile};
use crate::report::Outcome;
use crate::store::engine::Engine;
use crate::store::keys::{self, BATCH};
use crate::store::millstream::Millstream;
use crate::store::wire::{DiskWork, Reply};

/// Bytes of a record beside its value: a word of header and a key of eight bytes.
const RECORD: usize = 16;

/// Each core has its share of the state in a store of its own, as in a job, and they work at the same time; the disk
/// alone is measured by the first of them, in between.
pub(in crate::store) fn run(work: DiskWork, dir: PathBuf) -> Outcome<Reply> {
    let together = Arc::new(Barrier::new(work.cores));
    let figures = super::on_cores(work.cores, move |core, host| {
        let (dir, together) = (dir.clone(), together.clone());
        Box::pin(async move {
            let state = dir.join(format!("state-{core}"));
            host.disk().create_dir_all(&state).await?;
            let share = Share { core, dir, state, disk: host.disk(), together, work };
            let figures = share.measure().await;
            if figures.is_err() {
                // The others wait for this core, and would for ever.
                eprintln!("{:?}", figures.as_ref().err());
                std::process::exit(1);
            }
            figures
        })
    })?;
    let first = figures.into_iter().next().ok_or("nothing was measured")?;
    let names = ["checkpoint", "write", "recovery", "read", "seconds per GB"];
    let series = names.iter().map(|name| (*name).to_owned()).zip(first).collect();
    Ok(Reply { series, ..Reply::default() })
}

/// What one core does.
struct Share {
    core: usize,
    dir: PathBuf,
    state: PathBuf,
    disk: Rc<dyn Disk>,
    /// What is timed begins and ends on all cores.
    together: Arc<Barrier>,
    work: DiskWork,
}

impl Share {
    /// Gigabytes per second of checkpoints, of writing, of recoveries and of reading, and the seconds of a gigabyte's
    /// recovery, by round.
    async fn measure(&self) -> Outcome<[Vec<f64>; 5]> {
        let DiskWork { bytes, value_len, rounds, cores } = self.work;
        let share = bytes / cores as u64;
        let keys: Vec<u64> = keys::each_once(share / (RECORD + value_len) as u64).collect();
        let mut engine = Millstream::new(value_len);
        let mut series = [const { Vec::new() }; 5];
        // Each looks at the files of all: their directories must be there.
        self.together.wait();
        for epoch in 1..=rounds as u64 {
            // All of it is dirty: in the first round it is new, in the others it is copied.
            keys.chunks(BATCH).try_for_each(|batch| engine.update(batch))?;
            let (written, snapshot) = self.write(&mut engine, epoch).await?;
            series[0].push(written);
            series[1].push(self.alone(|| RawFile::create(&self.dir.join("raw"))?.write(bytes))?);
            let (recovered, seconds) = self.recover(&snapshot, keys.len()).await?;
            series[2].push(recovered);
            series[3].push(self.alone(|| self.read())?);
            series[4].push(seconds);
        }
        Ok(series)
    }

    /// Gigabytes per second of a checkpoint, from the seals until it is durable.
    async fn write(&self, engine: &mut Millstream, epoch: u64) -> Outcome<(f64, StoreSnapshot)> {
        let before = self.total()?;
        self.together.wait();
        let start = Instant::now();
        let sealed = engine.store().seal(epoch);
        let snapshot = sealed.write(self.disk.clone(), self.state.clone()).await?;
        self.disk.sync_dir(&self.state).await?;
        self.together.wait();
        let seconds = start.elapsed().as_secs_f64();
        let bytes = self.total()? - before;
        self.together.wait();
        engine.store().flushed(epoch, &snapshot);
        super::remove_others(&snapshot, &self.state)?;
        Ok((bytes as f64 / seconds / 1e9, snapshot))
    }

    /// Gigabytes per second of a recovery from files that no cache holds, and its seconds per gigabyte.
    async fn recover(&self, snapshot: &StoreSnapshot, keys: usize) -> Outcome<(f64, f64)> {
        for file in &snapshot.files {
            raw_disk::forget(&self.state.join(&file.name))?;
        }
        let gigabytes = self.total()? as f64 / 1e9;
        let config = StoreConfig::new("bench", self.core as u64 + 1);
        let parts = std::slice::from_ref(snapshot);
        self.together.wait();
        let start = Instant::now();
        let store = Store::restore(self.disk.clone(), &self.state, config, parts, |_, _| true).await?;
        self.together.wait();
        let seconds = start.elapsed().as_secs_f64();
        let table = store.table(0, 0).ok_or("the table was not recovered")?;
        if store.len(table) != keys {
            return Err(format!("{} of {keys} keys were recovered", store.len(table)).into());
        }
        Ok((gigabytes / seconds, seconds / gigabytes))
    }

    /// Gigabytes per second of reading the files of all cores past the page cache, one after the other.
    fn read(&self) -> Outcome<f64> {
        let (mut bytes, mut seconds) = (0.0, 0.0);
        for core in 0..self.work.cores {
            for entry in std::fs::read_dir(self.dir.join(format!("state-{core}")))? {
                let path = entry?.path();
                let gigabytes = path.metadata()?.len() as f64 / 1e9;
                bytes += gigabytes;
                seconds += gigabytes / raw_disk::read_file(&path)?;
            }
        }
        Ok(bytes / seconds)
    }

    /// Has the first core measure while the others wait.
    fn alone(&self, measure: impl FnOnce() -> Outcome<f64>) -> Outcome<f64> {
        self.together.wait();
        let figure = if self.core == 0 { measure()? } else { 0.0 };
        self.together.wait();
        Ok(figure)
    }

    /// Bytes of the files of all cores.
    fn total(&self) -> Outcome<u64> {
        (0..self.work.cores).map(|core| total(&self.dir.join(format!("state-{core}")))).sum()
    }
}

/// Bytes of the files in a directory.
fn total(dir: &Path) -> Outcome<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(dir)? {
        bytes += entry?.metadata()?.len();
    }
    Ok(bytes)
}
