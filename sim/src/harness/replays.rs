//! Replays: what one shows, from a checkpoint that is kept up to a later one, is what the run has put out between the two, and
//! what it comes to is the later one's state.

use std::io::{self, Write};
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};

use millstream::Config;
use millstream::checkpoint::inspect::Checkpoints;
use millstream::replay::Replay;
use millstream_storage::disk::block_on;
use serde_json::Value as Json;

use super::checkpoints::manifests;
use super::{STATE, Work};
use crate::disk::{DiskView, ReadOnly};
use crate::random::Random;
use crate::scenario::Finding;

/// What is known of a job that may be replayed.
pub(crate) enum Replayed {
    /// That what it does depends on more than its input.
    Not,
    /// That its state follows from its input.
    State,
    /// What it has put out between the checkpoints, too: sinks, and rows as JSON.
    Rows(Vec<(&'static str, String)>),
}

/// Where the rows of a replay go.
#[derive(Clone, Default)]
struct Shown(Arc<Mutex<Vec<u8>>>);

impl Write for Shown {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Replays between two of the checkpoints that are kept, if there are two.
pub(crate) fn check(disk: &DiskView, work: &dyn Work, random: &mut Random) -> Result<(), Finding> {
    let mut kept = manifests(disk, STATE)?;
    kept.sort_by_key(|manifest| manifest.epoch);
    if kept.len() < 2 {
        return Ok(());
    }
    let to = random.range(1, kept.len() as u64 - 1) as usize;
    let (from, to) = (&kept[random.index(to)], &kept[to]);
    let expected = work.replayed(from.epoch, to.epoch);
    if matches!(expected, Replayed::Not) || from.finished {
        return Ok(());
    }
    let name = "a replay comes to what the run has come to";
    let between = format!("from checkpoint {} to {}", from.epoch, to.epoch);
    let finding = |seen: String| Finding::new(name, format!("{between}: {seen}"));
    let (shown, read_only) = (Shown::default(), Rc::new(ReadOnly::new(disk)));
    let seed = if random.coin() { 0 } else { random.next() };
    let mut replay = Replay::from(STATE, from.epoch).until_checkpoint(to.epoch).hash_state().seed(seed);
    if random.coin() {
        replay = replay.cores(random.range(1, work.most_cores() as u64) as usize);
    }
    let replay = replay.writer(shown.clone()).disk(read_only.clone());
    let report = work.job().replay(work.configure(Config::new()), replay);
    let report = report.map_err(|error| finding(error.to_string()))?;
    if let Some(failure) = report.failure {
        return Err(finding(failure));
    }
    if let Replayed::Rows(mut rows) = expected {
        let lines = shown.0.lock().unwrap_or_else(PoisonError::into_inner);
        let line = |line: &str| -> (String, String) {
            let mut line: Json = serde_json::from_str(line).expect("it is a line of JSON");
            (line["sink"].take().as_str().unwrap_or_default().to_owned(), line["row"].take().to_string())
        };
        let mut shown: Vec<_> = std::str::from_utf8(&lines).expect("it is text").lines().map(line).collect();
        let same_form = |(sink, row): (&'static str, String)| {
            let row: Json = serde_json::from_str(&row).expect("it is JSON");
            (sink.to_owned(), row.to_string())
        };
        let mut rows: Vec<_> = rows.drain(..).map(same_form).collect();
        shown.sort();
        rows.sort();
        if shown != rows {
            let (missing, more) = (rows.len(), shown.len());
            let first = rows.iter().zip(&shown).find(|(row, shown)| row != shown);
            return Err(finding(format!(
                "{more} rows instead of {missing}; the first that differ: {first:?}"
            )));
        }
    }
    let checkpoints = Checkpoints::at(read_only, STATE);
    let kept = block_on(checkpoints.state_hash(to)).map_err(|error| finding(error.to_string()))?;
    if report.state != Some(kept) {
        return Err(finding(format!("the state is {:x?} instead of {kept:x}", report.state)));
    }
    Ok(())
}
