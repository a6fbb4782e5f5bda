//! The sub-directories of partitioned output, named as Hive names them: `year=2013/month=1`.

use std::fmt::{Display, Write};

/// The deepest that partitions are nested.
pub(super) const MAX_DEPTH: usize = 8;

/// Bytes of the longest name that file systems take for granted.
const MAX_NAME: usize = 255;

/// What Hive writes for a value that is empty.
const NO_VALUE: &str = "__HIVE_DEFAULT_PARTITION__";

/// What Hive does not write as it is, besides control characters.
const ESCAPED: &str = "\"#%'*/:=?\\{[]^";

/// Which sub-directory a record belongs into. Mostly a [function](super::FileSink::partition_by); a type of its own looks
/// like this:
///
/// ```
/// use millstream::sink::Partition;
///
/// #[derive(Clone)]
/// struct Tens;
///
/// impl Partition<u64> for Tens {
///     const SPLITS: bool = true;
///     fn of(&self, record: &u64) -> String {
///         format!("tens={}", record / 10)
///     }
/// }
/// assert_eq!(Tens.of(&37), "tens=3");
/// ```
pub trait Partition<T>: Clone + Send + 'static {
    /// Whether there are sub-directories at all.
    const SPLITS: bool;
    /// The name of a record's partition, such as `year=2013/month=1`.
    fn of(&self, record: &T) -> String;
}

/// No sub-directories: all files lie in the directory itself.
///
/// ```
/// use millstream::sink::{Partition, Unsplit};
/// assert!(!<Unsplit as Partition<u64>>::SPLITS && Unsplit.of(&7).is_empty());
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Unsplit;

impl<T> Partition<T> for Unsplit {
    const SPLITS: bool = false;

    fn of(&self, _: &T) -> String {
        String::new()
    }
}

/// Sub-directories named by a function of the record.
///
/// ```
/// use millstream::sink::{By, Partition};
/// assert_eq!(By(|n: &u64| format!("parity={}", n % 2)).of(&7), "parity=1");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct By<C>(pub C);

impl<T, C: Fn(&T) -> String + Clone + Send + 'static> Partition<T> for By<C> {
    const SPLITS: bool = true;

    fn of(&self, record: &T) -> String {
        self.0(record)
    }
}

/// `key=value` as the name of a directory, whatever the value: bytes that a name cannot have are written as `%` and two
/// hexadecimal digits, as Hive does; no value at all as `__HIVE_DEFAULT_PARTITION__`.
///
/// ```
/// use millstream::sink::key_value;
///
/// assert_eq!(key_value("airport", "LAX"), "airport=LAX");
/// assert_eq!(key_value("path", "../a=b"), "path=..%2Fa%3Db");
/// assert_eq!(key_value("airport", ""), "airport=__HIVE_DEFAULT_PARTITION__");
/// ```
pub fn key_value(key: &str, value: impl Display) -> String {
    let value = value.to_string();
    let mut name = format!("{key}=");
    for c in value.chars() {
        if c.is_control() || ESCAPED.contains(c) {
            for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                write!(name, "%{byte:02X}").expect("a string takes all");
            }
        } else {
            name.push(c);
        }
    }
    if value.is_empty() {
        name.push_str(NO_VALUE);
    }
    name
}

/// Whether this is the name of a partition: up to [`MAX_DEPTH`] times `key=value`, with slashes between them.
///
/// # Errors
/// What is wrong with it.
pub(super) fn check(partition: &str) -> Result<(), String> {
    if partition.split('/').count() > MAX_DEPTH {
        return Err(format!("it is nested deeper than {MAX_DEPTH} times"));
    }
    partition.split('/').try_for_each(check_name)
}

fn check_name(name: &str) -> Result<(), String> {
    let wrong = match name.split_once('=') {
        None => "is not `key=value`",
        Some((key, value)) if key.is_empty() || value.is_empty() => "lacks its key or its value",
        _ if name.starts_with(['.', '_']) => "would be hidden",
        _ if name.len() > MAX_NAME => "is longer than 255 bytes",
        _ if name.contains(|c: char| c.is_control() || c == '\\') => "has a control character or a backslash",
        _ => return Ok(()),
    };
    Err(format!("{name:?} {wrong}"))
}

/// Whether a directory is one of a partition, by its own name.
pub(super) fn is_name(name: &str) -> bool {
    check_name(name).is_ok()
}
