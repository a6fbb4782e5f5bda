//! Text for people: sizes and tables.

use std::io::{self, Write};

/// Bytes, in the unit that reads best.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if value < 10.0 && unit > 0 {
        format!("{value:.1} {}", UNITS[unit])
    } else {
        format!("{value:.0} {}", UNITS[unit])
    }
}

/// Rows under a heading, in columns. Numbers are set to the right.
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// An empty table. A heading that begins with `>` is that of numbers.
    pub fn new(heading: &[&str]) -> Table {
        Table { rows: vec![heading.iter().map(|&name| name.to_owned()).collect()] }
    }

    /// Adds a row: as many cells as the heading has.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// Prints it.
    pub fn print(&self, output: &mut dyn Write) -> io::Result<()> {
        let right: Vec<bool> = self.rows[0].iter().map(|name| name.starts_with('>')).collect();
        let rows: Vec<Vec<&str>> = self
            .rows
            .iter()
            .map(|row| row.iter().map(|cell| cell.strip_prefix('>').unwrap_or(cell)).collect())
            .collect();
        let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..right.len()).map(width).collect();
        for row in &rows {
            let mut line = String::new();
            for ((cell, &width), &right) in row.iter().zip(&widths).zip(&right) {
                line += &if right { format!("{cell:>width$}  ") } else { format!("{cell:<width$}  ") };
            }
            writeln!(output, "{}", line.trim_end())?;
        }
        Ok(())
    }
}
