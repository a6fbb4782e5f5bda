//! Visits every entry in the order of the hashes.

use super::Index;
use super::lines::Lines;

/// How many lines ahead records are asked for.
const AHEAD: usize = 4;

impl Index {
    /// Calls `visit` for every address, by ascending hash; those of equal hash as `order` says. `hash_of` hashes
    /// the key of a record, `prefetch` asks the CPU for one.
    pub(crate) fn scan(
        &self,
        hash_of: impl Fn(u64) -> u64,
        order: impl Fn(u64, u64) -> std::cmp::Ordering,
        prefetch: impl Fn(u64),
        mut visit: impl FnMut(u64),
    ) {
        let mut run = Vec::new();
        let mut emit = |run: &mut Vec<(u64, u64)>| {
            run.sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| order(a.1, b.1)));
            run.drain(..).for_each(|(_, address)| visit(address));
        };
        // While growing, all that was moved hashes below all that was not.
        scan_lines(&self.lines, 0, &hash_of, &prefetch, &mut run, &mut emit);
        if let Some(leaving) = &self.leaving {
            scan_lines(&leaving.lines, leaving.moved, &hash_of, &prefetch, &mut run, &mut emit);
        }
    }
}

/// Scans lines from `first`, then what wrapped around from the last to the first ones. A run of lines without an
/// empty slot holds whole ranges of hashes, and is sorted by itself.
fn scan_lines(
    lines: &Lines,
    first: usize,
    hash_of: &impl Fn(u64) -> u64,
    prefetch: &impl Fn(u64),
    run: &mut Vec<(u64, u64)>,
    emit: &mut impl FnMut(&mut Vec<(u64, u64)>),
) {
    let home = |hash| lines.home(hash);
    for line in first..lines.count() {
        if line + AHEAD < lines.count() {
            lines.addresses(line + AHEAD).for_each(|(_, address)| prefetch(address));
        }
        let entries = lines.addresses(line).map(|(_, address)| (hash_of(address), address));
        run.extend(entries.filter(|(hash, _)| home(*hash) <= line));
        if lines.has_empty(line) {
            emit(run);
        }
    }
    for line in 0..lines.count() {
        let entries = lines.addresses(line).map(|(_, address)| (hash_of(address), address));
        run.extend(entries.filter(|(hash, _)| home(*hash) > line));
        if lines.has_empty(line) {
            break;
        }
    }
    emit(run);
}
