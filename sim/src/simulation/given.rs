//! Input that the test has laid itself.

use std::sync::Arc;

use millstream::reference::Inputs;

use super::feed::{Chosen, Given};
use crate::disk::DiskView;
use crate::scenario::Finding;

/// What a source is known to find.
pub(super) struct Known<T> {
    source: String,
    splits: Arc<Vec<Vec<T>>>,
}

impl<T> Known<T> {
    pub(super) fn new(source: &str, splits: Vec<Vec<T>>) -> Known<T> {
        Known { source: source.to_owned(), splits: Arc::new(splits) }
    }
}

impl<T: Clone + 'static> Given for Known<T> {
    fn name(&self) -> String {
        self.source.clone()
    }

    fn splits(&self) -> usize {
        self.splits.len()
    }

    fn give(&self, inputs: Inputs, chosen: Chosen) -> Inputs {
        let splits = self.splits.clone();
        inputs.with(&self.source, move || chosen.of(&splits))
    }

    fn lay(&self, _: &DiskView) -> Result<(), Finding> {
        Ok(())
    }
}
