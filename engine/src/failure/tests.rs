//! Where a panic has struck, in words.

use super::*;

#[test]
fn one_record_is_named_with_its_time() {
    let place = Place::of(2..3, &[10, 11, 12, 13]).expect("there is such a record");
    assert_eq!(place.to_string(), "at record 3 of a batch of 4, of time 12");
}

#[test]
fn several_records_are_named_with_their_times() {
    let place = Place::of(1..4, &[10, 13, 11, 12]).expect("there are such records");
    assert_eq!(place.to_string(), "in records 2 to 4 of a batch of 4, of times 11 to 13");
}

#[test]
fn records_without_event_time_have_none() {
    let place = Place::of(0..1, &[MIN_TIME]).expect("there is such a record");
    assert_eq!(place.to_string(), "at record 1 of a batch of 1");
}

#[test]
fn no_record_is_no_place() {
    assert_eq!(Place::of(0..0, &[1]), None);
    assert_eq!(Place::of(1..3, &[1]), None);
}

#[test]
fn the_innermost_batch_that_a_panic_leaves_counts() {
    struct Leave(Option<Place>);
    impl Drop for Leave {
        fn drop(&mut self) {
            leave_batch(|| self.0);
        }
    }
    let panicking = || {
        let _outer = Leave(Place::of(0..1, &[1]));
        let _inner = Leave(Place::of(1..2, &[1, 2]));
        panic!("a test");
    };
    drop(Leave(Place::of(0..1, &[1])));
    assert_eq!(take_place(), None, "nothing is noted without a panic");
    assert!(catch_unwind(panicking).is_err());
    assert_eq!(take_place(), Place::of(1..2, &[1, 2]));
    assert_eq!(take_place(), None, "it is taken once");
}

#[test]
fn the_oldest_failures_are_forgotten() {
    let failures = Failures::default();
    let error = Error::new(ErrorKind::Sink, "full").caused_by("no room");
    (0..100).for_each(|n| failures.note(n, &error, n as u64));
    let all = failures.all();
    assert_eq!((all.len(), all[0].restart, all[63].at), (REMEMBERED, 36, 99));
    assert_eq!(all[0].cause, "full: no room");
}
