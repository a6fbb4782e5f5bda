//! Where a character is in a text, eight bytes at a time and without a branch per byte.

/// The places of `byte` in `text`, in order.
pub(super) fn places(text: &str, byte: u8) -> Places<'_> {
    let mut places = Places { text: text.as_bytes(), next: 0, base: 0, found: 0, byte };
    places.look();
    places
}

/// See [`places`].
pub(super) struct Places<'a> {
    text: &'a [u8],
    /// The bytes from here on have not been looked at.
    next: usize,
    /// Where the eight bytes are that were looked at last.
    base: usize,
    /// The upper bit of each of them that is the one looked for and was not told yet.
    found: u64,
    byte: u8,
}

impl Places<'_> {
    /// Looks at the next eight bytes, or as many as there are.
    #[inline]
    fn look(&mut self) {
        const LOW: u64 = u64::from_ne_bytes([0x7f; 8]);
        let rest = &self.text[self.next..];
        let (word, len) = match rest.first_chunk() {
            Some(eight) => (u64::from_le_bytes(*eight), 8),
            None => {
                // What is filled up with is not what is looked for.
                let mut eight = [!self.byte; 8];
                eight[..rest.len()].copy_from_slice(rest);
                (u64::from_le_bytes(eight), rest.len())
            }
        };
        // Zero where the byte is; then exact: nothing is carried from one byte into the next.
        let zero = word ^ u64::from_ne_bytes([self.byte; 8]);
        self.found = !(((zero & LOW) + LOW) | zero | LOW);
        self.base = self.next;
        self.next += len;
    }
}

impl Iterator for Places<'_> {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<usize> {
        while self.found == 0 {
            if self.next == self.text.len() {
                return None;
            }
            self.look();
        }
        let place = self.base + self.found.trailing_zeros() as usize / 8;
        self.found &= self.found - 1;
        Some(place)
    }
}
