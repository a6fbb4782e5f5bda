//! Files of NDJSON: the same records and positions however they are stored and however they arrive.

use std::io::Write;
use std::rc::Rc;

use millstream::source::{FileSource, Polled, Source, file, files};
use proptest::prelude::*;
use serde::Deserialize;
use serde_json::{Value as Json, json};

use crate::support::disk::MemDisk;
use crate::support::{Positions, open, read};

const FLIGHTS: &[u8] = include_bytes!("../../examples/data/flights-2013-01.ndjson.gz");

/// Every kind of line: CR LF, blank, broken, not UTF-8, no end.
const LINES: &[u8] =
    b"\xef\xbb\xbf{\"a\":1}\r\n\n  \r\n[2]\nnot json\n\"\xff\"\n\"four\"\n\n{\"a\":[5, 6]}\n\n7";

#[derive(Clone, Debug, PartialEq, Deserialize)]
struct Flight {
    seen_at: i64,
    scheduled_at: i64,
    carrier: String,
    flight: u32,
    tailnum: Option<String>,
    origin: String,
    dest: String,
    dep_delay: Option<i32>,
    arr_delay: Option<i32>,
    distance: u32,
}

/// Several members.
pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let member = |bytes: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).expect("memory takes all");
        encoder.finish().expect("memory takes all")
    };
    let (first, second) = bytes.split_at(bytes.len() / 3);
    [member(first), member(b""), member(second)].concat()
}

/// Several frames.
pub fn zstd(bytes: &[u8]) -> Vec<u8> {
    let frame = |bytes: &[u8]| zstd::encode_all(bytes, 1).expect("memory takes all");
    let (first, second) = bytes.split_at(bytes.len() / 3);
    [frame(first), frame(b""), frame(second)].concat()
}

fn disk_with_lines() -> Rc<MemDisk> {
    MemDisk::with(&[("plain", LINES), ("gzip", &gzip(LINES)), ("zstd", &zstd(LINES))])
}

/// A record or the offset of a dead letter, and the position behind it.
type Trace = Vec<(Json, Json)>;

/// Reads record by record.
fn trace(disk: &Rc<MemDisk>, source: FileSource<Json>) -> Trace {
    let mut shard = open(disk, source, (0, 1), &Positions::new()).expect("opens");
    let mut trace = Vec::new();
    while shard.poll(1).expect("reads") != Polled::End {
        let position = shard.reader.positions().into_values().next().expect("one split");
        let records = shard.out.records.drain(..);
        let poison = shard.out.poison.drain(..);
        trace.extend(
            records
                .chain(poison.map(|letter| json!({ "dead at": letter.offset })))
                .map(|r| (r, position.clone())),
        );
    }
    trace
}

#[test]
fn flights_are_the_same_plain_gzip_and_zstd() {
    let plain = {
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(FLIGHTS), &mut bytes).expect("whole");
        bytes
    };
    let disk = MemDisk::with(&[
        ("one.gz", FLIGHTS),
        ("many", &gzip(&plain)),
        ("frames", &zstd(&plain)),
        ("plain", &plain),
    ]);
    let (flights, poison) = read(&disk, file::<Flight>("plain"), &Positions::new()).expect("reads");
    assert_eq!((flights.len(), poison.len()), (26_820, 0));
    assert_eq!(flights[0].tailnum.as_deref(), Some("N14228"));
    for other in ["one.gz", "many", "frames"] {
        let (same, _) = read(&disk, file::<Flight>(other), &Positions::new()).expect("reads");
        assert!(same == flights, "{other}");
    }
}

#[test]
fn any_poll_size_and_read_size_gives_the_same_records_and_positions() {
    let disk = disk_with_lines();
    let expected = trace(&disk, file("plain"));
    assert_eq!(expected.len(), 7);
    for (name, read_size) in ["plain", "gzip", "zstd"].into_iter().flat_map(|n| (1..40).map(move |s| (n, s)))
    {
        assert_eq!(trace(&disk, file(name).read_size(read_size)), expected, "{name} by {read_size}");
        for max in [2, 3, 100] {
            let mut shard = open(&disk, file::<Json>(name).read_size(read_size), (0, 1), &Positions::new())
                .expect("opens");
            while let Polled::Split(_) = shard.poll(max).expect("reads") {
                let count = shard.out.records.len() + shard.out.poison.len();
                assert_eq!(
                    shard.reader.positions()[name],
                    expected[count - 1].1,
                    "{name} by {read_size}, {max}"
                );
            }
        }
    }
}

#[test]
fn a_restart_behind_any_record_gives_the_rest() {
    let disk = disk_with_lines();
    for name in ["plain", "gzip", "zstd"] {
        let all = trace(&disk, file(name));
        for (behind, (_, position)) in all.iter().enumerate() {
            let restored = Positions::from([(name.to_owned(), position.clone())]);
            let mut shard = open(&disk, file::<Json>(name).read_size(5), (0, 1), &restored).expect("opens");
            shard.drain(2).expect("reads");
            let rest: Vec<_> = all[behind + 1..].iter().map(|(record, _)| record).collect();
            let records: Vec<_> =
                rest.iter().filter(|record| record.get("dead at").is_none()).copied().collect();
            assert_eq!(shard.out.records.iter().collect::<Vec<_>>(), records);
            assert_eq!(shard.out.poison.len(), rest.len() - records.len());
        }
    }
}

#[test]
fn a_record_that_cannot_be_decoded_is_reported_with_its_place() {
    let (_, poison) = read(&disk_with_lines(), file::<Json>("gzip"), &Positions::new()).expect("reads");
    assert_eq!(poison.len(), 2);
    let (json, utf8) = (&poison[0], &poison[1]);
    assert_eq!((json.split.as_str(), json.offset, json.line), ("gzip", 21, Some(5)));
    assert_eq!((json.record.as_str(), json.reason.as_str()), ("not json", "expected ident at column 2"));
    assert_eq!((utf8.offset, utf8.line, utf8.record.as_str()), (30, Some(6), "\"\u{fffd}\""));
    assert!(utf8.reason.starts_with("not UTF-8"), "{}", utf8.reason);
}

#[test]
fn a_line_beyond_the_allowed_length_is_one_dead_letter_whatever_the_read_size() {
    let text = format!("[1]\n\"{}\"\n[3]\n\"{}", "x".repeat(300), "y".repeat(300));
    let disk = MemDisk::with(&[("lines", text.as_bytes())]);
    for read_size in [1, 7, 64, 1000] {
        let source = file::<Json>("lines").max_record(100).read_size(read_size);
        let (records, poison) = read(&disk, source, &Positions::new()).expect("reads");
        assert_eq!(records, [json!([1]), json!([3])]);
        let places: Vec<_> = poison.iter().map(|p| (p.offset, p.line, p.record.len())).collect();
        assert_eq!(places, [(4, Some(2), 100), (311, Some(4), 100)]);
        assert_eq!(poison[0].reason, "longer than the allowed 100 bytes");
    }
}

#[test]
fn a_compressed_file_cut_short_anywhere_is_an_error_that_names_it() {
    let lines = b"[1]\n[2]\n[3]\n";
    let one_gzip = {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(lines).expect("memory takes all");
        encoder.finish().expect("memory takes all")
    };
    let one_zstd = zstd::encode_all(&lines[..], 1).expect("memory takes all");
    for (name, bytes) in [("in.gz", one_gzip), ("in.zst", one_zstd)] {
        for cut in 0..bytes.len() {
            let disk = MemDisk::with(&[(name, &bytes[..cut])]);
            let error = read(&disk, file::<Json>(name), &Positions::new()).expect_err("cut short");
            assert!(error.to_string().starts_with(name), "{cut}: {error}");
        }
    }
}

#[test]
fn a_directory_stands_for_its_visible_files_in_order() {
    let disk = MemDisk::with(&[("in/b", b"2\n"), ("in/a", b"1\n"), ("in/.hidden", b"x"), ("in/sub/c", b"x")]);
    let source = || files::<u8>(["in", "in/b"]);
    let shard = |k| open(&disk, source(), (k, 2), &Positions::new()).expect("opens");
    assert_eq!(
        (shard(0).reader.splits(), shard(1).reader.splits()),
        (&["in/a".into()][..], &["in/b".into()][..])
    );
    assert_eq!(read(&disk, source(), &Positions::new()).expect("reads").0, [1, 2]);
}

#[test]
fn a_path_that_names_nothing_is_an_error() {
    let error = read(&MemDisk::with(&[]), file::<u8>("nowhere"), &Positions::new()).expect_err("missing");
    assert!(error.to_string().starts_with("nowhere: cannot read it"), "{error}");
}

#[test]
fn few_of_many_files_are_open_and_they_advance_together() {
    let names: Vec<_> = (0..100).map(|k| format!("in/{k:03}")).collect();
    let contents: Vec<_> = names.iter().map(|name| (name.as_str(), &b"1\n2\n3\n"[..])).collect();
    let disk = MemDisk::with(&contents);
    let mut shard = open(&disk, file::<u8>("in").open_files(4), (0, 1), &Positions::new()).expect("opens");
    shard.drain(1).expect("reads");
    assert_eq!(shard.out.records.len(), 300);
    assert_eq!(disk.most_open(), 4);
    assert_eq!(shard.out.records.iter().take(8).filter(|&&record| record == 1).count(), 4);
}

#[test]
fn a_reader_says_what_it_reads() {
    assert_eq!(Source::<u8>::describe(&files::<u8>(["a", "b"])), "files a, b");
}

proptest! {
    /// The splitter agrees with splitting the whole at once.
    #[test]
    fn lines_do_not_depend_on_where_chunks_end(
        bytes in proptest::collection::vec(prop_oneof![3 => Just(b'\n'), 1 => Just(b'\r'), 6 => Just(b'1'), 1 => Just(b'x'), 1 => Just(b' ')], 0..200),
        read_size in 1usize..50,
        max in 1usize..10,
    ) {
        let disk = MemDisk::with(&[("in", &bytes)]);
        let source = file::<Json>("in").read_size(read_size).max_record(20);
        let mut shard = open(&disk, source, (0, 1), &Positions::new()).expect("opens");
        shard.drain(max).expect("reads");
        let lines: Vec<_> = bytes.split(|&byte| byte == b'\n').filter(|line| line.len() > 20 || !line.trim_ascii().is_empty()).collect();
        let good = |line: &&[u8]| line.len() <= 20 && serde_json::from_slice::<Json>(line).is_ok();
        let records: Vec<Json> = lines.iter().copied().filter(good).map(|line| serde_json::from_slice(line).expect("good")).collect();
        prop_assert_eq!(&shard.out.records, &records);
        prop_assert_eq!(shard.out.poison.len(), lines.len() - records.len());
        let position = &shard.reader.positions()["in"];
        prop_assert_eq!(&position["offset"], &json!(bytes.len()));
    }
}
