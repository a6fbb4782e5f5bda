//! Windows of days in time zones.

use millstream::prelude::*;
use proptest::prelude::*;

use super::support::{Ids, by_key, run};

const HOUR: i64 = 3_600_000;

fn berlin(days: u32) -> millstream::window::Days {
    Tumbling::days(days, "Europe/Berlin").expect("the zone is known")
}

#[test]
fn rule_08_days_are_as_long_as_clocks_are_changed() {
    // 2024-03-31 and 2024-10-27, at noon UTC.
    for (noon, long) in [(1_711_886_400_000, 23), (1_730_030_400_000, 25), (1_718_452_800_000, 24)] {
        let day = berlin(1).window_of(noon);
        assert_eq!(day.end - day.start, long * HOUR, "{noon}");
        assert!(day.start <= noon && noon < day.end);
    }
}

#[test]
fn rule_08_days_of_which_midnight_is_missing_begin_an_hour_later() {
    // In Beirut clocks were put forward at midnight of 2022-03-27.
    let days = Tumbling::days(1, "Asia/Beirut").expect("the zone is known");
    let day = days.window_of(1_648_368_000_000);
    assert_eq!((day.start, day.end - day.start), (1_648_332_000_000, 23 * HOUR));
}

#[test]
fn rule_08_days_lie_side_by_side_before_the_epoch_and_beyond_all_years() {
    for windows in [berlin(1), berlin(7), berlin(3).from_time(6, 30)] {
        let mut next = windows.window_of(-100 * 24 * HOUR);
        for _ in 0..200 {
            assert_eq!(windows.window_of(next.end - 1), next);
            let after = windows.window_of(next.end);
            assert_eq!(after.start, next.end);
            next = after;
        }
        for time in [Timestamp::MIN, Timestamp::MAX - 1] {
            let window = windows.window_of(time);
            assert!(window.start <= time && time < window.end);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(50))]

    #[test]
    fn what_is_put_out_is_what_the_reference_says(
        hours in prop::collection::vec((-60_000..60_000_i64, 0..3_u8), 1..20), days in 1..9_u32,
        (hour, minute) in (0..24_u8, 0..60_u8), zone in prop::sample::select(vec![
            "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe", "Pacific/Apia",
        ]),
    ) {
        let records: Vec<_> = hours.iter().enumerate()
            .map(|(id, (at, key))| (1_325_000_000_000 + at * HOUR / 4, *key, id as u64)).collect();
        let windows = Tumbling::days(days, zone).expect("the zone is known").from_time(hour, minute);
        let (got, expected) = run(&records, 1_000_000_000, windows, Ids, 8);
        prop_assert_eq!(by_key(&got), by_key(&expected));
    }
}
