//! What the cores of a source agree on before they divide its splits.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// The splits of a source, of which each core looks for them by itself: what one has found first counts for all.
///
/// A split may come while the cores look. Were each to count by what it has found, some would be nobody's.
///
/// ```
/// use std::collections::BTreeSet;
/// use millstream::source::Agreement;
///
/// let agreement = Agreement::default();
/// let (first, second) = (agreement.clone(), agreement);
/// assert_eq!(first.on(BTreeSet::from(["a".into(), "c".into()])).len(), 2);
/// assert!(!second.on(BTreeSet::from(["a".into(), "b".into(), "c".into()])).contains("b"), "it is for the next start");
/// ```
#[derive(Clone, Debug, Default)]
pub struct Agreement(Arc<OnceLock<BTreeSet<String>>>);

impl Agreement {
    /// The names that count: these, if no other core was first.
    pub fn on(&self, found: BTreeSet<String>) -> &BTreeSet<String> {
        self.0.get_or_init(|| found)
    }
}

/// Those of all sources of a job, in one attempt to run it.
#[derive(Debug, Default)]
pub(crate) struct Agreements(Mutex<BTreeMap<String, Agreement>>);

impl Agreements {
    pub(crate) fn of(&self, source: &str) -> Agreement {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(source.to_owned()).or_default().clone()
    }
}
