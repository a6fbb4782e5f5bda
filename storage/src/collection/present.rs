//! Collections whose parts are on disk: all of them are asked for before their key is worked on.
//!
//! The head is asked for first. When it has come, so are the parts that it names; of a timeline, inner nodes that have
//! come name others. So a collection is brought in within as many rounds of reads as it is levels high.

use smallvec::SmallVec;

use super::{HEAD, Owner, Part, list, map, timeline};
use crate::hash::stable_hash;
use crate::planted;
use crate::snapshot::Layout;
use crate::store::Store;

/// What a table's collections are.
///
/// ```
/// # use millstream_storage::{collection::{Kind, Owner, map, resident_bytes}, snapshot::Layout};
/// # use millstream_storage::store::{Store, StoreConfig};
/// # let mut store = Store::new(StoreConfig::new("doc", 1));
/// let table = store.create_table_of(0, 0, Layout { parts: true, expires: false });
/// store.set_kind(table, Kind::Map);
/// let owner = Owner::new(table, b"owner");
/// map::put(&mut store, &owner, b"key", b"value", None)?;
/// assert!(resident_bytes(&mut store, &owner, Kind::Map).is_some());
/// # Ok::<(), millstream_storage::store::TooLarge>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Of [`list`].
    List,
    /// Of [`map`].
    Map,
    /// Of [`timeline`].
    Timeline,
}

/// Asks for all of a collection. Returns how many bytes it takes if it is in memory; if not, its reads wait in
/// [`Store::take_reads`], and once they were admitted the caller asks again: what has come may name more.
///
/// It costs a look-up per part; as long as [`Store::evictions`] does not change, the answer stays what it was.
pub fn resident_bytes(store: &mut Store, owner: &Owner, kind: Kind) -> Option<u64> {
    if store.is_resident() {
        return Some(0);
    }
    let mut asked = Asked { bytes: 0, missing: false };
    let head = owner.head();
    if !asked.ask(store, &head) {
        return None;
    }
    let expires = store.layout(owner.table).expires;
    match (kind, head.get(store)) {
        (_, None) => {}
        _ if planted!(named_parts_not_asked) => {}
        (Kind::List, Some(head)) => {
            let numbers = list::named(head, expires);
            asked.ask_all(store, owner, numbers);
        }
        (Kind::Map, Some(head)) => {
            let numbers = map::named(head, expires);
            asked.ask_all(store, owner, numbers);
        }
        (Kind::Timeline, Some(head)) => {
            if let Some((root, height)) = timeline::root(head) {
                asked.ask_below(store, owner, root, height);
            }
        }
    }
    (!asked.missing).then_some(asked.bytes)
}

/// What came of asking.
struct Asked {
    bytes: u64,
    missing: bool,
}

impl Asked {
    /// Whether a part is in memory.
    fn ask(&mut self, store: &mut Store, part: &Part) -> bool {
        if store.may_be_evicted(part.table, part.hash) {
            self.missing = true;
            if store.may_ask() {
                store.is_present(part.table, part.hash);
            }
            return false;
        }
        self.bytes += part.get(store).map_or(0, |record| (record.len() + part.key.len() + 16) as u64);
        true
    }

    fn ask_all(&mut self, store: &mut Store, owner: &Owner, numbers: impl Iterator<Item = u32>) {
        for number in numbers {
            let present = self.ask(store, &owner.part(number));
            if !present && !store.may_ask() {
                return;
            }
        }
    }

    /// A timeline's nodes, from one of this height on.
    fn ask_below(&mut self, store: &mut Store, owner: &Owner, node: u32, height: u32) {
        let part = owner.part(node);
        if !self.ask(store, &part) || height <= 1 {
            return;
        }
        let children: SmallVec<[u32; 96]> =
            part.get(store).into_iter().flat_map(timeline::children_of).collect();
        for child in children {
            if self.missing && !store.may_ask() {
                return;
            }
            self.ask_below(store, owner, child, height - 1);
        }
    }
}

/// The keys of the parts that a head names, with their hashes; none of a timeline, which never expires.
pub(crate) fn named_parts(
    kind: Kind,
    layout: Layout,
    key: &[u8],
    head: &[u8],
) -> impl Iterator<Item = (SmallVec<[u8; 64]>, u64)> + use<> {
    let owner = SmallVec::<[u8; 64]>::from_slice(layout.owner(key));
    let lists = (kind == Kind::List).then(|| list::named(head, layout.expires));
    let maps = (kind == Kind::Map).then(|| map::named(head, layout.expires));
    let numbers = lists.into_iter().flatten().chain(maps.into_iter().flatten());
    numbers.filter(|number| *number != HEAD).map(move |number| {
        let mut part = owner.clone();
        part.extend_from_slice(&number.to_le_bytes());
        let hash = stable_hash(&part);
        (part, hash)
    })
}
