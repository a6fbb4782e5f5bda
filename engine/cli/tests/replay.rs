//! `millstream replay`, of a program that has failed: this one, as its test `the_program`, which knows nothing of replays.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::rc::Rc;

use millstream::prelude::*;
use millstream::topic::{BatchBuilder, TopicConfig, TopicWriter};
use millstream_storage::disk::{StdDisk, block_on};
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

/// Where the program finds its input, its state and its output.
const INCIDENT: &str = "INCIDENT";
/// What its job is called, if that is not `orders`.
const JOB: &str = "JOB";
/// Orders of so many cents are more than it can bear.
const BAD: u64 = 13;

#[derive(Clone, Serialize, Deserialize)]
struct Order {
    customer: u64,
    cents: u64,
    at: i64,
}

/// What each customer has spent.
#[derive(Clone)]
struct Totals;

impl Process for Totals {
    type Key = u64;
    type In = Order;
    type Out = (u64, u64);
    type State = Value<u64>;
    fn declare(&self, declare: &mut Declare) -> Value<u64> {
        declare.value("total")
    }
    fn on_record(&mut self, order: Order, total: &Value<u64>, cx: &mut Context<'_, Self>) {
        assert!(order.cents != BAD, "an order of {BAD} cents");
        let total = total.update(cx, |total| {
            *total += order.cents;
            *total
        });
        cx.emit((order.customer, total));
    }
}

fn job(dir: &Path) -> Job {
    let job = Job::new(&std::env::var(JOB).unwrap_or("orders".to_owned()));
    job.source("orders", topic::<Order>(dir.join("in")).follow())
        .event_time(|order| order.at, Watermarks::monotonous().idle_after(secs(1)))
        .key_by(|order| order.customer)
        .process("totals", Totals)
        .sink("spent", ndjson_dir(dir.join("out")));
    job
}

/// Appends orders to both partitions, of which the `bad` one in the second is one too many.
fn append(dir: &Path, count: u64, bad: Option<u64>) {
    let config = TopicConfig::new(5).partitions(2);
    let opened = block_on(TopicWriter::open_or_create(Rc::new(StdDisk), &dir.join("in"), config));
    let mut writer = opened.expect("the disk works");
    for partition in 0..2 {
        let mut batch = BatchBuilder::new();
        for n in 0..count {
            let cents = if partition == 1 && Some(n) == bad { BAD } else { 100 + n };
            let order = Order { customer: n % 7, cents, at: n as i64 };
            batch.push(order.at, None, &serde_json::to_vec(&order).expect("it is plain data"), &[]);
        }
        writer.append(partition, batch.finish()).expect("it fits");
    }
    block_on(writer.flush()).expect("the disk works");
    block_on(writer.close()).expect("the disk works");
}

/// Works on 200 orders, takes checkpoints, and then gets 40 more.
fn run(dir: &Path) -> Result<Report> {
    if !dir.join("in").exists() {
        append(dir, 100, None);
    }
    let config = Config::new().cores(2).checkpoints(dir.join("state")).checkpoint_every(millis(5));
    let running = job(dir).start(config.retained_checkpoints(3))?;
    let metrics = running.metrics();
    let until = |done: &dyn Fn() -> bool| {
        while !done() && !running.is_over() {
            std::thread::yield_now();
        }
    };
    until(&|| metrics.sum(|shard| &shard.records_in) == 200);
    let before = metrics.job().last_epoch.get();
    // The first of these may have begun before all was read.
    until(&|| metrics.job().last_epoch.get() >= before + 2);
    append(dir, 20, Some(16));
    running.wait()
}

#[test]
#[ignore = "the program that the other tests run"]
fn the_program() {
    let Ok(dir) = std::env::var(INCIDENT) else { return };
    if let Err(error) = run(Path::new(&dir)) {
        eprintln!("orders: {error}");
        std::process::exit(7);
    }
}

fn program() -> Vec<PathBuf> {
    let this = std::env::current_exe().expect("it runs");
    let arguments = ["--ignored", "--exact", "the_program", "--nocapture"];
    [this].into_iter().chain(arguments.into_iter().map(PathBuf::from)).collect()
}

struct Incident(TempDir);

impl Incident {
    /// The job has failed of an order.
    fn new() -> Incident {
        let incident = Incident(tempfile::tempdir().expect("a temporary directory"));
        fs::create_dir(incident.job()).expect("the disk works");
        let program = program();
        let mut command = Command::new(&program[0]);
        let output = command.args(&program[1..]).env(INCIDENT, incident.job()).output();
        let output = output.expect("the program can be started");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(7), "{said}");
        assert!(said.contains("step `totals` panicked") && said.contains("an order of 13 cents"), "{said}");
        incident
    }

    fn job(&self) -> PathBuf {
        self.0.path().join("job")
    }

    fn at(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }

    fn replay_as(&self, job: &str, checkpoint: &str, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_millstream"));
        command.arg("replay").arg("--checkpoint").arg(self.at(checkpoint)).args(arguments);
        // In the place of a debugger.
        command.args(["--", "env", "-u", "NOTHING"]).args(program());
        command.env(INCIDENT, self.job()).env(JOB, job).output().expect("the program can be started")
    }

    /// What a replay says, and what it shows, of which it must say `parts`.
    #[track_caller]
    fn replay(&self, code: i32, checkpoint: &str, arguments: &[&str], parts: &[&str]) -> String {
        let output = self.replay_as("orders", checkpoint, arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{said}");
        for part in parts {
            assert!(said.contains(part), "{arguments:?} should say {part:?}:\n{said}");
        }
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// All files of the job.
    fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let (mut files, mut folders) = (BTreeMap::new(), vec![self.job()]);
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).expect("it is there") {
                let path = entry.expect("it is there").path();
                match path.is_dir() {
                    true => folders.push(path),
                    false => drop(files.insert(path.clone(), fs::read(path).expect("it is there"))),
                }
            }
        }
        files
    }
}

#[test]
fn a_failure_comes_again_the_same_each_time_and_nothing_is_touched() {
    let incident = Incident::new();
    let before = incident.files();
    let parts = [
        "job `orders` is replayed from checkpoint",
        "step `totals` panicked, at record 1 of a batch of 1",
        "an order of 13 cents",
        "last   orders:partition-00001@116",
        "ended  the job failed",
    ];
    for output in ["first", "second"] {
        incident.replay(1, "job/state", &["--output", &incident.at(output)], &parts);
    }
    for file in ["rows.ndjson", "report.json"] {
        let read =
            |output: &str| fs::read_to_string(incident.at(output) + "/" + file).expect("it was written");
        assert_eq!(read("first"), read("second"));
        assert!(read("first").contains(r#"orders:partition-00001@115"#) || file == "report.json");
    }
    // Also in other orders.
    for seed in ["1", "2", "3"] {
        let output = incident.at(&format!("seed {seed}"));
        incident.replay(1, "job/state", &["--seed", seed, "--output", &output], &["an order of 13 cents"]);
    }
    assert!(incident.files() == before, "what the job has is as it was");
}

#[test]
fn a_replay_into_the_directory_that_it_is_run_in_touches_nothing_beside_it() {
    let incident = Incident::new();
    let before = incident.files();
    fs::create_dir(incident.at("here")).expect("the disk works");
    let mut command = Command::new(env!("CARGO_BIN_EXE_millstream"));
    command.args(["replay", "--checkpoint", "../job/state", "--output", ".", "--save-state", "--cores", "1"]);
    command.args(["--until", "orders:partition-00001@115", "--"]).args(program());
    command.current_dir(incident.at("here")).env(INCIDENT, incident.job()).env(JOB, "orders");
    let output = command.output().expect("the program can be started");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(Path::new(&incident.at("here/report.json")).exists());
    assert!(incident.files() == before, "what the job has is as it was");
}

#[test]
fn a_replay_ends_where_it_is_told_to_and_the_state_there_can_be_read() {
    let incident = Incident::new();
    let output = incident.at("output");
    let until = ["--until", "orders:partition-00001@115", "--cores", "1"];
    let reached = "ended  all was read that was asked for";
    let shown = incident.replay(0, "job/state", &until, &[reached, "last   orders:partition-00001@115"]);
    let rows: Vec<&str> = shown.lines().filter(|line| line.starts_with('{')).collect();
    let last = rows.last().expect("rows are shown");
    assert!(
        last.contains(r#""sink":"spent","core":0,"time":15,"read":"orders:partition-00001@115""#),
        "{last}"
    );
    let position = ["--until", r#"orders:partition-00001@{"offset":116,"end":null}"#, "--output", &output];
    let arguments = [&position[..], &["--save-state"]].concat();
    incident.replay(0, "job/state", &arguments, &[reached, "last   orders:partition-00001@115"]);
    let mut read = Command::new(env!("CARGO_BIN_EXE_millstream"));
    let read = read.args(["state", "read", &(output + "/state"), "--state", "total"]).output();
    let read = String::from_utf8(read.expect("it can be started").stdout).expect("it is text");
    assert_eq!(read.lines().count(), 7, "{read}");
}

#[test]
fn what_cannot_be_replayed_is_told_with_what_can() {
    let incident = Incident::new();
    let refused = |until: &str, parts: &[&str]| incident.replay(2, "job/state", &["--until", until], parts);
    let splits = "the splits are orders:partition-00000, orders:partition-00001";
    refused("orders:partition-00002@3", &["cannot end at `orders:partition-00002@3`", splits]);
    refused("17", &[splits]);
    refused(
        "partition-00001@3",
        &["cannot end at the record at 3", "the checkpoint is at {", "take an earlier one"],
    );
    let missed = ["was to end at the record at 500 of orders:partition-00000", "has nothing more behind {"];
    // Nothing bad comes before.
    let good = ["--until", "partition-00000@500", "--until", "partition-00001@115"];
    incident.replay(2, "job/state", &good, &missed);
    incident.replay(1, "job/state/1000000", &[], &["there is no checkpoint 1000000; there are "]);
    incident.replay(1, "job/out", &[], &["holds no checkpoint"]);
    let other = incident.replay_as("payments", "job/state", &[]);
    let said = String::from_utf8_lossy(&other.stderr).into_owned();
    assert_eq!(other.status.code(), Some(7), "{said}");
    assert!(said.contains("job `payments` is not run") && said.contains("replays job `orders`"), "{said}");
}
