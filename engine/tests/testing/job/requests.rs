//! Requests wait for the test, or for its clock.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::io;
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};

use millstream::async_map::AsyncOptions;
use millstream::prelude::*;
use millstream::testing::JobKit;

/// Where requests wait for their answers.
#[derive(Clone, Default)]
struct Desk(Arc<Mutex<(BTreeMap<u32, u32>, Vec<Waker>)>>);

impl Desk {
    fn answer(&self, question: u32, answer: u32) {
        let mut desk = self.0.lock().expect("nobody panics");
        desk.0.insert(question, answer);
        desk.1.drain(..).for_each(Waker::wake);
    }

    async fn ask(self, question: u32) -> io::Result<(u32, u32)> {
        poll_fn(|cx| {
            let mut desk = self.0.lock().expect("nobody panics");
            match desk.0.get(&question) {
                Some(answer) => Poll::Ready(Ok((question, *answer))),
                None => {
                    desk.1.push(cx.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await
    }
}

fn asking(desk: &Desk, options: AsyncOptions<u32, (u32, u32)>) -> impl Fn() -> Job + use<> {
    let desk = desk.clone();
    move || {
        let (job, desk, options) = (Job::new("asking"), desk.clone(), options.clone());
        job.source("questions", from_vec(Vec::<u32>::new()))
            .async_map("ask", options, move |question, _| desk.clone().ask(question))
            .sink("answers", discard());
        job
    }
}

#[test]
fn results_wait_for_the_answers_that_the_test_gives() -> Result<()> {
    let desk = Desk::default();
    let kit = JobKit::new(asking(&desk, AsyncOptions::ordered()))?;
    kit.input("questions").push_all([1_u32, 2])?;
    desk.answer(2, 20);
    kit.settle()?;
    assert!(kit.output::<(u32, u32)>("answers").take().is_empty(), "the first one is asked for first");
    desk.answer(1, 10);
    kit.settle()?;
    assert_eq!(kit.output::<(u32, u32)>("answers").take(), [(1, 10), (2, 20)]);
    Ok(())
}

#[test]
fn what_is_not_answered_is_given_up_by_the_clock_of_the_test() -> Result<()> {
    let options = AsyncOptions::unordered().timeout(secs(5)).on_timeout(|question: u32| Some((question, 0)));
    let kit = JobKit::new(asking(&Desk::default(), options))?;
    kit.input("questions").push(7_u32)?;
    kit.advance_clock(millis(4_999))?;
    assert!(kit.output::<(u32, u32)>("answers").take().is_empty());
    kit.advance_clock(millis(1))?;
    assert_eq!(kit.output::<(u32, u32)>("answers").take(), [(7, 0)]);
    Ok(())
}

#[test]
fn requests_in_flight_are_made_again_after_a_restart() -> Result<()> {
    let desk = Desk::default();
    let kit = JobKit::new(asking(&desk, AsyncOptions::ordered()))?;
    kit.input("questions").push_all([1_u32, 2])?;
    kit.restart(1)?;
    desk.answer(1, 10);
    desk.answer(2, 20);
    kit.settle()?;
    assert_eq!(kit.output::<(u32, u32)>("answers").take(), [(1, 10), (2, 20)]);
    Ok(())
}

#[test]
fn an_end_that_waits_for_an_answer_says_so() -> Result<()> {
    let desk = Desk::default();
    let kit = JobKit::new(asking(&desk, AsyncOptions::ordered()))?;
    kit.input("questions").push(1_u32)?;
    let refused = kit.end().expect_err("it is not answered");
    assert_eq!(refused.kind(), ErrorKind::Job);
    assert!(refused.to_string().contains("cannot come to its end"), "{refused}");
    desk.answer(1, 10);
    assert_eq!(kit.end()?.records_out, 1);
    Ok(())
}

#[test]
fn a_job_that_never_comes_to_rest_is_given_up() -> Result<()> {
    let job = || {
        let job = Job::new("restless");
        let restless = |_: u32, _| {
            poll_fn(|cx| {
                cx.waker().wake_by_ref();
                Poll::<io::Result<u32>>::Pending
            })
        };
        job.source("questions", from_vec(Vec::<u32>::new()))
            .async_map("ask", AsyncOptions::ordered(), restless)
            .sink("answers", discard());
        job
    };
    let kit = JobKit::new(job)?;
    let error = kit.input("questions").push(1_u32).expect_err("it asks for ever");
    assert!(error.to_string().contains("does not come to rest"), "{error}");
    Ok(())
}
