//! Whatever the moment of a SIGKILL, the example's topics and files end up as if nothing had happened.
//!
//! `KILLS=1000 KILL_SEED=7 cargo test --release -p millstream-tests --test kill_nine -- --nocapture` kills more often,
//! at other moments.

use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::thread::sleep;
use std::time::{Duration, Instant};

use millstream_tests::example::{committed, flights, flights_by_topics, newest_checkpoint, start, succeed};
use millstream_tests::flights::{january, write_long};
use millstream_tests::random::{Random, number};
use millstream_tests::rules::{self, Expected};

const PROGRAM: &str = env!("CARGO_BIN_EXE_flights");

/// A job to be killed.
struct Victim {
    input: Vec<PathBuf>,
    /// From a topic to topics, or from files to files.
    by_topics: bool,
    /// What must be the same at every start.
    flags: &'static [&'static str],
    random: Random,
}

/// What came of the kills.
#[derive(Debug, Default)]
struct Tally {
    /// The process was running when it was killed.
    killed: u32,
    /// Of these, it had not completed a checkpoint since it was started: it was restoring, or just at work again.
    before_a_checkpoint: u32,
    /// A start came to its end before it was to be killed.
    finished: u32,
}

impl Victim {
    /// The command, on some number of cores and either runtime.
    fn command(&mut self, output: &Path) -> Command {
        let mut command = match self.by_topics {
            true => flights_by_topics(PROGRAM, &self.input, output),
            false => flights(PROGRAM, &self.input, output),
        };
        let cores = 1 + self.random.below(4);
        let batch = self.random.one_of(&[7, 100, 1024]);
        let runtime = self.random.one_of(&["auto", "threads"]);
        command.args(self.flags).args(["--cores", &cores.to_string(), "--batch-size", &batch.to_string()]);
        command.args(["--runtime", runtime]);
        command
    }

    /// What an uninterrupted run writes, and how long it takes.
    fn uninterrupted(&mut self, output: &Path) -> (Expected, Duration) {
        let started = Instant::now();
        succeed(&mut self.command(output));
        (committed(output), started.elapsed())
    }

    /// Kills and restarts until a start comes to its end.
    fn run_to_the_end(&mut self, output: &Path, took: Duration, tally: &mut Tally) {
        for starts in 4.. {
            let mut child = start(&mut self.command(output));
            let before = newest_checkpoint(output);
            // One in four is killed while it starts and restores, the others anywhere. They are given ever more
            // time, as what cannot be done in it would never be.
            let longest = if starts % 4 == 0 { Duration::from_millis(15) } else { took * starts / 16 };
            let moment = self.random.below(longest.as_micros().max(1) as u64);
            sleep(Duration::from_micros(moment));
            if !kill(&mut child) {
                tally.finished += 1;
                return;
            }
            tally.killed += 1;
            tally.before_a_checkpoint += u32::from(newest_checkpoint(output) == before);
        }
    }

    /// Rounds of kills until there were enough.
    fn survives(mut self, kills: u32) {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let (expected, took) = self.uninterrupted(&dir.path().join("uninterrupted"));
        assert!(!expected.rows.is_empty());
        let mut tally = Tally::default();
        for round in 0.. {
            if tally.killed >= kills {
                break;
            }
            let output = dir.path().join(format!("round-{round}"));
            self.run_to_the_end(&output, took, &mut tally);
            rules::compare(&committed(&output), &expected, &format!("round {round}"));
            let again = succeed(&mut self.command(&output));
            assert!(again.contains("had finished before"), "{again}");
        }
        println!("{tally:?}; uninterrupted {took:.1?}; {} windows each time", expected.rows.len());
    }
}

/// Returns whether the process was still running.
fn kill(child: &mut Child) -> bool {
    child.kill().expect("an own child can be killed");
    let status = child.wait().expect("an own child can be waited for");
    let killed = status.code().is_none();
    assert!(killed || status.success(), "the process ended with {status} before it was killed");
    killed
}

fn kills() -> u32 {
    number("KILLS", 60) as u32
}

#[test]
fn refined_windows_and_late_records_are_exact_after_kills_at_any_moment() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let input = dir.path().join("long.ndjson");
    write_long(&input, 8).expect("the input is written");
    let flags = &["--checkpoint-every", "10ms", "--allowed-lateness", "1h"];
    let random = Random::new(number("KILL_SEED", 1));
    Victim { input: vec![input], by_topics: true, flags, random }.survives(kills() * 2 / 3);
}

#[test]
fn several_files_some_compressed_are_exact_after_kills_at_any_moment() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let paths = ["a.ndjson", "b.ndjson"].map(|name| dir.path().join(name));
    for (path, times) in paths.iter().zip([2, 3]) {
        write_long(path, times).expect("the input is written");
    }
    // How far the files' times are apart depends on who reads faster: nothing may be late.
    let flags = &["--checkpoint-every", "10ms", "--out-of-orderness", "400d"];
    let random = Random::new(number("KILL_SEED", 2));
    let input = paths.into_iter().chain([january()]).collect();
    Victim { input, by_topics: false, flags, random }.survives(kills() / 3);
}
