//! `millstream state` on a checkpoint with every kind of state.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use millstream::prelude::*;
use millstream::process::Core;
use millstream::state::{BroadcastState, List, Map, OperatorList, Timeline, UnionList};
use serde_json::Value as Json;
use tempfile::TempDir;

/// A type of the job's own.
#[derive(Default, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
struct Meal {
    at: i64,
    grams: u16,
}

struct States {
    weight: Value<f64>,
    names: List<String>,
    friends: Map<(String, u8), Option<u32>>,
    fed: Timeline<u16>,
    last: Value<Meal>,
    token: Value<u64>,
    nap: List<bool>,
    seen: OperatorList<String>,
    cores: UnionList<u64>,
    rules: BroadcastState<u8, String>,
}

#[derive(Clone)]
struct Zoo;

impl Process for Zoo {
    type Key = String;
    type In = (String, u16);
    type Out = ();
    type State = States;

    fn declare(&self, state: &mut Declare) -> States {
        // Long enough to be there when the test looks, whenever it does.
        let long = Ttl::after(hours(24 * 365 * 1000));
        States {
            weight: state.value("weight"),
            names: state.list("names"),
            friends: state.map("friends"),
            fed: state.timeline("fed"),
            last: state.value("last"),
            token: state.value("token").ttl(long),
            nap: state.list("nap").ttl(long),
            seen: state.operator_list("seen"),
            cores: state.union_list("cores"),
            rules: state.broadcast("rules"),
        }
    }

    fn open(&mut self, state: &States, core: &mut Core<'_>) {
        state.rules.put(core, &1, &"be kind".to_owned());
    }

    fn on_record(&mut self, (name, n): (String, u16), state: &States, cx: &mut Context<'_, Self>) {
        state.weight.set(cx, &(f64::from(n) / 4.0));
        state.names.push(cx, &format!("{name} the {n}th of a long line"));
        state.friends.put(cx, &(name.clone(), 1), &Some(u32::from(n)));
        state.friends.put(cx, &("nobody".to_owned(), 2), &None);
        state.fed.insert(cx, -i64::from(n), &n);
        state.last.set(cx, &Meal { at: 1, grams: n });
        state.token.set(cx, &u64::MAX);
        state.nap.push(cx, &true);
        state.seen.push(cx, &name);
        if state.cores.own().is_empty(cx) {
            state.cores.own().push(cx, &7);
        }
    }
}

/// Those of a job that has ended.
fn checkpoints() -> TempDir {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let job = Job::new("zoo");
    let animals: Vec<_> = [("lion", 3), ("emu", 5), ("lion", 4)].map(|(who, n)| (who.to_owned(), n)).into();
    job.source("animals", from_vec(animals))
        .key_by(|animal: &(String, u16)| animal.0.clone())
        .process("keep", Zoo)
        .sink("nowhere", discard());
    let config = Config::new().cores(1).checkpoints(dir.path()).checkpoint_at_end_only();
    job.run(config).expect("the job ends well");
    dir
}

#[derive(Clone)]
struct Remind;

impl Process for Remind {
    type Key = u64;
    type In = u64;
    type Out = ();
    type State = ();

    fn declare(&self, _: &mut Declare) {}

    fn on_record(&mut self, _: u64, (): &(), cx: &mut Context<'_, Self>) {
        cx.timer_at(i64::MAX - 1);
    }
}

/// Those of a job that goes on for ever, and is stopped after the first.
fn unfinished() -> TempDir {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let job = Job::new("endless");
    let numbers = |name: &str| {
        let numbers = job.source(name, generator(u64::MAX, |n| n));
        numbers.event_time(|n| *n as i64, Watermarks::monotonous()).key_by(|n: &u64| n % 2)
    };
    let century = Tumbling::of(hours(24 * 36525));
    numbers("numbers").window(century).reduce("last", |last, n| *last = *n).sink("nowhere", discard());
    numbers("more").process("remind", Remind).sink("nobody", discard());
    let config = Config::new().cores(2).checkpoints(dir.path()).checkpoint_every(millis(5));
    let handle = job.start(config).expect("the job starts");
    let until = |what: &dyn Fn() -> bool| {
        while !what() {
            assert!(!handle.is_over(), "it goes on until it is ended");
            std::thread::sleep(millis(1));
        }
    };
    // Each core has numbers of its own.
    until(&|| handle.metrics().shards().iter().all(|shard| shard.records_in.get() > 100));
    let epochs = || handle.metrics().job().last_epoch.get();
    let before = epochs();
    until(&|| epochs() >= before + 2);
    handle.cancel();
    handle.wait().expect("the job ends well");
    dir
}

fn millstream(dir: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_millstream"));
    command.arg("state").args(&arguments[..1]).arg(dir).args(&arguments[1..]);
    command.output().expect("the program can be started")
}

#[track_caller]
fn lines(dir: &Path, arguments: &[&str]) -> Vec<String> {
    let output = millstream(dir, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}

#[track_caller]
fn refused(dir: &Path, arguments: &[&str]) -> String {
    let output = millstream(dir, arguments);
    assert!(!output.status.success() && output.stdout.is_empty(), "{arguments:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn every_kind_of_state_is_read_as_json() {
    let dir = checkpoints();
    let read = |state: &str| lines(dir.path(), &["read", "--state", state]);
    assert_eq!(read("weight"), [r#"{"key":"lion","value":1.0}"#, r#"{"key":"emu","value":1.25}"#]);
    assert_eq!(
        read("names"),
        [
            r#"{"key":"lion","index":0,"value":"lion the 3th of a long line"}"#,
            r#"{"key":"lion","index":1,"value":"lion the 4th of a long line"}"#,
            r#"{"key":"emu","index":0,"value":"emu the 5th of a long line"}"#,
        ]
    );
    assert_eq!(
        read("friends"),
        [
            r#"{"key":"lion","entry":["nobody",2],"value":null}"#,
            r#"{"key":"lion","entry":["lion",1],"value":4}"#,
            r#"{"key":"emu","entry":["emu",1],"value":5}"#,
            r#"{"key":"emu","entry":["nobody",2],"value":null}"#,
        ]
    );
    assert_eq!(
        read("fed"),
        [
            r#"{"key":"lion","time":-4,"value":4}"#,
            r#"{"key":"lion","time":-3,"value":3}"#,
            r#"{"key":"emu","time":-5,"value":5}"#,
        ]
    );
    assert_eq!(
        read("last"),
        [
            r#"{"key":"lion","value":{"hex":"01000000000000000400","type":"state::Meal"}}"#,
            r#"{"key":"emu","value":{"hex":"01000000000000000500","type":"state::Meal"}}"#,
        ]
    );
}

#[test]
fn state_that_expires_says_when() {
    let dir = checkpoints();
    for (state, value, entries) in [("token", Json::from(u64::MAX), 2), ("nap", true.into(), 3)] {
        let lines = lines(dir.path(), &["read", "--state", state]);
        assert_eq!(lines.len(), entries);
        for line in lines {
            let entry: Json = serde_json::from_str(&line).expect("JSON");
            let expires = entry["expires"].as_i64().expect("a time");
            assert!(expires > 24 * 365 * 1000 * 3_600_000 && entry["value"] == value, "{line}");
        }
    }
}

#[test]
fn the_state_of_cores_is_read_too() {
    let dir = checkpoints();
    let read = |state: &str| lines(dir.path(), &["read", "--state", state]);
    assert_eq!(read("seen").len(), 3);
    assert_eq!(read("seen")[0], r#"{"core":0,"index":0,"value":"lion"}"#);
    assert_eq!(read("cores"), [r#"{"core":0,"index":0,"value":7}"#]);
    assert_eq!(read("rules"), [r#"{"entry":1,"value":"be kind"}"#]);
}

#[test]
fn open_windows_and_timers_are_read_too() {
    let dir = unfinished();
    let end = 24 * 36525 * 3_600_000_i64;
    let windows = lines(dir.path(), &["read", "--state", "windows"]);
    for (line, key) in windows.iter().zip([1, 0]) {
        let entry: Json = serde_json::from_str(line).expect("JSON");
        let expected = (Json::from(key), Json::from(end), Some(key));
        let found = entry["value"].as_u64().map(|last| last % 2);
        assert_eq!((entry["key"].clone(), entry["window_end"].clone(), found), expected, "{line}");
    }
    assert_eq!(windows.len(), 2);
    let timer = |key: u64| format!(r#"{{"key":{key},"time":{}}}"#, i64::MAX - 1);
    assert_eq!(lines(dir.path(), &["read", "--state", "event-time timers"]), [timer(0), timer(1)]);
    assert_eq!(lines(dir.path(), &["read", "--state", "event-time timers", "--key", "1"]), [timer(1)]);
}

#[test]
fn one_key_and_some_entries_can_be_asked_for() {
    let dir = checkpoints();
    let lion = r#"{"key":"lion","value":1.0}"#;
    assert_eq!(lines(dir.path(), &["read", "--state", "weight", "--key", "lion"]), [lion]);
    assert_eq!(lines(dir.path(), &["read", "--state", "weight", "--key", "hex:040000006c696f6e"]), [lion]);
    assert_eq!(lines(dir.path(), &["read", "--state", "weight", "--limit", "1"]), [lion]);
    assert_eq!(lines(dir.path(), &["read", "--state", "names", "--key", "lion", "--step", "keep"]).len(), 2);
    assert!(lines(dir.path(), &["read", "--state", "weight", "--key", "yeti"]).is_empty());
    assert!(refused(dir.path(), &["read", "--state", "rules", "--key", "lion"]).contains("belongs to cores"));
    // The manifest itself names the checkpoint as well.
    let manifest = dir.path().join("manifest-0000000001");
    assert_eq!(lines(&manifest, &["read", "--state", "weight", "--memory", "1"]).len(), 2);
}

#[test]
fn states_are_listed_and_unknown_ones_refused_with_the_list() {
    let dir = checkpoints();
    let listed = lines(dir.path(), &["ls"]).join("\n");
    let refused = refused(dir.path(), &["read", "--state", "wieght"]);
    for said in [listed, refused] {
        for part in [
            "keep",
            "weight",
            "map of (String, u8) to Option<u32>/5",
            "value of Meal/10",
            "union list of u64/8 flat",
        ] {
            assert!(said.contains(part), "{part} is missing in\n{said}");
        }
    }
}

#[test]
fn a_damaged_file_is_named_with_its_offset_and_nothing_is_printed() {
    let dir = checkpoints();
    let files = fs::read_dir(dir.path().join("data")).expect("the state files");
    for file in files.map(|entry| entry.expect("an entry").path()) {
        let mut bytes = fs::read(&file).expect("a file");
        bytes[100] ^= 1;
        fs::write(&file, bytes).expect("a file");
    }
    let said = refused(dir.path(), &["read", "--state", "weight"]);
    assert!(said.contains("keep-") && said.contains("at byte 0"), "{said}");
}
