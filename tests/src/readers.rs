//! What was written, as lines of JSON: read by others than those who wrote it, where there are any.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use millstream::prelude::*;
use millstream::source::topic_with;
use parquet::file::reader::{FileReader, SerializedFileReader};

use crate::example::visible;
use crate::flights::repository;

/// What is not on this machine, and who it would have been: on standard error, also of a test that succeeds.
pub fn skipped(what: &str) {
    let said = format!("SKIPPED: {what}\n");
    std::io::stderr().write_all(said.as_bytes()).expect("standard error can be written");
}

/// The values of a topic's committed records, partition by partition, by a program that knows `storage/FORMAT.md` and
/// nothing else; `None` where there is no Python.
///
/// # Panics
/// If the topic cannot be read.
pub fn topic_by_format(dir: &Path) -> Option<Vec<String>> {
    static THERE: OnceLock<bool> = OnceLock::new();
    let there = THERE.get_or_init(|| {
        let there = Command::new("python3").arg("--version").output().is_ok_and(|said| said.status.success());
        if !there {
            skipped("there is no python3: topics are read by Millstream alone");
        }
        there
    });
    there.then(|| script("python3".as_ref(), "read_topic.py", dir))
}

/// The rows of the Parquet files below a directory, in the order of the files' names, by Arrow's C++ library; `None` where
/// it cannot be installed.
///
/// # Panics
/// If they cannot be read.
pub fn parquet_by_arrow(dir: &Path) -> Option<Vec<String>> {
    static PYTHON: OnceLock<Option<PathBuf>> = OnceLock::new();
    let python = PYTHON.get_or_init(|| {
        let install = repository().join("tests/readers/install");
        let said = Command::new(install).output().ok().filter(|said| said.status.success());
        let python = said.map(|said| PathBuf::from(String::from_utf8_lossy(&said.stdout).trim()));
        if python.is_none() {
            skipped("tests/readers/install finds no pyarrow: Parquet files are read by the crate that wrote them alone");
        }
        python
    });
    python.as_ref().map(|python| script(python, "read_parquet.py", dir))
}

/// What a script prints about a directory.
fn script(python: &Path, name: &str, dir: &Path) -> Vec<String> {
    let script = repository().join("tests/readers").join(name);
    let said = Command::new(python).arg(script).arg(dir).output().expect("Python can be started");
    let Output { status, stdout, stderr } = said;
    assert!(status.success(), "{name} {}: {}", dir.display(), String::from_utf8_lossy(&stderr));
    let text = String::from_utf8(stdout).expect("it prints text");
    text.lines().map(str::to_owned).collect()
}

/// The values of a topic's committed records, read by a job.
///
/// # Panics
/// If the topic cannot be read.
pub fn topic_by_job(dir: &Path) -> Vec<String> {
    let (sink, values) = collect();
    let job = Job::new("read");
    let text = |record: &millstream::topic::Record<'_>| {
        String::from_utf8(record.value.to_vec()).map_err(|error| error.to_string())
    };
    job.source("topic", topic_with(dir, text)).sink("values", sink);
    job.run(Config::new().cores(1)).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    values.take()
}

/// The rows of the Parquet files below a directory, by the crate that wrote them.
///
/// # Panics
/// If they cannot be read.
pub fn parquet_by_crate(dir: &Path) -> Vec<String> {
    let rows = |path: &PathBuf| {
        let file = File::open(path).expect("a visible file can be opened");
        let reader =
            SerializedFileReader::new(file).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let rows = reader.get_row_iter(None).expect("the file has rows");
        let line = |row: parquet::errors::Result<parquet::record::Row>| {
            let row = row.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            object(row.get_column_iter().map(|(name, value)| (name.as_str(), value.to_string())))
        };
        rows.map(line).collect::<Vec<_>>()
    };
    below(dir).iter().flat_map(rows).collect()
}

/// The rows of the CSV files below a directory, whose values are all numbers.
///
/// # Panics
/// If a file is not whole.
pub fn csv(dir: &Path) -> Vec<String> {
    let rows = |path: &PathBuf| {
        let text = fs::read_to_string(path).expect("a visible file is text");
        assert!(text.ends_with('\n'), "{}: ends in a line", path.display());
        let mut lines = text.lines();
        let header: Vec<_> = lines.next().expect("a file has a header").split(',').collect();
        let row = |line: &str| {
            let values = line.split(',').map(|value| if value.is_empty() { "null" } else { value });
            object(header.iter().copied().zip(values.map(str::to_owned)))
        };
        lines.map(row).collect::<Vec<_>>()
    };
    below(dir).iter().flat_map(rows).collect()
}

/// The lines of the files below a directory.
///
/// # Panics
/// If a file is not whole.
pub fn lines(dir: &Path) -> Vec<String> {
    let lines = |path: &PathBuf| {
        let text = fs::read_to_string(path).expect("a visible file is text");
        assert!(text.ends_with('\n'), "{}: ends in a line", path.display());
        text.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    below(dir).iter().flat_map(lines).collect()
}

/// A line of JSON, of values that need no quotes.
fn object<'a>(fields: impl Iterator<Item = (&'a str, String)>) -> String {
    let fields: Vec<_> = fields.map(|(name, value)| format!("\"{name}\":{value}")).collect();
    format!("{{{}}}", fields.join(","))
}

/// The visible files below a directory in the order of their names, which is that of their records.
///
/// # Panics
/// If they cannot be listed.
pub fn below(dir: &Path) -> Vec<PathBuf> {
    let inside = |path: PathBuf| if path.is_dir() { below(&path) } else { vec![path] };
    let mut files: Vec<_> = visible(dir).into_iter().flat_map(inside).collect();
    files.sort_by_key(|path| path.file_name().map(ToOwned::to_owned));
    files
}
