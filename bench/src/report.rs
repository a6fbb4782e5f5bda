//! A table of figures, for the terminal and as JSON.

use std::fmt;
use std::path::Path;

use serde_json::{Value as Json, json};

/// What a benchmark returns.
pub type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// A title, columns and rows; each cell a text for people and, where it is one, a number for programs.
pub struct Report {
    title: String,
    columns: Vec<&'static str>,
    rows: Vec<Vec<Cell>>,
    notes: Vec<String>,
}

/// One figure.
pub struct Cell {
    text: String,
    value: Json,
}

impl Cell {
    /// Text alone.
    pub fn text(text: impl Into<String>) -> Cell {
        let text = text.into();
        Cell { value: json!(text), text }
    }

    /// A number with so many decimals.
    pub fn number(value: f64, decimals: usize) -> Cell {
        Cell { text: format!("{value:.decimals$}"), value: json!(value) }
    }

    /// A number of things, thousands apart.
    pub fn count(value: u64) -> Cell {
        Cell { text: grouped(value), value: json!(value) }
    }
}

impl Report {
    /// A table without rows.
    pub fn new(title: impl Into<String>, columns: &[&'static str]) -> Report {
        Report { title: title.into(), columns: columns.to_vec(), rows: Vec::new(), notes: Vec::new() }
    }

    /// Adds a row.
    ///
    /// # Panics
    /// If the row has not as many cells as there are columns.
    pub fn row(&mut self, cells: Vec<Cell>) {
        assert_eq!(cells.len(), self.columns.len(), "a cell per column");
        self.rows.push(cells);
    }

    /// Adds a line below the table.
    pub fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    /// Prints the table, and writes it to a file as JSON if there is one to write.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn publish(&self, json: Option<&Path>) -> Outcome<()> {
        println!("{self}");
        let Some(path) = json else { return Ok(()) };
        let text = serde_json::to_string_pretty(&self.to_json())?;
        std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()).into())
    }

    /// The table as JSON, with the environment it was measured in.
    pub fn to_json(&self) -> Json {
        let row = |cells: &Vec<Cell>| -> Json {
            let pairs = self.columns.iter().zip(cells);
            pairs.map(|(column, cell)| ((*column).to_owned(), cell.value.clone())).collect()
        };
        json!({
            "title": self.title,
            "environment": environment(),
            "rows": self.rows.iter().map(row).collect::<Vec<_>>(),
            "notes": self.notes,
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\n{}\n", self.title)?;
        let width = |i: usize| {
            let cells = self.rows.iter().map(|row| row[i].text.chars().count());
            cells.max().unwrap_or(0).max(self.columns[i].chars().count())
        };
        let widths: Vec<usize> = (0..self.columns.len()).map(width).collect();
        let line = |f: &mut fmt::Formatter<'_>, cells: &[&str]| {
            for (i, (cell, &width)) in cells.iter().zip(&widths).enumerate() {
                if i == 0 { write!(f, "  {cell:<width$}")? } else { write!(f, "  {cell:>width$}")? }
            }
            writeln!(f)
        };
        line(f, &self.columns)?;
        let total: usize = widths.iter().map(|width| width + 2).sum();
        writeln!(f, "  {}", "─".repeat(total - 2))?;
        for row in &self.rows {
            line(f, &row.iter().map(|cell| cell.text.as_str()).collect::<Vec<_>>())?;
        }
        self.notes.iter().try_for_each(|note| write!(f, "\n  {note}"))
    }
}

/// Where the figures hold.
fn environment() -> Json {
    let first = |path: &str, key: &str| {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with(key)).unwrap_or("").to_owned();
        line.split(':').nth(1).unwrap_or(&line).trim().to_owned()
    };
    json!({
        "cpu": first("/proc/cpuinfo", "model name"),
        "cores": std::thread::available_parallelism().map_or(0, usize::from),
        "memory": first("/proc/meminfo", "MemTotal"),
        "kernel": std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim(),
        "huge_pages": std::fs::read_to_string("/sys/kernel/mm/transparent_hugepage/enabled")
            .unwrap_or_default()
            .trim(),
        "version": env!("CARGO_PKG_VERSION"),
        "commit": commit(),
    })
}

/// The commit of the work tree that this was built from, `+` behind it if something in it is changed; empty outside
/// of one.
fn commit() -> String {
    let git = |args: &[&str]| {
        let output =
            std::process::Command::new("git").args(["-C", env!("CARGO_MANIFEST_DIR")]).args(args).output();
        output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default()
    };
    let changed = if git(&["status", "--porcelain"]).is_empty() { "" } else { "+" };
    format!("{}{changed}", git(&["rev-parse", "--short", "HEAD"]))
}

/// Thousands apart.
pub fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let head = digits.len() % 3;
    let mut out = digits[..head].to_owned();
    for (i, digit) in digits[head..].chars().enumerate() {
        if i % 3 == 0 && !out.is_empty() {
            out.push(' ');
        }
        out.push(digit);
    }
    out
}

/// The middle of some measurements, and their range.
pub struct Spread {
    /// The middle one.
    pub median: f64,
    /// The least.
    pub min: f64,
    /// The greatest.
    pub max: f64,
}

impl Spread {
    /// Of at least one measurement.
    ///
    /// # Panics
    /// If there are no measurements.
    pub fn of(mut values: Vec<f64>) -> Spread {
        values.sort_by(f64::total_cmp);
        let (min, max) = (values[0], values[values.len() - 1]);
        Spread { median: values[values.len() / 2], min, max }
    }

    /// From the least to the greatest.
    pub fn range(&self) -> Cell {
        Cell::text(format!("{:.1}–{:.1}", self.min, self.max))
    }
}
