//! Writes get leave in every order of growing, cutting and failing, and the length is that of what was written.

use std::future::Future;
use std::pin::pin;

use super::*;

// What a future has to say at once; none if it waits.
fn at_once<T>(future: impl Future<Output = T>) -> Option<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}

const WRITE: Option<Leave> = Some(Leave::Write);

#[test]
fn a_small_file_is_given_no_room() {
    let extent = Extent::new(true, 0);
    assert_eq!(at_once(extent.leave(START)), WRITE);
    extent.wrote(START, true);
    assert_eq!(extent.len(), START);
    assert_eq!(at_once(extent.cut()), Some(None));
}

#[test]
fn a_write_beyond_the_room_makes_it_longer_and_the_next_waits_for_that() {
    let extent = Extent::new(true, 0);
    let end = START + 1;
    assert_eq!(at_once(extent.leave(end)), Some(Leave::Grow { from: 0, len: STEP }));
    assert_eq!(at_once(extent.leave(end)), None);
    assert_eq!(at_once(extent.cut()), None);
    extent.resized(Some(STEP));
    assert_eq!(at_once(extent.leave(end)), WRITE);
    assert_eq!(at_once(extent.leave(STEP + 1)), Some(Leave::Grow { from: STEP, len: STEP }));
    assert_eq!(at_once(extent.leave(STEP)), WRITE);
}

#[test]
fn without_room_on_the_disk_the_writes_go_on() {
    let extent = Extent::new(true, 0);
    assert!(matches!(at_once(extent.leave(STEP)), Some(Leave::Grow { .. })));
    extent.resized(None);
    assert_eq!(at_once(extent.leave(STEP)), WRITE);
    assert_eq!(at_once(extent.leave(9 * STEP)), WRITE);
    assert_eq!(at_once(extent.cut()), Some(Some(9 * STEP)), "the disk may have given some of it");
    extent.resized(Some(9 * STEP));
    assert_eq!(at_once(extent.cut()), Some(None));
}

#[test]
fn a_hole_is_given_no_room() {
    let extent = Extent::new(true, 0);
    assert_eq!(at_once(extent.leave(START)), WRITE);
    assert_eq!(at_once(extent.leave(START + STEP + 1)), WRITE);
    assert_eq!(at_once(extent.cut()), Some(None));
}

#[test]
fn a_cut_spares_the_writes_under_way_and_holds_up_those_behind_it() {
    let extent = Extent::new(true, 0);
    let end = START + 1;
    assert!(matches!(at_once(extent.leave(end)), Some(Leave::Grow { .. })));
    extent.resized(Some(STEP));
    assert_eq!(at_once(extent.leave(end)), WRITE);
    assert_eq!(at_once(extent.cut()), Some(Some(end)));
    assert_eq!(at_once(extent.leave(end)), WRITE);
    assert_eq!(at_once(extent.leave(end + 1)), None);
    extent.resized(Some(end));
    assert_eq!(at_once(extent.leave(end + 1)), Some(Leave::Grow { from: end, len: STEP - end }));
}

#[test]
fn what_failed_is_no_part_of_the_file() {
    let extent = Extent::new(false, 0);
    assert_eq!(at_once(extent.leave(100)), WRITE);
    assert_eq!(at_once(extent.leave(200)), WRITE);
    extent.wrote(200, false);
    assert_eq!(extent.len(), 200, "the other write is still under way");
    extent.wrote(100, true);
    assert_eq!(extent.len(), 100);
}
