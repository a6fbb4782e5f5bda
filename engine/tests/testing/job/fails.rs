//! Errors of the job are those of the test.

use millstream::prelude::*;
use millstream::testing::JobKit;

fn halves() -> Job {
    let job = Job::new("halves");
    job.source("numbers", from_vec(Vec::<u64>::new()))
        .key_by(|n| *n)
        .reduce("half", |_, n| assert_eq!(n % 2, 0, "{n} is odd"))
        .sink("out", discard());
    job
}

#[test]
fn a_panic_of_the_users_code_names_the_step_and_ends_the_job() -> Result<()> {
    let kit = JobKit::with(Config::new().cores(2), halves)?;
    kit.input("numbers").push_all([2_u64, 2, 3])?;
    let error = kit.input("numbers").push(3_u64).expect_err("3 is odd");
    assert_eq!(error.kind(), ErrorKind::User);
    assert!(error.to_string().contains("step `half` panicked"), "{error}");
    let again = kit.input("numbers").push(2_u64).expect_err("the job is over");
    assert!(
        again.to_string().contains("has failed before: core ")
            && again.to_string().contains("step `half` panicked"),
        "{again}"
    );
    assert!(kit.advance_clock(secs(1)).is_err() && kit.restart(1).is_err() && kit.end().is_err());
    assert_eq!(kit.output::<u64>("out").take(), [2, 2, 3], "what came before is there");
    Ok(())
}

#[test]
fn a_job_that_is_not_well_formed_is_refused() {
    let nothing = JobKit::new(|| Job::new("nothing")).err().expect("it has no sink");
    assert!(nothing.to_string().contains("the job has no sink"), "{nothing}");
    let cores = JobKit::with(Config::new().cores(0), halves).err().expect("no cores");
    assert_eq!(cores.kind(), ErrorKind::Config);
}

#[test]
fn a_watermark_without_times_is_refused() -> Result<()> {
    let kit = JobKit::new(halves)?;
    let error = kit.input::<u64>("numbers").watermark(7).expect_err("the records have no times");
    assert!(error.to_string().contains("step `numbers`: the input tells a watermark"), "{error}");
    Ok(())
}
