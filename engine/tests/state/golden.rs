//! A checkpoint of an older version is read, and a job goes on from it.

use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::{Arc, Mutex};

use millstream::checkpoint::inspect::Checkpoints;
use millstream::checkpoint::read::states;
use millstream::prelude::*;
use millstream::process::Core;
use millstream::state::{BroadcastState, OperatorList, Timeline};
use millstream_storage::disk::{StdDisk, block_on};
use millstream_storage::manifest::write_atomically;

/// As it was before the full names of types were kept, and with them.
const FIXTURES: [&str; 2] = ["checkpoint-1", "checkpoint-1-types"];

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

#[derive(Clone, Default, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
struct Own {
    n: u32,
}

/// Counts its records, and tells the first counts of a run.
#[derive(Clone, Default)]
struct Keep {
    told: Arc<Mutex<Vec<(u64, u64)>>>,
}

struct States {
    count: Value<u64>,
    pair: Value<(u8, Option<String>)>,
    own: Value<Own>,
    few: List<String>,
    many: Map<u64, [i16; 2]>,
    times: Timeline<bool>,
    token: Value<char>,
    core: OperatorList<f64>,
    rules: BroadcastState<String, u64>,
}

impl Process for Keep {
    type Key = (u64, String);
    type In = u64;
    type Out = ();
    type State = States;

    fn declare(&self, state: &mut Declare) -> States {
        States {
            count: state.value("count"),
            pair: state.value("pair"),
            own: state.value("own"),
            few: state.list("few"),
            many: state.map("many"),
            times: state.timeline("times"),
            token: state.value("token").ttl(hours(24 * 365 * 1000)),
            core: state.operator_list("core"),
            rules: state.broadcast("rules"),
        }
    }

    fn open(&mut self, state: &States, core: &mut Core<'_>) {
        state.rules.put(core, &"least".to_owned(), &0);
    }

    fn on_record(&mut self, n: u64, state: &States, cx: &mut Context<'_, Self>) {
        let count = state.count.update(cx, |count| {
            *count += 1;
            *count
        });
        let mut told = self.told.lock().expect("nobody panics with it");
        if told.len() < 100 {
            told.push((n % 3, count));
        }
        if count > 1 {
            return;
        }
        state.pair.set(cx, &(n as u8, Some(format!("the {n}th of all numbers"))));
        state.own.set(cx, &Own { n: n as u32 });
        for i in 0..40_u8 {
            state.many.put(cx, &u64::from(i), &[-1, i16::from(i)]);
            if i < 2 {
                state.few.push(cx, &format!("{i}"));
                state.times.insert(cx, -i64::from(i), &(i == 0));
            }
        }
        state.token.set(cx, &'ß');
        state.core.push(cx, &0.5);
        cx.timer_at(Timestamp::MAX - 1);
    }
}

/// Runs the job until it has a checkpoint of its own, and returns the first counts that it came to, by keys.
fn run(dir: &Path) -> Vec<(u64, u64)> {
    let (job, keep) = (Job::new("golden"), Keep::default());
    let told = keep.told.clone();
    let numbers = |name: &str| {
        let numbers = job.source(name, generator(1 << 40, |n| n));
        numbers.event_time(|n| *n as i64, Watermarks::monotonous())
    };
    let century = Tumbling::of(hours(24 * 36525));
    let by_three = numbers("numbers").key_by(|n| (n % 3, "key".to_owned()));
    by_three.process("keep", keep).sink("out", discard());
    numbers("more")
        .key_by(|n| n % 2)
        .window(century)
        .reduce("last", |a, b| *a = *b)
        .sink("nowhere", discard());
    let config =
        Config::new().cores(1).runtime(RuntimeKind::Threads).checkpoints(dir).checkpoint_every(millis(1));
    let before = manifests(dir);
    let running = job.start(config.max_parallelism(8).retained_checkpoints(1)).expect("the job starts");
    while manifests(dir) == before && !running.is_over() {
        std::thread::yield_now();
    }
    running.cancel();
    running.wait().expect("the job ends well");
    told.lock().expect("nobody panics with it").clone()
}

fn manifests(dir: &Path) -> Vec<u64> {
    block_on(Checkpoints::at(Rc::new(StdDisk), dir).epochs()).expect("a directory")
}

/// Every entry of every state, one a line.
fn read(dir: &Path, memory: u64) -> String {
    let checkpoints = Checkpoints::at(Rc::new(StdDisk), dir);
    let last = *manifests(dir).last().expect("a checkpoint");
    let manifest = block_on(checkpoints.manifest(last)).expect("it is not damaged");
    let mut text = String::new();
    for state in states(&manifest) {
        text += &format!("{} of {}: {}\n", state.state, state.step, state.what);
        let mut reader = checkpoints.json(&manifest, Some(&state.step), &state.state).expect("it is there");
        reader.memory(memory);
        while let Some(entry) = block_on(reader.next()).expect("it is not damaged") {
            text += &format!("  {}\n", serde_json::to_string(&entry).expect("plain data"));
        }
    }
    text
}

fn sorted(text: &str) -> Vec<&str> {
    let mut lines: Vec<_> = text.lines().collect();
    lines.sort_unstable();
    lines
}

#[test]
fn the_state_in_an_old_checkpoint_is_read_whatever_the_memory() {
    for name in FIXTURES {
        let expected = fs::read_to_string(fixture(name).join("state.txt")).expect("a fixture");
        assert_eq!(read(&fixture(name), 1 << 20), expected, "{name}");
        // In thousands of passes, each of some keys.
        assert_eq!(sorted(&read(&fixture(name), 1)), sorted(&expected), "{name}");
    }
}

#[test]
fn a_job_goes_on_from_an_old_checkpoint() {
    for name in FIXTURES {
        let counted = fs::read_to_string(fixture(name).join("state.txt")).expect("a fixture");
        let of = |key: u64| -> u64 {
            let before = format!(r#"  {{"key":[{key},"key"],"value":"#);
            let line = counted.lines().find_map(|line| line.strip_prefix(&before));
            line.and_then(|rest| rest.strip_suffix('}')?.parse().ok()).expect("a count")
        };
        let dir = tempfile::tempdir().expect("a temporary directory");
        copy(&fixture(name), dir.path());
        let records = run(dir.path());
        for key in 0..3 {
            let first = records.iter().find(|record| record.0 == key).expect("each key goes on");
            assert_eq!(first.1, of(key) + 1, "{name}");
        }
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a directory");
    for entry in fs::read_dir(from).expect("a fixture") {
        let path = entry.expect("an entry").path();
        let target = to.join(path.file_name().expect("a name"));
        match path.is_dir() {
            true => copy(&path, &target),
            false => _ = fs::copy(&path, &target).expect("a file"),
        }
    }
}

#[test]
#[ignore = "writes the fixtures of this version, where there are none"]
fn write_the_fixtures() {
    let [plain, types] = FIXTURES.map(fixture);
    for dir in [&plain, &types] {
        assert!(!dir.exists(), "{} is never written again", dir.display());
    }
    fs::create_dir_all(&types).expect("a directory");
    run(&types);
    fs::remove_file(types.join("lease")).expect("it is no part of a checkpoint");
    copy(&types, &plain);
    let checkpoints = Checkpoints::at(Rc::new(StdDisk), &plain);
    let last = *manifests(&plain).last().expect("a checkpoint");
    let mut manifest = block_on(checkpoints.manifest(last)).expect("it is not damaged");
    manifest.steps.values_mut().for_each(|step| step.schema.types.clear());
    let bytes = serde_json::to_vec(&manifest).expect("plain data");
    let name = format!("manifest-{last:010}");
    block_on(write_atomically(&StdDisk, &plain, &name, &bytes)).expect("the disk works");
    for dir in [&plain, &types] {
        fs::write(dir.join("state.txt"), read(dir, 1 << 20)).expect("a file");
    }
}
