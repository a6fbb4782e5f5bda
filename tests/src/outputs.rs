//! The records that are written to files of every kind, and how they are read back.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use millstream_parquet::Parquet;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::RowAccessor;
use serde::{Deserialize, Serialize};

use crate::example::visible;

/// How many stations there are.
pub const STATIONS: u64 = 5;

/// A record.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Reading {
    /// From 0.
    pub n: u64,
    /// The partition.
    pub station: u32,
    /// Of some length.
    pub text: String,
    /// Often there is none.
    pub value: Option<i64>,
}

/// The record with a number.
pub fn reading(n: u64) -> Reading {
    let text = "x".repeat((n % 40) as usize);
    // Stations follow each other, as days do.
    Reading {
        n,
        station: (n / 1000 % STATIONS) as u32,
        text,
        value: (!n.is_multiple_of(3)).then_some(n as i64 - 500),
    }
}

/// The format of those files.
pub fn format() -> Parquet {
    Parquet::of::<Reading>().row_group_bytes(100_000)
}

/// The visible files below a directory.
///
/// # Panics
/// If they cannot be listed.
pub fn below(dir: &Path) -> Vec<PathBuf> {
    visible(dir).into_iter().flat_map(|path| if path.is_dir() { below(&path) } else { vec![path] }).collect()
}

/// The records in the visible files below a directory, by their numbers. Each kind of file is told by its name.
///
/// # Panics
/// If a file is not whole, or a record lies in the partition of another.
pub fn read(dir: &Path) -> Vec<Reading> {
    let mut readings = Vec::new();
    for path in below(dir) {
        let read = match path.extension().and_then(|extension| extension.to_str()) {
            Some("parquet") => read_parquet(&path),
            Some("csv") => read_csv(&path),
            _ => read_lines(&path),
        };
        let partition = path.parent().and_then(|dir| dir.file_name()).unwrap_or_default();
        let place = partition.to_str().and_then(|name| name.strip_prefix("place="));
        for reading in &read {
            assert!(
                place.is_none_or(|of| of == reading.station.to_string()),
                "{}: {reading:?}",
                path.display()
            );
        }
        readings.extend(read);
    }
    readings.sort();
    readings
}

fn read_parquet(path: &Path) -> Vec<Reading> {
    let file = File::open(path).expect("a visible file can be opened");
    let reader =
        SerializedFileReader::new(file).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let rows = reader.get_row_iter(None).expect("the file has rows");
    let decode = |row: parquet::errors::Result<parquet::record::Row>| {
        let row = row.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Reading {
            n: row.get_ulong(0).expect("a number"),
            station: row.get_uint(1).expect("a number"),
            text: row.get_string(2).expect("a text").clone(),
            value: row.get_long(3).ok(),
        }
    };
    rows.map(decode).collect()
}

fn read_csv(path: &Path) -> Vec<Reading> {
    let text = fs::read_to_string(path).expect("a visible file is text");
    let mut lines = text.split_inclusive('\n');
    assert_eq!(lines.next(), Some("n,station,text,value\n"), "{}", path.display());
    let decode = |line: &str| {
        let fields: Vec<_> = line.strip_suffix('\n').expect("a whole line").split(',').collect();
        let [n, station, text, value] = fields[..] else { panic!("{}: {line:?}", path.display()) };
        let number = |text: &str| text.parse().expect("a number");
        let value = (!value.is_empty()).then(|| value.parse().expect("a number"));
        Reading { n: number(n), station: number(station) as u32, text: text.to_owned(), value }
    };
    lines.map(decode).collect()
}

fn read_lines(path: &Path) -> Vec<Reading> {
    let text = fs::read_to_string(path).expect("a visible file is text");
    let decode =
        |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.lines().map(decode).collect()
}
