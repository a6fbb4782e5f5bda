//! A declared state: what its handle and the step that owns it know of it.

use std::cell::{Cell, RefCell};

use millstream_storage::planted;
use rkyv::util::AlignedVec;

use crate::error::{Error, ErrorKind, Result};
use crate::key::Key;
use crate::state::codec::{self, StateValue};
use crate::state::schema::{self, Accepted, StateSchema, StateTypes};
use crate::state::ttl::Ttl;

/// How a state lies in its table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Value,
    List,
    Map,
    Timeline,
}

/// A type that is upgraded to the present one.
#[derive(Clone)]
pub(crate) struct Upgrade {
    of: String,
    version: u32,
    /// Makes the archive of the new value from that of an old one.
    pub run: fn(&[u8], &mut AlignedVec) -> Result<()>,
}

/// A declared state.
pub(crate) struct Spec {
    pub name: String,
    pub id: u32,
    pub kind: Kind,
    /// What the user calls it.
    pub called: &'static str,
    key: Option<String>,
    of: String,
    types: StateTypes,
    version: Cell<u32>,
    ttl: Cell<Option<Ttl>>,
    upgrades: RefCell<Vec<Upgrade>>,
    /// Checks the bytes of what is kept, and of a map's key.
    pub check: fn(&[u8]) -> Result<()>,
    pub check_key: fn(&[u8]) -> Result<()>,
}

impl Spec {
    pub(crate) fn new<T: StateValue>(name: &str, id: u32, kind: Kind, called: &'static str) -> Spec {
        Spec {
            name: name.to_owned(),
            id,
            kind,
            called,
            key: None,
            of: schema::fingerprint::<T>(),
            types: StateTypes::new::<T>(),
            version: Cell::new(1),
            ttl: Cell::new(None),
            upgrades: RefCell::default(),
            check: codec::check::<T>,
            check_key: |_| Ok(()),
        }
    }

    /// The same with keys, as a map has them.
    pub(crate) fn keyed<K: Key>(self) -> Spec {
        let types = StateTypes { key: Some(std::any::type_name::<K>().to_owned()), ..self.types };
        Spec { key: Some(schema::plain_name::<K>()), types, check_key: check_key::<K>, ..self }
    }

    pub(crate) fn ttl(&self) -> Option<Ttl> {
        self.ttl.get()
    }

    pub(crate) fn set_ttl(&self, ttl: Ttl) {
        self.ttl.set(Some(ttl));
    }

    pub(crate) fn set_version(&self, version: u32) {
        self.version.set(version);
    }

    pub(crate) fn add_upgrade<Old: StateValue, T: Migrate<Old> + StateValue>(&self, version: u32) {
        let of = schema::fingerprint::<Old>();
        self.upgrades.borrow_mut().push(Upgrade { of, version, run: upgrade::<Old, T> });
    }

    /// What a checkpoint says of it.
    pub(crate) fn schema(&self) -> StateSchema {
        self.schema_of(&self.of, self.version.get())
    }

    /// The full names of its types.
    pub(crate) fn types(&self) -> &StateTypes {
        &self.types
    }

    fn schema_of(&self, of: &str, version: u32) -> StateSchema {
        StateSchema {
            kind: self.called.to_owned(),
            key: self.key.clone(),
            of: of.to_owned(),
            version,
            expires: self.ttl.get().is_some(),
            format: schema::FORMAT,
        }
    }

    pub(crate) fn accepted(&self) -> Accepted {
        let upgrades = self.upgrades.borrow();
        let older = upgrades.iter().map(|upgrade| self.schema_of(&upgrade.of, upgrade.version));
        Accepted { now: self.schema(), older: older.collect() }
    }

    /// What is to be done with a state that was saved so, if anything.
    pub(crate) fn upgrade_from(&self, saved: &StateSchema) -> Option<Upgrade> {
        let upgrades = self.upgrades.borrow();
        if planted!(migration_skipped) {
            return None;
        }
        if *saved == self.schema() {
            return if planted!(migrated_again) { upgrades.first().cloned() } else { None };
        }
        upgrades.iter().find(|upgrade| *saved == self.schema_of(&upgrade.of, upgrade.version)).cloned()
    }
}

fn check_key<K: Key>(bytes: &[u8]) -> Result<()> {
    match K::is_valid(bytes) {
        true => Ok(()),
        false => {
            let message = format!("a restored key is not a `{}`", std::any::type_name::<K>());
            Err(Error::new(ErrorKind::Restore, message))
        }
    }
}

/// Says how a value of an earlier type becomes one of this: for state that was saved by an older version of the job.
///
/// A state declared with `upgrades::<Old>(version)` is restored from a checkpoint that holds it as that version of
/// `Old`. All of its values are upgraded on restore, before the first record: the job's code then knows one type only,
/// and a value that cannot be read is found at the start, not days later. The next checkpoint writes them anew.
///
/// ```
/// use millstream::prelude::*;
///
/// /// Version 1.
/// #[derive(rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
/// struct Visits { count: u32 }
///
/// /// Version 2.
/// #[derive(Default, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
/// struct VisitsByDay { count: u64, days: Vec<u32> }
///
/// impl Migrate<Visits> for VisitsByDay {
///     fn migrate(old: Visits) -> VisitsByDay {
///         VisitsByDay { count: u64::from(old.count), days: Vec::new() }
///     }
/// }
///
/// fn declare(state: &mut Declare) -> Value<VisitsByDay> {
///     state.value("visits").version(2).upgrades::<Visits>(1)
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be made from `{Old}`",
    label = "no upgrade from `{Old}`",
    note = "implement `Migrate<{Old}>` for `{Self}`"
)]
pub trait Migrate<Old> {
    /// Makes the value.
    fn migrate(old: Old) -> Self;
}

fn upgrade<Old: StateValue, T: Migrate<Old> + StateValue>(old: &[u8], new: &mut AlignedVec) -> Result<()> {
    codec::check::<Old>(old)?;
    codec::encode(&T::migrate(codec::decode::<Old>(old)), new);
    Ok(())
}

/// The settings that every handle has, as methods that take and return it.
macro_rules! settings {
    (impl[$($generics:tt)*] $handle:ty, of $of:ty) => {
        impl<$($generics)*> $handle {
            /// The version of what is kept: 1 unless said otherwise. Raise it when the meaning of the bytes changes though
            /// the type's name and size do not; see [`Migrate`](crate::state::Migrate).
            pub fn version(self, version: u32) -> Self {
                self.at.spec.set_version(version);
                self
            }

            /// Restores what was saved as `version` of `Old`, too; see [`Migrate`](crate::state::Migrate).
            pub fn upgrades<Old: $crate::state::StateValue>(self, version: u32) -> Self
            where
                $of: $crate::state::Migrate<Old>,
            {
                self.at.spec.add_upgrade::<Old, $of>(version);
                self
            }
        }
    };
    (impl[$($generics:tt)*] $handle:ty, of $of:ty, expiring) => {
        $crate::state::spec::settings!(impl[$($generics)*] $handle, of $of);

        impl<$($generics)*> $handle {
            /// Lets what is kept expire; see [`Ttl`](crate::state::Ttl).
            pub fn ttl(self, ttl: impl Into<$crate::state::Ttl>) -> Self {
                self.at.spec.set_ttl(ttl.into());
                self
            }
        }
    };
}
pub(crate) use settings;
