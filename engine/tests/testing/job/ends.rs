//! Sources and sinks of a job that a test holds.

use millstream::prelude::*;
use millstream::source::DeadLetter;
use millstream::testing::JobKit;

fn numbers(with_dead_letters: bool) -> impl Fn() -> Job {
    move || {
        let job = Job::new("numbers");
        let numbers = job.source("numbers", files::<u64>(["there is no such file"]));
        if with_dead_letters {
            numbers.dead_letters().sink("dead", discard());
        }
        numbers.sink("out", ndjson_dir("/there is no such directory"));
        job
    }
}

#[test]
fn real_sources_and_sinks_are_never_touched() -> Result<()> {
    let kit = JobKit::new(numbers(false))?;
    kit.input("numbers").push(7_u64)?;
    assert_eq!(kit.output::<u64>("out").take(), [7]);
    kit.end()?;
    assert!(!std::path::Path::new("/there is no such directory").exists());
    Ok(())
}

#[test]
fn what_cannot_be_decoded_goes_to_the_dead_letters_or_ends_the_job() -> Result<()> {
    let kit = JobKit::new(numbers(true))?;
    kit.input("numbers").push(7_u64)?;
    kit.input::<u64>("numbers").undecodable("seven")?;
    kit.input("numbers").push(8_u64)?;
    let dead = kit.output::<DeadLetter>("dead").take();
    assert_eq!((dead[0].record.as_str(), dead[0].offset), ("seven", 1));
    assert_eq!(kit.output::<u64>("out").take(), [7, 8]);

    let kit = JobKit::new(numbers(false))?;
    let error = kit.input::<u64>("numbers").undecodable("seven").expect_err("nobody takes it");
    assert_eq!(error.kind(), ErrorKind::Source);
    Ok(())
}

#[test]
fn a_job_ends_with_the_last_of_its_sources() -> Result<()> {
    let job = || {
        let job = Job::new("two");
        let (a, b) = (job.source("a", from_vec(vec![0_u64])), job.source("b", from_vec(vec![0_u64])));
        a.union("both", b).sink("out", discard());
        job
    };
    let kit = JobKit::new(job)?;
    kit.input::<u64>("a").end()?;
    assert!(!kit.is_finished());
    kit.input("b").push(1_u64)?;
    kit.input::<u64>("b").end()?;
    assert!(kit.is_finished());
    assert_eq!(kit.output::<u64>("out").take(), [1]);
    let refused = kit.input("b").push(2_u64).expect_err("it has ended");
    assert!(refused.to_string().contains("after its end"), "{refused}");
    assert_eq!(kit.end()?.records_in, 1, "to end what has ended is no error");
    Ok(())
}

#[test]
#[should_panic(expected = "the job has no source `number`; it has [\"numbers\"]")]
fn a_source_that_is_not_there_is_named() {
    let kit = JobKit::new(numbers(false)).expect("the job is well formed");
    let _ = kit.input("number").push(7_u64);
}

#[test]
#[should_panic(expected = "source `numbers` is of u64, not of u32")]
fn a_source_of_other_records_is_named() {
    let kit = JobKit::new(numbers(false)).expect("the job is well formed");
    let _ = kit.input("numbers").push(7_u32);
}
