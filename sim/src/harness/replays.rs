//! Replays: what one shows, from a checkpoint that is kept up to a later one, is what the run has put out between the two, and
//! what it comes to is the later one's state. And from the beginning of the input, with no state, it comes to the state of
//! every checkpoint: on whatever cores that was taken, restored and taken again.

use std::io::{self, Write};
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};

use millstream::Config;
use millstream::checkpoint::inspect::Checkpoints;
use millstream::checkpoint::manifest::{Manifest, Part};
use millstream::replay::Replay;
use millstream_storage::disk::{Disk, block_on};
use serde_json::Value as Json;

use super::checkpoints::manifests;
use super::{STATE, Tolerance, Work};
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
    /// The same of some of its sinks.
    RowsOf(Vec<String>, Vec<(String, String)>),
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

/// The rule of replays between two checkpoints.
pub(crate) const REPLAYED: &str = "a replay comes to what the run has come to";

/// The rule of the state of one.
pub(crate) const STATE_OF_INPUT: &str = "a checkpoint holds what the input comes to";

/// The same where what is stored may be damaged.
pub(crate) const TAINTED: &str = "nothing that is damaged becomes a value";

/// Whether records that a barrier has overtaken are in a checkpoint: then its state is not that of a job at rest.
fn overtook(manifest: &Manifest) -> bool {
    manifest.steps.values().flat_map(|step| &step.parts).any(|part| part.overtaken.is_some())
}

/// Whether a split that had ended before a restart has not said so again while others went on: in the run it holds back their
/// watermark until then, in a replay it has ended.
fn waits_for_an_end(manifest: &Manifest) -> bool {
    let parts = || manifest.steps.values().flat_map(|step| &step.parts);
    let count = |list: &Json| list.as_array().map_or(0, Vec::len);
    let goes_on = |part: &Part| {
        part.meta["positions"].as_object().is_some_and(|all| all.len() > count(&part.meta["ended"]))
    };
    parts().any(|part| count(&part.meta["unsaid"]) > 0) && parts().any(goes_on)
}

/// Whether one of the checkpoints that are kept holds what its input comes to from the beginning, with no state and nothing that
/// goes wrong, on a number of cores that is drawn. Where media rot, what cannot be read has been told from what can: then
/// what can be read must be right.
pub(crate) fn check_state(
    disk: &DiskView,
    work: &dyn Work,
    tolerance: Tolerance,
    random: &mut Random,
) -> Result<(), Finding> {
    let rots = tolerance != Tolerance::Faults;
    let read_only: Rc<dyn Disk> = Rc::new(ReadOnly::new(disk));
    let checkpoints = Checkpoints::at(read_only.clone(), STATE);
    let epochs = block_on(checkpoints.epochs()).unwrap_or_default();
    let (pick, cores) = (random.next(), random.range(1, work.most_cores() as u64) as usize);
    let Some(&epoch) = epochs.get(pick as usize % epochs.len().max(1)) else { return Ok(()) };
    let finding = |seen: String| {
        let rule = if rots { TAINTED } else { STATE_OF_INPUT };
        Finding::new(rule, format!("checkpoint {epoch}: {seen}"))
    };
    let kept = block_on(async {
        let manifest = checkpoints.manifest(epoch).await?;
        let state = if overtook(&manifest) || waits_for_an_end(&manifest) {
            None
        } else {
            Some(checkpoints.state_hash(&manifest).await?)
        };
        Ok::<_, millstream::Error>(state)
    });
    let kept = match kept {
        Ok(Some(kept)) => kept,
        Ok(None) => return Ok(()),
        Err(_) if rots => return Ok(()),
        Err(error) => return Err(finding(error.to_string())),
    };
    let replay = Replay::from_the_beginning(STATE, epoch).cores(cores).hash_state();
    let report =
        work.job().replay(work.configure(Config::new()), replay.writer(io::sink()).disk(read_only.clone()));
    let report = report.map_err(|error| finding(format!("from the beginning: {error}")))?;
    if let Some(failure) = report.failure {
        return Err(finding(format!("from the beginning: {failure}")));
    }
    if report.state != Some(kept) {
        let of = report.state.unwrap_or_default();
        return Err(finding(format!(
            "its state is {kept:x}, and that of a run from the beginning, on {cores} cores and without faults, is {of:x}"
        )));
    }
    Ok(())
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
    if overtook(to) || waits_for_an_end(to) {
        return Ok(());
    }
    let between = format!("from checkpoint {} to {}", from.epoch, to.epoch);
    let finding = |seen: String| Finding::new(REPLAYED, format!("{between}: {seen}"));
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
    let rows = match expected {
        Replayed::Rows(rows) => {
            Some((None, rows.into_iter().map(|(sink, row)| (sink.to_owned(), row)).collect::<Vec<_>>()))
        }
        Replayed::RowsOf(sinks, rows) => Some((Some(sinks), rows)),
        Replayed::Not | Replayed::State => None,
    };
    if let Some((sinks, mut rows)) = rows {
        let lines = shown.0.lock().unwrap_or_else(PoisonError::into_inner);
        let line = |line: &str| -> (String, String) {
            let mut line: Json = serde_json::from_str(line).expect("it is a line of JSON");
            (line["sink"].take().as_str().unwrap_or_default().to_owned(), line["row"].take().to_string())
        };
        let mut shown: Vec<_> = std::str::from_utf8(&lines).expect("it is text").lines().map(line).collect();
        shown.retain(|(sink, _)| sinks.as_ref().is_none_or(|sinks| sinks.contains(sink)));
        let same_form = |(sink, row): (String, String)| {
            let row: Json = serde_json::from_str(&row).expect("it is JSON");
            (sink, row.to_string())
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
