//! Page-aligned, zeroed memory for segments and indexes, on huge pages where it pays.
//!
//! Large pieces are mapped, not allocated: the kernel hands out zeroed pages as they are first touched, so that
//! neither a new segment nor a doubled index costs a long pause.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::ptr::NonNull;

/// The size and alignment of a huge page, in bytes.
pub(crate) const HUGE_PAGE: usize = 2 << 20;
/// Smaller pieces come from the allocator, unless a mapping is asked for.
const MAP_FROM: usize = 128 << 10;
/// Alignment of the smaller pieces: what direct I/O asks of a buffer.
const PAGE: usize = 4096;

/// A piece of zeroed memory, freed when dropped.
///
/// Its bytes are reached through raw pointers only, so that several owners may use disjoint parts of it.
pub(crate) struct Pages {
    start: NonNull<u8>,
    len: usize,
    align: usize,
    /// Whether it is a mapping of its own, or came from the allocator.
    mapped: bool,
}

// SAFETY: `Pages` is plain memory that belongs to no thread; who may touch which bytes, and when, is the contract
// of the code that goes through `as_ptr`.
unsafe impl Send for Pages {}
// SAFETY: as above: a shared `Pages` gives out a pointer, and nothing else.
unsafe impl Sync for Pages {}

impl Pages {
    /// `len` zero bytes, aligned to a page, or to a huge page from that size on; `huge` advises huge pages.
    ///
    /// # Panics
    /// If `len` is zero. Ends the process when memory is exhausted, as every allocation does.
    pub(crate) fn zeroed(len: usize, huge: bool) -> Pages {
        Pages::new(len, huge, len >= MAP_FROM)
    }

    /// As [`Pages::zeroed`], a mapping of its own also if it is small: for memory that comes and goes under a limit,
    /// which an allocator would keep in pieces.
    pub(crate) fn mapped(len: usize, huge: bool) -> Pages {
        Pages::new(len, huge, len >= PAGE)
    }

    fn new(len: usize, huge: bool, mapped: bool) -> Pages {
        assert!(len > 0, "memory of no bytes was asked for");
        // Miri knows no mappings.
        let mapped = mapped && !cfg!(miri);
        let align = match len {
            HUGE_PAGE.. => HUGE_PAGE,
            PAGE.. => PAGE,
            _ => 64,
        };
        let start = if mapped { map(len, align) } else { allocate(layout(len, align)) };
        let pages = Pages { start, len, align, mapped };
        if huge {
            pages.advise_huge();
        }
        pages
    }

    /// The first byte.
    #[inline]
    pub(crate) fn as_ptr(&self) -> *mut u8 {
        self.start.as_ptr()
    }

    /// Gives whole pages back to the system; they read as zeros afterwards. Memory that is not mapped, and pieces that
    /// begin or end inside a page, stay as they are.
    pub(crate) fn give_back(&mut self, range: std::ops::Range<usize>) {
        let whole =
            range.start.is_multiple_of(PAGE) && range.end.is_multiple_of(PAGE) && range.end <= self.len;
        if !self.mapped || !whole || range.is_empty() {
            return;
        }
        // SAFETY: the pages are ours, `&mut self` excludes other users, and plain bytes may become zeros.
        let _ = unsafe {
            let start = self.as_ptr().add(range.start).cast();
            rustix::mm::madvise(start, range.len(), rustix::mm::Advice::LinuxDontNeed)
        };
    }

    /// Asks for huge pages. A kernel that has none leaves the memory as it is: slower, never wrong.
    pub(crate) fn advise_huge(&self) {
        if self.mapped && self.len >= HUGE_PAGE {
            // SAFETY: the range is ours, and the advice does not change its contents.
            let _ = unsafe {
                rustix::mm::madvise(self.as_ptr().cast(), self.len, rustix::mm::Advice::LinuxHugepage)
            };
        }
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        if self.mapped {
            // SAFETY: `map` made exactly this range, and nobody else unmaps it.
            let unmapped = unsafe { rustix::mm::munmap(self.as_ptr().cast(), self.len) };
            debug_assert!(unmapped.is_ok(), "a mapping could not be removed: {unmapped:?}");
        } else {
            // SAFETY: `allocate` made it with this very layout.
            unsafe { dealloc(self.as_ptr(), layout(self.len, self.align)) }
        }
    }
}

/// Memory that a read fills, as the kernel takes it: it begins with a page.
///
/// ```
/// use millstream_storage::disk::{Buffer, SECTOR};
///
/// let mut buffer = Buffer::new(SECTOR);
/// buffer.as_mut_slice()[7] = 1;
/// assert_eq!(buffer.as_slice()[6..9], [0, 1, 0]);
/// ```
pub struct Buffer(Pages);

impl Buffer {
    /// `len` zero bytes.
    ///
    /// # Panics
    /// If `len` is zero, or memory is exhausted.
    pub fn new(len: usize) -> Buffer {
        Buffer(Pages::zeroed(len, false))
    }

    /// The bytes.
    pub fn as_slice(&self) -> &[u8] {
        // SAFETY: the memory is initialised, as long as that, and nobody else's; changing it takes `&mut self`.
        unsafe { std::slice::from_raw_parts(self.0.as_ptr(), self.0.len) }
    }

    /// The bytes, to be changed.
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        // SAFETY: as above, and `&mut self` excludes other borrows.
        unsafe { std::slice::from_raw_parts_mut(self.0.as_ptr(), self.0.len) }
    }
}

fn layout(len: usize, align: usize) -> Layout {
    Layout::from_size_align(len, align)
        .expect("a power of two aligns it, and its length fits the address space")
}

fn allocate(layout: Layout) -> NonNull<u8> {
    // SAFETY: the length is not zero (`zeroed` checks).
    NonNull::new(unsafe { alloc_zeroed(layout) }).unwrap_or_else(|| handle_alloc_error(layout))
}

/// Maps `len` bytes aligned to `align`: maps too much, and gives both ends back.
fn map(len: usize, align: usize) -> NonNull<u8> {
    use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous, munmap};
    let len = len.next_multiple_of(PAGE);
    let whole = len + align;
    // SAFETY: a new mapping at an address of the kernel's choice touches no memory in use.
    let mapped = unsafe {
        mmap_anonymous(std::ptr::null_mut(), whole, ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE)
    };
    let Ok(mapped) = mapped else { handle_alloc_error(layout(len, align)) };
    let first = mapped.cast::<u8>();
    let before = first.align_offset(align);
    // SAFETY: `before <= align`, so all three parts lie within the new mapping, and the ends hold nothing yet.
    unsafe {
        let start = first.add(before);
        for (part, bytes) in [(first, before), (start.add(len), whole - before - len)] {
            if bytes > 0 {
                let _ = munmap(part.cast(), bytes);
            }
        }
        NonNull::new(start).expect("a mapping does not start at address zero")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fills a piece, gives some of it back, and tells which bytes are still what they were.
    fn kept(mut pages: Pages, range: std::ops::Range<usize>) -> Vec<bool> {
        let bytes = |pages: &Pages| {
            // SAFETY: the memory is initialised, as long as that, and `pages` is not used meanwhile.
            unsafe { std::slice::from_raw_parts_mut(pages.as_ptr(), pages.len) }
        };
        bytes(&pages).fill(7);
        pages.give_back(range);
        bytes(&pages).iter().map(|byte| *byte == 7).collect()
    }

    #[test]
    fn only_whole_pages_that_are_mapped_are_given_back() {
        let len = 4 * PAGE;
        let given_back = |pages: Pages, range| kept(pages, range).iter().filter(|kept| !**kept).count();
        for range in [0..100, PAGE..PAGE + 100, 100..2 * PAGE, PAGE..PAGE, 2 * PAGE..5 * PAGE] {
            assert_eq!(given_back(Pages::mapped(len, false), range.clone()), 0, "{range:?}");
        }
        assert_eq!(given_back(Pages::zeroed(len, false), 0..len), 0);
        if !cfg!(miri) {
            let kept = kept(Pages::mapped(len, false), PAGE..3 * PAGE);
            assert!(kept.iter().enumerate().all(|(at, kept)| *kept != (PAGE..3 * PAGE).contains(&at)));
        }
    }
}
