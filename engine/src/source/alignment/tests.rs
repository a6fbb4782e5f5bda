//! What a group allows, and who is woken.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Wake, Waker};

use serde_json::Value as Json;

use super::{Aligned, Alignment, Groups, Member};
use crate::error::{ErrorKind, Result};
use crate::source::{Fetched, Polled, Reader};
use crate::time::{MAX_TIME, MIN_TIME};

#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Three members that may drift ten milliseconds apart, and how often the first was woken.
fn members() -> ([Member; 3], Arc<Woken>) {
    let groups = Groups::default();
    let joined = [0; 3].map(|_| groups.join(Alignment { group: "all", drift: 10 }));
    groups.join(Alignment { group: "another", drift: 10 });
    let woken = Arc::new(Woken::default());
    (joined.map(|joined| joined.open(Waker::from(woken.clone()))), woken)
}

#[test]
fn rule_05_a_split_may_be_as_far_ahead_of_the_lowest_as_the_drift_and_no_further() {
    let ([mut a, mut b, mut c], _) = members();
    assert!(a.allows(MIN_TIME) && !a.allows(0), "nobody has said anything");
    for (member, lowest) in [(&mut a, 105), (&mut b, 100), (&mut c, 103)] {
        member.tell(lowest);
    }
    for member in [&mut a, &mut b, &mut c] {
        assert!(member.allows(110) && !member.allows(111));
    }
    b.tell(104);
    assert!(a.allows(113) && !a.allows(114), "it is the third now that is furthest behind");
}

#[test]
fn rule_05_who_leaves_the_minimum_is_not_waited_for_and_who_comes_back_is() {
    let ([mut a, mut b, mut c], _) = members();
    a.tell(100);
    b.tell(5);
    c.tell(MAX_TIME);
    assert!(!a.allows(16));
    b.tell(MAX_TIME);
    assert!(a.allows(110));
    b.tell(7);
    assert!(!a.allows(18) && a.allows(17), "what was allowed before is not any more");
    a.tell(MAX_TIME);
    b.tell(MAX_TIME);
    assert!(c.allows(MAX_TIME - 1));
}

#[test]
fn rule_05_who_waits_is_woken_by_the_one_that_was_furthest_behind_and_not_before() {
    let ([mut a, mut b, mut c], woken) = members();
    let count = || woken.0.load(Ordering::Relaxed);
    a.tell(100);
    b.tell(20);
    c.tell(30);
    assert!(!a.wait_for(100));
    b.tell(89);
    assert_eq!(count(), 0, "it is not enough");
    b.tell(95);
    assert_eq!(count(), 1);
    assert!(!a.wait_for(100), "there is another");
    c.tell(90);
    assert_eq!(count(), 2);
    assert!(a.wait_for(100));
    c.tell(91);
    b.tell(96);
    assert!(count() <= 3, "once more at most");
}

#[test]
fn rule_05_what_is_allowed_while_one_begins_to_wait_is_noticed() {
    let ([mut a, mut b, mut c], _) = members();
    a.tell(100);
    b.tell(20);
    c.tell(95);
    assert!(!a.allows(100));
    // Nobody waits yet, so nobody is woken.
    b.tell(90);
    assert!(a.wait_for(100));
}

/// Splits that are paused as they should be.
struct Paused(Vec<String>, Vec<bool>);

impl Reader<()> for Paused {
    fn splits(&self) -> &[String] {
        &self.0
    }
    fn poll(&mut self, _: usize, _: &mut Fetched<()>) -> Result<Polled> {
        Ok(Polled::Pending)
    }
    fn is_silent(&self, _: usize) -> bool {
        false
    }
    fn set_paused(&mut self, split: usize, paused: bool) -> bool {
        if let Some(of_split) = self.1.get_mut(split) {
            *of_split = paused;
        }
        !self.1.is_empty()
    }
    fn positions(&self) -> BTreeMap<String, Json> {
        BTreeMap::new()
    }
}

#[test]
fn rule_05_the_splits_that_are_too_far_ahead_are_paused_and_the_others_go_on() {
    let ([a, mut b, mut c], _) = members();
    let mut reader = Paused(vec![String::new(); 3], vec![true; 3]);
    let mut aligned = Aligned::new(a, "source", &mut reader).expect("it can pause");
    assert_eq!(reader.1, [false; 3], "at first none is");
    aligned.member.tell(50);
    b.tell(40);
    c.tell(60);
    let watermarks = [Some(50), Some(51), None];
    assert!(!aligned.settle(watermarks.into_iter(), &mut reader));
    assert_eq!(reader.1, [false, true, false]);
    assert!(aligned.is_paused(1) && !aligned.is_paused(0));
    b.tell(41);
    assert!(aligned.settle(watermarks.into_iter(), &mut reader), "it has to be asked again");
    assert_eq!(reader.1, [false; 3]);
}

#[test]
fn a_reader_that_cannot_pause_is_refused() {
    let ([a, ..], _) = members();
    let mut reader = Paused(vec![String::new()], Vec::new());
    let refused = Aligned::new(a, "numbers", &mut reader).err().expect("it cannot");
    assert_eq!(refused.kind(), ErrorKind::Source);
    assert!(refused.to_string().contains("source `numbers` cannot be aligned"), "{refused}");
}
