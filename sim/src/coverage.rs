//! Which fault met which kind of file: a fault that never struck a site was never tested there.

use std::fmt;
use std::path::Path;

/// The kind of a file, told by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Site {
    /// What a job reads.
    Input,
    /// The lock of a job's directory.
    Lease,
    /// The manifest of a checkpoint, also under its temporary name.
    Manifest,
    /// State of a checkpoint.
    Delta,
    /// Output that is not visible yet.
    Pending,
    /// Visible output.
    Output,
    /// Output in a topic, which grows where it lies and is read again.
    Topic,
    /// Anything else.
    Other,
}

impl Site {
    /// All of them.
    pub const ALL: [Site; 8] = [
        Site::Input,
        Site::Lease,
        Site::Manifest,
        Site::Delta,
        Site::Pending,
        Site::Output,
        Site::Topic,
        Site::Other,
    ];

    /// The site of a path. Whatever is below a directory `input` is input, and output what is below `output`, or a topic, if
    /// its name says so. Otherwise it is the first of these words that its file name, or failing that its nearest
    /// directory, contains.
    pub fn of(path: &Path) -> Site {
        const WORDS: [(&str, Site); 10] = [
            ("manifest", Site::Manifest),
            ("lease", Site::Lease),
            ("lock", Site::Lease),
            ("delta", Site::Delta),
            ("segment", Site::Topic),
            ("pending", Site::Pending),
            ("input", Site::Input),
            ("output", Site::Output),
            ("checkpoint", Site::Delta),
            ("state", Site::Delta),
        ];
        const OF_OUTPUT: [(&str, Site); 4] = [
            ("lock", Site::Lease),
            ("manifest", Site::Topic),
            ("segment", Site::Topic),
            ("pending", Site::Pending),
        ];
        let parts = || path.iter().filter_map(|part| part.to_str());
        let within = parts().find(|part| ["input", "output"].contains(part));
        let name = parts().next_back().unwrap_or_default();
        match within {
            Some("input") => Site::Input,
            Some(_) => {
                OF_OUTPUT.iter().find(|(word, _)| name.contains(word)).map_or(Site::Output, |&(_, site)| site)
            }
            None => parts()
                .rev()
                .find_map(|part| WORDS.iter().find(|(word, _)| part.contains(word)).map(|&(_, site)| site))
                .unwrap_or(Site::Other),
        }
    }
}

/// Everything the simulator can do to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Fault {
    /// An operation in flight at a crash took effect unseen.
    CrashDone,
    /// An operation in flight at a crash was not done.
    CrashUndone,
    /// A write in flight at a crash was done in part.
    TornWrite,
    /// Unsynced sectors were lost.
    LostWrite,
    /// An unsynced length was lost.
    LostLength,
    /// Lost sectors came back as garbage.
    Garbage,
    /// An unsynced name operation was lost.
    LostName,
    /// `sync` failed.
    SyncError,
    /// The disk was full.
    NoSpace,
    /// No descriptors were left.
    TooManyFiles,
    /// The disk was slow.
    Slow,
    /// An operation was stuck.
    Stuck,
    /// A bit flipped.
    BitRot,
    /// A sector could not be read.
    LatentSector,
    /// A write went elsewhere.
    Misdirected,
    /// An operation was in flight when its process froze.
    Frozen,
    /// An operation of a process took effect that had been frozen, and has woken beside its successor.
    Zombie,
}

impl Fault {
    /// All of them.
    pub const ALL: [Fault; 17] = [
        Fault::CrashDone,
        Fault::CrashUndone,
        Fault::TornWrite,
        Fault::LostWrite,
        Fault::LostLength,
        Fault::Garbage,
        Fault::LostName,
        Fault::SyncError,
        Fault::NoSpace,
        Fault::TooManyFiles,
        Fault::Slow,
        Fault::Stuck,
        Fault::BitRot,
        Fault::LatentSector,
        Fault::Misdirected,
        Fault::Frozen,
        Fault::Zombie,
    ];
}

impl Fault {
    /// Whether it can meet a file of this kind at all.
    fn can_strike(self, site: Site) -> bool {
        use Fault::{BitRot, LatentSector, Misdirected, NoSpace};
        match self {
            Fault::CrashDone | Fault::CrashUndone | Fault::TooManyFiles | Fault::Slow | Fault::Stuck => true,
            // Jobs that stand still keep their files where they are known.
            Fault::Frozen | Fault::Zombie => site != Site::Other,
            // Whoever has put it there has synced it; a lock has no bytes to sync.
            Fault::LostName => site != Site::Input,
            Fault::SyncError => site != Site::Lease,
            // A job does not write its input, nor into its lock; output is complete when it gets its name, and only
            // directories have other names.
            Fault::TornWrite | Fault::LostWrite | Fault::LostLength | Fault::Garbage | NoSpace => {
                matches!(site, Site::Manifest | Site::Delta | Site::Pending | Site::Topic)
            }
            // What a job has put out it does not read again, and so cannot notice.
            BitRot | LatentSector | Misdirected => matches!(site, Site::Manifest | Site::Delta),
        }
    }
}

/// How often each fault struck each site.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    hits: [[u64; Site::ALL.len()]; Fault::ALL.len()],
}

impl Coverage {
    /// Counts one hit.
    pub fn hit(&mut self, fault: Fault, site: Site) {
        self.hits[fault as usize][site as usize] += 1;
    }

    /// How often `fault` struck `site`.
    pub fn count(&self, fault: Fault, site: Site) -> u64 {
        self.hits[fault as usize][site as usize]
    }

    /// How often `fault` struck anywhere.
    pub fn total(&self, fault: Fault) -> u64 {
        self.hits[fault as usize].iter().sum()
    }

    /// What can happen: every fault at every site, but for what a job never does there.
    ///
    /// ```
    /// use millstream_sim::coverage::{Coverage, Fault, Site};
    /// assert!(Coverage::cells().all(|cell| cell != (Fault::BitRot, Site::Input)), "inputs are spared that");
    /// ```
    pub fn cells() -> impl Iterator<Item = (Fault, Site)> {
        let all = Fault::ALL.into_iter().flat_map(|fault| Site::ALL.map(|site| (fault, site)));
        all.filter(|&(fault, site)| fault.can_strike(site))
    }

    /// What can happen and did not.
    pub fn missed(&self) -> impl Iterator<Item = (Fault, Site)> {
        Coverage::cells().filter(|&(fault, site)| self.count(fault, site) == 0)
    }

    /// Adds what another run covered.
    pub fn add(&mut self, other: &Coverage) {
        for (row, theirs) in self.hits.iter_mut().zip(&other.hits) {
            for (hits, more) in row.iter_mut().zip(theirs) {
                *hits += more;
            }
        }
    }
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<14}", "fault × site")?;
        for site in Site::ALL {
            write!(f, "{:>10}", format!("{site:?}"))?;
        }
        for fault in Fault::ALL {
            write!(f, "\n{:<14}", format!("{fault:?}"))?;
            for site in Site::ALL {
                write!(f, "{:>10}", self.count(fault, site))?;
            }
        }
        Ok(())
    }
}
