//! Comma-separated values (RFC 4180) with a header row.

use csv::ByteRecord;
use csv_core::{ReadRecordResult, Reader as Machine};
use memchr::memchr_iter;
use serde::de::DeserializeOwned;

use super::cursor::{Cursor, TooLong};
use super::parser::Parser;
use super::window::Window;
use crate::error::{Error, ErrorKind, Result};
use crate::source::Fetched;

/// Splits records, which may hold line ends in quotes, and decodes them by the names in the header row.
pub(super) struct Csv {
    machine: Machine,
    fields: Fields,
    header: Option<ByteRecord>,
    record: ByteRecord,
    max_record: usize,
    too_long: Option<TooLong>,
    /// The machine has found the end of a record at the last byte there was, a carriage return: the line feed that
    /// may follow belongs to it.
    before_line_feed: bool,
}

/// The unquoted fields of the record that is being split.
struct Fields {
    bytes: Vec<u8>,
    filled: usize,
    ends: Vec<usize>,
    ended: usize,
}

impl Fields {
    fn new() -> Fields {
        Fields { bytes: vec![0; 1 << 10], filled: 0, ends: vec![0; 32], ended: 0 }
    }

    fn copy_to(&self, record: &mut ByteRecord) {
        record.clear();
        let mut start = 0;
        for &end in &self.ends[..self.ended] {
            record.push_field(&self.bytes[start..end]);
            start = end;
        }
    }
}

impl Csv {
    /// Reads the header row first, unless a restored position brings it along.
    pub(super) fn new(max_record: usize, header: Option<&str>) -> Csv {
        let mut csv = Csv {
            machine: Machine::new(),
            fields: Fields::new(),
            header: None,
            record: ByteRecord::new(),
            max_record,
            too_long: None,
            before_line_feed: false,
        };
        if let Some(header) = header {
            let mut window = Window::default();
            window.tail().extend_from_slice(header.as_bytes());
            csv.split(&mut window, true);
            csv.fields.copy_to(&mut csv.record);
            csv.header = Some(std::mem::take(&mut csv.record));
            csv.machine = Machine::new();
            csv.restart();
        }
        csv
    }

    /// Forgets the fields of the last record.
    fn restart(&mut self) {
        (self.fields.filled, self.fields.ended, self.before_line_feed) = (0, 0, false);
    }

    /// The length of the next record with its end; `None` if it is not complete. Blank lines before it count as
    /// part of it.
    fn split(&mut self, window: &mut Window, ended: bool) -> Option<usize> {
        let mut at = window.scanned();
        if self.before_line_feed {
            return self.take_line_feed(window, at, ended);
        }
        loop {
            let input = &window.unread()[at..];
            // To the machine, no input is the end of it.
            if input.is_empty() && !ended {
                window.mark_scanned(at);
                return None;
            }
            let (out, ends) = (&mut self.fields.bytes, &mut self.fields.ends);
            let (filled, counted) = (self.fields.filled, self.fields.ended);
            let (result, read, wrote, closed) =
                self.machine.read_record(input, &mut out[filled..], &mut ends[counted..]);
            at += read;
            self.fields.filled += wrote;
            self.fields.ended += closed;
            match result {
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::OutputFull => self.make_room(),
                ReadRecordResult::OutputEndsFull => ends.resize(2 * ends.len(), 0),
                ReadRecordResult::Record => return self.take_line_feed(window, at, ended),
                ReadRecordResult::End => return None,
            }
        }
    }

    /// Room for more bytes of fields. Those of a record that is too long are not wanted.
    fn make_room(&mut self) {
        if self.too_long.is_some() {
            (self.fields.filled, self.fields.ended) = (0, 0);
        } else {
            self.fields.bytes.resize(2 * self.fields.bytes.len(), 0);
        }
    }

    /// Completes a record that ends at `at` by the line feed after its carriage return.
    fn take_line_feed(&mut self, window: &mut Window, at: usize, ended: bool) -> Option<usize> {
        let unread = window.unread();
        let after_return = at > 0 && unread[at - 1] == b'\r' || at == 0 && self.before_line_feed;
        if after_return && at == unread.len() && !ended {
            self.before_line_feed = true;
            window.mark_scanned(at);
            return None;
        }
        Some(at + usize::from(after_return && unread.get(at) == Some(&b'\n')))
    }

    /// Drops what is there of a record that is too long, or of blank lines.
    fn drop_partial(&mut self, window: &mut Window, cursor: &mut Cursor) {
        let unread = window.unread();
        let len = unread.len();
        let blank = blank_prefix(unread);
        if self.too_long.is_none() && blank > 0 && !self.before_line_feed {
            let lines = line_feeds(&unread[..blank]);
            cursor.skip(blank, lines);
            window.consume(blank);
            window.mark_scanned(len - blank);
            return self.drop_partial(window, cursor);
        }
        if len > self.max_record || self.too_long.is_some() {
            let record = self.too_long.get_or_insert_with(|| TooLong::new(unread, self.max_record));
            record.bytes += len;
            record.lines += line_feeds(unread);
            window.consume(len);
        }
    }

    /// Takes the header row, decodes the record, or reports it.
    fn decode<T: DeserializeOwned>(
        &mut self,
        raw: &[u8],
        cursor: &mut Cursor,
        out: &mut Fetched<T>,
    ) -> Result<()> {
        let blank = if self.too_long.is_some() { 0 } else { blank_prefix(raw) };
        cursor.skip(blank, line_feeds(&raw[..blank]));
        let (raw, lines) = (&raw[blank..], line_feeds(&raw[blank..]));
        let text = raw.trim_ascii_end();
        let dropped = self.too_long.take();
        let is_long = dropped.is_some() || raw.len() > self.max_record;
        if self.header.is_none() {
            let header = self.take_header(text, is_long, cursor)?;
            cursor.skip_header(header, raw.len(), lines);
        } else if is_long {
            let record = dropped.unwrap_or_else(|| TooLong::new(text, self.max_record));
            out.poison.push(record.dead_letter(cursor, self.max_record));
            cursor.advance(record.bytes + raw.len(), record.lines + lines);
        } else {
            match self.deserialize(text) {
                Ok(record) => out.records.push(record),
                Err(reason) => out.poison.push(cursor.dead_letter(0, 0, text, reason)),
            }
            cursor.advance(raw.len(), lines);
        }
        Ok(())
    }

    fn deserialize<T: DeserializeOwned>(&mut self, text: &[u8]) -> Result<T, String> {
        std::str::from_utf8(text).map_err(|error| format!("not UTF-8: {error}"))?;
        self.fields.copy_to(&mut self.record);
        let header = self.header.as_ref().expect("the header row comes first");
        if self.record.len() != header.len() {
            let (has, wants) = (self.record.len(), header.len());
            return Err(format!("{has} fields, but the header row has {wants}"));
        }
        self.record.deserialize(Some(header)).map_err(|error| match error.kind() {
            csv::ErrorKind::Deserialize { err, .. } => err.to_string(),
            _ => error.to_string(),
        })
    }

    fn take_header(&mut self, text: &[u8], is_long: bool, cursor: &Cursor) -> Result<String> {
        let Some(header) = std::str::from_utf8(text).ok().filter(|_| !is_long) else {
            let message =
                format!("{}: the header row is not UTF-8 or too long; is it a CSV file?", cursor.name);
            return Err(Error::new(ErrorKind::Source, message));
        };
        self.fields.copy_to(&mut self.record);
        self.header = Some(std::mem::take(&mut self.record));
        Ok(header.to_owned())
    }
}

impl<T: DeserializeOwned> Parser<T> for Csv {
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
            let Some(taken) = self.split(window, ended) else {
                self.drop_partial(window, cursor);
                break;
            };
            self.decode(&window.unread()[..taken], cursor, out)?;
            window.consume(taken);
            self.restart();
        }
        Ok(())
    }
}

/// How many bytes of line ends come first: the machine takes them for nothing.
fn blank_prefix(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count()
}

fn line_feeds(bytes: &[u8]) -> usize {
    memchr_iter(b'\n', bytes).count()
}
