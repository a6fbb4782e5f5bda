//! When a job that has failed is started again.

use super::*;

const MIDDLE: u64 = 1 << 63;

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn delays(restart: Restart, failures: &[u64]) -> Vec<Option<u64>> {
    let mut patience = Patience::new(restart);
    let delay = |&at: &u64| patience.after_failure(secs(at), MIDDLE).map(|delay| delay.as_secs());
    failures.iter().map(delay).collect()
}

#[test]
fn a_job_without_a_strategy_ends_with_its_first_error() {
    assert_eq!(delays(Restart::none(), &[0]), [None]);
}

#[test]
fn a_fixed_delay_is_given_as_often_as_was_said() {
    assert_eq!(delays(Restart::fixed_delay(2, secs(3)), &[0, 1_000, 2_000]), [Some(3), Some(3), None]);
    assert_eq!(delays(Restart::fixed_delay(0, secs(3)), &[0]), [None]);
}

#[test]
fn delays_grow_up_to_the_longest() {
    let backoff = Backoff { initial: secs(1), max: secs(5), ..Backoff::default() };
    let grown = delays(Restart::exponential(backoff), &[0, 1, 2, 3, 4]);
    assert_eq!(grown, [1, 2, 4, 5, 5].map(Some));
}

#[test]
fn delays_begin_anew_after_a_time_of_calm() {
    let backoff = Backoff { initial: secs(1), max: secs(60), reset_after: secs(100), ..Backoff::default() };
    let grown = delays(Restart::exponential(backoff), &[0, 99, 198, 298, 300]);
    assert_eq!(grown, [1, 2, 4, 1, 2].map(Some), "a time of calm is one without any failure");
}

#[test]
fn jitter_keeps_within_its_part_of_the_delay() {
    let backoff = Backoff { initial: secs(100), max: secs(1_000), jitter: 0.25, ..Backoff::default() };
    let drawn = |random| backoff.delay(0, random).as_secs_f64();
    assert_eq!((drawn(0), drawn(MIDDLE)), (75.0, 100.0));
    assert!((124.9..=125.0).contains(&drawn(u64::MAX)));
    let longest = Backoff { initial: secs(100), max: secs(100), jitter: 1.0, ..backoff };
    assert_eq!(longest.delay(0, u64::MAX), secs(100), "the longest delay is the longest");
}

#[test]
fn a_delay_that_outgrows_all_numbers_is_the_longest() {
    let backoff = Backoff { max: Duration::MAX, multiplier: 1e300, ..Backoff::default() };
    assert!(backoff.delay(u32::MAX, u64::MAX) >= secs(u64::MAX / 2));
}

#[test]
fn a_rate_counts_what_failed_within_its_time() {
    let rate = Restart::failure_rate(2, secs(10), secs(1));
    assert_eq!(delays(rate, &[0, 5, 10, 15, 19]), [Some(1), Some(1), Some(1), Some(1), None]);
    assert_eq!(delays(Restart::failure_rate(0, secs(10), secs(1)), &[0]), [None]);
}

#[test]
fn settings_out_of_range_are_refused() {
    let refused = |backoff| Restart::exponential(backoff).check(true).unwrap_err().to_string();
    assert!(refused(Backoff { multiplier: 0.5, ..Backoff::default() }).contains("multiplier"));
    assert!(refused(Backoff { multiplier: f64::NAN, ..Backoff::default() }).contains("multiplier"));
    assert!(refused(Backoff { jitter: 1.5, ..Backoff::default() }).contains("jitter"));
    assert!(Restart::exponential(Backoff::default()).check(true).is_ok());
    assert!(Restart::none().check(false).is_ok() && Restart::fixed_delay(1, secs(1)).check(false).is_err());
}
