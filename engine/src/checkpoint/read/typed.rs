//! States with the types that the job gives them.

use std::marker::PhantomData;

use super::rows::{Place, Row, Rows};
use super::target::Target;
use crate::aggregate::Aggregate;
use crate::error::{Error, ErrorKind, Result};
use crate::key::Key;
use crate::state::codec::{self, StateValue};
use crate::state::schema::{fingerprint, plain_name, without_paths};
use crate::state::{Aggregating, List, Map, Reducing, Timeline, Value};
use crate::time::Timestamp;

/// What can be read of a checkpoint by its handle's type: [`Value`], [`List`], [`Map`], [`Reducing`], [`Aggregating`],
/// [`Timeline`], [`Windows`], [`Timers`].
///
/// ```
/// use millstream::checkpoint::read::Kept;
/// use millstream::state::Map;
///
/// type Item = <Map<String, u64> as Kept>::Item;
/// let (shop, visits): Item = ("bakery".to_owned(), 7);
/// # assert_eq!((shop.as_str(), visits), ("bakery", 7));
/// ```
pub trait Kept {
    /// What there is of each entry: the value, and before it the place in a list, the key in a map, the time, or the end
    /// of the window.
    type Item;

    /// What the checkpoint must say of it: the kinds, the type's fingerprint, the type of a map's keys.
    #[doc(hidden)]
    fn described() -> (&'static [&'static str], String, Option<String>);

    /// Makes the item; `None` if the row is not one of this kind.
    #[doc(hidden)]
    fn item(row: &Row) -> Result<Option<Self::Item>>;
}

/// The accumulators of a window's step, state `windows`: the end of the window, and the accumulator.
///
/// ```
/// use millstream::checkpoint::read::{Kept, Windows};
///
/// fn item<S: Kept<Item = (i64, u64)>>() {}
/// item::<Windows<u64>>();
/// ```
pub struct Windows<T>(PhantomData<fn() -> T>);

/// Timers: states `event-time timers` and `processing-time timers`.
///
/// ```
/// use millstream::checkpoint::read::{Kept, Timers};
///
/// fn item<S: Kept<Item = i64>>() {}
/// item::<Timers>();
/// ```
pub struct Timers(());

/// The value of a checked archive.
fn decode<T: StateValue>(row: &Row) -> Result<T> {
    codec::check::<T>(&row.value)?;
    Ok(codec::decode(&row.value))
}

macro_rules! plain {
    ($([$($generics:tt)*] $handle:ty, $of:ty, $kinds:expr;)*) => {$(
        impl<$($generics)*> Kept for $handle {
            type Item = $of;

            fn described() -> (&'static [&'static str], String, Option<String>) {
                (&$kinds, fingerprint::<$of>(), None)
            }

            fn item(row: &Row) -> Result<Option<$of>> {
                decode::<$of>(row).map(Some)
            }
        }
    )*};
}
plain! {
    [T: StateValue] Value<T>, T, ["value"];
    [T: StateValue] Reducing<T>, T, ["reducing"];
    [A: Aggregate] Aggregating<A>, A::Acc, ["aggregating"];
}

macro_rules! placed {
    ($([$($generics:tt)*] $handle:ty, $of:ty, $place:ty, $kinds:expr, $variant:path;)*) => {$(
        impl<$($generics)*> Kept for $handle {
            type Item = ($place, $of);

            fn described() -> (&'static [&'static str], String, Option<String>) {
                (&$kinds, fingerprint::<$of>(), None)
            }

            fn item(row: &Row) -> Result<Option<($place, $of)>> {
                let $variant(at) = row.place else { return Ok(None) };
                Ok(Some((at, decode::<$of>(row)?)))
            }
        }
    )*};
}
placed! {
    [T: StateValue] List<T>, T, u64, ["list"], Place::Index;
    [T: StateValue] Timeline<T>, T, Timestamp, ["timeline"], Place::Time;
    [T: StateValue] Windows<T>, T, Timestamp, ["windows"], Place::Window;
}

impl<K: Key, V: StateValue> Kept for Map<K, V> {
    type Item = (K, V);

    fn described() -> (&'static [&'static str], String, Option<String>) {
        (&["map"], fingerprint::<V>(), Some(plain_name::<K>()))
    }

    fn item(row: &Row) -> Result<Option<(K, V)>> {
        let Place::Entry(key) = &row.place else { return Ok(None) };
        let Some(key) = K::decode(key) else { return Ok(None) };
        Ok(Some((key, decode::<V>(row)?)))
    }
}

impl Kept for Timers {
    type Item = Timestamp;

    fn described() -> (&'static [&'static str], String, Option<String>) {
        (&["event-time timers", "processing-time timers"], String::new(), None)
    }

    fn item(row: &Row) -> Result<Option<Timestamp>> {
        let Place::Time(at) = row.place else { return Ok(None) };
        Ok(Some(at))
    }
}

/// An entry of a state; [`StateReader`] shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateEntry<K, I> {
    /// The key.
    pub key: K,
    /// The value, and where it is among the key's entries; see [`Kept`].
    pub item: I,
    /// When it expires, if it does, in milliseconds since the epoch.
    pub expires: Option<Timestamp>,
}

/// Reads a state with the types that the job gives it. Made by
/// [`Checkpoints::state`](crate::checkpoint::inspect::Checkpoints::state).
///
/// ```
/// use millstream::checkpoint::inspect::Checkpoints;
/// use millstream::checkpoint::read::{StateEntry, StateReader};
/// use millstream::prelude::*;
/// use millstream::state::{Map, Ttl};
/// use millstream_storage::disk::{StdDisk, block_on};
/// use std::rc::Rc;
///
/// #[derive(rkyv::Archive, rkyv::Serialize, rkyv::Deserialize, Debug, PartialEq)]
/// struct Visits { count: u32, last: i64 }
///
/// /// Who has visited which page, and how often.
/// #[derive(Clone)]
/// struct Count;
/// impl Process for Count {
///     type Key = String;
///     type In = (String, u16);
///     type Out = ();
///     type State = Map<u16, Visits>;
///     fn declare(&self, state: &mut Declare) -> Map<u16, Visits> {
///         state.map("visits")
///     }
///     fn on_record(&mut self, (_, page): (String, u16), visits: &Map<u16, Visits>, cx: &mut Context<'_, Self>) {
///         let count = visits.load(cx, &page).map_or(0, |visits| visits.count);
///         visits.put(cx, &page, &Visits { count: count + 1, last: 7 });
///     }
/// }
///
/// let dir = tempfile::tempdir()?;
/// let job = Job::new("doc");
/// let clicks = [("Ada", 1), ("Grace", 1), ("Ada", 1)].map(|(who, page)| (who.to_owned(), page));
/// job.source("clicks", from_vec(clicks.to_vec()))
///     .key_by(|click: &(String, u16)| click.0.clone())
///     .process("count", Count)
///     .sink("nowhere", discard());
/// job.run(Config::new().cores(2).checkpoints(dir.path()).checkpoint_at_end_only())?;
///
/// let checkpoints = Checkpoints::at(Rc::new(StdDisk), dir.path());
/// let manifest = block_on(checkpoints.manifest(1))?;
/// let mut visits: StateReader<String, Map<u16, Visits>> = checkpoints.state(&manifest, "count", "visits")?;
/// visits.memory(64 << 20);
/// visits.on_progress(|read, of| assert!(read <= of));
/// let mut of_ada = 0;
/// while let Some(StateEntry { key, item: (page, visits), expires }) = block_on(visits.next())? {
///     assert_eq!((page, expires), (1, None));
///     of_ada += if key == "Ada" { visits.count } else { 0 };
/// }
/// assert_eq!(of_ada, 2);
///
/// let mut grace = checkpoints.state::<String, Map<u16, Visits>>(&manifest, "count", "visits")?;
/// grace.only_key(&"Grace".to_owned())?;
/// let entry = block_on(grace.next())?.expect("she has visited a page");
/// assert_eq!(entry.item, (1, Visits { count: 1, last: 7 }));
///
/// let refused = checkpoints.state::<String, Map<u16, u64>>(&manifest, "count", "visits").err().unwrap();
/// assert!(refused.to_string().contains("Visits/12"), "{refused}");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct StateReader<K, S> {
    rows: Rows,
    of: PhantomData<fn() -> (K, S)>,
}

impl<K: Key, S: Kept> StateReader<K, S> {
    pub(super) fn new(rows: Rows) -> Result<StateReader<K, S>> {
        check::<K, S>(&rows.target)?;
        Ok(StateReader { rows, of: PhantomData })
    }

    /// Reads one key only.
    ///
    /// # Errors
    /// If the state has no keys.
    pub fn only_key(&mut self, key: &K) -> Result<()> {
        let bytes = key.encoded(<[u8]>::to_vec);
        self.rows.only(bytes)
    }

    /// As [`JsonReader::memory`](super::JsonReader::memory).
    pub fn memory(&mut self, bytes: u64) {
        self.rows.slices.set_memory(bytes);
    }

    /// As [`JsonReader::on_progress`](super::JsonReader::on_progress).
    pub fn on_progress(&mut self, tell: impl FnMut(u64, u64) + 'static) {
        self.rows.slices.set_tell(Box::new(tell));
    }

    /// The next entry: all entries of a key, then those of the next one, by ascending hash of the keys; of windows and
    /// timers by ascending time, then by key; as far as they are in memory together.
    ///
    /// # Errors
    /// If a file is missing or damaged, by its name and the offset, or if an entry is not of these types.
    pub async fn next(&mut self) -> Result<Option<StateEntry<K, S::Item>>> {
        let Some(row) = self.rows.next().await? else { return Ok(None) };
        let called = || self.rows.target.called();
        let item = S::item(&row).map_err(|error| error.at(format_args!("{}", called())))?;
        match (K::decode(&row.key), item) {
            (Some(key), Some(item)) => Ok(Some(StateEntry { key, item, expires: row.until })),
            _ => {
                let of = std::any::type_name::<K>();
                let message =
                    format!("{}: a key cannot be decoded as a `{of}`; has its encoding changed?", called());
                Err(Error::new(ErrorKind::Restore, message))
            }
        }
    }
}

/// Whether the checkpoint says that the types are these.
fn check<K: Key, S: Kept>(target: &Target) -> Result<()> {
    let (kinds, of, entry) = S::described();
    let (is_kind, is_of, is_entry) = &target.described;
    let key = plain_name::<K>();
    let is_key = without_paths(&target.key.name);
    if kinds.contains(&is_kind.as_str()) && (is_of, is_entry, &is_key) == (&of, &entry, &key) {
        return Ok(());
    }
    let say = |kind: &str, of: &str, entry: &Option<String>, key: &str| {
        let entry = entry.as_ref().map_or(String::new(), |entry| format!("{entry} to "));
        format!("{kind} of {entry}{of}, by {key}")
    };
    let (saved, read) = (say(is_kind, is_of, is_entry, &is_key), say(&kinds.join(" or "), &of, &entry, &key));
    let message = format!("{} was saved as [{saved}], and cannot be read as [{read}]", target.called());
    Err(Error::new(ErrorKind::Restore, message))
}
