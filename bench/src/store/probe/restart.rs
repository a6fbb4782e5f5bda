//! A restart with a state that is larger than the memory: until all keys are known, once by the indexes of the files and
//! once by reading all of them; and what the index costs a checkpoint.

use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Instant;

use millstream_storage::disk::Disk;
use millstream_storage::hash::stable_hash;
use millstream_storage::snapshot::StoreSnapshot;
use millstream_storage::store::{Store, StoreConfig};

use crate::raw_disk;
use crate::report::Outcome;
use crate::store::engine::key_bytes;
use crate::store::keys;
use crate::store::wire::{Reply, RestartWork};

/// Bytes of a record beside its value: a word of header and a key of eight bytes.
const RECORD: usize = 16;
/// Bytes of memory that a key takes at most beside its record, while it is restored.
const INDEXED: u64 = 48;

pub(in crate::store) fn run(work: RestartWork, dir: PathBuf) -> Outcome<Reply> {
    let series = super::on_core(move |host| {
        let dir = dir.clone();
        Box::pin(async move { Restart { disk: host.disk(), dir, work }.measure().await })
    })?;
    Ok(Reply { series, ..Reply::default() })
}

struct Restart {
    disk: Rc<dyn Disk>,
    dir: PathBuf,
    work: RestartWork,
}

impl Restart {
    /// Series by name, round by round.
    async fn measure(&self) -> Outcome<Vec<(String, Vec<f64>)>> {
        let keys = self.work.bytes / (RECORD + self.work.value_len) as u64;
        // Of states in memory only the limit decides whether an index is written.
        let roomy = 2 * self.work.bytes + keys * INDEXED;
        let mut series: Vec<(String, Vec<f64>)> = Vec::new();
        let mut add = |name: &str, figure: f64| match series.iter_mut().find(|known| known.0 == name) {
            Some(known) => known.1.push(figure),
            None => series.push((name.to_owned(), vec![figure])),
        };
        for round in 0..self.work.rounds {
            for (name, budget) in [("without", None), ("with", Some(roomy))] {
                let dir = self.dir.join(format!("{name}-{round}"));
                self.disk.create_dir_all(&dir).await?;
                let mut store = Store::new(self.config(budget));
                self.fill(&mut store, keys)?;
                let (start, cpu) = (Instant::now(), cpu_seconds());
                let snapshot = store.seal(1).write(self.disk.clone(), dir.clone()).await?;
                self.disk.sync_dir(&dir).await?;
                add(&format!("checkpoint {name}"), start.elapsed().as_secs_f64());
                add(&format!("cpu {name}"), cpu_seconds() - cpu);
                let bytes: u64 = snapshot.files.iter().map(|file| file.file_bytes()).sum();
                add(&format!("bytes {name}"), bytes as f64 / 1e6);
                drop(store);
                if name == "with" {
                    for (name, lazily) in [("all read", false), ("index read", true)] {
                        let cpu = cpu_seconds();
                        add(name, self.restart(&dir, &snapshot, keys, lazily).await?);
                        add(&format!("cpu {name}"), cpu_seconds() - cpu);
                    }
                }
                std::fs::remove_dir_all(&dir)?;
            }
        }
        Ok(series)
    }

    fn config(&self, budget: Option<u64>) -> StoreConfig {
        StoreConfig { budget, segment_bytes: 1 << 20, block_bytes: 4096, ..StoreConfig::new("bench", 1) }
    }

    fn fill(&self, store: &mut Store, keys: u64) -> Outcome<()> {
        let (table, value) = (store.create_table(0, 0), vec![7; self.work.value_len]);
        for key in keys::each_once(keys) {
            let bytes = key_bytes(key);
            store.put(table, stable_hash(&bytes), &bytes, &value)?;
        }
        Ok(())
    }

    /// Seconds until the store is ready, from files that no cache holds.
    async fn restart(&self, dir: &Path, snapshot: &StoreSnapshot, keys: u64, lazily: bool) -> Outcome<f64> {
        for file in &snapshot.files {
            raw_disk::forget(&dir.join(&file.name))?;
        }
        // Keys are always in memory: the limit is of what there is besides.
        let (disk, config) = (self.disk.clone(), self.config(Some(self.work.memory + keys * INDEXED)));
        let start = Instant::now();
        let store = match lazily {
            true => Store::restore_whole(disk, dir, config, snapshot).await?,
            false => Store::restore(disk, dir, config, std::slice::from_ref(snapshot), |_, _| true).await?,
        };
        let seconds = start.elapsed().as_secs_f64();
        let table = store.table(0, 0).ok_or("the table was not restored")?;
        match store.len(table) as u64 == keys {
            true => Ok(seconds),
            false => Err(format!("{} of {keys} keys were restored", store.len(table)).into()),
        }
    }
}

/// Seconds of processors that this process has used.
fn cpu_seconds() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}
