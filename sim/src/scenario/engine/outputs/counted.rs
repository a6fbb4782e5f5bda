//! A format with a footer, that holds records back: as those of columns do.

use millstream::Result;
use millstream::sink::{Encoder, Format};

use super::Event;

/// Bytes of a record.
const RECORD: usize = 32;
const BEGIN: &[u8; 8] = b"counted\n";
const END: &[u8; 8] = b"\nthe end";

/// Records of fixed size, encoded some at a time; at the end their number.
#[derive(Clone, Copy)]
pub(super) struct Counted {
    /// Records that are held back together.
    pub(super) group: usize,
}

pub(super) struct Counting {
    group: usize,
    held: Vec<Event>,
    count: u64,
}

impl Format<Event> for Counted {
    type Encoder = Counting;

    fn extension(&self) -> &str {
        "counted"
    }

    fn begin(&self) -> Result<Counting> {
        Ok(Counting { group: self.group, held: Vec::new(), count: 0 })
    }
}

impl Encoder<Event> for Counting {
    fn write(&mut self, record: &Event, out: &mut Vec<u8>) -> Result<()> {
        if self.count == 0 {
            out.extend_from_slice(BEGIN);
        }
        self.count += 1;
        self.held.push(record.clone());
        if self.held.len() >= self.group { self.release(out) } else { Ok(()) }
    }

    fn held(&self) -> usize {
        self.held.len() * RECORD
    }

    fn release(&mut self, out: &mut Vec<u8>) -> Result<()> {
        for Event { id, key, time, value } in self.held.drain(..) {
            out.extend([id, key, time as u64, value].into_iter().flat_map(u64::to_le_bytes));
        }
        Ok(())
    }

    fn finish(mut self, out: &mut Vec<u8>) -> Result<()> {
        self.release(out)?;
        out.extend_from_slice(&self.count.to_le_bytes());
        out.extend_from_slice(END);
        Ok(())
    }
}

/// The records of a whole file.
pub(super) fn decode(bytes: &[u8]) -> std::result::Result<Vec<Event>, String> {
    let cut_short = || format!("is cut short, or something else, at {} bytes", bytes.len());
    let body = bytes.strip_prefix(BEGIN).and_then(|rest| rest.strip_suffix(END)).ok_or_else(cut_short)?;
    let (records, count) = body.split_last_chunk().ok_or_else(cut_short)?;
    let count = u64::from_le_bytes(*count);
    if records.len() as u64 != count * RECORD as u64 {
        return Err(format!("has {} bytes of records, but {count} of these", records.len()));
    }
    let number = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().expect("a quarter of a record"));
    let event = |record: &[u8]| Event {
        id: number(&record[..8]),
        key: number(&record[8..16]),
        time: number(&record[16..24]) as i64,
        value: number(&record[24..]),
    };
    Ok(records.chunks(RECORD).map(event).collect())
}
