//! What changed between two checkpoints.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;

use millstream::checkpoint::inspect::{Checkpoints, StateSize};
use millstream::checkpoint::manifest::{Manifest, StepManifest};
use millstream_storage::disk::block_on;

use super::{Outcome, all_files, bytes, manifest, open};
use crate::text::{Table, size};

pub fn run(dir: &Path, from: Option<u64>, to: Option<u64>, output: &mut dyn Write) -> Outcome {
    let (checkpoints, epochs) = open(dir)?;
    let to = to.unwrap_or(epochs[epochs.len() - 1]);
    let before = epochs.iter().rev().find(|&&epoch| epoch < to).copied();
    let from = from.or(before).ok_or_else(|| format!("there is no checkpoint before {to}"))?;
    let (old, new) = (manifest(&checkpoints, &epochs, from)?, manifest(&checkpoints, &epochs, to)?);
    writeln!(output, "checkpoint {from} → {to} of job `{}`", new.job)?;
    if old.shards != new.shards {
        writeln!(output, "cores: {} → {}", old.shards, new.shards)?;
    }
    file_changes(&old, &new, output)?;
    let names: BTreeSet<&String> = old.steps.keys().chain(new.steps.keys()).collect();
    let mut table = Table::new(&["STEP", "STATE", ">KEYS", ">", ">BYTES", ">"]);
    for name in names {
        match (old.steps.get(name), new.steps.get(name)) {
            (Some(old), Some(new)) => compare(&checkpoints, name, old, new, &mut table, output)?,
            (None, _) => writeln!(output, "step `{name}` is new")?,
            (_, None) => writeln!(output, "step `{name}` is gone")?,
        }
    }
    table.print(output)?;
    Ok(())
}

fn file_changes(old: &Manifest, new: &Manifest, output: &mut dyn Write) -> Outcome {
    let (old, new) = (all_files(old), all_files(new));
    let total = |files: Vec<&str>| {
        let files = files.iter().map(|name| old.get(name).or(new.get(name)).copied().expect("one has it"));
        let files: Vec<_> = files.collect();
        format!("{} files, {}", files.len(), size(bytes(files)))
    };
    let added = new.keys().filter(|name| !old.contains_key(*name)).copied().collect();
    let shared = new.keys().filter(|name| old.contains_key(*name)).copied().collect();
    let gone = old.keys().filter(|name| !new.contains_key(*name)).copied().collect();
    writeln!(output, "new: {}; shared: {}; no longer needed: {}", total(added), total(shared), total(gone))?;
    Ok(())
}

fn compare(
    checkpoints: &Checkpoints,
    name: &str,
    old: &StepManifest,
    new: &StepManifest,
    table: &mut Table,
    output: &mut dyn Write,
) -> Outcome {
    if old.schema != new.schema {
        writeln!(output, "step `{name}` was [{}] and is [{}]", old.schema, new.schema)?;
    }
    let (old, new) = (block_on(checkpoints.sizes(old))?, block_on(checkpoints.sizes(new))?);
    let states: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    for state in states {
        let none = StateSize::default();
        let (old, new) = (old.get(state).unwrap_or(&none), new.get(state).unwrap_or(&none));
        let change = |old: u64, new: u64| format!("{:+}", i128::from(new) - i128::from(old));
        table.row([
            name.to_owned(),
            state.clone(),
            new.keys.to_string(),
            change(old.keys, new.keys),
            size(new.bytes),
            change(old.bytes, new.bytes),
        ]);
    }
    Ok(())
}
