//! One line for each checkpoint.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;

use millstream::checkpoint::manifest::{Manifest, ManifestKind};
use millstream_storage::disk::block_on;

use super::{Outcome, all_files, bytes, open};
use crate::text::{Table, size};

pub fn run(dir: &Path, output: &mut dyn Write) -> Outcome {
    let (checkpoints, epochs) = open(dir)?;
    let mut table = Table::new(&[">EPOCH", "JOB", ">CORES", ">STEPS", ">STATE", ">NEW", ">SHARED", "STATUS"]);
    let mut earlier = BTreeSet::new();
    for epoch in epochs {
        let manifest = match block_on(checkpoints.manifest(epoch)) {
            Ok(manifest) => manifest,
            Err(error) => {
                let blank = (0..6).map(|_| "?".to_owned());
                table.row([epoch.to_string()].into_iter().chain(blank).chain([format!("damaged: {error}")]));
                continue;
            }
        };
        let files = all_files(&manifest);
        let total = bytes(files.values().copied());
        let shared = files.iter().filter(|(name, _)| earlier.contains(**name)).map(|(_, file)| *file);
        let shared = bytes(shared);
        table.row([
            epoch.to_string(),
            manifest.job.clone(),
            manifest.shards.to_string(),
            manifest.steps.len().to_string(),
            size(total),
            size(total - shared),
            size(shared),
            status(&manifest).to_owned(),
        ]);
        earlier.extend(files.into_keys().map(str::to_owned));
    }
    table.print(output)?;
    Ok(())
}

fn status(manifest: &Manifest) -> &'static str {
    match manifest {
        Manifest { drained: true, .. } => "drained",
        Manifest { finished: true, .. } => "finished",
        Manifest { kind: ManifestKind::Savepoint, .. } => "savepoint",
        Manifest { kind: ManifestKind::Imported, .. } => "imported",
        _ => "complete",
    }
}
