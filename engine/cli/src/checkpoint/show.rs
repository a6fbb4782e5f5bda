//! The steps of one checkpoint.

use std::io::Write;
use std::path::Path;

use millstream::checkpoint::inspect::Checkpoints;
use millstream::checkpoint::manifest::StepManifest;
use millstream_storage::disk::block_on;

use super::{Outcome, bytes, files, manifest, open, overtaken};
use crate::text::{Table, size};

pub fn run(dir: &Path, epoch: Option<u64>, output: &mut dyn Write) -> Outcome {
    let (checkpoints, epochs) = open(dir)?;
    let epoch = epoch.unwrap_or(epochs[epochs.len() - 1]);
    let manifest = manifest(&checkpoints, &epochs, epoch)?;
    writeln!(output, "checkpoint {epoch} of job `{}`", manifest.job)?;
    writeln!(output, "  file             {}", checkpoints.manifest_path(epoch).display())?;
    writeln!(
        output,
        "  goes on from     {}",
        manifest.parent.map_or("the start".to_owned(), |n| n.to_string())
    )?;
    writeln!(output, "  cores            {}", manifest.shards)?;
    writeln!(output, "  max parallelism  {}", manifest.max_parallelism)?;
    let state = match (manifest.drained, manifest.finished) {
        (true, _) => "was drained",
        (false, true) => "has ended",
        (false, false) => "goes on",
    };
    if !manifest.kind.is_checkpoint() {
        writeln!(output, "  a savepoint      stands for itself; its output is committed")?;
    }
    writeln!(output, "  the job          {state}")?;
    for (name, step) in &manifest.steps {
        writeln!(output, "\nstep `{name}`: {}", step.schema)?;
        positions(step, output)?;
        state_sizes(&checkpoints, step, output)?;
        let files = files(step);
        if !files.is_empty() {
            writeln!(output, "  {} in {} files:", size(bytes(files.values().copied())), files.len())?;
        }
        for file in files.values() {
            writeln!(
                output,
                "    {}  {}, since checkpoint {}",
                file.name,
                size(file.file_bytes()),
                file.epoch
            )?;
        }
        for waiting in overtaken(step) {
            let (records, bytes) = (waiting.records, size(waiting.bytes));
            writeln!(output, "  {records} records on their way to it: {}  {bytes}", waiting.file)?;
        }
    }
    Ok(())
}

/// Where the splits of a source are.
fn positions(step: &StepManifest, output: &mut dyn Write) -> Outcome {
    for part in &step.parts {
        let positions = part.meta.get("positions").and_then(|positions| positions.as_object());
        for (split, position) in positions.into_iter().flatten() {
            writeln!(output, "  {split}  {position}")?;
        }
    }
    Ok(())
}

fn state_sizes(checkpoints: &Checkpoints, step: &StepManifest, output: &mut dyn Write) -> Outcome {
    let sizes = block_on(checkpoints.sizes(step))?;
    if sizes.is_empty() {
        return Ok(());
    }
    let mut table = Table::new(&["  STATE", ">KEYS", ">BYTES", ">TABLES"]);
    for (name, of) in sizes {
        table.row([format!("  {name}"), of.keys.to_string(), size(of.bytes), of.tables.to_string()]);
    }
    table.print(output)?;
    Ok(())
}
