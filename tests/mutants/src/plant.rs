//! All mutants in a copy of the project, but those with which it does not build.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Deserialize;

use crate::list::Mutant;
use crate::rewrite::{Region, Regions, SWITCH, rewrite};
use crate::sites::{Site, sites};

/// What is in the copy.
pub struct Planted {
    /// The mutants that can be switched on.
    pub there: BTreeSet<usize>,
    /// How many the compiler refused.
    pub refused: usize,
    /// How many are of a kind that cannot be switched, though most build by themselves: operators beside a `let` and in
    /// constants, values of types that are not named, fields left out of a struct.
    pub left_out: usize,
}

struct File {
    path: PathBuf,
    text: String,
    sites: Vec<Site>,
    regions: Regions,
}

/// Plants `mutants` in the tree's `packages`, until they build. Which the compiler refuses is kept in `output`: the next time,
/// what was built can be used again.
pub fn plant(tree: &Path, mutants: &[Mutant], packages: &[&str], output: &Path) -> io::Result<Planted> {
    let mut files = read(tree, mutants)?;
    let mut there: BTreeSet<usize> =
        files.iter().flat_map(|file| &file.sites).flat_map(|site| &site.mutants).map(|(id, _)| *id).collect();
    let mut left_out = mutants.len() - there.len();
    let mut all = there.len();
    let list = output.join("refused.txt");
    let known = std::fs::read_to_string(&list).unwrap_or_default();
    let mut known: BTreeSet<&str> = known.lines().collect();
    there.retain(|id| !known.contains(mutants[*id].name.as_str()));
    loop {
        for file in &mut files {
            write(file, &there)?;
        }
        let Refused { mutants: refused, in_constants } = refused(tree, &files, packages, &there)?;
        (left_out, all) = (left_out + in_constants, all - in_constants);
        eprintln!("{} mutants planted, {} of them refused by the compiler", there.len(), refused.len());
        if refused.is_empty() {
            return Ok(Planted { refused: all - there.len(), there, left_out });
        }
        there.retain(|id| !refused.contains(id));
        known.extend(refused.iter().map(|id| mutants[*id].name.as_str()));
        std::fs::write(&list, known.iter().copied().collect::<Vec<_>>().join("\n"))?;
    }
}

fn read(tree: &Path, mutants: &[Mutant]) -> io::Result<Vec<File>> {
    let mut by_file: BTreeMap<&str, Vec<(usize, Mutant)>> = BTreeMap::new();
    for (id, mutant) in mutants.iter().enumerate() {
        by_file.entry(&mutant.file).or_default().push((id, mutant.clone()));
    }
    let mut roots = BTreeSet::new();
    let mut files = Vec::new();
    for (name, mutants) in by_file {
        let path = tree.join(name);
        let text = committed(tree, Path::new(name))?;
        let sites = sites(&text, &mutants).map_err(|error| io::Error::other(format!("{name}: {error}")))?;
        let src = path.ancestors().find(|at| at.ends_with("src")).expect("sources are in src");
        roots.insert(src.join("lib.rs"));
        files.push(File { path, text, sites, regions: Vec::new() });
    }
    for root in roots {
        match files.iter_mut().find(|file| file.path == root) {
            Some(file) => file.text.push_str(SWITCH),
            None => {
                let name = root.strip_prefix(tree).expect("roots are in the tree").to_owned();
                let text = committed(tree, &name)? + SWITCH;
                files.push(File { path: root, text, sites: Vec::new(), regions: Vec::new() });
            }
        }
    }
    Ok(files)
}

/// A file as it is without mutants.
fn committed(tree: &Path, name: &Path) -> io::Result<String> {
    let output = Command::new("git")
        .arg("-C")
        .arg(tree)
        .arg("show")
        .arg(format!("HEAD:{}", name.display()))
        .output()?;
    if !output.status.success() {
        return Err(io::Error::other(format!(
            "{}: {}",
            name.display(),
            String::from_utf8_lossy(&output.stderr)
        )));
    }
    String::from_utf8(output.stdout).map_err(io::Error::other)
}

fn write(file: &mut File, there: &BTreeSet<usize>) -> io::Result<()> {
    let mut sites = file.sites.clone();
    for site in &mut sites {
        site.mutants.retain(|(id, _)| there.contains(id));
    }
    sites.retain(|site| !site.mutants.is_empty());
    let (text, regions) = rewrite(&file.text, &sites);
    file.regions = regions;
    if std::fs::read_to_string(&file.path)? != text {
        std::fs::write(&file.path, text)?;
    }
    Ok(())
}

#[derive(Deserialize)]
struct Line {
    message: Option<Message>,
}

#[derive(Deserialize)]
struct Code {
    code: String,
}

#[derive(Deserialize)]
struct Message {
    level: String,
    code: Option<Code>,
    rendered: Option<String>,
    #[serde(default)]
    spans: Vec<At>,
    #[serde(default)]
    children: Vec<Message>,
}

#[derive(Deserialize)]
struct At {
    file_name: String,
    byte_start: usize,
    byte_end: usize,
    is_primary: bool,
}

/// Mutants in which the compiler finds an error.
#[derive(Default)]
struct Refused {
    mutants: BTreeSet<usize>,
    /// So many of them only because a switch is no constant.
    in_constants: usize,
}

/// No function that is not constant may be called in a constant.
const NOT_CONSTANT: &str = "E0015";

/// Of the mutants those in which the compiler finds an error.
fn refused(tree: &Path, files: &[File], packages: &[&str], there: &BTreeSet<usize>) -> io::Result<Refused> {
    let mut command = Command::new("cargo");
    command.args(["check", "--message-format=json", "--keep-going"]).current_dir(tree);
    command.args(packages.iter().flat_map(|package| ["-p", package]));
    let output = command.stderr(Stdio::null()).output()?;
    let mut refused = Refused::default();
    let mut unknown = None;
    for line in output.stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let Ok(Line { message: Some(message) }) = serde_json::from_slice(line) else { continue };
        if message.level != "error" || message.spans.is_empty() {
            continue;
        }
        match blamed(tree, files, &message, there) {
            blamed if blamed.is_empty() => unknown = unknown.or(message.rendered),
            blamed => {
                let is_constant = message.code.as_ref().is_some_and(|code| code.code == NOT_CONSTANT);
                for id in blamed {
                    let is_new = refused.mutants.insert(id);
                    refused.in_constants += usize::from(is_new && is_constant);
                }
            }
        }
    }
    if refused.mutants.is_empty() && !output.status.success() {
        let why = unknown.unwrap_or_else(|| "it says no more".into());
        return Err(io::Error::other(format!("no mutant is to blame that the copy does not build: {why}")));
    }
    Ok(refused)
}

/// The mutants of the smallest region around where an error is, or around what it says besides.
fn blamed(tree: &Path, files: &[File], message: &Message, there: &BTreeSet<usize>) -> Vec<usize> {
    let is_there = |region: &Region| region.mutants.iter().any(|id| there.contains(id));
    let others = message.children.iter().flat_map(|child| &child.spans);
    let mut spans: Vec<&At> = message.spans.iter().chain(others).collect();
    spans.sort_by_key(|span| !span.is_primary);
    for span in spans {
        let Some(file) = files.iter().find(|file| file.path == tree.join(&span.file_name)) else { continue };
        let around = file.regions.iter().filter(|region| {
            region.at.start <= span.byte_start && span.byte_end <= region.at.end && is_there(region)
        });
        if let Some(region) = around.min_by_key(|region| region.at.len()) {
            return region.mutants.clone();
        }
    }
    // A match to which a guard leaves something uncovered is told of before the guard.
    let behind = message.spans.iter().filter_map(|span| {
        let file = files.iter().find(|file| file.path == tree.join(&span.file_name))?;
        let guards = file.regions.iter().filter(|region| region.is_guard && is_there(region));
        guards.filter(|region| region.at.start >= span.byte_end).min_by_key(|region| region.at.start)
    });
    behind.map(|region| region.mutants.clone()).next().unwrap_or_default()
}
