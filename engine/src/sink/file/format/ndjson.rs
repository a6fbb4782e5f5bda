//! One JSON value per line.

use serde::Serialize;

use super::{Appendable, Encoder, Format};
use crate::error::{Error, ErrorKind, Result};
use crate::sink::show_record;

/// Lines of JSON, in UTF-8, each ended by a line feed.
///
/// ```
/// use millstream::sink::{Encoder, Format, Ndjson};
///
/// let mut encoder = Format::<u64>::begin(&Ndjson)?;
/// let mut file = Vec::new();
/// encoder.write(&1, &mut file)?;
/// encoder.write(&[2, 3], &mut file)?;
/// assert_eq!(file, b"1\n[2,3]\n");
/// # Ok::<(), millstream::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Ndjson;

impl Appendable for Ndjson {}

impl<T: Serialize> Format<T> for Ndjson {
    type Encoder = Ndjson;

    fn extension(&self) -> &str {
        "ndjson"
    }

    fn begin(&self) -> Result<Ndjson> {
        Ok(Ndjson)
    }

    fn show(&self, record: &T, json: &mut Vec<u8>) -> Result<bool> {
        show_record(record, json)
    }
}

impl<T: Serialize> Encoder<T> for Ndjson {
    fn write(&mut self, record: &T, out: &mut Vec<u8>) -> Result<()> {
        encode(record, out)
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

/// Appends a record as a line.
///
/// # Errors
/// If it cannot be represented in JSON. `out` is unchanged then.
pub(in crate::sink) fn encode<T: Serialize>(record: &T, out: &mut Vec<u8>) -> Result<()> {
    let before = out.len();
    serde_json::to_writer(&mut *out, record).map_err(|error| {
        out.truncate(before);
        Error::new(ErrorKind::Sink, "cannot represent a record in JSON").caused_by(error)
    })?;
    out.push(b'\n');
    Ok(())
}
