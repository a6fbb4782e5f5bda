//! A line of text that is put together in place.

/// Up to `N` bytes of ASCII.
pub(super) struct Line<const N: usize> {
    bytes: [u8; N],
    len: usize,
}

impl<const N: usize> Line<N> {
    pub(super) fn new() -> Line<N> {
        Line { bytes: [0; N], len: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn push(&mut self, text: &str) {
        self.bytes[self.len..][..text.len()].copy_from_slice(text.as_bytes());
        self.len += text.len();
    }

    /// Appends the four last decimal digits of `n`.
    pub(super) fn push_four_digits(&mut self, n: u64) {
        let digits = [n / 1000, n / 100, n / 10, n].map(|n| b'0' + (n % 10) as u8);
        self.bytes[self.len..][..4].copy_from_slice(&digits);
        self.len += 4;
    }

    /// What may be written behind the line, so many bytes of it.
    #[inline(always)]
    pub(super) fn rest(&mut self, len: usize) -> &mut [u8] {
        &mut self.bytes[self.len..][..len]
    }

    /// Takes in what was written behind the line.
    pub(super) fn take(&mut self, len: usize) {
        self.len += len;
    }

    /// Takes in what was written behind the line, without the spaces at its ends.
    #[inline(always)]
    pub(super) fn take_trimmed(&mut self, len: usize) {
        let written = &self.bytes[self.len..][..len];
        let trimmed = written.trim_ascii_start();
        let (before, after) = (len - trimmed.len(), trimmed.trim_ascii_end().len());
        if before > 0 {
            let start = self.len + before;
            self.bytes.copy_within(start..start + after, self.len);
        }
        self.len += after;
    }

    pub(super) fn text(&self) -> &str {
        std::str::from_utf8(&self.bytes[..self.len]).expect("a line is ASCII")
    }
}
