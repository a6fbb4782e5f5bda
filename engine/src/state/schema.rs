//! What a checkpoint says of a state, and what a job makes of it.
//!
//! Types have no portable identity: rkyv derives no schema, and the compiler's name of a type is not promised to stay
//! and changes when the type moves to another module. So a type is told here by what can be relied on and what
//! people change: its name without paths, the size of its archive, and whether it is its own archive. That catches
//! another type, another number, and fields added or removed; it does not catch fields that change their
//! places or meaning at equal size. For those there is the version, which is the author's to raise.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::state::codec::StateValue;

/// The version of how states lie in tables.
pub(crate) const FORMAT: u32 = 1;

/// A state, as a checkpoint describes it.
///
/// ```
/// use millstream::state::StateSchema;
///
/// let seen = StateSchema {
///     kind: "map".to_owned(),
///     key: Some("String".to_owned()),
///     of: "u64/8 flat".to_owned(),
///     version: 1,
///     expires: true,
///     format: 1,
/// };
/// assert_eq!(seen.to_string(), "map of String to u64/8 flat, version 1, with a TTL");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StateSchema {
    /// `value`, `list`, `map`, `reducing`, `aggregating`, `timeline`, or one of an operator's own.
    pub kind: String,
    /// The type of a map's keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The type of what is kept: its name without paths, and its archive's size.
    pub of: String,
    /// The version that the author of the type has given it.
    pub version: u32,
    /// Whether entries expire.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub expires: bool,
    /// How it lies in its table.
    pub format: u32,
}

impl fmt::Display for StateSchema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let StateSchema { kind, key, of, version, expires, format } = self;
        write!(f, "{kind} of ")?;
        if let Some(key) = key {
            write!(f, "{key} to ")?;
        }
        write!(f, "{of}, version {version}, {}", if *expires { "with a TTL" } else { "without a TTL" })?;
        if *format != FORMAT {
            write!(f, ", in format {format}")?;
        }
        Ok(())
    }
}

/// The full names of a state's types, as the compiler has them: by those a tool tells `String` from another type of that
/// name, and decodes what it knows. The compiler does not promise that they stay, so nothing is compared with them.
///
/// ```
/// use millstream::state::StateTypes;
///
/// let seen = StateTypes { format: 1, key: Some("alloc::string::String".to_owned()), of: "u64".to_owned() };
/// assert_eq!(serde_json::to_string(&seen).unwrap(), r#"{"format":1,"key":"alloc::string::String","of":"u64"}"#);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateTypes {
    /// The version of this description and of the archives: 1 stands for those of rkyv 0.8, little-endian, unaligned,
    /// with pointers of 32 bits.
    pub format: u32,
    /// The type of a map's keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The type of what is kept.
    pub of: String,
}

/// The version of [`StateTypes`].
pub(crate) const TYPES: u32 = 1;

impl StateTypes {
    /// Those of a state of `T`.
    pub(crate) fn new<T>() -> StateTypes {
        StateTypes { format: TYPES, key: None, of: std::any::type_name::<T>().to_owned() }
    }
}

/// What a declared state accepts of a checkpoint: its own description, and those that can be upgraded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Accepted {
    pub now: StateSchema,
    pub older: Vec<StateSchema>,
}

impl Accepted {
    /// Whether a state that was saved so can be restored.
    pub(crate) fn check(&self, name: &str, saved: &StateSchema) -> Result<(), String> {
        if *saved == self.now || self.older.contains(saved) {
            return Ok(());
        }
        let cure = if saved.expires != self.now.expires && saved.of == self.now.of {
            "give it a TTL again, or no more"
        } else {
            "keep the old type, implement `Migrate` and declare it with `upgrades`"
        };
        Err(format!("state `{name}` was saved as [{saved}] and is now [{}]; {cure}", self.now))
    }
}

/// How a type is told from others.
pub(crate) fn fingerprint<T: StateValue>() -> String {
    let flat = if T::FLAT { " flat" } else { "" };
    format!("{}/{}{flat}", plain_name::<T>(), size_of::<T::Archived>())
}

/// A type's name without the paths in it.
pub(crate) fn plain_name<T>() -> String {
    without_paths(std::any::type_name::<T>())
}

/// The name of a type without the paths in it.
pub(crate) fn without_paths(name: &str) -> String {
    let mut plain = String::new();
    let mut word = 0;
    for c in name.chars() {
        plain.push(c);
        if c == ':' {
            plain.truncate(word);
        } else if !c.is_alphanumeric() && c != '_' {
            word = plain.len();
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::{fingerprint, plain_name};

    mod inner {
        pub struct Level<T>(pub T);
    }

    #[test]
    fn a_type_that_moves_to_another_module_stays_the_same() {
        assert_eq!(plain_name::<Vec<inner::Level<Option<String>>>>(), "Vec<Level<Option<String>>>");
        assert_eq!(plain_name::<(u64, [inner::Level<i8>; 3])>(), "(u64, [Level<i8>; 3])");
    }

    #[test]
    fn types_of_other_names_or_sizes_differ() {
        assert_eq!(fingerprint::<u64>(), "u64/8 flat");
        assert_ne!(fingerprint::<u64>(), fingerprint::<i64>());
        assert_ne!(fingerprint::<[u32; 2]>(), fingerprint::<[u32; 3]>());
    }
}
