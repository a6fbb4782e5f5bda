//! What a format of records is to the reader of a split.

use super::cursor::Cursor;
use super::window::Window;
use crate::error::Result;
use crate::source::Fetched;

/// How the files of a source are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// One JSON value per line.
    Ndjson,
    /// RFC 4180 with a header row.
    Csv,
}

/// Decodes the records of one split: one virtual call per batch.
pub(super) trait Parser<T> {
    /// Decodes complete records from the front of the window, `max` at most (bad ones included), and moves the
    /// cursor behind each. Stops when the window holds no whole record any more; when the stream has `ended`, what
    /// is left is one.
    ///
    /// # Errors
    /// If nothing of the file can be decoded. A single bad record is reported in `out` instead.
    fn parse(
        &mut self,
        window: &mut Window,
        cursor: &mut Cursor,
        ended: bool,
        max: usize,
        out: &mut Fetched<T>,
    ) -> Result<()>;
}
