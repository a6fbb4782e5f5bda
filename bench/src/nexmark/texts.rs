//! Several strings in one allocation, or in none.

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

/// Bytes of three texts that lie in place.
pub(super) const ROOM: usize = 184;

/// Three strings, one after the other, in place unless they are long: the records that there are most of need no
/// allocation, and none has to be given back by another core than the one that made it.
#[derive(Clone, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct ShortTexts {
    bytes: [u8; ROOM],
    ends: [u32; 3],
    /// All of them, where they do not fit.
    long: Option<Box<str>>,
}

impl ShortTexts {
    /// Joins three texts.
    ///
    /// # Panics
    /// If they have 4 GiB.
    pub fn of(parts: [&str; 3]) -> ShortTexts {
        let mut end = 0;
        let ends = parts.map(|part| {
            end += part.len();
            u32::try_from(end).expect("the texts of a record are shorter than 4 GiB")
        });
        let all = parts.concat();
        let mut bytes = [0; ROOM];
        let long = match bytes.get_mut(..all.len()) {
            Some(place) => {
                place.copy_from_slice(all.as_bytes());
                None
            }
            None => Some(all.into_boxed_str()),
        };
        ShortTexts { bytes, ends, long }
    }

    /// Takes texts that lie one after the other, and where each ends.
    pub(super) fn in_place(bytes: [u8; ROOM], ends: [u32; 3]) -> ShortTexts {
        ShortTexts { bytes, ends, long: None }
    }

    /// Text number `i`, from 0.
    ///
    /// # Panics
    /// If there is none.
    #[inline]
    pub fn get(&self, i: usize) -> &str {
        let start = if i == 0 { 0 } else { self.ends[i - 1] as usize };
        let text = start..self.ends[i] as usize;
        match &self.long {
            Some(all) => &all[text],
            None => std::str::from_utf8(&self.bytes[text]).expect("whole texts were put in"),
        }
    }
}

impl PartialEq for ShortTexts {
    fn eq(&self, other: &ShortTexts) -> bool {
        (0..3).all(|i| self.get(i) == other.get(i))
    }
}

impl Eq for ShortTexts {}

impl std::fmt::Debug for ShortTexts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries((0..3).map(|i| self.get(i))).finish()
    }
}
