//! The mutants, as `cargo mutants --list --json` names them.

use std::path::Path;

use serde::Deserialize;

/// A change that a test should notice.
#[derive(Clone, Debug, Deserialize)]
pub struct Mutant {
    /// Where and what, in one line.
    pub name: String,
    pub file: String,
    pub genre: String,
    pub replacement: String,
    pub span: Span,
    pub function: Option<Function>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Function {
    pub return_type: String,
}

#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Span {
    pub start: Place,
    pub end: Place,
}

/// Both count from one; columns are characters.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Place {
    pub line: usize,
    pub column: usize,
}

/// Those of the files that begin with one of `only`, in an order that is as good as random but always the same: what has
/// been run of them at any time is a fair sample.
pub fn read(path: &Path, only: &[String]) -> std::io::Result<Vec<Mutant>> {
    let mut all: Vec<Mutant> = serde_json::from_slice(&std::fs::read(path)?)?;
    all.retain(|mutant| only.is_empty() || only.iter().any(|only| mutant.file.starts_with(only.as_str())));
    // What is written for people to debug is not what the tests are there for, nor are the bugs that are planted already.
    all.retain(|mutant| !mutant.name.contains("fmt::Debug") && !mutant.name.contains("planted!"));
    all.sort_by_key(|mutant| (hash(&mutant.name), mutant.name.clone()));
    Ok(all)
}

/// FNV-1a.
fn hash(text: &str) -> u64 {
    text.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
