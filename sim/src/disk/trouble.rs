//! The faults of a running disk: whether one strikes now, and how long operations take.

use crate::coverage::{Coverage, Fault, Site};
use crate::faults::{Aim, FaultPlan, Spell};
use crate::random::{Chance, Random};

/// The longest that an operation is stuck, in nanoseconds.
const STUCK: u64 = 60_000_000_000;

pub(crate) struct Trouble {
    pub(crate) plan: FaultPlan,
    pub(crate) coverage: Coverage,
    /// What struck since the trace was last told, if it has a list: and what was struck, if that is not the operation at hand.
    pub(crate) struck: Option<Vec<(Fault, Site, String)>>,
    no_space: Spell,
    too_many_files: Spell,
    slow: Spell,
    /// Nanoseconds: the least that an operation takes, and by how much it may be more.
    least: u64,
    spread: u64,
    /// Nanoseconds per KiB.
    per_kib: u64,
    /// Operations that the aimed fault could have struck.
    seen: u64,
}

impl Trouble {
    pub(crate) fn new(plan: FaultPlan, random: &mut Random) -> Trouble {
        Trouble {
            no_space: Spell::new(plan.no_space),
            too_many_files: Spell::new(plan.too_many_files),
            slow: Spell::new(plan.slow),
            plan,
            coverage: Coverage::default(),
            struck: None,
            least: random.magnitude(100_000),
            spread: random.magnitude(1_000_000),
            per_kib: random.magnitude(1_000),
            seen: 0,
        }
    }

    /// From now on nothing goes wrong.
    pub(crate) fn end_faults(&mut self) {
        let cruelty = self.plan.cruelty;
        self.plan = FaultPlan { cruelty, ..FaultPlan::none() };
        self.no_space.stop();
        self.too_many_files.stop();
        self.slow.stop();
    }

    pub(crate) fn hit(&mut self, fault: Fault, site: Site) {
        self.hit_what(fault, site, String::new);
    }

    /// As [`hit`](Self::hit), with what was struck.
    pub(crate) fn hit_what(&mut self, fault: Fault, site: Site, what: impl FnOnce() -> String) {
        self.coverage.hit(fault, site);
        if let Some(struck) = &mut self.struck {
            struck.push((fault, site, what()));
        }
    }

    fn strikes(&mut self, fault: Fault, site: Site, chance: Chance, random: &mut Random) -> bool {
        let strikes = random.chance(chance);
        if strikes {
            self.hit(fault, site);
        }
        strikes
    }

    /// Whether this is the operation that a fault is aimed at.
    pub(crate) fn is_aimed(&mut self, fault: Fault, site: Site) -> bool {
        let is_meant = |aim: &Aim| aim.fault == fault && aim.site.is_none_or(|only| only == site);
        let Some(aim) = self.plan.aim.filter(is_meant) else { return false };
        self.seen += 1;
        let strikes = self.seen == aim.nth;
        self.strikes_in(fault, site, strikes)
    }

    fn strikes_in(&mut self, fault: Fault, site: Site, on: bool) -> bool {
        if on {
            self.hit(fault, site);
        }
        on
    }

    pub(crate) fn sync_error(&mut self, site: Site, random: &mut Random) -> bool {
        self.is_aimed(Fault::SyncError, site)
            || self.strikes(Fault::SyncError, site, self.plan.sync_error, random)
    }

    pub(crate) fn no_space(&mut self, now: u64, site: Site, random: &mut Random) -> bool {
        let on = self.no_space.is_on(now, random);
        self.is_aimed(Fault::NoSpace, site) || self.strikes_in(Fault::NoSpace, site, on)
    }

    pub(crate) fn too_many_files(&mut self, now: u64, site: Site, random: &mut Random) -> bool {
        let on = self.too_many_files.is_on(now, random);
        self.is_aimed(Fault::TooManyFiles, site) || self.strikes_in(Fault::TooManyFiles, site, on)
    }

    fn can_rot(&self, site: Site) -> bool {
        self.plan.media.map_or(site != Site::Input, |only| site == only)
    }

    pub(crate) fn bit_rot(&mut self, site: Site, random: &mut Random) -> bool {
        self.can_rot(site) && self.strikes(Fault::BitRot, site, self.plan.bit_rot, random)
    }

    pub(crate) fn latent_sector(&mut self, site: Site, random: &mut Random) -> bool {
        self.can_rot(site) && self.strikes(Fault::LatentSector, site, self.plan.latent_sector, random)
    }

    /// Whether this write is to go elsewhere; the caller counts it if there is an elsewhere.
    pub(crate) fn misdirected(&mut self, site: Site, random: &mut Random) -> bool {
        self.can_rot(site) && random.chance(self.plan.misdirected)
    }

    /// How long an operation on `size` bytes takes, in nanoseconds.
    pub(crate) fn latency(&mut self, now: u64, size: usize, site: Site, random: &mut Random) -> u64 {
        let usual = self.least + random.below(self.spread) + self.per_kib * (size as u64 / 1024);
        let slow = self.slow.is_on(now, random);
        if self.is_aimed(Fault::Stuck, site) || self.strikes(Fault::Stuck, site, self.plan.stuck, random) {
            usual + random.magnitude(STUCK)
        } else if self.strikes_in(Fault::Slow, site, slow) {
            usual * random.range(2, 100)
        } else {
            usual
        }
    }
}
