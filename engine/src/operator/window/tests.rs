//! Windows where time ends, and where they are shifted.

use std::time::Duration;

use super::{Spans, Tumbling, Window};
use crate::time::Timestamp;

fn tumbling(size: u64, offset: i64) -> Tumbling {
    Tumbling::of(Duration::from_millis(size)).offset_millis(offset)
}

#[test]
fn windows_lie_side_by_side_at_the_beginning_of_time_too() {
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
fn the_last_window_is_cut_off_where_time_ends() {
    let windows = tumbling(10, 0);
    let cut = Window { start: windows.window_of(Timestamp::MAX - 1).start, end: Timestamp::MAX };
    assert_eq!(windows.window_of(Timestamp::MAX), cut);
    assert_eq!(windows.window_ending(Timestamp::MAX), cut);
    assert_eq!(cut.end - cut.start, Timestamp::MAX % 10);
}
