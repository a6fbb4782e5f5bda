//! How long a seal stops the work, at any size, with nothing and with everything durable.

use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Instant;

use millstream_storage::disk::Disk;

use crate::report::Outcome;
use crate::store::engine::Engine;
use crate::store::keys::{self, BATCH, Random};
use crate::store::millstream::Millstream;
use crate::store::wire::Reply;

/// Fills a store, seals it `count` times while all of it is dirty, and then as often with checkpoints written.
pub(in crate::store) fn run(keys: u64, value_len: usize, count: usize, dir: PathBuf) -> Outcome<Reply> {
    super::on_core(move |host| {
        Box::pin(async move {
            let disk = host.disk();
            let mut snapshots = Snapshots::new(keys, value_len)?;
            let (mut dirty, mut flushed) = (Vec::new(), Vec::new());
            for _ in 0..count {
                dirty.push(snapshots.engine.snapshot()?.unwrap_or_default().as_secs_f64() * 1e6);
                snapshots.change()?;
            }
            // What all earlier ones left is written by the first.
            snapshots.checkpoint(&disk, &dir).await?;
            for _ in 0..count {
                snapshots.change()?;
                flushed.push(snapshots.checkpoint(&disk, &dir).await?);
            }
            let series = vec![("dirty".into(), dirty), ("flushed".into(), flushed)];
            Ok(Reply { series, ..Reply::default() })
        })
    })
}

struct Snapshots {
    engine: Millstream,
    random: Random,
    batch: Vec<u64>,
}

impl Snapshots {
    fn new(keys: u64, value_len: usize) -> Outcome<Snapshots> {
        let mut engine = Millstream::new(value_len);
        let all: Vec<u64> = keys::each_once(keys).collect();
        all.chunks(BATCH).try_for_each(|batch| engine.update(batch))?;
        Ok(Snapshots { engine, random: Random::new(1, keys), batch: Vec::new() })
    }

    /// Some work between two snapshots.
    fn change(&mut self) -> Outcome<()> {
        self.random.fill(&mut self.batch, BATCH);
        self.engine.update(&self.batch)
    }

    /// Writes a checkpoint. Returns the microseconds of its seal.
    async fn checkpoint(&mut self, disk: &Rc<dyn Disk>, dir: &Path) -> Outcome<f64> {
        let epoch = self.engine.next_epoch();
        let start = Instant::now();
        let sealed = self.engine.store().seal(epoch);
        let pause = start.elapsed();
        let snapshot = sealed.write(disk.clone(), dir.to_owned()).await?;
        self.engine.store().flushed(epoch, &snapshot);
        super::remove_others(&snapshot, dir)?;
        Ok(pause.as_secs_f64() * 1e6)
    }
}
