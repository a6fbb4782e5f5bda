//! The decompressed bytes that are not yet decoded: a contiguous view of a stream that arrives in pieces.

/// Bytes are appended at the end and consumed at the front. What a scan for the end of a record has already seen
/// is remembered, so that a record that arrives in many pieces is scanned once.
#[derive(Default)]
pub(super) struct Window {
    bytes: Vec<u8>,
    /// Where the unread bytes begin.
    start: usize,
    /// How many of the unread bytes hold no end of a record.
    scanned: usize,
}

impl Window {
    /// The bytes not yet consumed.
    pub(super) fn unread(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    /// How many of the unread bytes were scanned before.
    pub(super) fn scanned(&self) -> usize {
        self.scanned
    }

    /// Remembers that the first `n` unread bytes need no scan any more.
    pub(super) fn mark_scanned(&mut self, n: usize) {
        debug_assert!(n <= self.unread().len());
        self.scanned = n;
    }

    /// Drops the first `n` unread bytes; the rest counts as not scanned.
    pub(super) fn consume(&mut self, n: usize) {
        debug_assert!(n <= self.unread().len());
        self.start += n;
        self.scanned = 0;
    }

    /// Where to append. Moves the unread bytes to the front first: between records that is at most the beginning
    /// of one, and within one it happens once.
    pub(super) fn tail(&mut self) -> &mut Vec<u8> {
        if self.start > 0 {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        &mut self.bytes
    }
}
