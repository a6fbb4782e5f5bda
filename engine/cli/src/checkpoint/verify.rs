//! Whether every byte is as it was written.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use millstream_storage::disk::block_on;
use millstream_storage::snapshot::DeltaFile;

use super::{Outcome, all_files, open, overtaken};
use crate::text::size;

pub fn run(dir: &Path, epoch: Option<u64>, output: &mut dyn Write) -> Outcome {
    let (checkpoints, epochs) = open(dir)?;
    let epochs = epoch.map_or(epochs, |epoch| vec![epoch]);
    let mut damaged = 0;
    // A file may be shared by several checkpoints, and is read once.
    let mut files: BTreeMap<String, DeltaFile> = BTreeMap::new();
    let mut waiting = Vec::new();
    for &epoch in &epochs {
        match block_on(checkpoints.manifest(epoch)) {
            Ok(manifest) => {
                let named = all_files(&manifest);
                writeln!(
                    output,
                    "ok       checkpoint {epoch}: its manifest, which names {} files",
                    named.len()
                )?;
                waiting.extend(manifest.steps.values().flat_map(overtaken).cloned());
                files.extend(named.into_iter().map(|(name, file)| (name.to_owned(), file.clone())));
            }
            Err(error) => {
                damaged += 1;
                writeln!(output, "DAMAGED  checkpoint {epoch}: {error}")?;
            }
        }
    }
    for (name, file) in &files {
        match block_on(checkpoints.verify(file)) {
            Ok(found) => {
                let (records, blocks) = (found.records + found.tombstones, found.blocks);
                writeln!(
                    output,
                    "ok       {name}: {}, {records} records in {blocks} blocks",
                    size(file.file_bytes())
                )?;
            }
            Err(error) => {
                damaged += 1;
                writeln!(output, "DAMAGED  {error}")?;
            }
        }
    }
    for of in &waiting {
        match block_on(checkpoints.verify_overtaken(of)) {
            Ok(()) => writeln!(output, "ok       {}: {}, {} records", of.file, size(of.bytes), of.records)?,
            Err(error) => {
                damaged += 1;
                writeln!(output, "DAMAGED  {error}")?;
            }
        }
    }
    match damaged {
        0 => Ok(()),
        n => Err(format!("{n} of {} files are damaged", epochs.len() + files.len() + waiting.len()).into()),
    }
}
