//! The end of a process, as the disk sees it: operations in flight, the page cache, locks and handles.

use std::collections::BTreeMap;
use std::mem;

use super::model::Model;
use super::op::{InFlight, Op};
use crate::coverage::{Fault, Site};
use crate::random::Random;

/// How a process ends before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CrashKind {
    /// SIGKILL, out of memory: the operating system lives on, and with it the page cache.
    Process,
    /// The machine: what was not synced is lost in part.
    PowerLoss,
}

impl Model {
    /// Ends a process: first every operation of it in flight finds its end, then a power loss takes what it takes.
    /// Returns a digest of what happened.
    pub(crate) fn end_process(
        &mut self,
        now: u64,
        process: u64,
        crash: Option<CrashKind>,
        faults: &mut Random,
    ) -> u64 {
        let (its, others): (BTreeMap<_, _>, BTreeMap<_, _>) =
            mem::take(&mut self.flying).into_iter().partition(|(_, flying)| flying.process == process);
        self.flying = others;
        let mut flying: Vec<_> = its.into_values().collect();
        faults.shuffle(&mut flying);
        let (mut fates, mut over) = (0_u64, Vec::new());
        for InFlight { op, site, slot, .. } in flying {
            let fate = faults.below(3);
            fates = fates.wrapping_mul(31).wrapping_add(fate);
            if crash.is_some() {
                self.count_fate(&op, site, fate);
            }
            let is_finished = self.settle(now, (process, &op), site, fate, faults);
            over.extend((!is_finished).then_some(op));
            // Tasks are dropped after the disk: what they drop then must find nothing of theirs.
            slot.borrow_mut().waker = None;
        }
        over.iter().for_each(|op| self.landed(op));
        self.locks.release_process(process);
        self.close_all(process);
        if crash == Some(CrashKind::PowerLoss) && !self.forgiving {
            fates = fates.wrapping_mul(31).wrapping_add(self.lose_power(faults));
        }
        self.forget_unreachable();
        fates
    }

    /// Ends one operation: 0 is undone, 1 done, 2 done in part if it is a write. Whether it was finished as usual.
    fn settle(
        &mut self,
        now: u64,
        (process, op): (u64, &Op),
        site: Site,
        fate: u64,
        faults: &mut Random,
    ) -> bool {
        match (op, fate) {
            (_, 0) => {}
            (Op::Write { inode, offset, bytes, mode }, 2) if !mode.only_reads() => {
                let done = faults.index(bytes.len() + 1);
                self.write_part(*inode, *offset as usize, &bytes[..done]);
            }
            _ => {
                // Its reply, also an error, is for nobody.
                drop(self.finish(now, process, op, site));
                return true;
            }
        }
        false
    }

    /// Counts what a crash made of an operation. Where a process ends by itself nobody waits for what is in flight.
    fn count_fate(&mut self, op: &Op, site: Site, fate: u64) {
        let fault = match (op, fate) {
            (_, 0) => Fault::CrashUndone,
            (Op::Write { mode, .. }, 2) if !mode.only_reads() => Fault::TornWrite,
            _ => Fault::CrashDone,
        };
        self.trouble.hit_what(fault, site, || op.to_string());
    }

    fn lose_power(&mut self, faults: &mut Random) -> u64 {
        let cruelty = self.trouble.plan.cruelty;
        let mut sum = 0_u64;
        for path in self.names.power_loss(cruelty, faults) {
            self.trouble.hit_what(Fault::LostName, Site::of(&path), || path.display().to_string());
            sum += 1;
        }
        for (inode, file) in self.files.iter_mut().filter(|(_, file)| !file.content.is_durable()) {
            let loss = file.content.power_loss(cruelty, faults);
            sum = sum.wrapping_mul(31).wrapping_add(loss.sectors * 7 + loss.kept + u64::from(loss.length));
            let hits = [
                (Fault::LostWrite, loss.sectors > 0),
                (Fault::TornWrite, loss.sectors > 0 && loss.kept > 0),
                (Fault::LostLength, loss.length),
                (Fault::Garbage, loss.garbage > 0),
            ];
            for (fault, _) in hits.into_iter().filter(|(_, hit)| *hit) {
                self.trouble.hit_what(fault, file.site, || format!("file {inode}"));
            }
        }
        sum
    }
}
