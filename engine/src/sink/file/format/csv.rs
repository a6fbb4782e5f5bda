//! Comma-separated values (RFC 4180).

use std::cell::RefCell;
use std::io::{self, Write};
use std::rc::Rc;

use serde::Serialize;

use super::{Appendable, Encoder, Format};
use crate::error::{Error, ErrorKind, Result};
use crate::sink::show_record;

/// Comma-separated values, in UTF-8: a record is a struct of plain values, or a tuple, and every file begins with a row
/// of the struct's field names unless told otherwise. Rows end with a line feed; values are in quotes where needed; `None`
/// is empty. The [source](crate::source::FileSource::csv) reads it.
///
/// ```
/// # use millstream::prelude::*;
/// use millstream::sink::{Csv, file_sink};
/// # let dir = tempfile::tempdir().unwrap();
/// # let out = dir.path().join("out");
///
/// let job = Job::new("doc");
/// let rows = from_vec(vec![("LAX", Some(7)), ("JFK, NY", None)]);
/// job.source("rows", rows).sink("out", file_sink(&out).format(Csv::new().without_header().delimiter(b';')));
/// job.run(Config::new().cores(1).checkpoint_at_end_only())?;
/// assert_eq!(std::fs::read_to_string(out.join("0000000001-000.csv"))?, "LAX;7\nJFK, NY;\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Csv {
    header: bool,
    delimiter: u8,
}

impl Csv {
    /// With commas and a header row.
    pub fn new() -> Csv {
        Csv { header: true, delimiter: b',' }
    }

    /// Files begin with their first record.
    pub fn without_header(self) -> Csv {
        Csv { header: false, ..self }
    }

    /// What stands between two values, instead of a comma: one byte of ASCII.
    pub fn delimiter(self, delimiter: u8) -> Csv {
        Csv { delimiter, ..self }
    }
}

impl Default for Csv {
    fn default() -> Csv {
        Csv::new()
    }
}

impl Appendable for Csv {}

impl<T: Serialize> Format<T> for Csv {
    type Encoder = CsvEncoder;

    fn extension(&self) -> &str {
        "csv"
    }

    fn begin(&self) -> Result<CsvEncoder> {
        if !self.delimiter.is_ascii() || matches!(self.delimiter, b'"' | b'\n' | b'\r') {
            let message = format!("CSV: byte {} cannot stand between two values", self.delimiter);
            return Err(Error::new(ErrorKind::Config, message));
        }
        let rows = Rows::default();
        let mut builder = ::csv::WriterBuilder::new();
        let builder = builder.has_headers(self.header).delimiter(self.delimiter).buffer_capacity(1 << 10);
        Ok(CsvEncoder { rows: rows.clone(), writer: builder.from_writer(rows) })
    }

    fn show(&self, record: &T, json: &mut Vec<u8>) -> Result<bool> {
        show_record(record, json)
    }
}

/// Encodes a file.
pub struct CsvEncoder {
    rows: Rows,
    writer: ::csv::Writer<Rows>,
}

/// What the writer has written; it does not lend what it owns.
#[derive(Clone, Default)]
struct Rows(Rc<RefCell<Vec<u8>>>);

impl Write for Rows {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<T: Serialize> Encoder<T> for CsvEncoder {
    fn write(&mut self, record: &T, out: &mut Vec<u8>) -> Result<()> {
        let written = self.writer.serialize(record).and_then(|()| Ok(self.writer.flush()?));
        written.map_err(|error| {
            let message = "cannot represent a record as a row of CSV: it takes plain values, as many in each";
            Error::new(ErrorKind::Sink, message).caused_by(error)
        })?;
        out.append(&mut self.rows.0.borrow_mut());
        Ok(())
    }

    fn held(&self) -> usize {
        0
    }

    fn release(&mut self, _: &mut Vec<u8>) -> Result<()> {
        Ok(())
    }

    fn finish(self, _: &mut Vec<u8>) -> Result<()> {
        Ok(())
    }
}
