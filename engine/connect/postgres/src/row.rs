//! Records as rows: their columns, and how their values are put.

use crate::value::{Type, Value};

/// A column of a table: its name, which is taken as it is, and its type.
///
/// ```
/// use millstream_postgres::{Column, Type};
/// const HOUR: Column = Column::new("hour", Type::Timestamptz);
/// assert_eq!((HOUR.name, HOUR.kind), ("hour", Type::Timestamptz));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name in the table.
    pub name: &'static str,
    /// Its type.
    pub kind: Type,
}

impl Column {
    /// A column.
    pub const fn new(name: &'static str, kind: Type) -> Column {
        Column { name, kind }
    }
}

/// A record that is a row of a table. Columns of the table that it does not name get their defaults.
///
/// ```
/// use millstream_postgres::{Column, Millis, Row, Type, Values};
///
/// struct Departures { airport: String, hour: i64, count: u64, delay: Option<f64> }
///
/// impl Row for Departures {
///     const COLUMNS: &'static [Column] = &[
///         Column::new("airport", Type::Text),
///         Column::new("hour", Type::Timestamptz),
///         Column::new("count", Type::Int8),
///         Column::new("delay", Type::Float8),
///     ];
///     fn put(&self, row: &mut Values<'_>) {
///         row.put(&self.airport).put(&Millis(self.hour)).put(&(self.count as i64)).put(&self.delay);
///     }
/// }
/// ```
pub trait Row {
    /// The columns, in the order in which [`put`](Self::put) gives their values.
    const COLUMNS: &'static [Column];

    /// Gives a value for each column.
    fn put(&self, row: &mut Values<'_>);
}

/// Where a row's values are put, in the order of its columns. See [`Row`].
///
/// ```
/// use millstream_postgres::Values;
/// fn put_pair(row: &mut Values<'_>, pair: &(i32, &str)) {
///     row.put(&pair.0).put(pair.1);
/// }
/// ```
pub struct Values<'a> {
    out: &'a mut Vec<u8>,
    columns: &'static [Column],
    /// Which of them must not be NULL.
    key: &'a [bool],
    /// Values so far.
    count: usize,
    wrong: Option<String>,
}

impl<'a> Values<'a> {
    pub(crate) fn new(out: &'a mut Vec<u8>, columns: &'static [Column], key: &'a [bool]) -> Values<'a> {
        Values { out, columns, key, count: 0, wrong: None }
    }

    /// Gives the next column's value.
    pub fn put<V: Value + ?Sized>(&mut self, value: &V) -> &mut Self {
        if let Err(wrong) = self.add(value) {
            self.wrong.get_or_insert(wrong);
        }
        self.count += 1;
        self
    }

    fn add<V: Value + ?Sized>(&mut self, value: &V) -> Result<(), String> {
        let Some(Column { name, kind }) = self.columns.get(self.count) else {
            return Err(format!("there are more values than columns, which are {}", self.columns.len()));
        };
        if V::TYPE != *kind {
            return Err(format!("column `{name}` is {kind}, but was given a value of {}", V::TYPE));
        }
        if value.is_null() {
            if self.key.get(self.count).copied().unwrap_or(false) {
                return Err(format!("column `{name}` is of the key, but was given NULL"));
            }
            self.out.extend_from_slice(&(-1_i32).to_be_bytes());
            return Ok(());
        }
        let at = self.out.len();
        self.out.extend_from_slice(&[0; 4]);
        value.encode(self.out).map_err(|why| format!("column `{name}` was given {why}"))?;
        let len = i32::try_from(self.out.len() - at - 4)
            .map_err(|_| format!("column `{name}` was given more than 2 GiB"))?;
        self.out[at..at + 4].copy_from_slice(&len.to_be_bytes());
        Ok(())
    }

    /// Whether it is a whole row.
    pub(crate) fn finish(self) -> Result<(), String> {
        match self.wrong {
            Some(wrong) => Err(wrong),
            None if self.count < self.columns.len() => {
                Err(format!("column `{}` was given no value", self.columns[self.count].name))
            }
            None => Ok(()),
        }
    }
}
