//! Making, finding, listing and dropping tables.

use super::{Store, TableId};
use crate::collection::Kind;
use crate::snapshot::Layout;
use crate::table::Table;

impl Store {
    /// The table of a state and a namespace, made if there is none. A namespace is a window slice, or 0.
    ///
    /// ```
    /// # use millstream_storage::hash::stable_hash;
    /// # use millstream_storage::store::{Store, StoreConfig};
    /// # let mut store = Store::new(StoreConfig::new("counts", 1));
    /// # let other = store.create_table(0, 0);
    /// let slice = store.create_table(7, 3_600_000);
    /// assert_eq!(store.create_table(7, 3_600_000), slice);
    /// assert_eq!(store.table(7, 3_600_000), Some(slice));
    /// assert_eq!(store.table(7, 0), None);
    /// ```
    ///
    /// # Panics
    /// When 2^32 tables were made: numbers are not used twice, because old records may still carry them.
    pub fn create_table(&mut self, state: u32, namespace: i64) -> TableId {
        self.create_table_of(state, namespace, Layout::PLAIN)
    }

    /// As [`Store::create_table`], with records of this layout.
    ///
    /// ```
    /// # use millstream_storage::{snapshot::Layout, store::{Store, StoreConfig}};
    /// # let mut store = Store::new(StoreConfig::new("doc", 1));
    /// let expiring = Layout { parts: false, expires: true };
    /// let table = store.create_table_of(7, 0, expiring);
    /// assert_eq!(store.layout(table), expiring);
    /// ```
    ///
    /// # Panics
    /// As there; and if there is such a table, of another layout: the owner compares them at restore.
    pub fn create_table_of(&mut self, state: u32, namespace: i64, layout: Layout) -> TableId {
        if let Some(table) = self.table(state, namespace) {
            assert_eq!(self.layout(table), layout, "state {state} has a table of another layout");
            return table;
        }
        let id = self.next_table;
        self.next_table = id.checked_add(1).expect("2^32 tables were made: restore the job from a savepoint");
        self.insert_table(id, state, namespace, layout)
    }

    /// Adds a table with a number of the caller's choice, which must be free.
    pub(super) fn insert_table(&mut self, id: u32, state: u32, namespace: i64, layout: Layout) -> TableId {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.tables.push(None);
            (self.tables.len() - 1) as u32
        });
        self.expires |= layout.expires;
        self.tables[slot as usize] = Some(Table::new(id, state, namespace, layout));
        let table = TableId { slot, id };
        self.by_name.insert((state, namespace), table);
        self.by_id.insert(id, slot);
        table
    }

    /// The table of a state and a namespace, if there is one.
    pub fn table(&self, state: u32, namespace: i64) -> Option<TableId> {
        self.by_name.get(&(state, namespace)).copied()
    }

    /// How the records of a table are laid out.
    ///
    /// # Panics
    /// If the table was dropped.
    pub fn layout(&self, table: TableId) -> Layout {
        self.table_ref(table).layout
    }

    /// Tells of what kind the collections of a table are. Until then compaction keeps the expired heads of large ones.
    ///
    /// ```
    /// # use millstream_storage::{collection::Kind, snapshot::Layout, store::{Store, StoreConfig}};
    /// # let mut store = Store::new(StoreConfig::new("doc", 1));
    /// let table = store.create_table_of(7, 0, Layout { parts: true, expires: true });
    /// store.set_kind(table, Kind::Map);
    /// ```
    ///
    /// # Panics
    /// If the table was dropped.
    pub fn set_kind(&mut self, table: TableId, kind: Kind) {
        Store::table_mut(&mut self.tables, table).kind = Some(kind);
    }

    /// The tables of a state, by ascending namespace.
    ///
    /// ```
    /// # use millstream_storage::hash::stable_hash;
    /// # use millstream_storage::store::{Store, StoreConfig};
    /// # let mut store = Store::new(StoreConfig::new("counts", 1));
    /// let (late, early) = (store.create_table(7, 20), store.create_table(7, 10));
    /// assert_eq!(store.tables(7).collect::<Vec<_>>(), [(10, early), (20, late)]);
    /// ```
    pub fn tables(&self, state: u32) -> impl Iterator<Item = (i64, TableId)> {
        let range = self.by_name.range((state, i64::MIN)..=(state, i64::MAX));
        range.map(|(&(_, namespace), &table)| (namespace, table))
    }

    /// Drops a table with all its keys. Its cost does not grow with them, but for giving memory back.
    ///
    /// ```
    /// # use millstream_storage::hash::stable_hash;
    /// # use millstream_storage::store::{Store, StoreConfig};
    /// # let mut store = Store::new(StoreConfig::new("counts", 1));
    /// # let table = store.create_table(0, 0);
    /// store.put(table, stable_hash(b"JFK"), b"JFK", b"1")?;
    /// assert_eq!(store.len(table), 1);
    /// store.drop_table(table);
    /// assert_eq!(store.table(0, 0), None);
    /// assert_eq!(store.stats().live_bytes, 0);
    /// # Ok::<(), millstream_storage::store::TooLarge>(())
    /// ```
    ///
    /// # Panics
    /// If the table was dropped before.
    pub fn drop_table(&mut self, table: TableId) {
        self.table_ref(table);
        let dropped = self.tables[table.slot as usize].take().expect("`table_ref` found it");
        self.free.push(table.slot);
        self.by_name.remove(&(dropped.state, dropped.namespace));
        self.by_id.remove(&dropped.id);
        if self.scanning == Some(table) {
            self.end_scan();
        }
        for (slot, bytes) in dropped.shares.iter() {
            self.log.count_dead(slot, bytes);
        }
    }

    /// The number of keys in a table.
    ///
    /// # Panics
    /// If the table was dropped.
    pub fn len(&self, table: TableId) -> usize {
        self.table_ref(table).index.len()
    }

    #[inline]
    pub(super) fn table_ref(&self, table: TableId) -> &Table {
        match self.tables.get(table.slot as usize) {
            Some(Some(found)) if found.id == table.id => found,
            _ => no_table(table),
        }
    }

    #[inline]
    pub(super) fn table_mut(tables: &mut [Option<Table>], table: TableId) -> &mut Table {
        match tables.get_mut(table.slot as usize) {
            Some(Some(found)) if found.id == table.id => found,
            _ => no_table(table),
        }
    }
}

#[cold]
#[inline(never)]
fn no_table(table: TableId) -> ! {
    panic!("table {} was dropped, or is another store's: tables must not be used after drop_table", table.id)
}
