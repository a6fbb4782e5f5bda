//! The final table of a query, as CSV.
//!
//! A header with `name:TYPE` per column, then the rows sorted as text. NULL is an empty field and the empty string
//! `""`; a field with a comma, a quote, a line break or a space at its ends is quoted as RFC 4180 says.

use std::collections::BTreeMap;
use std::fmt::Write;

use millstream::stream::Stream;
use millstream::stream::chain::Chain;

/// A row of a query's result.
pub trait Row: Send + 'static {
    /// The header: `name:TYPE` per column, with commas in between.
    const COLUMNS: &'static str;
    /// The columns that tell rows apart where later rows replace earlier ones; none where rows are only added.
    const KEY: &'static [usize] = &[];

    /// Writes the columns, each by one call.
    fn write(&self, fields: &mut Fields);
}

/// A row being written.
#[derive(Default)]
pub struct Fields {
    line: String,
    /// Where each field ends.
    ends: Vec<usize>,
}

impl Fields {
    /// A number, or a time in milliseconds since the epoch.
    pub fn int(&mut self, n: i64) -> &mut Fields {
        self.display(n)
    }

    /// A decimal with three places, given in thousandths.
    pub fn thousandths(&mut self, n: i128) -> &mut Fields {
        let (sign, n) = (if n < 0 { "-" } else { "" }, n.unsigned_abs());
        self.display(format_args!("{sign}{}.{:03}", n / 1000, n % 1000))
    }

    /// A string.
    pub fn text(&mut self, text: &str) -> &mut Fields {
        self.next();
        let quoted = text.is_empty()
            || text.contains([',', '"', '\n', '\r'])
            || text.starts_with(' ')
            || text.ends_with(' ');
        if quoted {
            self.line.push('"');
            self.line.push_str(&text.replace('"', "\"\""));
            self.line.push('"');
        } else {
            self.line.push_str(text);
        }
        self.end()
    }

    /// A string, or NULL.
    pub fn text_or_null(&mut self, text: Option<&str>) -> &mut Fields {
        match text {
            Some(text) => self.text(text),
            None => self.display(""),
        }
    }

    /// What cannot need quotes.
    pub fn display(&mut self, value: impl std::fmt::Display) -> &mut Fields {
        self.next();
        write!(self.line, "{value}").expect("writing to a string cannot fail");
        self.end()
    }

    fn next(&mut self) {
        if !self.ends.is_empty() {
            self.line.push(',');
        }
    }

    fn end(&mut self) -> &mut Fields {
        self.ends.push(self.line.len());
        self
    }

    fn field(&self, i: usize) -> &str {
        let start = if i == 0 { 0 } else { self.ends[i - 1] + 1 };
        &self.line[start..self.ends[i]]
    }
}

/// A line of the table, and what it replaces.
pub type Keyed = (Option<String>, String);

/// The rows of a stream as lines.
pub fn lines<R: Row, C: Chain<Out = R>>(rows: Stream<R, C>) -> Stream<Keyed, impl Chain<Out = Keyed>> {
    rows.map(|row| {
        let mut fields = Fields::default();
        row.write(&mut fields);
        let key = R::KEY.iter().map(|&i| fields.field(i)).collect::<Vec<_>>();
        ((!key.is_empty()).then(|| key.join(",")), fields.line)
    })
}

/// The text of the table with these lines: of lines with the same key, the last one.
pub fn text(header: &str, lines: Vec<Keyed>) -> String {
    let mut latest = BTreeMap::new();
    let mut rows = Vec::new();
    for (key, line) in lines {
        match key {
            Some(key) => {
                latest.insert(key, line);
            }
            None => rows.push(line),
        }
    }
    rows.extend(latest.into_values());
    rows.sort_unstable();
    let mut text =
        String::with_capacity(rows.iter().map(|row| row.len() + 1).sum::<usize>() + header.len() + 1);
    for line in std::iter::once(header).chain(rows.iter().map(String::as_str)) {
        text.push_str(line);
        text.push('\n');
    }
    text
}
