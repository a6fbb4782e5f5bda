//! Key groups: the unit by which keyed state moves between cores.

use std::collections::BTreeMap;

use millstream_storage::hash::stable_hash;

/// The greatest possible maximum parallelism.
///
/// ```
/// use millstream::key_group::{MAX_KEY_GROUPS, default_max_parallelism};
///
/// assert_eq!(default_max_parallelism(1_000_000), MAX_KEY_GROUPS);
/// ```
pub const MAX_KEY_GROUPS: u32 = 32_768;

/// The number of key groups of a job that does not set it: `clamp(next_power_of_two(1.5·cores), 128, 32768)`.
///
/// ```
/// # use millstream::key_group::default_max_parallelism;
/// assert_eq!(default_max_parallelism(2), 128);
/// assert_eq!(default_max_parallelism(100), 256);
/// ```
pub fn default_max_parallelism(cores: usize) -> u32 {
    let wanted = (cores.saturating_mul(3)).div_ceil(2).next_power_of_two();
    u32::try_from(wanted).unwrap_or(MAX_KEY_GROUPS).clamp(128, MAX_KEY_GROUPS)
}

/// Where the steps of a job run: each on all cores, but those that were given fewer.
#[derive(Clone, Debug)]
pub(crate) struct Placements {
    cores: usize,
    everywhere: Placement,
    narrow: std::sync::Arc<BTreeMap<String, Placement>>,
}

impl Placements {
    /// `narrow` names steps and their numbers of cores, of which there are `cores` at most.
    ///
    /// # Panics
    /// As [`Placement::new`].
    pub(crate) fn new(groups: u32, cores: usize, narrow: &BTreeMap<String, usize>) -> Placements {
        let placed = |(step, &on): (&String, &usize)| (step.clone(), Placement::new(groups, on.min(cores)));
        Placements {
            cores,
            everywhere: Placement::new(groups, cores),
            narrow: std::sync::Arc::new(narrow.iter().map(placed).collect()),
        }
    }

    /// Every step on all cores.
    pub(crate) fn everywhere(groups: u32, cores: usize) -> Placements {
        Placements::new(groups, cores, &BTreeMap::new())
    }

    /// The number of key groups.
    pub(crate) fn groups(&self) -> u32 {
        self.everywhere.groups()
    }

    /// The placement of the keys of a step.
    pub(crate) fn of(&self, step: &str) -> &Placement {
        self.narrow.get(step).unwrap_or(&self.everywhere)
    }

    /// The number of cores that a step has work on: the first ones.
    pub(crate) fn cores(&self, step: &str) -> usize {
        self.narrow.get(step).map_or(self.cores, |placement| placement.cores)
    }
}

/// Places keys: hash → key group → core.
///
/// ```
/// use millstream::key_group::Placement;
///
/// let placement = Placement::new(128, 2);
/// assert_eq!(placement.groups(), 128);
/// let hash = 200;
/// assert_eq!(placement.group(hash), 200 % 128);
/// assert_eq!(placement.owner(hash), 1, "the second core owns the groups from 64 on");
/// ```
#[derive(Clone, Debug)]
pub struct Placement {
    groups: u32,
    cores: usize,
    /// `groups − 1` when that is a mask.
    mask: Option<u64>,
    /// The core of each group.
    owners: std::sync::Arc<[u16]>,
}

impl Placement {
    /// `groups` key groups on `cores` cores: group g belongs to core `g·cores / groups`.
    ///
    /// # Panics
    /// If there are no cores, more cores than groups, or more groups than [`MAX_KEY_GROUPS`].
    pub fn new(groups: u32, cores: usize) -> Placement {
        assert!(groups <= MAX_KEY_GROUPS && cores >= 1 && cores <= groups as usize, "config was checked");
        let owner = |group: u32| {
            u16::try_from(group as usize * cores / groups as usize).expect("fewer cores than groups")
        };
        Placement {
            groups,
            cores,
            mask: groups.is_power_of_two().then(|| u64::from(groups) - 1),
            owners: (0..groups).map(owner).collect(),
        }
    }

    /// The number of key groups.
    pub fn groups(&self) -> u32 {
        self.groups
    }

    /// The key group of a hash.
    #[inline]
    pub fn group(&self, hash: u64) -> usize {
        match self.mask {
            Some(mask) => (hash & mask) as usize,
            None => (hash % u64::from(self.groups)) as usize,
        }
    }

    /// The core that owns a key group.
    pub(crate) fn owner_of_group(&self, group: u32) -> usize {
        usize::from(self.owners[group as usize])
    }

    /// The core that owns the keys of a hash.
    #[inline]
    pub fn owner(&self, hash: u64) -> usize {
        usize::from(self.owners[self.group(hash)])
    }

    /// The core that owns an encoded key.
    ///
    /// ```
    /// # use millstream::key::Key;
    /// # use millstream::key_group::Placement;
    /// let owner = |cores| "JFK".to_owned().encoded(|bytes| Placement::new(128, cores).owner_of_key(bytes));
    /// assert_eq!(owner(1), 0);
    /// assert!(owner(4) < 4);
    /// ```
    pub fn owner_of_key(&self, encoded: &[u8]) -> usize {
        self.owner(stable_hash(encoded))
    }
}
