//! Bugs on purpose: a simulator that cannot find them proves nothing by finding none.
//!
//! Without the feature `planted` nothing of this is compiled in: [`is`] is the constant `false`.

#[cfg(feature = "planted")]
mod switch {
    use std::cell::Cell;

    thread_local! {
        static BUG: Cell<Option<&'static str>> = const { Cell::new(None) };
    }

    /// Switches a bug on for this thread, and all others off.
    ///
    /// ```
    /// use millstream_storage::planted;
    ///
    /// planted::set(Some("no_delta_sync"));
    /// assert!(planted::is("no_delta_sync") && planted!(no_delta_sync));
    /// planted::set(None);
    /// assert!(!planted!(no_delta_sync));
    /// ```
    pub fn set(bug: Option<&'static str>) {
        BUG.set(bug);
    }

    /// Whether this bug is on.
    pub fn is(bug: &str) -> bool {
        BUG.get() == Some(bug)
    }
}

#[cfg(feature = "planted")]
pub use switch::{is, set};

/// Whether this bug is on: never, without the feature `planted`.
///
/// ```
/// use millstream_storage::planted;
///
/// assert!(!planted::is("no_delta_sync"));
/// ```
#[cfg(not(feature = "planted"))]
#[inline(always)]
pub const fn is(_: &str) -> bool {
    false
}

/// Whether the bug of this name is on.
///
/// ```
/// use millstream_storage::planted;
///
/// let mut synced = false;
/// if !planted!(no_delta_sync) {
///     synced = true;
/// }
/// assert!(synced);
/// ```
#[macro_export]
macro_rules! planted {
    ($bug:ident) => {
        $crate::planted::is(stringify!($bug))
    };
}
