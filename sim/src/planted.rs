//! The bugs that are planted in the engine and the store, and where each should show.

/// A bug of a real class, behind the feature `planted`.
#[derive(Clone, Copy, Debug)]
pub struct Bug {
    /// What it is called in the code.
    pub name: &'static str,
    /// What is wrong.
    pub about: &'static str,
    /// The scenario that is to find it.
    pub scenario: &'static str,
}

/// Switches one of them on for this thread.
///
/// # Panics
/// If there is one, and the feature `planted` is off.
pub fn set(bug: Option<&'static str>) {
    #[cfg(feature = "planted")]
    millstream_storage::planted::set(bug);
    #[cfg(not(feature = "planted"))]
    assert!(bug.is_none(), "bugs are planted by the feature `planted` only");
}
