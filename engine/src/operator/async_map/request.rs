//! One request: its attempts, until one of them has a result or there are no more.

use std::any::Any;
use std::error::Error as StdError;
use std::fmt::Display;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use crate::error::{Error, ErrorKind, Result};
use crate::operator::async_map::context::{AsyncContext, Clock};
use crate::operator::async_map::options::Attempts;
use crate::time::{MIN_TIME, Timestamp};

/// What comes of a request: a result, or none if it was not answered in time and that is no failure.
pub(super) type Answer<U> = Result<Option<U>>;

/// Makes attempts for a record until one succeeds, or the last has failed.
pub(super) async fn answer<T, U, E, F, A>(
    function: F,
    attempts: Attempts<T, U>,
    clock: Rc<dyn Clock>,
    (time, record): (Timestamp, T),
) -> Answer<U>
where
    T: Clone,
    E: Into<Box<dyn StdError + Send + Sync>>,
    F: Fn(T, AsyncContext) -> A,
    A: Future<Output = Result<U, E>>,
{
    let mut attempt = 0;
    loop {
        let begun = || function(record.clone(), AsyncContext::new(clock.clone(), time, attempt));
        let request = async { begun().await };
        let outcome = within(attempts.timeout, &*clock, caught(request)).await;
        if let Some(Err(panic)) = &outcome {
            let message = format!("the function panicked for {}: {}", of(time), text_of(&**panic));
            return Err(Error::new(ErrorKind::User, message));
        }
        let outcome = outcome.and_then(|done| done.ok());
        if let Some(Ok(result)) = outcome {
            return Ok(Some(result));
        }
        if let Some(delay) = attempts.retry.delay(attempt) {
            clock.sleep(delay).await;
            attempt += 1;
            continue;
        }
        return match (outcome, attempts.on_timeout) {
            (Some(Err(error)), _) => Err(gave_up(time, attempt + 1).caused_by(error)),
            (_, Some(instead)) => Ok(instead(record)),
            _ => Err(too_late(time, attempt + 1, attempts.timeout)),
        };
    }
}

/// What a request failed with, to be completed by its cause.
pub(crate) fn gave_up(time: Timestamp, attempts: u32) -> Error {
    Error::new(
        ErrorKind::User,
        format!("the request for {} failed, attempt {attempts} was the last", of(time)),
    )
}

/// What a request that was not answered in time failed with.
pub(crate) fn too_late(time: Timestamp, attempts: u32, timeout: Option<Duration>) -> Error {
    let message = format!(
        "the request for {} was not answered within {:?}, attempt {attempts} was the last; allow more time or \
         retries, or say what becomes of such records by `on_timeout`",
        of(time),
        timeout.unwrap_or(Duration::MAX)
    );
    Error::new(ErrorKind::User, message)
}

fn of(time: Timestamp) -> impl Display {
    if time == MIN_TIME { "a record without a time".to_owned() } else { format!("the record of time {time}") }
}

/// What a future comes to, unless the time is over first: then it is dropped.
async fn within<O>(
    timeout: Option<Duration>,
    clock: &dyn Clock,
    future: impl Future<Output = O>,
) -> Option<O> {
    let Some(timeout) = timeout else { return Some(future.await) };
    let (mut future, mut over) = (pin!(future), clock.sleep(timeout));
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => over.as_mut().poll(cx).map(|()| None),
    })
    .await
}

/// What a future comes to, or what it panicked with: a panic is to end the job, and not a task that nobody waits for.
async fn caught<O>(future: impl Future<Output = O>) -> Result<O, Box<dyn Any + Send>> {
    let mut future = pin!(future);
    poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
        Ok(poll) => poll.map(Ok),
        Err(panic) => Poll::Ready(Err(panic)),
    })
    .await
}

fn text_of(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message")
}
