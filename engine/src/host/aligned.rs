//! Memory that the kernel takes for I/O past the page cache.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::ptr::NonNull;

use millstream_storage::disk::SECTOR;

/// Memory that starts at a multiple of [`SECTOR`].
pub(crate) struct Aligned {
    start: NonNull<u8>,
    layout: Layout,
}

// SAFETY: it owns its memory, as a boxed slice does.
unsafe impl Send for Aligned {}
// SAFETY: as above; shared it can only be read.
unsafe impl Sync for Aligned {}

impl Aligned {
    /// Zeroed memory, at least one sector of it.
    pub(crate) fn new(len: usize) -> Aligned {
        let layout = Layout::from_size_align(len.max(SECTOR), SECTOR).expect("a length that fits in memory");
        // SAFETY: the size is not zero.
        let start = unsafe { alloc_zeroed(layout) };
        let Some(start) = NonNull::new(start) else { handle_alloc_error(layout) };
        Aligned { start, layout }
    }

    /// The bytes.
    pub(crate) fn as_slice(&self) -> &[u8] {
        // SAFETY: allocated and initialised with this size by `new`, and borrowed as long as the slice.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.layout.size()) }
    }

    /// The bytes, to be changed.
    pub(crate) fn as_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and borrowed by nobody else.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.layout.size()) }
    }
}

impl Drop for Aligned {
    fn drop(&mut self) {
        // SAFETY: allocated by `new` with this layout.
        unsafe { dealloc(self.start.as_ptr(), self.layout) }
    }
}

/// Whether memory starts at a multiple of [`SECTOR`].
pub(crate) fn is_aligned(bytes: &[u8]) -> bool {
    (bytes.as_ptr() as usize).is_multiple_of(SECTOR)
}
