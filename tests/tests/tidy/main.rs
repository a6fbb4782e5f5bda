//! The style of the code, as far as a machine can see it.

mod examples;
mod rules;

use std::fs;
use std::path::{Path, PathBuf};

use millstream_tests::flights::repository;

/// Top-level folders, besides those that begin with a dot.
const FOLDERS: [&str; 5] = ["bench", "engine", "sim", "storage", "tests"];

/// A longer file does more than one thing.
const MAX_LINES: usize = 800;

/// Where `unsafe` may be: files, or folders of them.
const UNSAFE: [&str; 17] = [
    // Slots that two threads share, and the padding between them.
    "engine/ring/",
    // Records moved into and out of batches without a check for each.
    "engine/src/exchange/",
    // System calls that no crate wraps.
    "engine/src/host/",
    "engine/tests/host_denied.rs",
    "engine/tests/host_disk.rs",
    "engine/tests/host_tasks.rs",
    // Archives read and written where they lie.
    "engine/src/state/codec.rs",
    // Aligned memory, and the index and log in it.
    "storage/src/disk.rs",
    "storage/src/index/",
    "storage/src/log/",
    "storage/src/memory.rs",
    "storage/src/prefetch.rs",
    "storage/src/sealed.rs",
    "storage/src/store/",
    "storage/src/writer.rs",
    // The bare loop that the engine is measured against.
    "bench/src/",
    // A memory map, opened by a crate whose signature says so.
    "bench/peers/src/heed.rs",
];

/// What must not be written, where, and what to write instead.
struct Ban {
    word: &'static str,
    folders: &'static [&'static str],
    instead: &'static str,
}

/// Files that may use a word nevertheless.
const EXCEPT: [(&str, &str); 2] = [
    // A key for hashes that nobody is to foresee; nothing but the finding of damage depends on it.
    ("storage/src/file_index/check.rs", concat!("Random", "State")),
    // Which seeds are new: asked once, before there is a world.
    ("sim/src/cli/swarm.rs", concat!("System", "Time")),
];

const ORDERED: &[&str] = &["engine/src", "storage/src", "sim/src"];

/// The parts of each word are apart here, so that this file does not break its own rules.
const BANS: [Ban; 10] = [
    Ban {
        word: concat!("todo", "!"),
        folders: &[""],
        instead: "do it, or say in the README that it is not done",
    },
    Ban { word: concat!("unimplemented", "!"), folders: &[""], instead: "do it, or return an error" },
    Ban { word: concat!("dbg", "!"), folders: &[""], instead: "a test, or an event in the trace" },
    Ban {
        word: concat!("TO", "DO"),
        folders: &[""],
        instead: "do it, or say in the README that it is not done",
    },
    Ban { word: concat!("FIX", "ME"), folders: &[""], instead: "fix it" },
    Ban { word: concat!("#[al", "low("), folders: &[""], instead: "#[expect(lint, reason = \"…\")]" },
    Ban {
        word: concat!("Hash", "Map"),
        folders: ORDERED,
        instead: "BTreeMap: the order of iteration is part of what a shard does",
    },
    Ban { word: concat!("Hash", "Set"), folders: ORDERED, instead: "BTreeSet, for the same reason" },
    Ban {
        word: concat!("Random", "State"),
        folders: ORDERED,
        instead: "millstream_storage::hash::stable_hash, or a stream of the simulator's seed",
    },
    Ban {
        word: concat!("System", "Time"),
        folders: &[
            "engine/src/operator",
            "engine/src/source",
            "engine/src/sink",
            "engine/src/checkpoint",
            "storage/src",
            "sim/src",
        ],
        instead: "the host's clock",
    },
];

/// Every Rust file, as its path in the repository and its text.
fn sources() -> Vec<(String, String)> {
    let root = repository();
    let mut files = Vec::new();
    for folder in FOLDERS {
        collect(&root.join(folder), &mut files);
    }
    assert!(files.len() > 100, "the sources are found");
    let name = |path: &Path| path.strip_prefix(&root).expect("it was found in there").display().to_string();
    files.sort();
    files.iter().map(|path| (name(path), fs::read_to_string(path).expect("sources are text"))).collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder can be listed") {
        let path = entry.expect("a folder can be listed").path();
        if path.is_dir() && path.file_name().is_some_and(|name| name != "target") {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

#[track_caller]
fn assert_none(found: &[String]) {
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

#[test]
fn no_file_is_too_long() {
    let long = sources().into_iter().map(|(name, text)| (name, text.lines().count()));
    let long = long.filter(|(_, lines)| *lines > MAX_LINES);
    assert_none(&long.map(|(name, lines)| format!("{name}: {lines} lines; split it")).collect::<Vec<_>>());
}

#[test]
fn every_file_says_what_it_is_for() {
    // A test of the compiler is what it is called.
    let sources = sources().into_iter().filter(|(name, _)| !name.contains("/ui/"));
    let mute = sources.filter(|(_, text)| !text.starts_with("//!"));
    assert_none(&mute.map(|(name, _)| format!("{name}: begins without a `//!`")).collect::<Vec<_>>());
}

#[test]
fn banned_words_have_replacements() {
    let mut found = Vec::new();
    for (name, text) in sources() {
        let is_banned = |ban: &&Ban| ban.folders.iter().any(|folder| name.starts_with(folder));
        for ban in BANS.iter().filter(is_banned).filter(|ban| !EXCEPT.contains(&(name.as_str(), ban.word))) {
            let lines = text.lines().enumerate().filter(|(_, line)| line.contains(ban.word));
            found.extend(
                lines.map(|(at, _)| format!("{name}:{}: {}; write {}", at + 1, ban.word, ban.instead)),
            );
        }
    }
    assert_none(&found);
}

#[test]
fn unsafe_is_in_listed_modules_only() {
    let mut found = Vec::new();
    for (name, text) in sources() {
        if UNSAFE.iter().any(|listed| name.starts_with(listed)) {
            continue;
        }
        let code = |line: &&str| !line.trim_start().starts_with("//");
        let is_unsafe = |line: &str| {
            [
                concat!("uns", "afe {"),
                concat!("uns", "afe fn"),
                concat!("uns", "afe impl"),
                concat!("uns", "afe extern"),
            ]
            .iter()
            .any(|form| line.contains(form))
        };
        if text.lines().filter(code).any(is_unsafe) {
            found.push(format!("{name}: move it to a listed module, or list this one and say why"));
        }
    }
    assert_none(&found);
}

#[test]
fn every_crate_is_described_and_shares_the_lints() {
    let root = repository();
    let manifest = fs::read_to_string(root.join("Cargo.toml")).expect("the workspace has a manifest");
    let members =
        manifest.lines().find(|line| line.starts_with("members")).expect("the workspace has members");
    for member in members.split('"').skip(1).step_by(2) {
        let manifest =
            fs::read_to_string(root.join(member).join("Cargo.toml")).expect("a crate has a manifest");
        assert!(manifest.contains("\ndescription = \""), "{member}/Cargo.toml: say what the crate is for");
        assert!(manifest.contains("[lints]\nworkspace = true"), "{member}/Cargo.toml: share the lints");
    }
}

#[test]
fn the_house_has_five_rooms() {
    let entries = fs::read_dir(repository()).expect("the repository can be listed");
    let entries = entries.map(|entry| entry.expect("the repository can be listed"));
    let folders = entries.filter(|entry| entry.path().is_dir());
    let mut names: Vec<_> = folders.map(|folder| folder.file_name().display().to_string()).collect();
    names.retain(|name| !name.starts_with('.') && name != "target");
    names.sort();
    assert_eq!(names, FOLDERS);
}
