//! Files of CSV.

use millstream::source::{Polled, file};
use proptest::prelude::*;
use serde::Deserialize;

use crate::support::disk::MemDisk;
use crate::support::{Positions, open, read};

#[derive(Clone, Debug, PartialEq, Deserialize)]
struct Row {
    name: String,
    count: Option<u32>,
}

const ROWS: &[u8] =
    b"\r\ncount,name,extra\r\n1,a,\r\n\r\n2,\"b \"\"b\"\"\r\nb, b\",x\r\n,c,\nthree,d,\n4,e\n5,\"f\",";

fn row(name: &str, count: impl Into<Option<u32>>) -> Row {
    Row { name: name.to_owned(), count: count.into() }
}

#[test]
fn rows_are_decoded_by_the_header_and_bad_ones_are_reported_with_their_place() {
    let disk = MemDisk::with(&[("in.csv", ROWS)]);
    for read_size in 1..60 {
        let source = file::<Row>("in.csv").csv().read_size(read_size);
        let (rows, poison) = read(&disk, source, &Positions::new()).expect("reads");
        assert_eq!(rows, [row("a", 1), row("b \"b\"\r\nb, b", 2), row("c", None), row("f", 5)]);
        let places: Vec<_> = poison.iter().map(|p| (p.offset, p.line, p.record.as_str())).collect();
        assert_eq!(places, [(53, Some(8), "three,d,"), (62, Some(9), "4,e")], "by {read_size}");
        assert_eq!(poison[1].reason, "2 fields, but the header row has 3");
    }
}

#[test]
fn a_restart_behind_any_row_gives_the_rest() {
    let disk = MemDisk::with(&[("in.csv", ROWS)]);
    let (all, _) = read(&disk, file::<Row>("in.csv").csv(), &Positions::new()).expect("reads");
    for read_size in [1, 2, 3, 1000] {
        let mut shard = open(&disk, file::<Row>("in.csv").csv(), (0, 1), &Positions::new()).expect("opens");
        while shard.poll(1).expect("reads") != Polled::End {
            let behind = shard.out.records.len();
            let source = file::<Row>("in.csv").csv().read_size(read_size);
            let (rest, _) = read(&disk, source, &shard.reader.positions()).expect("reads");
            assert_eq!(rest, all[behind..]);
        }
    }
}

#[test]
fn positions_do_not_depend_on_the_read_size() {
    let disk = MemDisk::with(&[("in.csv", ROWS)]);
    let positions = |read_size| {
        let source = file::<Row>("in.csv").csv().read_size(read_size);
        let mut shard = open(&disk, source, (0, 1), &Positions::new()).expect("opens");
        let mut positions = Vec::new();
        while shard.poll(1).expect("reads") != Polled::End {
            positions.push(shard.reader.positions());
        }
        positions
    };
    let expected = positions(1000);
    // Behind the line feed of the first row, not between it and its carriage return.
    assert_eq!((&expected[0]["in.csv"]["offset"], &expected[0]["in.csv"]["line"]), (&26.into(), &3.into()));
    for read_size in 1..60 {
        assert_eq!(positions(read_size), expected, "by {read_size}");
    }
}

#[test]
fn a_row_beyond_the_allowed_length_is_one_dead_letter_whatever_the_read_size() {
    let text = format!("name,count\na,1\n\n\"{}\",2\nc,3\n", "x\n".repeat(100));
    let disk = MemDisk::with(&[("in.csv", text.as_bytes())]);
    for read_size in [1, 7, 64, 1000] {
        let source = file::<Row>("in.csv").csv().max_record(50).read_size(read_size);
        let (rows, poison) = read(&disk, source, &Positions::new()).expect("reads");
        assert_eq!(rows, [row("a", 1), row("c", 3)]);
        let places: Vec<_> = poison.iter().map(|p| (p.offset, p.line, p.record.len())).collect();
        assert_eq!(places, [(16, Some(4), 50)]);
    }
}

#[test]
fn a_header_row_that_is_no_text_is_an_error() {
    let disk = MemDisk::with(&[("in.csv", b"\xff\xfe,\n1,2\n")]);
    let error = read(&disk, file::<Row>("in.csv").csv(), &Positions::new()).expect_err("no header");
    assert!(error.to_string().starts_with("in.csv: the header row is not UTF-8"), "{error}");
}

proptest! {
    /// The splitter agrees with the `csv` crate given the whole at once.
    #[test]
    fn rows_do_not_depend_on_where_chunks_end(
        text in "[ab,\"\r\n]{0,100}",
        read_size in 1usize..30,
        max in 1usize..10,
    ) {
        let disk = MemDisk::with(&[("in", text.as_bytes())]);
        let source = file::<Vec<String>>("in").csv().read_size(read_size);
        let mut shard = open(&disk, source, (0, 1), &Positions::new()).expect("opens");
        shard.drain(max).expect("reads");
        let mut whole = csv::ReaderBuilder::new().flexible(true).from_reader(text.as_bytes());
        let fields = whole.headers().expect("text").len();
        let rows: Vec<Vec<String>> = whole.deserialize().map(|row| row.expect("text")).collect();
        let good: Vec<_> = rows.iter().filter(|row| row.len() == fields).cloned().collect();
        prop_assert_eq!(&shard.out.records, &good);
        prop_assert_eq!(shard.out.poison.len(), rows.len() - good.len());
        prop_assert_eq!(&shard.reader.positions()["in"]["offset"], &serde_json::json!(text.len()));
    }
}
