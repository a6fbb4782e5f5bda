//! Files that are not what they were when the checkpoint was made.

use std::rc::Rc;

use millstream::ErrorKind;
use millstream::source::{Agreement, Polled, file, files};
use serde_json::json;

use crate::file_source::{gzip, zstd};
use crate::support::disk::MemDisk;
use crate::support::{Positions, open, open_agreed, read};

const LINES: &[u8] = b"1\n2\n3\n4\n";

fn at(name: &str, offset: u64, ended: bool) -> Positions {
    Positions::from([(name.to_owned(), json!({ "offset": offset, "line": offset / 2, "ended": ended }))])
}

fn refusal(disk: &Rc<MemDisk>, path: &str, restored: &Positions) -> String {
    let error = read(disk, file::<u8>(path), restored).expect_err("must be refused");
    assert_eq!(error.kind(), ErrorKind::Restore, "{error}");
    error.to_string()
}

#[test]
fn a_file_shorter_than_its_position_is_refused() {
    let disk = MemDisk::with(&[("plain", LINES), ("gzip", &gzip(LINES)), ("zstd", &zstd(LINES))]);
    assert!(
        refusal(&disk, "plain", &at("plain", 10, false))
            .starts_with("plain: has 8 bytes, but was read up to byte 10")
    );
    for name in ["gzip", "zstd"] {
        let message = refusal(&disk, name, &at(name, 10, false));
        assert!(message.contains("ends 2 bytes before the position"), "{message}");
    }
    for name in ["plain", "gzip", "zstd"] {
        let (rest, _) = read(&disk, file::<u8>(name), &at(name, 8, false)).expect("the very end is no less");
        assert!(rest.is_empty());
    }
}

#[test]
fn getting_back_to_a_position_is_work_and_not_silence() {
    let lines = LINES.repeat((4 << 20) / LINES.len());
    let position = (lines.len() - LINES.len()) as u64;
    let disk = MemDisk::with(&[("gzip", &gzip(&lines))]);
    let mut shard =
        open(&disk, files::<u32>(["gzip"]), (0, 1), &at("gzip", position, false)).expect("it is there");
    let mut steps = 0;
    while shard.reader.poll(1, &mut shard.out).expect("it is whole") == Polled::Pending {
        assert!(!shard.reader.is_silent(0), "a file that is being read is not silent");
        shard.host.round();
        steps += 1;
    }
    assert!(steps >= 2, "4 MiB were decompressed in {steps} steps and one");
}

#[test]
fn a_file_that_vanished_before_its_end_is_refused_on_every_shard() {
    let disk = MemDisk::with(&[("in/b", LINES)]);
    for shard in 0..2 {
        let opened = open(&disk, file::<u8>("in"), (shard, 2), &at("in/a", 4, false));
        let message = opened.err().expect("must be refused").to_string();
        assert!(message.starts_with("in/a: was read up to byte 4, but is not among the files"), "{message}");
    }
}

#[test]
fn a_file_that_had_ended_may_vanish_and_stays_ended() {
    let disk = MemDisk::with(&[("in/b", LINES)]);
    let mut shard = open(&disk, file::<u8>("in"), (0, 1), &at("in/a", 4, true)).expect("opens");
    assert_eq!(shard.poll(10).expect("reads"), Polled::SplitEnd(0));
    shard.drain(10).expect("reads");
    let positions = shard.reader.positions();
    assert_eq!(positions["in/a"], at("in/a", 4, true)["in/a"]);

    disk.put("in/a", LINES);
    assert!(read(&disk, file::<u8>("in"), &positions).expect("reads").0.is_empty());
}

#[test]
fn rule_30_a_file_that_was_added_is_read_from_its_beginning() {
    let disk = MemDisk::with(&[("in/a", LINES), ("in/b", LINES)]);
    let (records, _) = read(&disk, files::<u8>(["in"]), &at("in/b", 4, false)).expect("reads");
    assert_eq!(records, [1, 2, 3, 4, 3, 4]);
}

#[test]
fn rule_30_a_file_that_comes_while_the_cores_look_takes_no_other_from_them() {
    let disk = MemDisk::with(&[("in/a", b"1\n"), ("in/c", b"3\n")]);
    let (agreement, none) = (Agreement::default(), Positions::new());
    let open =
        |shard| open_agreed(&disk, files::<u8>(["in"]), (shard, 2), &none, &agreement).expect("it is there");
    let first = open(0);
    disk.put("in/b", b"2\n");
    let mut records = Vec::new();
    for mut shard in [first, open(1)] {
        shard.drain(1000).expect("it is whole");
        records.append(&mut shard.out.records);
    }
    assert_eq!(records, [1, 3], "the new one is found at the next start");
}

#[test]
fn a_position_of_something_else_is_refused() {
    let disk = MemDisk::with(&[("a", LINES)]);
    let message = refusal(&disk, "a", &Positions::from([("a".to_owned(), json!({ "partition": 3 }))]));
    assert!(message.starts_with("a: its position in the checkpoint is not one of a file"), "{message}");
}
