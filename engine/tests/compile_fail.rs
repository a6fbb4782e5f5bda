//! What the compiler says about jobs that are not right: of each file in `ui`, what it says itself behind `//~ `.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The library that this test was built with, which is the newest one there.
fn library(deps: &Path) -> PathBuf {
    let entries =
        fs::read_dir(deps).expect("this test lies there").map(|entry| entry.expect("it can be read"));
    let is_library = |name: &str| name.starts_with("libmillstream-") && name.ends_with(".rlib");
    let libraries = entries.filter(|entry| entry.file_name().to_str().is_some_and(is_library));
    let built = |path: &PathBuf| fs::metadata(path).and_then(|of| of.modified()).expect("it is there");
    libraries.map(|entry| entry.path()).max_by_key(built).expect("it was built before this test")
}

/// What the compiler says about a program, which it must refuse.
fn refusal(program: &Path, deps: &Path, library: &Path) -> String {
    let out = tempfile::tempdir().expect("a temporary directory");
    let mut rustc = Command::new(std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned()));
    rustc.args(["--edition=2024", "--emit=metadata", "--out-dir"]).arg(out.path()).arg(program);
    rustc.arg("--extern").arg(format!("millstream={}", library.display()));
    rustc.arg("-L").arg(format!("dependency={}", deps.display()));
    let compiled = rustc.output().expect("the compiler that built this test");
    assert!(!compiled.status.success(), "{}: it compiles", program.display());
    String::from_utf8(compiled.stderr).expect("it is text")
}

#[test]
fn mistakes_in_a_job_are_told_in_its_own_words() {
    let this = std::env::current_exe().expect("it runs");
    let deps = this.parent().expect("it lies in a directory");
    let library = library(deps);
    let programs =
        fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ui")).expect("they are there");
    let mut asked = 0;
    for program in programs.map(|entry| entry.expect("it can be read").path()) {
        let text = fs::read_to_string(&program).expect("it is text");
        let said = refusal(&program, deps, &library);
        for part in text.lines().filter_map(|line| line.strip_prefix("//~ ")) {
            asked += 1;
            assert!(said.contains(part), "{} should be refused with {part:?}:\n{said}", program.display());
        }
    }
    assert!(asked >= 10, "{asked} messages");
}
