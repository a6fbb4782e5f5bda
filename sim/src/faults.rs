//! What may go wrong, how often, and what each fault promises.
//!
//! # The contract
//! A fault stays within what its real cause can do, so that whatever the engine loses under it is the engine's
//! fault:
//!
//! | fault | what happens | what still holds |
//! |---|---|---|
//! | process crash | every task is gone at a scheduling point; each operation in flight is done, not done, or (a write) done in part | the page cache and all names survive; locks are released |
//! | power loss | as above, and of what was not synced any part may be lost, see [`Cruelty`] | what [`sync`](millstream_storage::disk::File::sync) *and* [`sync_dir`](millstream_storage::disk::Disk::sync_dir) reported durable survives, if issued after the writes had completed |
//! | sync error | `sync` or `sync_dir` fails with EIO; any part of the file's unsynced data is lost, at once or at the next power loss, even if a later `sync` reports success | data synced earlier survives |
//! | no space | for a period, writes and creations fail with ENOSPC; a write may have been done in part | reads, renames, removals and syncs work |
//! | too many files | for a period, `open`, `list` and `lock` fail with EMFILE | open files work |
//! | slow disk | for a period, operations take up to 100 times longer | they complete |
//! | stuck | one operation takes up to a minute | it completes |
//! | stall | a core runs nothing for a period | it goes on afterwards |
//! | late start | a core that is open takes its first step later, others go on | it takes it |
//! | freeze | no core of a process runs anything for up to ten minutes and as long as its successors take; what it asked of the disk is done meanwhile, or waits, too, with its clocks (a virtual machine) | it keeps its memory and its locks, and goes on when it wakes |
//! | clock jump | the wall clock jumps by up to a day, either way | the monotonic clock and timers do not notice |
//!
//! Beyond tolerance (only a loud stop is legal): **bit rot** (a stored bit flips, for good), **latent sector error**
//! (a sector can no longer be read: EIO, for good), **misdirected write** (a write that succeeded lies elsewhere in
//! its file, and its place holds what it held before). Inputs are spared these: nothing there could detect them.

use std::time::Duration;

use crate::coverage::{Fault, Site};
use crate::random::{Chance, Random};

/// How much of what was not synced a power loss takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cruelty {
    /// As a journalling file system with ordered data: names survive as a prefix of the operations on them, new
    /// data below the surviving length survives, overwritten sectors survive or not each for itself.
    Ordered,
    /// All that POSIX allows: every name operation and every 512-byte sector survives or not for itself, and a
    /// rename may leave both names.
    Arbitrary,
    /// As `Arbitrary`; moreover sectors whose data was lost may hold garbage where the file had grown.
    Garbage,
}

/// Periods in which something is wrong. Gaps and lengths are drawn, each magnitude equally often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spells {
    /// The longest time between two.
    pub gap: Duration,
    /// The longest time that one lasts.
    pub length: Duration,
}

impl Spells {
    /// Nanoseconds until the next one.
    pub(crate) fn draw_gap(self, random: &mut Random) -> u64 {
        random.magnitude(self.gap.as_nanos() as u64 + 1)
    }

    /// Nanoseconds that one lasts.
    pub(crate) fn draw_length(self, random: &mut Random) -> u64 {
        random.magnitude(self.length.as_nanos() as u64 + 1)
    }
}

/// One fault at one place: so that every place can be tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Aim {
    /// A fault of a running disk. Those of the media strike what a write has just written.
    pub fault: Fault,
    /// Which of the operations that it can strike, from 1.
    pub nth: u64,
    /// The only kind of file whose operations count; otherwise all do.
    pub site: Option<Site>,
}

/// Which faults are injected, and how often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultPlan {
    /// That a process is killed, per process.
    pub crash: Chance,
    /// That a crash is a power loss.
    pub power_loss: Chance,
    /// What a power loss takes.
    pub cruelty: Cruelty,
    /// Per sync.
    pub sync_error: Chance,
    /// When the disk is full.
    pub no_space: Option<Spells>,
    /// When the process has no descriptors left.
    pub too_many_files: Option<Spells>,
    /// When the disk is slow.
    pub slow: Option<Spells>,
    /// Per disk operation.
    pub stuck: Chance,
    /// When some core stands still.
    pub stall: Option<Spells>,
    /// How late a core that is open takes its first step, at most.
    pub late_start: Option<Duration>,
    /// That a process is frozen, per process, where a scenario has its successors start meanwhile.
    pub freeze: Chance,
    /// When the wall clock jumps (the length is not used).
    pub clock_jump: Option<Spells>,
    /// Per read. Beyond tolerance.
    pub bit_rot: Chance,
    /// Per read. Beyond tolerance.
    pub latent_sector: Chance,
    /// Per write. Beyond tolerance.
    pub misdirected: Chance,
    /// One fault at one operation, besides.
    pub aim: Option<Aim>,
    /// The only kind of file that the faults beyond tolerance strike; otherwise any but inputs.
    pub media: Option<Site>,
}

impl FaultPlan {
    /// Nothing goes wrong.
    pub fn none() -> FaultPlan {
        FaultPlan {
            crash: Chance::NEVER,
            power_loss: Chance::NEVER,
            cruelty: Cruelty::Ordered,
            sync_error: Chance::NEVER,
            no_space: None,
            too_many_files: None,
            slow: None,
            stuck: Chance::NEVER,
            stall: None,
            late_start: None,
            freeze: Chance::NEVER,
            clock_jump: None,
            bit_rot: Chance::NEVER,
            latent_sector: Chance::NEVER,
            misdirected: Chance::NEVER,
            aim: None,
            media: None,
        }
    }

    /// Every process is killed, half of them by power loss; nothing else goes wrong.
    pub fn crashes(random: &mut Random) -> FaultPlan {
        FaultPlan {
            crash: Chance::ALWAYS,
            power_loss: *random.pick(&[Chance::NEVER, Chance::of(1, 2), Chance::ALWAYS]),
            cruelty: *random.pick(&[Cruelty::Ordered, Cruelty::Arbitrary, Cruelty::Garbage]),
            ..FaultPlan::none()
        }
    }

    /// Draws which of the faults that the engine must survive are on, and how strong: a run with few kinds of
    /// fault gets deeper than one where everything fails at once (swarm testing).
    pub fn swarm(random: &mut Random) -> FaultPlan {
        let crashes = FaultPlan::crashes(random);
        FaultPlan {
            crash: *random.pick(&[Chance::NEVER, Chance::of(1, 2), Chance::ALWAYS]),
            sync_error: rare(random, 200),
            no_space: spells(random),
            too_many_files: spells(random),
            slow: spells(random),
            stuck: rare(random, 500),
            stall: spells(random),
            clock_jump: spells(random),
            ..crashes
        }
    }

    /// As [`swarm`](Self::swarm), with at least one fault that the engine can only stop for.
    pub fn beyond_tolerance(random: &mut Random) -> FaultPlan {
        let mut plan = FaultPlan::swarm(random);
        // Manifests are read most, and one that is damaged ends the run.
        plan.media = *random.pick(&[None, Some(Site::Delta)]);
        let chance = Chance::of(1, random.magnitude(if plan.media.is_some() { 4 } else { 100 }) as u32);
        match random.below(3) {
            0 => plan.bit_rot = chance,
            1 => plan.latent_sector = chance,
            _ => plan.misdirected = chance,
        }
        plan
    }

    /// Whether a fault is possible that the engine can only stop for.
    pub fn is_beyond_tolerance(&self) -> bool {
        let media = [Fault::BitRot, Fault::LatentSector, Fault::Misdirected];
        let aimed = self.aim.is_some_and(|aim| media.contains(&aim.fault));
        aimed || [self.bit_rot, self.latent_sector, self.misdirected].into_iter().any(Chance::is_possible)
    }
}

/// How late cores start, at most: off for two seeds of three.
pub(crate) fn late_start(random: &mut Random) -> Option<Duration> {
    random.one_in(3).then(|| Duration::from_micros(random.magnitude(100_000)))
}

/// Off for two seeds of three, otherwise down to once in `most`.
fn rare(random: &mut Random, most: u64) -> Chance {
    if random.one_in(3) { Chance::of(1, random.range(3, most) as u32) } else { Chance::NEVER }
}

/// Off for two seeds of three.
fn spells(random: &mut Random) -> Option<Spells> {
    (random.one_in(3)).then(|| Spells {
        gap: Duration::from_micros(1_000 + random.magnitude(10_000_000)),
        length: Duration::from_micros(random.magnitude(1_000_000)),
    })
}

/// A [`Spells`] in progress: whether it is on at a time.
#[derive(Clone, Debug)]
pub(crate) struct Spell {
    spells: Option<Spells>,
    /// The current one, or the next; nanoseconds.
    start: u64,
    end: u64,
}

impl Spell {
    pub(crate) fn new(spells: Option<Spells>) -> Spell {
        Spell { spells, start: 0, end: 0 }
    }

    /// Whether it is on at `now`, in nanoseconds, which must not go back between calls.
    pub(crate) fn is_on(&mut self, now: u64, random: &mut Random) -> bool {
        let Some(spells) = self.spells else { return false };
        if self.end <= now {
            // What nobody looked at is not drawn: the next one is counted from now.
            self.start = now + spells.draw_gap(random);
            self.end = self.start + spells.draw_length(random);
        }
        now >= self.start
    }

    pub(crate) fn stop(&mut self) {
        self.spells = None;
    }
}
