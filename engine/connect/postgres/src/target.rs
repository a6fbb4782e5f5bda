//! What is written to: a table, its columns, and how rows get into it.

use crate::row::{Column, Row, Values};

/// The table of a sink. What a [`Connect`](crate::session::Connect) is told.
///
/// ```
/// use millstream_postgres::{Column, Mode, Target, Type};
/// const COLUMNS: &[Column] = &[Column::new("key", Type::Int8), Column::new("sum", Type::Int8)];
/// let target = Target {
///     sink: "public.totals".to_owned(),
///     schema: "public".to_owned(),
///     table: "totals".to_owned(),
///     columns: COLUMNS,
///     mode: Mode::Upsert { key: vec![0], removes: false },
/// };
/// assert_ne!(target.mode, Mode::Append);
/// ```
#[derive(Clone, Debug)]
pub struct Target {
    /// The name under which the sink's commits are counted.
    pub sink: String,
    /// The schema of the table, and of the table of commits.
    pub schema: String,
    /// The table.
    pub table: String,
    /// The columns that are written.
    pub columns: &'static [Column],
    /// How rows get into it.
    pub mode: Mode,
}

/// How rows get into a table. See [`Target`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Each record is a row.
    Append,
    /// The last record of a key is the row of that key.
    Upsert {
        /// The columns that the key is made of, by their places.
        key: Vec<usize>,
        /// Records say whether they are rows or the end of one.
        removes: bool,
    },
}

/// The longest name that the server does not cut.
const NAME_BYTES: usize = 63;

impl Target {
    /// Names and key that the server can take.
    pub(crate) fn check(&self) -> Result<(), String> {
        let columns = self.columns.iter().map(|column| column.name);
        let names = [self.schema.as_str(), self.table.as_str()].into_iter().chain(columns);
        for name in names {
            if name.is_empty() || name.len() > NAME_BYTES || name.contains('\0') {
                return Err(format!("{name:?} is no name that the server can have"));
            }
        }
        if self.sink.is_empty() || self.sink.contains('\0') {
            return Err("a sink's name is not empty, and has no NUL character".to_owned());
        }
        if self.columns.is_empty() {
            return Err("the record has no columns".to_owned());
        }
        let twice = (1..self.columns.len())
            .find(|&at| self.columns[..at].iter().any(|column| column.name == self.columns[at].name));
        match twice {
            Some(at) => Err(format!("the record has two columns `{}`", self.columns[at].name)),
            None => Ok(()),
        }
    }

    /// The places of the columns of a key.
    pub(crate) fn places(columns: &'static [Column], key: &[&str]) -> Result<Vec<usize>, String> {
        if key.is_empty() {
            return Err("the key has no columns".to_owned());
        }
        let place = |name: &&str| {
            let place = columns.iter().position(|column| column.name == *name);
            place.ok_or_else(|| format!("the key's column `{name}` is not a column of the record"))
        };
        key.iter().map(place).collect()
    }

    /// How rows get into it, in words that stay the same for as long as tuples do.
    pub(crate) fn manner(&self) -> String {
        let name = |at: &usize| self.columns[*at].name;
        match &self.mode {
            Mode::Append => "appended to".to_owned(),
            Mode::Upsert { key, removes } => {
                let key: Vec<&str> = key.iter().map(name).collect();
                format!("{} by key {}", if *removes { "changed" } else { "updated" }, key.join(", "))
            }
        }
    }

    /// A number for the columns and the manner: tuples of one shape cannot be taken for those of another.
    pub(crate) fn shape(&self) -> u64 {
        let columns = self.columns.iter().map(|Column { name, kind }| format!("{name:?} {kind}, "));
        millstream_storage::hash::stable_hash((columns.collect::<String>() + &self.manner()).as_bytes())
    }

    /// Which columns must not be NULL, by their places.
    pub(crate) fn never_null(&self) -> Vec<bool> {
        match &self.mode {
            Mode::Append => Vec::new(),
            Mode::Upsert { key, .. } => (0..self.columns.len()).map(|at| key.contains(&at)).collect(),
        }
    }
}

/// Appends a record as a tuple of the server's binary COPY format: the row's values and, where the last record of a key
/// counts, its number and whether it stays.
pub(crate) fn encode<R: Row>(
    row: &R,
    (mode, key): (&Mode, &[bool]),
    (number, stays): (u64, bool),
    out: &mut Vec<u8>,
) -> Result<(), String> {
    let before = out.len();
    let more = match mode {
        Mode::Append => 0,
        Mode::Upsert { removes, .. } => 1 + usize::from(*removes),
    };
    let fields = i16::try_from(R::COLUMNS.len() + more).map_err(|_| "too many columns".to_owned())?;
    out.extend_from_slice(&fields.to_be_bytes());
    let mut values = Values::new(out, R::COLUMNS, key);
    row.put(&mut values);
    if let Err(wrong) = values.finish() {
        out.truncate(before);
        return Err(wrong);
    }
    if more > 0 {
        out.extend_from_slice(&8_i32.to_be_bytes());
        out.extend_from_slice(&number.to_be_bytes());
    }
    if more > 1 {
        out.extend_from_slice(&1_i32.to_be_bytes());
        out.push(u8::from(stays));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
