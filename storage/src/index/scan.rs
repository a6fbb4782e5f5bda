//! Visits entries in the order of the hashes, from any hash on.

use std::cmp::Ordering;

use super::lines::Lines;
use super::{Index, address, head_of};

/// How many lines ahead records are asked for.
const AHEAD: usize = 4;

/// A visit in progress: entries of a run are gathered, sorted, and given out.
struct Visit<O, V> {
    /// The upper half of the hash, and the address.
    run: Vec<(u32, u64)>,
    from: u32,
    /// How many entries may still be given out, before the next run.
    left: usize,
    /// The upper half of the last hash that was given out.
    last: u32,
    order: O,
    visit: V,
}

impl<O: Fn(u64, u64) -> Ordering, V: FnMut(u64)> Visit<O, V> {
    /// Gives the gathered run out. False when that is enough.
    fn emit(&mut self) -> bool {
        let Visit { run, from, left, last, order, visit } = self;
        run.sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| order(a.1, b.1)));
        for (head, address) in run.drain(..).filter(|(head, _)| head >= from) {
            *left = left.saturating_sub(1);
            *last = head;
            visit(address);
        }
        *left > 0
    }
}

impl Index {
    /// Calls `visit` for every address whose hash is at least `from`, by ascending hash: `order` compares two
    /// addresses whose hashes agree in the upper half. Stops after about `limit` of them and returns the hash to go
    /// on from, if there may be more. `from` is 0, or what an earlier call returned. `prefetch` asks the CPU for a
    /// record.
    pub(crate) fn scan(
        &self,
        from: u64,
        limit: usize,
        order: impl Fn(u64, u64) -> Ordering,
        prefetch: impl Fn(u64),
        visit: impl FnMut(u64),
    ) -> Option<u64> {
        let head = head_of(from);
        let mut visit = Visit { run: Vec::new(), from: head, left: limit.max(1), last: 0, order, visit };
        // While growing, all that was moved hashes below all that was not.
        let mut goes_on = scan_lines(&self.lines, self.lines.home(from), &prefetch, &mut visit);
        if let (true, Some(leaving)) = (goes_on, &self.leaving) {
            let first = leaving.moved.max(leaving.lines.home(from));
            goes_on = scan_lines(&leaving.lines, first, &prefetch, &mut visit);
        }
        if goes_on { None } else { visit.last.checked_add(1).map(|head| u64::from(head) << 32) }
    }
}

/// Scans lines from `first`, then what wrapped around from the last to the first ones. A run of lines without an
/// empty slot holds whole ranges of hashes, and is sorted by itself. False when that is enough.
fn scan_lines<O: Fn(u64, u64) -> Ordering, V: FnMut(u64)>(
    lines: &Lines,
    first: usize,
    prefetch: &impl Fn(u64),
    visit: &mut Visit<O, V>,
) -> bool {
    let home = |head: u32| lines.home(u64::from(head) << 32);
    let entries = |line| lines.entries(line).map(|(_, head, entry)| (head, address(entry)));
    for line in first..lines.count() {
        if line + AHEAD < lines.count() {
            entries(line + AHEAD).for_each(|(_, address)| prefetch(address));
        }
        visit.run.extend(entries(line).filter(|(head, _)| home(*head) <= line));
        if lines.has_empty(line) && !visit.emit() {
            return false;
        }
    }
    for line in 0..lines.count() {
        visit.run.extend(entries(line).filter(|(head, _)| home(*head) > line));
        if lines.has_empty(line) {
            break;
        }
    }
    visit.emit()
}
