//! Puts right what a checksum would give away: the format, the place, and the checksum itself.

/// Bytes of a block's header, of a sector, and of a frame's header.
const BLOCK: usize = 64;
pub const SECTOR: usize = 4096;
const FRAME: usize = 96;

/// Where blocks belong: the store, the epoch and the part of the file.
#[derive(Clone, Copy)]
pub struct File {
    pub store: u64,
    pub epoch: u64,
    pub part: u32,
}

/// Heals the blocks of a file, as far as their lengths make sense. Returns how many there are.
pub fn blocks(bytes: &mut [u8], file: File) -> u32 {
    let (mut at, mut count) = (0, 0);
    while bytes.len() - at >= BLOCK {
        let len = half(bytes, at + 12) as usize;
        if len < SECTOR || !len.is_multiple_of(SECTOR) || len > bytes.len() - at {
            break;
        }
        let block = &mut bytes[at..at + len];
        put(block, 0, b"MSlog\0\x001");
        put(block, 20, &u32::to_le_bytes(count));
        put(block, 24, &file.store.to_le_bytes());
        put(block, 32, &file.epoch.to_le_bytes());
        put(block, 40, &(at as u64).to_le_bytes());
        put(block, 48, &file.part.to_le_bytes());
        let checksum = around(block, 8);
        put(block, 8, &checksum.to_le_bytes());
        at += len;
        count += 1;
    }
    count
}

/// As [`blocks`], of the index that lies from a place on.
pub fn index(bytes: &mut [u8], from: usize, file: File, seed: u64) {
    let (mut at, mut count) = (from, 0);
    while bytes.len() - at >= BLOCK {
        let len = half(bytes, at + 12) as usize;
        if len < SECTOR || !len.is_multiple_of(SECTOR) || len > bytes.len() - at {
            return;
        }
        let block = &mut bytes[at..at + len];
        put(block, 0, b"MSidx\0\x001");
        put(block, 20, &u32::to_le_bytes(count));
        put(block, 24, &file.store.to_le_bytes());
        put(block, 32, &file.epoch.to_le_bytes());
        put(block, 40, &(at as u64).to_le_bytes());
        put(block, 48, &file.part.to_le_bytes());
        put(block, 56, &seed.to_le_bytes());
        let checksum = around(block, 8);
        put(block, 8, &checksum.to_le_bytes());
        at += len;
        count += 1;
    }
}

/// Blocks that hold these bytes for records.
pub fn wrap_records(records: &[u8], file: File) -> Vec<u8> {
    let (mut out, mut rest) = (Vec::new(), records);
    while !rest.is_empty() {
        let take = whole_records(rest);
        let (head, after) = rest.split_at(take.min(rest.len()));
        let used = BLOCK + head.len().next_multiple_of(8);
        let len = used.next_multiple_of(SECTOR);
        let start = out.len();
        out.resize(start + len, 0);
        put(&mut out[start..], 12, &(len as u32).to_le_bytes());
        put(&mut out[start..], 16, &(used as u32).to_le_bytes());
        put(&mut out[start..], BLOCK, head);
        rest = after;
    }
    blocks(&mut out, file);
    out
}

/// Bytes of as many records as fit into a sector, or of one.
fn whole_records(bytes: &[u8]) -> usize {
    let mut at = 0;
    while at + 8 <= bytes.len() {
        let lengths = half(bytes, at + 4);
        let (key, value) = ((lengths >> 20) as usize & 0x7FF, lengths as usize & 0xF_FFFF);
        let end = at + 8 + key.next_multiple_of(8) + value.next_multiple_of(8);
        if at > 0 && BLOCK + end > SECTOR {
            return at;
        }
        at = end;
    }
    bytes.len().max(at)
}

/// Heals the frames of a segment, as far as their lengths make sense.
pub fn frames(bytes: &mut [u8], topic: u64, partition: u32, generation: u64) {
    let mut at = 0;
    while bytes.len() - at >= FRAME {
        let len = half(bytes, at + 16) as usize;
        if !len.is_multiple_of(8) || len > bytes.len() - at - FRAME {
            // The length itself is of interest, so the header is healed all the same.
            heal_header(&mut bytes[at..at + FRAME], (topic, partition, generation, at));
            return;
        }
        let payload = crc32fast::hash(&bytes[at + FRAME..at + FRAME + len]);
        put(bytes, at + 12, &payload.to_le_bytes());
        heal_header(&mut bytes[at..at + FRAME], (topic, partition, generation, at));
        at += FRAME + len;
    }
}

fn heal_header(header: &mut [u8], (topic, partition, generation, at): (u64, u32, u64, usize)) {
    put(header, 0, b"MStop\0\x001");
    put(header, 24, &topic.to_le_bytes());
    put(header, 32, &partition.to_le_bytes());
    put(header, 40, &generation.to_le_bytes());
    put(header, 48, &(at as u64).to_le_bytes());
    let checksum = around(header, 8);
    put(header, 8, &checksum.to_le_bytes());
}

/// Heals the envelope of a manifest, or makes one.
pub fn envelope(contents: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; 32];
    put(&mut bytes, 0, b"MSman\0\x001");
    put(&mut bytes, 16, &(contents.len() as u64).to_le_bytes());
    bytes.extend_from_slice(contents);
    let checksum = around(&bytes, 8);
    put(&mut bytes, 8, &checksum.to_le_bytes());
    bytes
}

/// CRC-32 of all bytes but the four at a place.
fn around(bytes: &[u8], at: usize) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&bytes[..at]);
    hasher.update(&bytes[at + 4..]);
    hasher.finalize()
}

fn half(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn put(bytes: &mut [u8], at: usize, field: &[u8]) {
    bytes[at..at + field.len()].copy_from_slice(field);
}
