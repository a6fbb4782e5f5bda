//! Files of output in several formats, in partitions, and of the size and age that was asked for.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use millstream::ErrorKind;
use millstream::sink::{Csv, Encoder, FileSink, Format, Partition, Prepared, Sink, Writer, file_sink};
use serde::Serialize;
use serde_json::{Value as Json, json};

use crate::support::TestHost;
use crate::support::disk::MemDisk;

/// Lines, and at the end their number.
#[derive(Clone)]
pub struct Counted;

pub struct Counting(u64);

impl Format<u64> for Counted {
    type Encoder = Counting;
    fn extension(&self) -> &str {
        "counted"
    }
    fn begin(&self) -> millstream::Result<Counting> {
        Ok(Counting(0))
    }
}

impl Encoder<u64> for Counting {
    fn write(&mut self, record: &u64, out: &mut Vec<u8>) -> millstream::Result<()> {
        out.extend(format!("{record}\n").bytes());
        self.0 += 1;
        Ok(())
    }
    fn held(&self) -> usize {
        0
    }
    fn release(&mut self, _: &mut Vec<u8>) -> millstream::Result<()> {
        Ok(())
    }
    fn finish(self, out: &mut Vec<u8>) -> millstream::Result<()> {
        out.extend(format!("# {}\n", self.0).bytes());
        Ok(())
    }
}

/// A job of one shard.
struct Job<T> {
    disk: Rc<MemDisk>,
    host: Rc<TestHost>,
    writer: Box<dyn Writer<T>>,
}

impl<T: 'static> Job<T> {
    fn new<F: Format<T>, P: Partition<T>>(sink: FileSink<F, P>) -> Job<T> {
        let disk = MemDisk::with(&[]);
        let host = TestHost::new(&disk);
        let writer = host.run(sink.open(host.sink_cx(None, 1))).expect("no crash").expect("opens");
        Job { disk, host, writer }
    }

    fn write(&mut self, records: impl IntoIterator<Item = T>) -> millstream::Result<()> {
        let mut records: Vec<T> = records.into_iter().collect();
        let times = vec![0; records.len()];
        self.writer.write(&mut records, &times)
    }

    fn pre_commit(&mut self, epoch: u64) -> Json {
        self.host.run(self.writer.pre_commit(epoch)).expect("no crash").expect("prepares")
    }

    fn commit(&mut self, epoch: u64) {
        self.pre_commit(epoch);
        self.host.run(self.writer.commit(epoch)).expect("no crash").expect("commits");
    }

    /// What a reader sees.
    fn visible(&self) -> BTreeMap<String, String> {
        let mut files = self.disk.tree("out");
        files.retain(|name, _| !name.starts_with('.'));
        files
    }
}

fn pairs(files: &BTreeMap<String, String>) -> Vec<(&str, &str)> {
    files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect()
}

#[derive(Clone, Serialize)]
struct Flight {
    day: u32,
    dest: &'static str,
    delay: Option<i32>,
}

fn flight(day: u32, dest: &'static str, delay: Option<i32>) -> Flight {
    Flight { day, dest, delay }
}

fn by_day(flight: &Flight) -> String {
    format!("year=2013/day={}", flight.day)
}

#[test]
fn every_file_of_csv_has_a_header_row() {
    let mut job = Job::new(file_sink("out").csv());
    for epoch in 1..3 {
        job.write([flight(1, "LAX", Some(-3)), flight(2, "New York, \"JFK\"", None)]).expect("writes");
        job.commit(epoch);
    }
    let text = "day,dest,delay\n1,LAX,-3\n2,\"New York, \"\"JFK\"\"\",\n";
    assert_eq!(pairs(&job.visible()), [("0000000001-000.csv", text), ("0000000002-000.csv", text)]);
}

#[test]
fn csv_without_a_header_row_has_none() {
    let mut job = Job::new(file_sink("out").format(Csv::new().without_header().delimiter(b'\t')));
    job.write([flight(1, "LAX", None)]).expect("writes");
    job.commit(1);
    assert_eq!(pairs(&job.visible()), [("0000000001-000.csv", "1\tLAX\t\n")]);
}

#[test]
fn what_is_no_row_of_csv_is_refused_and_names_the_directory() {
    let mut job = Job::new(file_sink("out").csv());
    let error = job.write([BTreeMap::from([("a", 1)])]).expect_err("a map is no row");
    assert!(error.to_string().starts_with("out: cannot represent a record as a row of CSV"), "{error}");
    let disk = MemDisk::with(&[]);
    let host = TestHost::new(&disk);
    let quotes = file_sink("out").format(Csv::new().delimiter(b'"'));
    let opened = host.run(Sink::<u64>::open(quotes, host.sink_cx(None, 1))).expect("no crash");
    assert_eq!(opened.map(|_| ()).expect_err("it is taken").kind(), ErrorKind::Config);
}

#[test]
fn records_go_into_the_directories_of_their_partitions() {
    let mut job = Job::new(file_sink("out").csv().partition_by(by_day));
    job.write([flight(1, "LAX", None), flight(2, "JFK", None), flight(1, "SFO", None)]).expect("writes");
    job.commit(1);
    job.write([flight(2, "LAX", None)]).expect("writes");
    job.commit(2);
    job.disk.restart(false);
    let expected = [
        ("year=2013/day=1/0000000001-000-000000.csv", "day,dest,delay\n1,LAX,\n1,SFO,\n"),
        ("year=2013/day=2/0000000001-000-000001.csv", "day,dest,delay\n2,JFK,\n"),
        ("year=2013/day=2/0000000002-000-000000.csv", "day,dest,delay\n2,LAX,\n"),
    ];
    assert_eq!(pairs(&job.visible()), expected);
}

#[test]
fn a_partition_with_another_name_than_of_keys_and_values_is_refused() {
    let bad = [
        "",
        "day",
        "/day=1",
        "day=1/",
        "a=1/../b=2",
        "..",
        "a=../b",
        "=1",
        "day=",
        ".day=1",
        "_day=1",
        "a=1\\b",
        "a=\0",
        "a=1//b=2",
    ];
    let long = format!("a={}", "x".repeat(254));
    let deep = ["a=1"; 9].join("/");
    for name in bad.into_iter().map(str::to_owned).chain([long, deep]) {
        let named = name.clone();
        let mut job = Job::new(file_sink("out").partition_by(move |_: &u64| named.clone()));
        let error = job.write([1]).expect_err(&name);
        assert_eq!(error.kind(), ErrorKind::Sink, "{error}");
        assert!(
            error.to_string().starts_with(&format!("out: no directory can be called {name:?}")),
            "{error}"
        );
    }
    let mut job = Job::new(file_sink("out").partition_by(|_: &u64| "a=..".to_owned()));
    job.write([1]).expect("two dots are a value like another");
}

#[test]
fn a_file_that_is_large_enough_is_followed_by_another_and_both_wait_for_the_checkpoint() {
    let mut job = Job::new(file_sink("out").format(Counted).roll_at(4));
    job.write(0..5).expect("writes");
    let prepared = job.pre_commit(1);
    assert_eq!(prepared["files"].as_array().map(Vec::len), Some(3));
    assert!(job.visible().is_empty());
    job.write([5]).expect("writes");
    job.host.run(job.writer.commit(1)).expect("no crash").expect("commits");
    let expected = [
        ("0000000001-000-000000.counted", "0\n1\n# 2\n"),
        ("0000000001-000-000001.counted", "2\n3\n# 2\n"),
        ("0000000001-000-000002.counted", "4\n# 1\n"),
    ];
    assert_eq!(pairs(&job.visible()), expected);
}

#[test]
fn no_more_files_are_open_than_allowed_and_that_of_the_longest_ago_is_ended() {
    let sink = file_sink("out").format(Counted).open_files(2).partition_by(|n: &u64| format!("n={}", n % 10));
    let mut job = Job::new(sink);
    // The file of 1 ends as 3 comes, that of 2 as 1 comes again.
    job.write([1, 2, 1, 2, 1, 2, 3, 11, 3]).expect("writes");
    job.commit(1);
    let texts: Vec<_> = job.visible().into_iter().collect();
    let text = |name: &str, text: &str| (name.to_owned(), text.to_owned());
    let expected = [
        text("n=1/0000000001-000-000000.counted", "1\n1\n1\n# 3\n"),
        text("n=1/0000000001-000-000002.counted", "11\n# 1\n"),
        text("n=2/0000000001-000-000001.counted", "2\n2\n2\n# 3\n"),
        text("n=3/0000000001-000-000003.counted", "3\n3\n# 2\n"),
    ];
    assert_eq!(texts, expected);
    job.write(0..1000).expect("writes");
    job.commit(2);
    assert_eq!(job.visible().len(), 4 + 1000);
    assert!(job.disk.most_open() <= 2, "{} files were open", job.disk.most_open());
}

#[test]
fn a_file_goes_on_across_checkpoints_until_it_is_large_enough() {
    let mut job = Job::new(file_sink("out").across_checkpoints().roll_at(8));
    for epoch in 1..=6 {
        job.write([epoch]).expect("writes");
        job.commit(epoch);
    }
    assert_eq!(pairs(&job.visible()), [("0000000004-000-000000.ndjson", "1\n2\n3\n4\n")]);
    let files = job.pre_commit(7)["files"].clone();
    assert_eq!((&files[0]["bytes"], &files[0]["records"]), (&json!(4), &json!(2)));
    job.writer.drained();
    job.commit(8);
    let last = ("0000000008-000-000000.ndjson", "5\n6\n");
    assert_eq!(pairs(&job.visible()), [("0000000004-000-000000.ndjson", "1\n2\n3\n4\n"), last]);
}

#[test]
fn a_file_goes_on_across_checkpoints_until_it_is_old_enough() {
    let age = Duration::from_secs(60);
    let sink = file_sink("out").across_checkpoints().roll_after(age);
    let mut job = Job::new(sink.partition_by(|n: &u64| format!("parity={}", n % 2)));
    job.write([1]).expect("writes");
    job.commit(1);
    job.host.now.set(Duration::from_secs(59));
    job.write([2, 3]).expect("writes");
    job.commit(2);
    assert!(job.visible().is_empty());
    job.host.now.set(age);
    job.commit(3);
    assert_eq!(pairs(&job.visible()), [("parity=1/0000000003-000-000000.ndjson", "1\n3\n")]);
}

#[test]
fn across_checkpoints_needs_an_end() {
    let disk = MemDisk::with(&[]);
    let host = TestHost::new(&disk);
    let endless = file_sink("out").across_checkpoints();
    let opened = host.run(Sink::<u64>::open(endless, host.sink_cx(None, 1))).expect("no crash");
    let error = opened.map(|_| ()).expect_err("it would never end");
    assert_eq!(error.kind(), ErrorKind::Config, "{error}");
}

fn recover(disk: &Rc<MemDisk>, epoch: u64, pending: &Json) -> millstream::Result<()> {
    let host = TestHost::new(disk);
    let prepared = vec![Prepared { shard: 0, epoch, pending: pending.clone() }];
    let cx = host.sink_cx(Some(epoch), 100);
    host.run(Sink::<u64>::recover(file_sink("out"), cx, prepared)).expect("no crash was asked for")
}

#[test]
fn an_open_file_is_cut_where_its_checkpoint_saw_it_end() {
    let mut job = Job::new(file_sink("out").across_checkpoints().roll_at(100));
    job.write([1, 2]).expect("writes");
    let pending = job.pre_commit(1);
    job.write([3]).expect("writes");
    job.pre_commit(2);
    for _ in 0..3 {
        recover(&job.disk, 1, &pending).expect("recovers");
        job.disk.restart(false);
        let all: Vec<_> = job.disk.tree("out").into_iter().collect();
        assert_eq!(all, [("0000000001-000-000000.ndjson".to_owned(), "1\n2\n".to_owned())]);
    }
}

#[test]
fn an_open_file_that_is_damaged_is_refused() {
    let mut job = Job::new(file_sink("out").across_checkpoints().roll_at(100));
    job.write([1, 2]).expect("writes");
    let pending = job.pre_commit(1);
    let name = job.disk.names("out").remove(0);
    job.disk.put(&format!("out/{name}"), b"1\n9\n3\n");
    let error = recover(&job.disk, 1, &pending).expect_err("it is damaged");
    assert_eq!(error.kind(), ErrorKind::Restore, "{error}");
    assert!(error.to_string().contains("first 4 bytes are not those that the checkpoint knows"), "{error}");
    job.disk.put(&format!("out/{name}"), b"1\n");
    let error = recover(&job.disk, 1, &pending).expect_err("it is cut short");
    assert!(error.to_string().contains("has 2 bytes, but the checkpoint says 4"), "{error}");
}

#[test]
fn the_output_of_another_run_is_found_in_partitions_too() {
    let disk = MemDisk::with(&[("out/year=2013/day=1/0000000009-000-000000.csv", b"1\n")]);
    let error = recover(&disk, 8, &json!({ "dir": "out", "files": [] })).expect_err("it is of epoch 9");
    assert!(error.to_string().contains("holds output of epoch 9 (year=2013/day=1/0000000009"), "{error}");
    let disk = MemDisk::with(&[("out/notes/0000000009-000.csv", b"1\n"), ("out/2013-01.csv", b"")]);
    recover(&disk, 8, &json!({ "dir": "out", "files": [] })).expect("these are no output");
}

#[test]
fn a_checkpoint_cannot_name_partitions_outside_of_the_directory() {
    let disk = MemDisk::with(&[("secret", b"1\n")]);
    for name in [
        "../0000000001-000.csv",
        "/0000000001-000.csv",
        "a=1/../../0000000001-000.csv",
        "a/0000000001-000.csv",
    ] {
        let file = json!({ "name": name, "pending": ".pending-1-1-1.csv", "bytes": 2, "records": 1 });
        let error = recover(&disk, 1, &json!({ "dir": "out", "files": [file] })).expect_err("it leads out");
        assert!(error.to_string().contains("bad names"), "{error}");
    }
}
