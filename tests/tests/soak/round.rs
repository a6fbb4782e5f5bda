//! One round: a job and its feeder, killed until all of the input is through.

use std::fmt;
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::Duration;

use millstream_tests::postgres::{Database, Server};
use millstream_tests::random::Random;
use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_soak_job");

/// The tables, without anything that would refuse a row that comes twice; `n` tells in which order rows came.
const TABLES: &str = "CREATE TABLE settled (n bigserial, shop int4, start int8, orders int8, cents int8, payment int8, paid int8);
     CREATE TABLE latest (shop int4 PRIMARY KEY, start int8, orders int8, cents int8, payment int8, paid int8);
     CREATE TABLE late (n bigserial, id int8, at int8, shop int4, cents int8)";

/// The sinks of a core tell some forty letters with each checkpoint.
const MOST_LETTERS: u64 = 200;

/// When the input is appended.
#[derive(Clone, Copy, Debug)]
pub enum Feeding {
    Beforehand,
    /// By a process beside the job, which is killed, too.
    Beside,
}

/// Its directory, and what it is about.
pub struct Round<'a> {
    dir: TempDir,
    pub database: Option<Database<'a>>,
    pub seed: u64,
    pub orders: u64,
    feeding: Feeding,
}

impl<'a> Round<'a> {
    pub fn new(server: Option<&'a Server>, seed: u64, orders: u64, feeding: Feeding) -> Round<'a> {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let database = server.map(|server| server.database(TABLES));
        Round { dir, database, seed, orders, feeding }
    }

    /// What is in its directory.
    pub fn place(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Who feeds it; with a pause between groups if the job is to keep up.
    fn feeder(&self) -> Command {
        let mut command = Command::new(PROGRAM);
        command.arg("feed").arg(self.dir.path());
        command.args(["--seed", &self.seed.to_string(), "--orders", &self.orders.to_string()]);
        if let Feeding::Beside = self.feeding {
            command.args(["--pace", "15000"]);
        }
        command
    }

    /// The job, in one of the ways in which it can be run.
    fn job(&self, random: &mut Random, follow: bool) -> Command {
        let mut command = Command::new(PROGRAM);
        command.arg("run").arg(self.dir.path());
        let mut option = |name: &str, value: String| {
            command.args([name.to_owned(), value]);
        };
        option("--cores", (1 + random.below(4)).to_string());
        option("--runtime", random.one_of(&["auto", "threads"]).to_owned());
        option("--batch-size", random.one_of(&[7, 50, 300]).to_string());
        option("--checkpoint-every", random.one_of(&[3, 10, 30]).to_string());
        option("--pause", random.one_of(&[0, 300, 1_000]).to_string());
        option("--overtakes-after", random.one_of(&[0, 0, 2]).to_string());
        if let Some(database) = &self.database {
            option("--postgres", database.address());
        }
        command.args(follow.then_some("--follow"));
        let phases = File::create(self.place("phases")).expect("a file can be made");
        command.stdout(phases);
        command
    }

    fn start(&self, name: &str, mut command: Command) -> Process {
        let errors = self.place(&format!("{name}-errors"));
        let file = File::create(&errors).expect("a file can be made");
        let child = command.stdin(Stdio::null()).stderr(file).spawn();
        let child = child.unwrap_or_else(|error| panic!("{command:?}: {error}"));
        Process { child, command, errors }
    }

    /// Kills and restarts until a start comes to its end, and sees that there is nothing left to do.
    pub fn kill_until_done(&self, kills: u64) -> Phases {
        let (mut random, mut phases) = (Random::new(self.seed), Phases::default());
        let mut feeder = self.start("feeder", self.feeder());
        if let Feeding::Beforehand = self.feeding {
            feeder.finish();
        }
        loop {
            // Asked before the job is started: one that follows does not end.
            let fed = feeder.has_finished();
            let mut job = self.start("job", self.job(&mut random, !fed));
            // Enough is enough: it may come to its end.
            if fed && phases.kills() >= kills {
                job.finish();
                break;
            }
            self.wait_for_a_moment(&mut job, &mut random);
            if !feeder.has_finished() && random.below(6) == 0 {
                feeder.kill();
                feeder = self.start("feeder", self.feeder());
            }
            if !job.kill() {
                break;
            }
            let had_checkpoint = self.place("checkpoints/epoch").exists();
            phases.count(&self.said(), had_checkpoint);
        }
        feeder.finish();
        self.start("job", self.job(&mut random, false)).finish();
        assert!(self.said().ends_with("had finished before"), "a job that has ended stays ended");
        phases
    }

    /// Until something: some time after the start or the beginning of the restore, or when the sinks have told so much.
    fn wait_for_a_moment(&self, job: &mut Process, random: &mut Random) {
        let letters = match random.below(6) {
            0 => 0,
            1 => 1,
            _ => random.below(MOST_LETTERS),
        };
        let told = || fs::metadata(self.place("phases")).map_or(0, |file| file.len());
        while told() < letters && !job.has_finished() {
            sleep(Duration::from_micros(300));
        }
        sleep(Duration::from_micros(random.below(if letters > 1 { 1_000 } else { 30_000 })));
    }

    fn said(&self) -> String {
        fs::read_to_string(self.place("phases")).expect("it can be read")
    }
}

impl Drop for Round<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.dir.disable_cleanup(true);
            eprintln!("seed {}; what was written stays in {}", self.seed, self.dir.path().display());
        }
    }
}

/// A process of ours. It is killed when this is dropped.
struct Process {
    child: Child,
    command: Command,
    /// What it says when it fails.
    errors: PathBuf,
}

impl Process {
    fn has_finished(&mut self) -> bool {
        let status = self.child.try_wait().expect("an own child can be waited for");
        status.is_some_and(|status| {
            self.check(status);
            true
        })
    }

    fn finish(&mut self) {
        let status = self.child.wait().expect("an own child can be waited for");
        self.check(status);
    }

    /// Returns whether it was running.
    fn kill(&mut self) -> bool {
        self.child.kill().expect("an own child can be killed");
        let status = self.child.wait().expect("an own child can be waited for");
        let killed = status.code().is_none();
        if !killed {
            self.check(status);
        }
        killed
    }

    fn check(&self, status: ExitStatus) {
        let errors = fs::read_to_string(&self.errors).unwrap_or_default();
        assert!(status.success(), "{:?} ended with {status}: {errors}", self.command);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Whoever has ended already has.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// How often a job that was alive was killed, and at what.
#[derive(Default)]
pub struct Phases {
    /// No checkpoint was there yet, and it had not begun.
    starting: u64,
    /// A checkpoint was there, and no core had opened a sink.
    restoring: u64,
    running: u64,
    pre_committing: u64,
    committing: u64,
}

impl Phases {
    /// One more, by what the job had told.
    fn count(&mut self, told: &str, had_checkpoint: bool) {
        let letters = |letter: char| told.matches(letter).count();
        let phase = if letters('c') > letters('C') {
            &mut self.committing
        } else if letters('p') > letters('P') {
            &mut self.pre_committing
        } else if told.contains('o') {
            &mut self.running
        } else if had_checkpoint {
            &mut self.restoring
        } else {
            &mut self.starting
        };
        *phase += 1;
    }

    pub fn kills(&self) -> u64 {
        self.starting + self.restoring + self.running + self.pre_committing + self.committing
    }

    pub fn add(&mut self, other: &Phases) {
        self.starting += other.starting;
        self.restoring += other.restoring;
        self.running += other.running;
        self.pre_committing += other.pre_committing;
        self.committing += other.committing;
    }
}

impl fmt::Display for Phases {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Phases { starting, restoring, running, pre_committing, committing } = self;
        write!(
            f,
            "{} kills ({starting} starting, {restoring} restoring, {running} running, {pre_committing} pre-committing, \
             {committing} committing)",
            self.kills()
        )
    }
}
