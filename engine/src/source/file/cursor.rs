//! Where a split has been read to.

use serde::{Deserialize, Serialize};

use crate::source::DeadLetter;

/// At most this much of an undecodable record is kept, in bytes.
const DEAD_LETTER_BYTES: usize = 64 << 10;

/// The position of a split as checkpoints keep it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Position {
    /// Bytes of the decompressed stream up to the end of the last record.
    pub offset: u64,
    /// Lines up to there.
    pub line: u64,
    /// Whether nothing comes any more.
    pub ended: bool,
    /// The header row of a CSV file, which is not read again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<String>,
}

/// The position of a split, and what was passed over since.
///
/// Blank lines and headers count only with the record that follows them or the end: so the position after the n-th
/// record is the same however the bytes arrived and however many records were polled at once.
pub(super) struct Cursor {
    /// The name of the split: its path.
    pub name: String,
    /// After the last record.
    pub position: Position,
    skipped_bytes: u64,
    skipped_lines: u64,
    /// The header row, if it is among what was skipped: a position before it must not know it, or it would be read as a
    /// record after it.
    skipped_header: Option<String>,
}

impl Cursor {
    /// At a restored position.
    pub(super) fn new(name: String, position: Position) -> Cursor {
        Cursor { name, position, skipped_bytes: 0, skipped_lines: 0, skipped_header: None }
    }

    /// Passes over bytes that are no record.
    pub(super) fn skip(&mut self, bytes: usize, lines: usize) {
        self.skipped_bytes += bytes as u64;
        self.skipped_lines += lines as u64;
    }

    /// Passes over the header row.
    pub(super) fn skip_header(&mut self, header: String, bytes: usize, lines: usize) {
        self.skipped_header = Some(header);
        self.skip(bytes, lines);
    }

    /// Passes over a record, and what was skipped before it.
    pub(super) fn advance(&mut self, bytes: usize, lines: usize) {
        self.skip(bytes, lines);
        self.position.offset += std::mem::take(&mut self.skipped_bytes);
        self.position.line += std::mem::take(&mut self.skipped_lines);
        if self.skipped_header.is_some() {
            self.position.header = self.skipped_header.take();
        }
    }

    /// A record that begins `bytes` and `lines` after what was skipped and cannot be decoded.
    pub(super) fn dead_letter(
        &self,
        bytes: usize,
        lines: usize,
        record: &[u8],
        reason: String,
    ) -> DeadLetter {
        DeadLetter {
            split: self.name.clone(),
            offset: self.position.offset + self.skipped_bytes + bytes as u64,
            line: Some(self.position.line + self.skipped_lines + lines as u64 + 1),
            record: String::from_utf8_lossy(prefix(record)).into_owned(),
            reason,
        }
    }
}

/// What is kept of an undecodable record.
fn prefix(record: &[u8]) -> &[u8] {
    &record[..record.len().min(DEAD_LETTER_BYTES)]
}

/// A record beyond the allowed length: its bytes are dropped as they come, up to its end.
pub(super) struct TooLong {
    prefix: Vec<u8>,
    /// Bytes dropped so far.
    pub bytes: usize,
    /// Line feeds among them.
    pub lines: usize,
}

impl TooLong {
    /// A record that begins with these bytes, none of which has been dropped yet. What is kept of it does not
    /// depend on how many have arrived beyond `max_record`.
    pub(super) fn new(begin: &[u8], max_record: usize) -> TooLong {
        let begin = &begin[..begin.len().min(max_record)];
        TooLong { prefix: prefix(begin).to_vec(), bytes: 0, lines: 0 }
    }

    /// The dead letter, when the end of the record is known.
    pub(super) fn dead_letter(&self, cursor: &Cursor, max_record: usize) -> DeadLetter {
        cursor.dead_letter(0, 0, &self.prefix, format!("longer than the allowed {max_record} bytes"))
    }
}
