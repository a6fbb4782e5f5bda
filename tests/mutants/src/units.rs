//! What is run against a mutant: each test program by itself, and each scenario of the simulator.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Deserialize;

/// A program with its arguments; it fails if it notices something.
#[derive(Clone, Debug)]
pub struct Unit {
    pub name: String,
    pub program: PathBuf,
    pub args: Vec<String>,
    pub directory: PathBuf,
}

/// The packages that are built.
const PACKAGES: [&str; 3] = ["millstream-storage", "millstream", "millstream-sim"];
/// It builds other programs, which know nothing of mutants.
const LEFT_OUT: &str = "compile_fail";

#[derive(Deserialize)]
struct Line {
    reason: String,
    executable: Option<PathBuf>,
    manifest_path: Option<PathBuf>,
    target: Option<Target>,
    profile: Option<Profile>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
}

#[derive(Deserialize)]
struct Profile {
    test: bool,
}

/// Builds all of them.
pub fn build(tree: &Path, seeds: u64) -> io::Result<Vec<Unit>> {
    let mut command = Command::new("cargo");
    command
        .args(["test", "--no-run", "--lib", "--bins", "--tests", "--message-format=json"])
        .current_dir(tree);
    command.args(PACKAGES.iter().flat_map(|package| ["-p", package]));
    let output = command.stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        return Err(io::Error::other("the tests do not build"));
    }
    let mut units = Vec::new();
    let mut simulator = None;
    for line in output.stdout.split(|byte| *byte == b'\n') {
        let Ok(line) = serde_json::from_slice::<Line>(line) else { continue };
        let (true, Some(program), Some(manifest), Some(target)) =
            (line.reason == "compiler-artifact", line.executable, line.manifest_path, line.target)
        else {
            continue;
        };
        let directory = manifest.parent().expect("a manifest is in a directory").to_owned();
        let tests = line.profile.is_some_and(|profile| profile.test);
        // The simulator's own tests run its scenarios, which are units of their own here.
        if tests && target.name != LEFT_OUT && !directory.ends_with("sim") {
            let package = directory.strip_prefix(tree).unwrap_or(&directory).display();
            let name = format!("{package} {}", target.name);
            units.push(Unit { name, program, args: vec!["--test-threads=1".into()], directory });
        } else if !tests && target.name == "millstream-sim" {
            simulator = Some(program);
        }
    }
    let simulator = simulator.ok_or_else(|| io::Error::other("the simulator was not built"))?;
    units.extend(scenarios(&simulator, tree, seeds)?);
    Ok(units)
}

fn scenarios(simulator: &Path, tree: &Path, seeds: u64) -> io::Result<Vec<Unit>> {
    let output = Command::new(simulator).arg("list").output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let names = text.lines().filter_map(|line| line.split_whitespace().next().map(str::to_owned));
    let unit = |name: String| Unit {
        args: ["swarm", "--jobs", "1", "--seeds", &seeds.to_string(), "--scenario", &name]
            .map(str::to_owned)
            .into(),
        name: format!("scenario {name}"),
        program: simulator.to_owned(),
        directory: tree.to_owned(),
    };
    Ok(names.map(unit).collect())
}
