//! Several strings in one allocation.

/// `INNER + 1` strings, one after the other in one allocation: a record with three of them is made, moved and dropped
/// for the price of one.
#[derive(Clone, Debug, PartialEq, Eq, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct Texts<const INNER: usize> {
    all: Box<str>,
    /// Where all but the last end.
    ends: [u32; INNER],
}

impl<const INNER: usize> Texts<INNER> {
    /// Joins `parts`, of which there must be one more than `INNER`.
    ///
    /// # Panics
    /// If there are more or fewer parts, or 4 GiB of them.
    pub fn of(parts: &[&str]) -> Texts<INNER> {
        assert_eq!(parts.len(), INNER + 1, "one text more than there are inner ends");
        let mut all = String::with_capacity(parts.iter().map(|part| part.len()).sum());
        let mut ends = [0; INNER];
        for (i, part) in parts.iter().enumerate() {
            all.push_str(part);
            if let Some(end) = ends.get_mut(i) {
                *end = u32::try_from(all.len()).expect("the texts of a record are shorter than 4 GiB");
            }
        }
        Texts { all: all.into_boxed_str(), ends }
    }

    /// Takes texts that lie one after the other, and where all but the last end.
    pub(super) fn joined(all: Box<str>, ends: [u32; INNER]) -> Texts<INNER> {
        Texts { all, ends }
    }

    /// Text number `i`, from 0.
    ///
    /// # Panics
    /// If there is none.
    #[inline]
    pub fn get(&self, i: usize) -> &str {
        let start = if i == 0 { 0 } else { self.ends[i - 1] as usize };
        let end = self.ends.get(i).map_or(self.all.len(), |end| *end as usize);
        &self.all[start..end]
    }
}
