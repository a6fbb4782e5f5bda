//! How records come otherwise than they were drawn: out of order, late, twice.

use std::time::Duration;

use crate::random::{Chance, Random};

/// What is done to the records of a split.
pub(super) enum Disorder<T> {
    /// Each comes up to so many places later.
    Shuffled { places: u64 },
    /// Each comes up to so much of its own time later.
    OutOfOrder { by: Duration, time: Box<dyn Fn(&T) -> i64 + Send> },
    /// Some come up to so many places later.
    Straggling { chance: Chance, places: u64 },
    /// Some come once more, up to a few places later.
    Duplicated { chance: Chance },
}

/// How far a second one is from the first at most.
const APART: u64 = 16;

impl<T: Clone> Disorder<T> {
    /// The same for all splits of a feed, and as strong as the seed has it: at times not at all.
    pub(super) fn drawn(&self, random: &mut Random) -> Drawn<'_, T> {
        let mut up_to =
            |most: u64| if most == 0 || random.below(4) == 0 { 0 } else { random.magnitude(most) };
        let strength = match self {
            Disorder::Shuffled { places } | Disorder::Straggling { places, .. } => up_to(*places),
            Disorder::OutOfOrder { by, .. } => up_to(by.as_millis() as u64),
            Disorder::Duplicated { .. } => up_to(APART),
        };
        Drawn { of: self, strength }
    }
}

/// A disorder of a seed's strength.
pub(super) struct Drawn<'a, T> {
    of: &'a Disorder<T>,
    strength: u64,
}

impl<T: Clone> Drawn<'_, T> {
    pub(super) fn apply(&self, records: Vec<T>, random: &mut Random) -> Vec<T> {
        let strength = self.strength;
        if strength == 0 {
            return records;
        }
        let mut arrivals = Vec::new();
        for (place, record) in (0..).zip(records) {
            let mut later = |chance| if random.chance(chance) { random.range(1, strength) as i64 } else { 0 };
            let arrival = match self.of {
                Disorder::Shuffled { .. } => place + random.below(strength + 1) as i64,
                Disorder::OutOfOrder { time, .. } => {
                    time(&record).saturating_add(random.below(strength + 1) as i64)
                }
                Disorder::Straggling { chance, .. } => place + later(*chance),
                Disorder::Duplicated { chance } => {
                    if random.chance(*chance) {
                        arrivals.push((place + random.range(1, strength) as i64, record.clone()));
                    }
                    place
                }
            };
            arrivals.push((arrival, record));
        }
        arrivals.sort_by_key(|(arrival, _)| *arrival);
        arrivals.into_iter().map(|(_, record)| record).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Streams;

    fn drawn(of: &Disorder<i64>, strength: u64, records: Vec<i64>) -> Vec<i64> {
        Drawn { of, strength }.apply(records, &mut Streams::new(7).stream("test"))
    }

    #[test]
    fn a_shuffled_record_is_never_farther_than_the_places_it_was_given() {
        let shuffled = drawn(&Disorder::Shuffled { places: 5 }, 5, (0..1000).collect());
        assert!((0..).zip(&shuffled).all(|(place, n)| i64::abs(place - n) <= 5));
        assert!(!shuffled.is_sorted());
    }

    #[test]
    fn what_is_out_of_order_by_a_time_is_not_late_for_watermarks_of_that_bound() {
        let of = Disorder::OutOfOrder { by: Duration::from_millis(20), time: Box::new(|time| *time) };
        let records = drawn(&of, 20, (0..1000).map(|n| n * 3).collect());
        let mut latest = 0;
        for time in &records {
            assert!(*time >= latest - 20);
            latest = latest.max(*time);
        }
        assert!(!records.is_sorted());
    }

    #[test]
    fn stragglers_are_few_and_duplicates_come_after_the_first() {
        let of = Disorder::Straggling { chance: Chance::of(1, 10), places: 50 };
        let records = drawn(&of, 50, (0..1000).collect());
        let behind = records.windows(2).filter(|pair| pair[0] > pair[1]).count();
        assert!((20..200).contains(&behind), "{behind}");
        let twice = drawn(&Disorder::Duplicated { chance: Chance::of(1, 10) }, 4, (0..1000).collect());
        let firsts: std::collections::BTreeSet<_> = twice.iter().collect();
        assert_eq!(firsts.len(), 1000);
        assert!((1050..1200).contains(&twice.len()), "{}", twice.len());
    }
}
