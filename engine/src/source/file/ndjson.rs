//! One JSON value per line.

use memchr::memchr;
use serde::de::DeserializeOwned;

use super::cursor::{Cursor, TooLong};
use super::parser::Parser;
use super::window::Window;
use crate::error::Result;
use crate::source::Fetched;

/// Splits lines and decodes them.
pub(super) struct Ndjson {
    max_record: usize,
    too_long: Option<TooLong>,
}

impl Ndjson {
    pub(super) fn new(max_record: usize) -> Ndjson {
        Ndjson { max_record, too_long: None }
    }

    /// The length of the next line without its end, and with it; `None` if it is not complete.
    fn next_line(&mut self, window: &mut Window, ended: bool) -> Option<(usize, usize)> {
        let (unread, scanned) = (window.unread(), window.scanned());
        if let Some(at) = memchr(b'\n', &unread[scanned..]) {
            return Some((scanned + at, scanned + at + 1));
        }
        let len = unread.len();
        if ended && (len > 0 || self.too_long.is_some()) {
            return Some((len, len));
        }
        window.mark_scanned(len);
        if len > self.max_record || self.too_long.is_some() {
            let line = self.too_long.get_or_insert_with(|| TooLong::new(window.unread(), self.max_record));
            line.bytes += len;
            window.consume(len);
        }
        None
    }

    /// Decodes a line, or reports it.
    fn decode<T: DeserializeOwned>(
        &mut self,
        line: &[u8],
        taken: usize,
        cursor: &mut Cursor,
        out: &mut Fetched<T>,
    ) {
        let dropped = self.too_long.take();
        if dropped.is_some() || line.len() > self.max_record {
            let line = dropped.unwrap_or_else(|| TooLong::new(line, self.max_record));
            out.poison.push(line.dead_letter(cursor, self.max_record));
            return cursor.advance(line.bytes + taken, 1);
        }
        let text = line.trim_ascii();
        if text.is_empty() {
            return cursor.skip(taken, 1);
        }
        match decode_json(text) {
            Ok(record) => out.records.push(record),
            Err(reason) => out.poison.push(cursor.dead_letter(0, 0, text, reason)),
        }
        cursor.advance(taken, 1);
    }
}

impl<T: DeserializeOwned> Parser<T> for Ndjson {
    fn parse(
        &mut self,
        window: &mut Window,
        cursor: &mut Cursor,
        ended: bool,
        max: usize,
        out: &mut Fetched<T>,
    ) -> Result<()> {
        let until = out.records.len() + out.poison.len() + max;
        while out.records.len() + out.poison.len() < until {
            let Some((len, taken)) = self.next_line(window, ended) else { break };
            self.decode(&window.unread()[..len], taken, cursor, out);
            window.consume(taken);
        }
        Ok(())
    }
}

/// Checking the whole line for UTF-8 first costs less than checking string by string, and also covers the strings
/// that `T` ignores.
fn decode_json<T: DeserializeOwned>(text: &[u8]) -> Result<T, String> {
    let text = std::str::from_utf8(text).map_err(|error| format!("not UTF-8: {error}"))?;
    // The line in the message would be the record's own first: misleading beside the line of the file.
    serde_json::from_str(text).map_err(|error| error.to_string().replace(" at line 1 column ", " at column "))
}
