//! Records joined with a table that is loaded once.

use millstream::join::{Anti, Inner, LeftOuter, Semi};
use millstream::prelude::*;

fn looked_up<S>(shape: S) -> Vec<S::Out>
where
    S: millstream::join::Shape<u64, char>,
{
    let job = Job::new("lookup");
    let (sink, out) = collect();
    let table = || Ok([(1_u64, 'x'), (2, 'b'), (1, 'a')]);
    job.source("numbers", from_vec(vec![1, 2, 3]))
        .lookup_join("names", table, |n| *n, shape)
        .sink("out", sink);
    job.run(Config::new().cores(1)).expect("the job runs");
    out.take()
}

#[test]
fn all_kinds_of_left_joins_are_made_and_the_last_row_of_a_key_counts() {
    assert_eq!(looked_up(Inner), [(1, 'a'), (2, 'b')]);
    assert_eq!(looked_up(LeftOuter), [(1, Some('a')), (2, Some('b')), (3, None)]);
    assert_eq!(looked_up(Semi), [1, 2]);
    assert_eq!(looked_up(Anti), [3]);
}

#[test]
fn a_table_that_cannot_be_loaded_keeps_the_job_from_starting() {
    let job = Job::new("lookup");
    let table = || Err::<Vec<(u64, char)>, _>(Error::new(ErrorKind::User, "the table is not there"));
    let numbers = job.source("numbers", from_vec(vec![1_u64]));
    numbers.lookup_join("names", table, |n| *n, Inner).sink("out", discard());
    let error = job.run(Config::new().cores(1)).expect_err("there is no table").to_string();
    assert!(error.contains("step `names`") && error.contains("the table is not there"), "{error}");
}
