//! Flights to test with: January from the repository, or more made of it.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;

/// The departures of January 2013, in the order in which they were seen.
pub fn january() -> PathBuf {
    repository().join("engine/examples/data/flights-2013-01.ndjson.gz")
}

/// The root of the repository.
pub fn repository() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().expect("the tests have a folder in the repository").to_owned()
}

/// The text of a file, decompressed if its name ends with `.gz`.
///
/// # Panics
/// If it cannot be read.
pub fn text(path: &Path) -> String {
    let bytes = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    if path.extension().is_none_or(|extension| extension != "gz") {
        return String::from_utf8(bytes).expect("flights are text");
    }
    let mut text = String::new();
    MultiGzDecoder::new(&bytes[..]).read_to_string(&mut text).expect("flights are gzip and text");
    text
}

/// Writes January `times` times over, each copy 31 days later than the one before.
///
/// # Errors
/// If the file cannot be written.
pub fn write_long(path: &Path, times: i64) -> io::Result<()> {
    let january = text(&january());
    let mut out = io::BufWriter::new(File::create(path)?);
    for copy in 0..times {
        for line in january.lines() {
            let line = shifted(&shifted(line, "seen_at", copy), "scheduled_at", copy);
            writeln!(out, "{line}")?;
        }
    }
    out.flush()
}

/// A line with one of its times `copy` times 31 days later.
fn shifted(line: &str, field: &str, copy: i64) -> String {
    let at = line.find(&format!("\"{field}\":")).expect("every flight has it") + field.len() + 3;
    let end = at + line[at..].find([',', '}']).expect("a number ends");
    let time: i64 = line[at..end].parse().expect("a time is a number");
    format!("{}{}{}", &line[..at], time + copy * 31 * 86_400_000, &line[end..])
}
