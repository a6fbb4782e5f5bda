//! What is found is made smaller, kept on a tape and drawn, and the tape shows it again; as the environment says.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use millstream_sim::prelude::*;
use millstream_sim::tape_file::TapeFile;

use crate::jobs::{test_of_forgetful, test_of_sums};

/// Of the tests below: they run it, as a program of its own.
#[test]
#[ignore = "it is to fail"]
fn one_of_two_forgets() {
    check("sums of one", test_of_sums);
    check("one that forgets", test_of_forgetful);
}

fn run(variables: &[(&str, &str)]) -> (Output, String) {
    let mut command = Command::new(std::env::current_exe().expect("tests are programs"));
    command.args(["closer::one_of_two_forgets", "--exact", "--nocapture", "--ignored"]);
    for name in ["SIM_SEED", "SIM_TAPE", "SIM_SHRINK", "SIM_TIMELINE"] {
        command.env_remove(name);
    }
    let output = command.envs(variables.iter().copied()).output().expect("it can be started");
    let text = String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned();
    (output, text)
}

fn files(dir: &Path, extension: &str) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(dir).expect("it is a directory");
    let paths = entries.map(|entry| entry.expect("it can be read").path());
    paths.filter(|path| path.extension().is_some_and(|of| of == extension)).collect()
}

#[test]
fn what_is_found_is_made_smaller_and_drawn_and_played_again_by_the_lines_that_are_told() {
    let dir = tempfile::tempdir().expect("a directory");
    let found = format!("{}/found/", dir.path().display());
    let first = run(&[]).1;
    assert!(first.contains("SIM_SHRINK=60 SIM_TIMELINE=one-that-forgets-"), "{first}");

    let (output, text) = run(&[("SIM_SHRINK", "10"), ("SIM_TIMELINE", &found)]);
    assert!(!output.status.success() && text.contains("Made smaller, "), "{text}");
    let (pages, tapes) = (files(found.as_ref(), "html"), files(found.as_ref(), "tape"));
    let ([page], [tape]) = (&pages[..], &tapes[..]) else { panic!("{pages:?}, {tapes:?}") };
    let line = format!("SIM_TAPE={} cargo test", tape.display());
    assert!(text.contains(&line), "{text}");
    let page = fs::read_to_string(page).expect("it was written");
    assert!(page.contains(&line) && page.contains("what is committed is what the reference puts out"));

    let (output, text) = run(&[("SIM_TAPE", &tape.display().to_string())]);
    assert!(!output.status.success());
    assert!(text.contains("sums of one: left out, since `one that forgets` alone is to be run"), "{text}");
    assert!(text.contains("what is committed is what the reference puts out"), "{text}");
    assert!(text.contains("Poll"), "everything that happens is printed");
}

#[test]
fn a_seed_of_a_name_is_that_of_one_check() {
    let (output, text) = run(&[("SIM_SEED", "sums of one:3")]);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("sums of one: seed 3, "), "{text}");
    assert!(text.contains("one that forgets: left out, since `sums of one` alone is to be run"), "{text}");
}

#[test]
fn a_run_in_which_nothing_is_found_is_drawn_if_that_is_asked_for() {
    let dir = tempfile::tempdir().expect("a directory");
    let page = dir.path().join("run.html").display().to_string();
    let (output, text) = run(&[("SIM_SEED", "sums of one:3"), ("SIM_TIMELINE", &page)]);
    assert!(output.status.success() && text.contains("drawn in "), "{text}");
    let page = fs::read_to_string(page).expect("it was written");
    assert!(page.contains("Nothing found") && page.contains("SIM_SEED=&#39;sums of one:3&#39; cargo test"));
}

#[test]
fn a_tape_that_is_none_is_refused() {
    let (output, text) = run(&[("SIM_TAPE", "nowhere.tape")]);
    assert!(!output.status.success() && text.contains("SIM_TAPE: nowhere.tape: cannot be read"), "{text}");
}

#[test]
fn what_is_left_of_a_finding_is_small() {
    let dir = tempfile::tempdir().expect("a directory");
    let page = dir.path().join("least.html");
    let check = Check::new().seeds(30).shrink(Duration::from_secs(600)).timeline(&page);
    let found = check.find("small", |sim| {
        let letters = sim.feed("letters", |random| (0..random.range(10, 90)).collect::<Vec<_>>());
        let out = sim.sink("out", |_: &u64| ());
        sim.run(|| {
            let job = millstream::Job::new("small");
            job.source("letters", letters.clone()).sink("out", out.clone());
            job
        });
        assert!(out.committed().len() < 40, "too many");
    });
    let found = found.expect("there are more");
    let tape = TapeFile::read(found.tape().expect("it was made smaller")).expect("it was written");
    assert_eq!(tape.rule.as_deref(), Some("nothing panics"));
    assert!(tape.tape.decisions() < 10, "{tape}");
    assert!(found.replay_line().starts_with("SIM_TAPE="), "{found}");
}
