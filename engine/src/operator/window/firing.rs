//! The visit of all keys of a window whose accumulators are one table.

use millstream_storage::store::{Scan, ScanStep, Store, TableId};

use crate::operator::Progress;

/// How far the firing of a window is.
pub(crate) enum Firing {
    /// By the keys' hashes, from this on: everything is in memory, and stays there.
    ByHash(u64),
    /// In the order of the log, as some of it is on disk.
    ByLog(Scan),
}

impl Firing {
    pub(crate) fn begin(store: &Store) -> Firing {
        if store.is_resident() { Firing::ByHash(0) } else { Firing::ByLog(Scan::default()) }
    }

    /// Visits about `room` keys more.
    #[inline]
    pub(crate) fn visit(
        self,
        store: &mut Store,
        table: TableId,
        room: usize,
        visit: impl FnMut(&[u8], &[u8]),
    ) -> (Firing, Progress) {
        match self {
            Firing::ByHash(from) => match store.for_each_from(table, from, room, visit) {
                Some(next) => (Firing::ByHash(next), Progress::More),
                None => (Firing::ByHash(0), Progress::Done),
            },
            Firing::ByLog(mut scan) => {
                let progress = match store.scan(table, &mut scan, room, visit) {
                    ScanStep::Done => Progress::Done,
                    ScanStep::More => Progress::More,
                    ScanStep::Fetch => Progress::Fetch,
                };
                (Firing::ByLog(scan), progress)
            }
        }
    }
}
