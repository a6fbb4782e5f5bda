//! Files of every kind are exact after kills at any moment: Parquet, too, as read by somebody else's library.
//!
//! `KILLS=500 KILL_SEED=7 cargo test --release -p millstream-tests --test kill_files -- --ignored --nocapture` kills more
//! often, at other moments.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use millstream_tests::outputs::{STATIONS, below, read, reading};

const PROGRAM: &str = env!("CARGO_BIN_EXE_outputs");
const KINDS: [&str; 4] = ["parquet", "csv", "long", "lines"];

/// Numbers that look random (SplitMix64, Steele et al. 2014).
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }
}

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name)
        .map_or(otherwise, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text}: a number")))
}

/// The job, on some number of cores and either runtime.
fn outputs(dir: &Path, records: u64, random: &mut Random) -> Command {
    let mut command = Command::new(PROGRAM);
    let (cores, runtime) = (1 + random.below(3), ["auto", "threads"][random.below(2) as usize]);
    command.arg(dir).args([records.to_string(), cores.to_string(), runtime.to_owned()]);
    command
}

/// Runs it to its end, and returns what it says.
fn finish(mut command: Command) -> String {
    let output = command.output().expect("the job can be started");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?} failed: {errors}");
    String::from_utf8(output.stdout).expect("it prints text")
}

/// Kills and restarts until a start comes to its end; returns how often it was killed.
fn kill_until_done(dir: &Path, records: u64, took: Duration, random: &mut Random) -> u64 {
    for starts in 2.. {
        let mut command = outputs(dir, records, random);
        let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = quiet.spawn().expect("the job can be started");
        // Each start is given more time, as what cannot be done in it would never be.
        let longest = took * starts / 12;
        sleep(Duration::from_micros(random.below(longest.as_micros().max(1) as u64)));
        child.kill().expect("an own child can be killed");
        let status = child.wait().expect("an own child can be waited for");
        if status.code().is_some() {
            assert!(status.success(), "the job ended with {status} before it was killed");
            return u64::from(starts) - 2;
        }
    }
    unreachable!("it has ended before")
}

/// Everything is there once, and nothing else.
fn check(dir: &Path, records: u64) {
    for kind in KINDS {
        let (files, seen) = (below(&dir.join(kind)).len(), read(&dir.join(kind)));
        let wrong = seen.iter().zip(0..).find(|(seen, n)| **seen != reading(*n));
        assert_eq!(wrong, None, "{kind}: the first wrong record, and the number it should have");
        assert_eq!(seen.len() as u64, records, "{kind}: records in {files} files");
    }
}

/// Reads the Parquet files by Arrow's C++ library, if it can be installed.
fn check_by_pyarrow(dir: &Path, records: u64) {
    let Some(python) = pyarrow() else { return };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/read_parquet.py");
    let mut command = Command::new(python);
    command.arg(script).arg(dir.join("parquet")).args([records.to_string(), STATIONS.to_string()]);
    println!("{}", finish(command).trim());
}

/// A Python that has pyarrow, installed beside what the tests build.
fn pyarrow() -> Option<PathBuf> {
    let venv = Path::new(env!("CARGO_TARGET_TMPDIR")).join("pyarrow");
    let python = venv.join("bin/python");
    let works = |command: &mut Command| command.output().is_ok_and(|output| output.status.success());
    let has_it = || works(Command::new(&python).args(["-c", "import pyarrow.dataset"]));
    let install = || {
        works(Command::new("python3").args(["-m", "venv"]).arg(&venv))
            && works(Command::new(&python).args(["-m", "pip", "install", "--quiet", "pyarrow"]))
    };
    if has_it() || (install() && has_it()) {
        return Some(python);
    }
    eprintln!(
        "skipped: pyarrow cannot be installed (python3 -m venv, pip install pyarrow): nobody else reads the files"
    );
    None
}

fn survives(kills: u64, records: u64) {
    let mut random = Random(number("KILL_SEED", 1));
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (calm, started) = (dir.path().join("calm"), Instant::now());
    assert_eq!(finish(outputs(&calm, records, &mut random)).trim(), "finished");
    let took = started.elapsed();
    check(&calm, records);
    let mut killed = 0;
    for round in 0.. {
        let output = dir.path().join(format!("round-{round}"));
        killed += kill_until_done(&output, records, took, &mut random);
        check(&output, records);
        if killed >= kills {
            check_by_pyarrow(&output, records);
            break;
        }
        std::fs::remove_dir_all(&output).expect("it can be removed");
    }
    println!("{killed} kills; uninterrupted {took:.1?}");
}

#[test]
fn files_of_every_kind_are_exact_after_kills_at_any_moment() {
    survives(number("KILLS", 12), 60_000);
}

#[test]
#[ignore = "takes minutes: `--ignored`, with KILLS=500 or more"]
fn files_of_every_kind_are_exact_after_very_many_kills() {
    survives(number("KILLS", 500), 300_000);
}
