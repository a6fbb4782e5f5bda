//! The bytes of input files: NDJSON or CSV, with lines that cannot be decoded among them, plain or compressed.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::data::Event;
use crate::random::Random;

/// How the records of all files are written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Ndjson,
    Csv,
}

/// How a file is packed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Packed {
    Plain,
    Gzip,
    Zstd,
}

impl Packed {
    pub(super) fn draw(random: &mut Random) -> Packed {
        *random.pick(&[Packed::Plain, Packed::Gzip, Packed::Zstd])
    }

    /// What a name ends with; now and then nothing tells but the first bytes.
    pub(super) fn suffix(self, random: &mut Random) -> &'static str {
        match self {
            Packed::Gzip if random.coin() => ".gz",
            Packed::Zstd if random.coin() => ".zst",
            _ => "",
        }
    }

    /// Packs bytes, as several members or frames.
    pub(super) fn pack(self, random: &mut Random, mut bytes: &[u8]) -> Vec<u8> {
        if self == Packed::Plain {
            return bytes.to_vec();
        }
        let mut packed = Vec::new();
        loop {
            let piece = bytes.split_off(..(random.magnitude(20_000) as usize).min(bytes.len()));
            let piece = piece.expect("it is not longer");
            match self {
                Packed::Gzip => {
                    let mut encoder = GzEncoder::new(&mut packed, Compression::fast());
                    encoder.write_all(piece).expect("memory takes all");
                    encoder.finish().expect("memory takes all");
                }
                _ => packed.extend(zstd::encode_all(piece, 1).expect("memory takes all")),
            }
            if bytes.is_empty() {
                return packed;
            }
        }
    }
}

/// A record without its fields, no JSON, and JSON of another kind.
const BAD_LINES: [&str; 3] = ["{\"id\":1}\n", "nonsense\n", "[]\n"];
/// Too few fields, too many, and one that is no number.
const BAD_ROWS: [&str; 3] = ["1\n", "1,2,3,4,5\n", "1,\"two\",3,4\n"];

/// The lines of a file, of which `poison` in a hundred are bad: these are noted, by file and line.
pub(super) fn encode(
    random: &mut Random,
    format: Format,
    path: &str,
    events: &[Event],
    poison: u64,
    bad: &mut Vec<(String, u64)>,
) -> Vec<u8> {
    let (mut bytes, mut line) = (Vec::new(), 0);
    let mut rows = None;
    if format == Format::Csv {
        line += 1;
        rows = Some(Rows::begin(random, &mut bytes));
    }
    for event in events {
        while random.draw_below(100).is_some_and(|drawn| drawn < poison) {
            line += 1;
            bad.push((path.to_owned(), line));
            let lines = if rows.is_some() { &BAD_ROWS } else { &BAD_LINES };
            bytes.extend_from_slice(random.pick(lines).as_bytes());
        }
        line += 1;
        match &rows {
            Some(rows) => rows.encode(random, event, &mut bytes),
            None => {
                serde_json::to_writer(&mut bytes, event).expect("an event is plain data");
                bytes.push(b'\n');
            }
        }
    }
    bytes
}

/// How the rows of a file of CSV look.
struct Rows {
    /// The fields in the order of the columns.
    columns: [usize; 4],
    end: &'static str,
}

impl Rows {
    /// Draws it, and writes the header row.
    fn begin(random: &mut Random, bytes: &mut Vec<u8>) -> Rows {
        let mut columns = [0, 1, 2, 3];
        random.shuffle(&mut columns);
        let end = *random.pick(&["\n", "\r\n"]);
        let names = columns.map(|column| ["id", "key", "time", "value"][column]);
        bytes.extend_from_slice((names.join(",") + end).as_bytes());
        Rows { columns, end }
    }

    /// Writes a row, with some fields in quotes.
    fn encode(&self, random: &mut Random, event: &Event, bytes: &mut Vec<u8>) {
        let Event { id, key, time, value } = event;
        let fields = [id.to_string(), key.to_string(), time.to_string(), value.to_string()];
        let quoted = |column: usize| match random.below(8) {
            0 => format!("\"{}\"", fields[column]),
            _ => fields[column].clone(),
        };
        bytes.extend_from_slice((self.columns.map(quoted).join(",") + self.end).as_bytes());
    }
}
