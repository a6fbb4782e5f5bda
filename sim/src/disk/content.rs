//! The bytes of one file: what a reader sees now, and how to get back to what a power loss may leave.
//!
//! Only the newest contents are kept whole. Below them lie layers, oldest first, one for each set of writes whose
//! fate is drawn together: which sectors they changed, and what those held before. A sync drops layers; a power
//! loss undoes a part of them, newest first.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::faults::Cruelty;
use crate::random::Random;

/// What a disk writes whole or not at all, in bytes.
pub const ATOMIC: usize = 512;

/// Beyond this many layers the oldest is taken as written back.
const LAYERS: usize = 16;

/// A set of sector numbers.
#[derive(Clone, Debug, Default)]
struct Sectors(Vec<u64>);

impl Sectors {
    fn insert(&mut self, sector: usize) {
        if sector / 64 >= self.0.len() {
            self.0.resize(sector / 64 + 1, 0);
        }
        self.0[sector / 64] |= 1 << (sector % 64);
    }

    fn contains(&self, sector: usize) -> bool {
        self.0.get(sector / 64).is_some_and(|word| word >> (sector % 64) & 1 == 1)
    }

    fn subtract(&mut self, other: &Sectors) {
        for (word, gone) in self.0.iter_mut().zip(&other.0) {
            *word &= !gone;
        }
    }

    fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        self.0.iter().enumerate().flat_map(|(at, &word)| {
            let rest = |bits: &u64| Some(bits & (bits - 1)).filter(|&bits| bits != 0);
            std::iter::successors(Some(word).filter(|&bits| bits != 0), rest)
                .map(move |bits| at * 64 + bits.trailing_zeros() as usize)
        })
    }
}

#[derive(Clone, Debug)]
struct Layer {
    id: u64,
    /// The sectors it wrote.
    dirty: Sectors,
    /// What those of them that existed before held.
    undo: BTreeMap<usize, Box<[u8; ATOMIC]>>,
    /// The file's length before it.
    base_len: usize,
    /// No longer written to: a sync was issued after it.
    closed: bool,
    /// A sync of it failed: no later sync makes it durable.
    doomed: bool,
}

/// What a power loss took from a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Loss {
    /// Sectors that went back to what they held before a write.
    pub sectors: u64,
    /// Sectors of the same set of writes that stayed.
    pub kept: u64,
    /// Whether the length shrank.
    pub length: bool,
    /// Lost sectors that hold garbage.
    pub garbage: u64,
}

/// The bytes of one file.
#[derive(Clone, Debug, Default)]
pub struct Content {
    bytes: Vec<u8>,
    layers: Vec<Layer>,
    next_layer: u64,
}

impl Content {
    /// Durable contents.
    pub fn durable(bytes: Vec<u8>) -> Content {
        Content { bytes, ..Content::default() }
    }

    /// What a reader sees.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether all of it is durable.
    pub fn is_durable(&self) -> bool {
        self.layers.is_empty()
    }

    /// Writes to the cache. `split` gives the write a fate of its own also where it overwrites unsynced sectors.
    pub fn write(&mut self, offset: usize, data: &[u8], split: bool) {
        if data.is_empty() {
            return;
        }
        let end = offset + data.len();
        let sectors = offset / ATOMIC..end.div_ceil(ATOMIC);
        self.open_layer(split && self.overlaps(sectors.clone()));
        let Content { bytes, layers, .. } = self;
        let layer = layers.last_mut().expect("open_layer leaves an open layer");
        for sector in sectors {
            let before = sector * ATOMIC..bytes.len().min((sector + 1) * ATOMIC);
            if !layer.dirty.contains(sector) && sector * ATOMIC < layer.base_len {
                let mut old = Box::new([0; ATOMIC]);
                old[..before.len()].copy_from_slice(&bytes[before]);
                layer.undo.insert(sector, old);
            }
            layer.dirty.insert(sector);
        }
        if bytes.len() < end {
            bytes.resize(end, 0);
        }
        bytes[offset..end].copy_from_slice(data);
    }

    fn overlaps(&self, mut sectors: std::ops::Range<usize>) -> bool {
        self.layers.last().is_some_and(|layer| sectors.any(|sector| layer.dirty.contains(sector)))
    }

    fn open_layer(&mut self, fresh: bool) {
        if !fresh && self.layers.last().is_some_and(|layer| !layer.closed) {
            return;
        }
        if self.layers.len() == LAYERS {
            self.layers.remove(0);
        }
        let (id, base_len) = (self.next_layer, self.bytes.len());
        self.next_layer += 1;
        let (dirty, undo) = (Sectors::default(), BTreeMap::new());
        self.layers.push(Layer { id, dirty, undo, base_len, closed: false, doomed: false });
    }

    /// Starts a sync: it covers the writes so far, and none that come later. The mark ends it.
    pub fn sync_begin(&mut self) -> u64 {
        if let Some(layer) = self.layers.last_mut() {
            layer.closed = true;
        }
        self.next_layer
    }

    /// Ends a sync well: what its mark covers is durable, but for what an earlier failed sync gave up.
    pub fn sync_end(&mut self, mark: u64) {
        let mut at = 0;
        while at < self.layers.len() && self.layers[at].id < mark {
            if self.layers[at].doomed {
                at += 1;
                continue;
            }
            let synced = self.layers.remove(at);
            let len_after = self.layers.get(at).map_or(self.bytes.len(), |next| next.base_len);
            for doomed in &mut self.layers[..at] {
                doomed.dirty.subtract(&synced.dirty);
                if len_after > synced.base_len {
                    doomed.base_len = len_after;
                }
            }
        }
    }

    /// Ends a sync with an error: what its mark covers is in the cache, taken for clean, and will not be written.
    /// With `evict` a part of it is lost from the cache at once.
    pub fn sync_failed(&mut self, mark: u64, evict: Option<&mut Random>) {
        for layer in self.layers.iter_mut().filter(|layer| layer.id < mark) {
            layer.doomed = true;
        }
        let len = self.bytes.len();
        if let Some(random) = evict
            && self.layers.iter().all(|layer| layer.doomed)
        {
            self.power_loss(Cruelty::Arbitrary, random);
            // The length is not page cache: a running system still knows it, but it is no more durable than before.
            self.open_layer(true);
            let layer = self.layers.last_mut().expect("just opened");
            (layer.closed, layer.doomed) = (true, true);
            self.bytes.resize(len, 0);
        }
    }

    /// Where in a range bytes are not zero.
    pub fn data_in(&self, range: Range<usize>) -> impl Iterator<Item = usize> {
        let start = range.start;
        let data = self.bytes[range].iter().enumerate().filter(|(_, byte)| **byte != 0);
        data.map(move |(at, _)| start + at)
    }

    /// Flips a bit of the stored bytes.
    ///
    /// # Panics
    /// If the file is not that long.
    pub fn flip(&mut self, offset: usize, bit: u8) {
        self.bytes[offset] ^= 1 << bit;
    }

    /// Overwrites stored bytes behind everybody's back, within the length.
    pub fn misplace(&mut self, offset: usize, data: &[u8]) {
        let end = self.bytes.len().min(offset + data.len());
        if offset < end {
            self.bytes[offset..end].copy_from_slice(&data[..end - offset]);
        }
    }

    /// What was not synced goes back in part, as `cruelty` allows. Everything left is durable.
    pub fn power_loss(&mut self, cruelty: Cruelty, random: &mut Random) -> Loss {
        let mut loss = Loss::default();
        let mut kept_above = Sectors::default();
        let mut length_settled = false;
        let mut len = self.bytes.len();
        for layer in std::mem::take(&mut self.layers).into_iter().rev() {
            let fate = Fate::draw(random);
            if !length_settled {
                // Its length has a fate of its own: it may be there without the data.
                (len, length_settled) = Fate::draw(random).length(layer.base_len, len, random);
            }
            for sector in layer.dirty.iter() {
                if kept_above.contains(sector) {
                    continue;
                }
                let new = sector * ATOMIC >= layer.base_len;
                if (new && cruelty == Cruelty::Ordered) || fate.keeps(random) {
                    kept_above.insert(sector);
                    loss.kept += 1;
                } else {
                    loss.sectors += 1;
                    loss.garbage += u64::from(self.undo(
                        sector,
                        layer.undo.get(&sector).map(Box::as_ref),
                        cruelty,
                        random,
                    ));
                }
            }
        }
        loss.length = len < self.bytes.len();
        self.bytes.truncate(len);
        loss
    }

    /// Takes a sector back to what it held before; true if that is garbage.
    fn undo(
        &mut self,
        sector: usize,
        old: Option<&[u8; ATOMIC]>,
        cruelty: Cruelty,
        random: &mut Random,
    ) -> bool {
        let place = sector * ATOMIC..self.bytes.len().min((sector + 1) * ATOMIC);
        let place = &mut self.bytes[place];
        match old {
            Some(old) => place.copy_from_slice(&old[..place.len()]),
            None if cruelty == Cruelty::Garbage && random.coin() => {
                random.fill(place);
                return true;
            }
            None => place.fill(0),
        }
        false
    }
}

/// What becomes of one layer: often whole or gone, so that writes are also seen reordered, not only torn.
#[derive(Clone, Copy)]
enum Fate {
    Kept,
    Lost,
    Each,
}

impl Fate {
    fn draw(random: &mut Random) -> Fate {
        *random.pick(&[Fate::Kept, Fate::Lost, Fate::Each, Fate::Each])
    }

    fn keeps(self, random: &mut Random) -> bool {
        match self {
            Fate::Kept => true,
            Fate::Lost => false,
            Fate::Each => random.coin_or(true),
        }
    }

    /// The length that a layer leaves, of those it had on its way, and whether older layers have no say in it.
    fn length(self, base: usize, end: usize, random: &mut Random) -> (usize, bool) {
        match self {
            Fate::Kept => (end, true),
            Fate::Lost => (base.min(end), false),
            Fate::Each if base < end => {
                let more = random.draw_below((end - base) as u64 + 1);
                (more.map_or(end, |more| base + more as usize), true)
            }
            Fate::Each => (end, true),
        }
    }
}

#[cfg(test)]
mod tests;
