//! A vector with holes: stable indices for things that come and go.

/// Values by a small index that is reused after [`take`](Slots::take).
pub(crate) struct Slots<T> {
    values: Vec<Option<T>>,
    free: Vec<usize>,
}

impl<T> Default for Slots<T> {
    fn default() -> Slots<T> {
        Slots { values: Vec::new(), free: Vec::new() }
    }
}

impl<T> Slots<T> {
    /// An index for a value that [`fill`](Slots::fill) brings.
    pub(crate) fn reserve(&mut self) -> usize {
        self.free.pop().unwrap_or_else(|| {
            self.values.push(None);
            self.values.len() - 1
        })
    }

    /// Stores the value of a reserved index.
    pub(crate) fn fill(&mut self, index: usize, value: T) {
        self.values[index] = Some(value);
    }

    /// Stores a value and returns its index.
    pub(crate) fn insert(&mut self, value: T) -> usize {
        let index = self.reserve();
        self.fill(index, value);
        index
    }

    /// The value of an index. `None` if there is none.
    pub(crate) fn get_mut(&mut self, index: usize) -> Option<&mut T> {
        self.values.get_mut(index)?.as_mut()
    }

    /// Takes a value out and frees its index. `None` if there is none.
    pub(crate) fn take(&mut self, index: usize) -> Option<T> {
        let value = self.values.get_mut(index)?.take();
        if value.is_some() {
            self.free.push(index);
        }
        value
    }
}
