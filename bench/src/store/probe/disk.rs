//! Writing a checkpoint and recovering from it, each beside the disk alone, in turn.

use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Instant;

use millstream_storage::disk::Disk;
use millstream_storage::snapshot::StoreSnapshot;
use millstream_storage::store::{Store, StoreConfig};

use crate::raw_disk::{self, RawFile};
use crate::report::Outcome;
use crate::store::engine::Engine;
use crate::store::keys::{self, BATCH};
use crate::store::millstream::Millstream;
use crate::store::wire::Reply;

/// Bytes of a record beside its value: a word of header and a key of eight bytes.
const RECORD: usize = 16;

pub(in crate::store) fn run(bytes: u64, value_len: usize, rounds: usize, dir: PathBuf) -> Outcome<Reply> {
    super::on_core(move |host| {
        Box::pin(async move {
            let disk = host.disk();
            let state = dir.join("state");
            disk.create_dir_all(&state).await?;
            let keys: Vec<u64> = keys::each_once(bytes / (RECORD + value_len) as u64).collect();
            let mut engine = Millstream::new(value_len);
            let mut series = [const { Vec::new() }; 5];
            for epoch in 1..=rounds as u64 {
                // All of it is dirty: in the first round it is new, in the others it is copied.
                keys.chunks(BATCH).try_for_each(|batch| engine.update(batch))?;
                let (written, snapshot) = write(&mut engine, epoch, disk.clone(), &state).await?;
                series[0].push(written);
                series[1].push(RawFile::create(&dir.join("raw"))?.write(bytes)?);
                let (recovered, seconds) = recover(disk.clone(), &state, &snapshot, keys.len()).await?;
                series[2].push(recovered);
                series[3].push(read(&state, &snapshot)?);
                series[4].push(seconds);
            }
            let names = ["checkpoint", "write", "recovery", "read", "seconds per GB"];
            let series = names.iter().map(|name| (*name).to_owned()).zip(series).collect();
            Ok(Reply { series, ..Reply::default() })
        })
    })
}

/// Gigabytes per second of a checkpoint, from the seal until it is durable.
async fn write(
    engine: &mut Millstream,
    epoch: u64,
    disk: Rc<dyn Disk>,
    dir: &Path,
) -> Outcome<(f64, StoreSnapshot)> {
    let before = total(dir)?;
    let start = Instant::now();
    let snapshot = engine.store().seal(epoch).write(disk.clone(), dir.to_owned()).await?;
    disk.sync_dir(dir).await?;
    let seconds = start.elapsed().as_secs_f64();
    let bytes = total(dir)? - before;
    engine.store().flushed(epoch, &snapshot);
    super::remove_others(&snapshot, dir)?;
    Ok((bytes as f64 / seconds / 1e9, snapshot))
}

/// Gigabytes per second of a recovery from files that no cache holds, and its seconds per gigabyte.
async fn recover(
    disk: Rc<dyn Disk>,
    dir: &Path,
    snapshot: &StoreSnapshot,
    keys: usize,
) -> Outcome<(f64, f64)> {
    for file in &snapshot.files {
        raw_disk::forget(&dir.join(&file.name))?;
    }
    let start = Instant::now();
    let parts = std::slice::from_ref(snapshot);
    let store = Store::restore(disk, dir, StoreConfig::new("bench", 1), parts, |_, _| true).await?;
    let seconds = start.elapsed().as_secs_f64();
    let table = store.table(0, 0).ok_or("the table was not recovered")?;
    if store.len(table) != keys {
        return Err(format!("{} of {keys} keys were recovered", store.len(table)).into());
    }
    let bytes: u64 = snapshot.files.iter().map(|file| file.bytes).sum();
    let gigabytes = bytes as f64 / 1e9;
    Ok((gigabytes / seconds, seconds / gigabytes))
}

/// Gigabytes per second of reading the same files past the page cache.
fn read(dir: &Path, snapshot: &StoreSnapshot) -> Outcome<f64> {
    let (mut bytes, mut seconds) = (0.0, 0.0);
    for file in &snapshot.files {
        let gigabytes = file.bytes as f64 / 1e9;
        bytes += gigabytes;
        seconds += gigabytes / raw_disk::read_file(&dir.join(&file.name))?;
    }
    Ok(bytes / seconds)
}

/// Bytes of the files in a directory.
fn total(dir: &Path) -> Outcome<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(dir)? {
        bytes += entry?.metadata()?.len();
    }
    Ok(bytes)
}
