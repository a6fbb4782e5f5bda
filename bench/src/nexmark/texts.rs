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

    /// Takes texts that lie one after the other, and where all but the last end.
    ///
    /// # Panics
    /// If there are 4 GiB of them.
    pub(super) fn joined(all: &str, ends: [usize; INNER]) -> Texts<INNER> {
        let ends = ends.map(|end| u32::try_from(end).expect("the texts of a record are shorter than 4 GiB"));
        Texts { all: all.into(), ends }
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

/// Bytes of a page.
const PAGE: usize = 126;

/// Where bids are made: a channel and its URL, one behind the other. In two lines of the cache, so that reading it waits
/// for memory once.
#[repr(align(64))]
pub struct Page {
    channel: u8,
    len: u8,
    bytes: [u8; PAGE],
}

impl Page {
    /// A page of a channel.
    ///
    /// # Panics
    /// If its texts do not fit.
    pub(super) fn new(channel: &str, url: &str) -> Page {
        let (text, mut bytes) = ([channel, url].concat(), [0; PAGE]);
        bytes[..text.len()].copy_from_slice(text.as_bytes());
        Page { channel: channel.len() as u8, len: text.len() as u8, bytes }
    }

    /// The channel and the URL.
    #[inline]
    fn texts(&self) -> (&str, &str) {
        // SAFETY: `new` has put that many bytes of text there.
        let text = unsafe { std::str::from_utf8_unchecked(&self.bytes[..usize::from(self.len)]) };
        text.split_at(self.channel.into())
    }
}

/// The longest padding of bids that are made.
pub(super) const EXTRA: usize = 81;

/// Channel, URL and padding of a bid. Those of a bid that is made need no allocation, and none has to be given back by
/// another core than the one that made it: it refers to a page that is there for good, and has the padding in place.
#[derive(Clone)]
pub struct BidTexts(Of);

#[derive(Clone)]
enum Of {
    Made { len: u8, extra: [u8; EXTRA], page: &'static Page },
    Read(Texts<2>),
}

impl BidTexts {
    /// Channel, URL and padding.
    pub fn of(parts: [&str; 3]) -> BidTexts {
        BidTexts(Of::Read(Texts::of(&parts)))
    }

    /// A page, and a padding of the first `len` of the letters, which must be ASCII.
    #[inline(always)]
    pub(super) fn made(
        page: &'static Page,
        letters: &[u8; EXTRA.next_multiple_of(8)],
        len: usize,
    ) -> BidTexts {
        let extra = *letters.first_chunk().expect("there are more letters");
        BidTexts(Of::Made { len: len.min(EXTRA) as u8, extra, page })
    }

    /// The channel.
    #[inline]
    pub fn channel(&self) -> &str {
        match &self.0 {
            Of::Made { page, .. } => page.texts().0,
            Of::Read(texts) => texts.get(0),
        }
    }

    /// The URL.
    #[inline]
    pub fn url(&self) -> &str {
        match &self.0 {
            Of::Made { page, .. } => page.texts().1,
            Of::Read(texts) => texts.get(1),
        }
    }

    /// The padding.
    #[inline]
    pub fn extra(&self) -> &str {
        match &self.0 {
            Of::Made { len, extra, .. } => {
                std::str::from_utf8(&extra[..usize::from(*len)]).expect("letters are ASCII")
            }
            Of::Read(texts) => texts.get(2),
        }
    }
}

impl PartialEq for BidTexts {
    fn eq(&self, other: &BidTexts) -> bool {
        self.channel() == other.channel() && self.url() == other.url() && self.extra() == other.extra()
    }
}

impl Eq for BidTexts {}

impl std::fmt::Debug for BidTexts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries([self.channel(), self.url(), self.extra()]).finish()
    }
}

/// Bytes of three texts that lie in place.
const ROOM: usize = 184;

/// Three strings, one after the other, in place unless they are long: as state they are replaced where they lie.
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
