//! What a block must hold whose records were entered by the index alone: looked at when it is read.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::rc::Rc;

use super::entries_of;
use crate::delta;
use crate::error::Damage;
use crate::planted;
use crate::snapshot::{Layout, TableEntry};

/// Says what is wrong with a value of a key.
pub(crate) type Check = Rc<dyn Fn(&[u8], &[u8]) -> Result<(), String>>;

/// What is known of all blocks that were left where they are.
pub(crate) struct Rules {
    seed: u64,
    /// Of the digests: nobody can make up an index that has those of other records.
    secret: RandomState,
    layouts: BTreeMap<u32, Layout>,
    checks: RefCell<BTreeMap<u32, Check>>,
}

impl Rules {
    pub(crate) fn new(seed: u64, tables: &[TableEntry]) -> Rules {
        let layouts = tables.iter().map(|table| (table.id, table.layout)).collect();
        Rules { seed, secret: RandomState::new(), layouts, checks: RefCell::default() }
    }

    /// Values of a table are to be looked at, too.
    pub(crate) fn add_check(&self, table: u32, check: Check) {
        self.checks.borrow_mut().insert(table, check);
    }

    /// What is remembered of a block's entries until the block is read: 32 bits of a keyed hash. A checksum would find
    /// accidents alone, and what the index has told of places and sizes is relied upon.
    pub(crate) fn digest(&self, entries: &[u8]) -> u32 {
        self.secret.hash_one(entries) as u32
    }

    /// Whether a verified block holds what the index has told. Returns what is wrong with values in it, and where: of dead
    /// records that does not matter.
    ///
    /// # Errors
    /// What is wrong with the block, and where.
    pub(crate) fn check(&self, block: &[u8], promised: u32) -> Result<Vec<(usize, Damage)>, (usize, Damage)> {
        let mut entries = Vec::new();
        entries_of(block, self.seed, &mut entries)?;
        if self.digest(&entries) != promised && !planted!(index_trusted) {
            let what = "its records are not those that the index of the file tells of".to_owned();
            return Err((0, Damage::Malformed(what)));
        }
        let (mut suspects, checks) = (Vec::new(), self.checks.borrow());
        for record in delta::records(block) {
            let (at, header) = record?;
            let Some(layout) = self.layouts.get(&header.table) else { continue };
            let (key, value) = delta::key_and_value(block, at, header);
            let value = (!header.is_tombstone()).then_some(value);
            layout.check(key.len(), value.map(<[u8]>::len)).map_err(|damage| (at, damage))?;
            if let (Some(value), Some(check)) = (value, checks.get(&header.table))
                && let Err(what) = check(key, value)
            {
                suspects.push((at, Damage::Malformed(what)));
            }
        }
        Ok(suspects)
    }
}
