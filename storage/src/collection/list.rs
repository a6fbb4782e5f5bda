//! Lists: a head, and chunks that grow to 4 KiB, the last of which is appended to where it lies.
//!
//! An append reads the head and changes it and one chunk: O(1), whatever the length. The first append after a seal
//! copies the last chunk, which is at most 4 KiB. A short list lies in its head alone.
//!
//! ```
//! # use millstream_storage::{collection::{Owner, list}, snapshot::Layout, store::{Store, StoreConfig}};
//! # let mut store = Store::new(StoreConfig::new("doc", 1));
//! use millstream_storage::expiry::Life;
//!
//! let table = store.create_table_of(0, 0, Layout { parts: true, expires: true });
//! let owner = Owner::new(table, b"owner");
//! let at = |now| Some(Life { now, until: now + 10 });
//! list::push(&mut store, &owner, b"first", at(0))?;
//! list::push(&mut store, &owner, b"second", at(5))?;
//! assert_eq!(list::len(&store, &owner, at(9)), 2);
//! assert_eq!(list::iter(&store, &owner, at(12)).collect::<Vec<_>>(), [(&b"second"[..], 15)]);
//! list::touch(&mut store, &owner, Life { now: 12, until: 22 });
//! assert_eq!(list::len(&store, &owner, at(20)), 1);
//! list::clear(&mut store, &owner, at(20));
//! assert_eq!(list::len(&store, &owner, at(20)), 0);
//! # Ok::<(), millstream_storage::store::TooLarge>(())
//! ```

use super::entry::{Entries, Format, Keys, New};
use super::room::Shape;
use super::{HEAD, Owner};
use crate::expiry::{self, Life};
use crate::store::{Store, TooLarge};

/// Bytes of entries that the head holds before there are chunks.
const INLINE: usize = 192;
/// Bytes of entries in the first chunk, and in the largest.
const FIRST_CHUNK: usize = 512;
const CHUNK: usize = 4096;

/// The head's fields: `elements` (8 bytes), `first` and `last` (4 bytes each), the numbers of chunks; `first` is
/// [`HEAD`] while there are none.
const FIELDS: usize = 16;

#[derive(Clone, Copy)]
struct Fields {
    elements: u64,
    first: u32,
    last: u32,
}

impl Fields {
    const EMPTY: Fields = Fields { elements: 0, first: HEAD, last: HEAD };

    fn read(bytes: &[u8]) -> Fields {
        let number = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
        let elements = u64::from_le_bytes(bytes[..8].try_into().expect("eight bytes"));
        Fields { elements, first: number(8), last: number(12) }
    }

    fn encode(self) -> [u8; FIELDS] {
        let mut bytes = [0; FIELDS];
        bytes[..8].copy_from_slice(&self.elements.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.first.to_le_bytes());
        bytes[12..].copy_from_slice(&self.last.to_le_bytes());
        bytes
    }

    /// Without a last one there would be no end to them.
    fn has_chunks(self) -> bool {
        self.first != HEAD && self.last != HEAD
    }

    /// The numbers of the chunks, in order. They may wrap around.
    fn chunks(self) -> impl Iterator<Item = u32> + use<> {
        let mut next = self.has_chunks().then_some(self.first);
        std::iter::from_fn(move || {
            let chunk = next?;
            next = (chunk != self.last).then(|| after(chunk));
            Some(chunk)
        })
    }
}

fn after(chunk: u32) -> u32 {
    (chunk + 1) % HEAD
}

fn head_shape(life: Option<Life>) -> Shape {
    shape_of_head(life.is_some())
}

fn shape_of_head(expires: bool) -> Shape {
    Shape { format: Format { keys: Keys::None, expires }, fields: FIELDS }
}

fn chunk_shape(life: Option<Life>) -> Shape {
    Shape { fields: 0, ..head_shape(life) }
}

/// The numbers of the chunks that a head names.
pub(super) fn named(head: &[u8], expires: bool) -> impl Iterator<Item = u32> + use<> {
    Fields::read(shape_of_head(expires).fields(head)).chunks()
}

/// The elements of one record, head or chunk, whatever has expired: for whoever visits the records of a table.
///
/// ```
/// # use millstream_storage::{collection::{Owner, list}, snapshot::Layout, store::{Store, StoreConfig}};
/// # let mut store = Store::new(StoreConfig::new("doc", 1));
/// # let table = store.create_table_of(0, 0, Layout { parts: true, expires: false });
/// list::push(&mut store, &Owner::new(table, b"owner"), b"element", None)?;
/// store.for_each(table, |key, value| {
///     assert_eq!(list::elements_of(key, value, false).collect::<Vec<_>>(), [b"element"]);
/// });
/// # Ok::<(), millstream_storage::store::TooLarge>(())
/// ```
pub fn elements_of<'r>(
    key: &[u8],
    record: &'r [u8],
    expires: bool,
) -> impl Iterator<Item = &'r [u8]> + use<'r> {
    let head = super::is_head(key);
    let shape = Shape { fields: if head { FIELDS } else { 0 }, ..shape_of_head(expires) };
    shape.entries(record).map(|entry| entry.value)
}

/// Appends an element.
///
/// # Errors
/// If the element does not fit into a record of its own; the list is unchanged then.
pub fn push(store: &mut Store, owner: &Owner, element: &[u8], life: Option<Life>) -> Result<(), TooLarge> {
    let new = New { key: &[], value: element, until: life.map_or(0, |life| life.until) };
    let (head, shape) = (owner.head(), head_shape(life));
    let Some(record) = head.get(store) else {
        let first = shape.build(&Fields { elements: 1, ..Fields::EMPTY }.encode(), [new].into_iter(), 0);
        return head.put(store, &first);
    };
    let mut fields = Fields::read(shape.fields(record));
    if !fields.has_chunks() {
        if shape.used(record) + shape.format.len(new) <= INLINE {
            return push_inline(store, owner, new, life);
        }
        fields = spill(store, owner, life)?;
    }
    fields = push_to_chunk(store, owner, new, fields, life)?;
    fields.elements += 1;
    let record = head.get_mut(store).expect("the head was read");
    shape.fields_mut(record).copy_from_slice(&fields.encode());
    shape.live_until(record, new.until);
    Ok(())
}

fn push_inline(store: &mut Store, owner: &Owner, new: New<'_>, life: Option<Life>) -> Result<(), TooLarge> {
    let (head, shape) = (owner.head(), head_shape(life));
    let record = head.get_mut(store).expect("the head was read");
    let elements = Fields::read(shape.fields(record)).elements;
    let used = shape.used(record);
    let before = match shape.insert(record, used, new) {
        true => elements,
        false => shape.grow(store, &head, new, |entry| expiry::sees(life, entry.until))? as u64,
    };
    let record = head.get_mut(store).expect("the head is there");
    let fields = Fields { elements: before + 1, ..Fields::EMPTY };
    shape.fields_mut(record).copy_from_slice(&fields.encode());
    Ok(())
}

/// Moves the head's elements into a first chunk.
fn spill(store: &mut Store, owner: &Owner, life: Option<Life>) -> Result<Fields, TooLarge> {
    let (head, shape) = (owner.head(), head_shape(life));
    let record = head.get(store).expect("the head was read");
    let elements = Fields::read(shape.fields(record)).elements;
    let entries = shape.entries(record).map(|entry| entry.renew());
    let chunk = chunk_shape(life).build(&[], entries, FIRST_CHUNK);
    let until = if life.is_some() { expiry::until(record) } else { 0 };
    let fields = Fields { elements, first: 0, last: 0 };
    let mut emptied = shape.build(&fields.encode(), std::iter::empty(), 0);
    shape.live_until(&mut emptied, until);
    let first = owner.part(0);
    first.is_new(store);
    first.put(store, &chunk)?;
    head.put(store, &emptied)?;
    Ok(fields)
}

/// Appends to the last chunk, or to a new one if that is full.
fn push_to_chunk(
    store: &mut Store,
    owner: &Owner,
    new: New<'_>,
    mut fields: Fields,
    life: Option<Life>,
) -> Result<Fields, TooLarge> {
    let shape = chunk_shape(life);
    let mut room = FIRST_CHUNK;
    let last = owner.part(fields.last);
    if let Some(record) = last.get(store) {
        room = (2 * shape.room(record)).clamp(FIRST_CHUNK, CHUNK);
        if shape.used(record) + shape.format.len(new) <= shape.room(record) {
            let record = last.get_mut(store).expect("it was read");
            let used = shape.used(record);
            shape.insert(record, used, new);
            return Ok(fields);
        }
    }
    let next = after(fields.last);
    let room = if shape.format.len(new) > room { 0 } else { room };
    let part = owner.part(next);
    part.is_new(store);
    part.put(store, &shape.build(&[], [new].into_iter(), room))?;
    fields.last = next;
    if let Some(life) = life {
        drop_expired(store, owner, &mut fields, life);
    }
    Ok(fields)
}

/// Removes chunks at the beginning that are all expired; those that are gone already, too.
fn drop_expired(store: &mut Store, owner: &Owner, fields: &mut Fields, life: Life) {
    let shape = chunk_shape(Some(life));
    while fields.first != fields.last {
        let part = owner.part(fields.first);
        match part.get(store) {
            Some(record) if !expiry::expired(record, life.now) => return,
            Some(record) => {
                let gone = shape.entries(record).count() as u64;
                fields.elements = fields.elements.saturating_sub(gone);
                part.remove(store);
            }
            None => {}
        }
        fields.first = after(fields.first);
    }
}

/// The number of elements: O(1) where nothing expires, or else O(elements).
pub fn len(store: &Store, owner: &Owner, life: Option<Life>) -> u64 {
    match (owner.head().get(store), life) {
        (None, _) => 0,
        (Some(head), None) => Fields::read(head_shape(None).fields(head)).elements,
        (Some(_), Some(_)) => iter(store, owner, life).count() as u64,
    }
}

/// The elements, oldest first, each with the time until which it lives.
pub fn iter<'s>(
    store: &'s Store,
    owner: &Owner,
    life: Option<Life>,
) -> impl Iterator<Item = (&'s [u8], i64)> + use<'s> {
    let (owner, shape) = (owner.clone(), head_shape(life));
    let head = owner.head().get(store);
    let fields = head.map_or(Fields::EMPTY, |head| Fields::read(shape.fields(head)));
    let inline: Option<Entries<'s>> = head.map(|head| shape.entries(head));
    // Where nothing expires none is missing, whatever a head that was made up may say.
    let chunks = fields
        .chunks()
        .map(move |chunk| owner.part(chunk).get(store))
        .take_while(move |chunk| chunk.is_some() || life.is_some())
        .flatten()
        .map(move |record| chunk_shape(life).entries(record));
    let entries = inline.into_iter().chain(chunks).flatten();
    entries.filter(move |entry| expiry::sees(life, entry.until)).map(|entry| (entry.value, entry.until))
}

/// Removes all elements, at a cost per chunk.
pub fn clear(store: &mut Store, owner: &Owner, life: Option<Life>) {
    let (head, shape) = (owner.head(), head_shape(life));
    let Some(record) = head.get(store) else { return };
    let fields = Fields::read(shape.fields(record));
    head.remove(store);
    fields.chunks().for_each(|chunk| owner.part(chunk).remove(store));
}

/// Gives all elements until then to live, as reading them does where reading prolongs.
pub fn touch(store: &mut Store, owner: &Owner, life: Life) {
    let (head, shape) = (owner.head(), head_shape(Some(life)));
    let Some(record) = head.get(store) else { return };
    let fields = Fields::read(shape.fields(record));
    if expiry::expired(record, life.now) {
        return;
    }
    shape.touch_all(head.get_mut(store).expect("it was read"), life);
    for chunk in fields.chunks() {
        if let Some(record) = owner.part(chunk).get_mut(store) {
            chunk_shape(Some(life)).touch_all(record, life);
        }
    }
}
