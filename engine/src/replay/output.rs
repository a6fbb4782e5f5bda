//! The directory that a replay writes into.

use std::fs;
use std::io::{self, LineWriter, Write};
use std::path::{Path, PathBuf};

use super::report::ReplayReport;
use crate::error::{Error, ErrorKind, Result};

/// A directory of the replay's own.
pub(super) struct Output(PathBuf);

impl Output {
    /// Makes it, if there is none.
    ///
    /// # Errors
    /// If it is not empty, or cannot be made.
    pub(super) fn make(path: &Path) -> Result<Output> {
        let made = fs::create_dir_all(path).and_then(|()| fs::read_dir(path)?.next().transpose());
        match made.map_err(|error| unwritten(path, error))? {
            None => Ok(Output(path.to_owned())),
            Some(entry) => {
                let (path, name) = (path.display(), entry.file_name().display().to_string());
                let message =
                    format!("{path}: is not empty, it holds `{name}`; a replay needs a directory of its own");
                Err(Error::new(ErrorKind::Config, message))
            }
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// Where rows go.
    ///
    /// # Errors
    /// If the file cannot be made.
    pub(super) fn rows(&self) -> Result<Box<dyn Write + Send>> {
        let path = self.0.join("rows.ndjson");
        let file = fs::File::create_new(&path).map_err(|error| unwritten(&path, error))?;
        // Whole rows: a debugger may end the process.
        Ok(Box::new(LineWriter::new(file)))
    }

    /// Nothing was replayed: the directory can be used again.
    pub(super) fn clear(self) {
        // If it is left, the next replay says so.
        let _ = fs::remove_file(self.0.join("rows.ndjson"));
    }

    /// # Errors
    /// If the report cannot be written.
    pub(super) fn write(&self, report: &ReplayReport) -> Result<()> {
        let path = self.0.join("report.json");
        let json = serde_json::to_string_pretty(report).expect("a report has string keys only");
        fs::write(&path, format!("{json}\n")).map_err(|error| unwritten(&path, error))
    }
}

fn unwritten(path: &Path, error: io::Error) -> Error {
    Error::new(ErrorKind::Sink, format!("{}: the replay cannot write there", path.display())).caused_by(error)
}
