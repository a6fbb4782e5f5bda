//! The fuzz targets without a fuzzer: on their corpus, and on mutations of it that are the same in each run.

mod mutate;
mod seeds;
#[path = "../../fuzz/targets/mod.rs"]
mod targets;

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};

use mutate::Mutator;

const CORPUS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus");
/// Mutations of each target's corpus.
const MUTATIONS: u64 = 3_000;

/// The inputs in the corpus of a target, by name.
fn corpus(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let entries = fs::read_dir(Path::new(CORPUS).join(target)).expect("each target has a corpus");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("a file").path()).collect();
    paths.sort();
    let read = |path: PathBuf| (path.clone(), fs::read(path).expect("a file"));
    paths.into_iter().map(read).collect()
}

/// Runs a target, and says what it was run on if it panics.
fn run(target: fn(&[u8]), input: &[u8], what: impl FnOnce() -> String) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| target(input))) {
        eprintln!("the input was {}", what());
        resume_unwind(panic);
    }
}

fn holds(name: &str, target: fn(&[u8])) {
    let corpus = corpus(name);
    run(target, &[], || "empty".to_owned());
    for (path, input) in &corpus {
        run(target, input, || path.display().to_string());
    }
    let inputs: Vec<Vec<u8>> = corpus.into_iter().map(|(_, input)| input).collect();
    for number in 0..MUTATIONS {
        let input = Mutator::new(name, number).mutate(&inputs);
        run(target, &input, || format!("mutation {number} of {name}, {} bytes", input.len()));
    }
}

#[test]
fn a_manifest_of_any_bytes_is_read_or_refused() {
    holds("manifest", targets::manifest);
}

#[test]
fn a_snapshot_of_any_bytes_is_read_or_refused() {
    holds("snapshot", targets::snapshot);
}

#[test]
fn a_state_file_of_any_bytes_is_read_or_refused() {
    holds("state", targets::state);
}

#[test]
fn files_that_were_written_ahead_are_read_or_refused_whatever_they_hold() {
    holds("spill", targets::spill);
}

#[test]
fn an_index_of_any_bytes_gives_out_no_value_that_is_not_there() {
    holds("index", targets::index);
}

#[test]
fn a_topic_of_any_files_is_read_and_recovered_or_refused() {
    holds("topic", targets::topic);
}

#[test]
#[ignore = "writes the corpus anew; what fuzzing has found is kept"]
fn write_the_corpus() {
    for (target, name, input) in seeds::all() {
        let dir = Path::new(CORPUS).join(target);
        fs::create_dir_all(&dir).expect("a directory");
        fs::write(dir.join(name), input).expect("a file");
    }
}
