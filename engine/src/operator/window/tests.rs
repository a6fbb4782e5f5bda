//! Windows where time ends, and where they are shifted.

use std::time::Duration;

use super::sliding::Slices;
use super::{Cumulative, Sliding, Spans, Tumbling, Window};
use crate::time::Timestamp;

fn tumbling(size: u64, offset: i64) -> Tumbling {
    Tumbling::of(Duration::from_millis(size)).offset_millis(offset)
}

#[test]
fn rule_08_windows_lie_side_by_side_at_the_beginning_of_time_too() {
    for offset in [0, 1, 3, 7, -1] {
        let windows = tumbling(10, offset);
        let mut last = windows.window_of(Timestamp::MIN);
        assert_eq!(last.start, Timestamp::MIN);
        for time in (0..40).map(|k| Timestamp::MIN + k) {
            let window = windows.window_of(time);
            assert!((window.start..window.end).contains(&time), "{time} is not in {window:?}");
            assert!(window == last || window.start == last.end, "{window:?} after {last:?}, offset {offset}");
            assert_eq!(windows.window_ending(window.end), window);
            last = window;
        }
    }
}

#[test]
fn rule_08_the_last_window_is_cut_off_where_time_ends() {
    let windows = tumbling(10, 0);
    let cut = Window { start: windows.window_of(Timestamp::MAX - 1).start, end: Timestamp::MAX };
    assert_eq!(windows.window_of(Timestamp::MAX), cut);
    assert_eq!(windows.window_ending(Timestamp::MAX), cut);
    assert_eq!(cut.end - cut.start, Timestamp::MAX % 10);
}

#[test]
fn rule_08_slices_at_the_ends_of_time_are_in_windows() {
    let hops = [(10, 4), (10, 5), (1, 1), (3, 7)];
    for (size, slide) in hops {
        let windows = Sliding::of(Duration::from_millis(size), Duration::from_millis(slide)).offset_millis(3);
        check_slices(&windows, size < slide);
    }
    let growing = Cumulative::of(Duration::from_millis(12), Duration::from_millis(4)).offset_millis(5);
    check_slices(&growing, false);
}

/// That slices near the ends of time have windows, which contain them, in order.
fn check_slices(windows: &impl Slices, gaps: bool) {
    let near = (0..40).flat_map(|k| [Timestamp::MIN + k, Timestamp::MAX - k]);
    for time in near {
        let slice = windows.slice_of(time);
        assert!(slice.start <= time && (time < slice.end || time == Timestamp::MAX), "{time}: {slice:?}");
        let (mut next, mut last) = (windows.window_from(slice.end, slice.end), None);
        assert!(next.is_some() || gaps, "{time} is in no window");
        while let Some(end) = next {
            assert!(end >= slice.end && last.is_none_or(|last| last < end), "{time}: {end} after {last:?}");
            last = Some(end);
            next = end.checked_add(1).and_then(|least| windows.window_from(slice.end, least));
        }
        assert!(last <= windows.last_window(slice.end), "{time}");
    }
}
