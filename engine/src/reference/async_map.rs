//! What requests come to in the reference: one after the other, each run to its end, by a clock that only they move.

use std::cell::Cell;
use std::error::Error as StdError;
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use millstream_storage::disk::block_on;

use crate::error::Error;
use crate::host::LocalFuture;
use crate::operator::async_map::{AsyncContext, AsyncOptions, Clock, gave_up, too_late};
use crate::reference::Event;
use crate::time::Timestamp;

/// Nobody waits for it: to sleep is to move it on.
#[derive(Default)]
struct Moved(Cell<Duration>);

impl Clock for Moved {
    fn sleep(&self, duration: Duration) -> LocalFuture<()> {
        self.0.set(self.0.get().saturating_add(duration));
        Box::pin(async {})
    }

    fn wall_millis(&self) -> i64 {
        i64::try_from(self.0.get().as_millis()).unwrap_or(i64::MAX)
    }
}

/// The results, in the order of the records.
///
/// # Panics
/// If a request fails for good: the job would fail.
pub(crate) fn async_map<T, U, E, A>(
    events: Vec<Event<T>>,
    options: &AsyncOptions<T, U>,
    function: &impl Fn(T, AsyncContext) -> A,
) -> Vec<Event<U>>
where
    T: Clone,
    E: Into<Box<dyn StdError + Send + Sync>>,
    A: Future<Output = Result<U, E>>,
{
    let mut out = Vec::new();
    for event in events {
        match event {
            Event::Watermark(t) => out.push(Event::Watermark(t)),
            Event::Record(at, record) => {
                let result = answer(at, record, options, function);
                let result = result.unwrap_or_else(|error| panic!("the reference has no answer: {error}"));
                out.extend(result.map(|result| Event::Record(at, result)));
            }
        }
    }
    out
}

fn answer<T, U, E, A>(
    at: Timestamp,
    record: T,
    options: &AsyncOptions<T, U>,
    function: &impl Fn(T, AsyncContext) -> A,
) -> Result<Option<U>, Error>
where
    T: Clone,
    E: Into<Box<dyn StdError + Send + Sync>>,
    A: Future<Output = Result<U, E>>,
{
    let settings = &options.attempts;
    let mut failed = 0;
    loop {
        let clock = Rc::new(Moved::default());
        let result = block_on(function(record.clone(), AsyncContext::new(clock.clone(), at, failed)));
        let in_time = settings.timeout.is_none_or(|timeout| clock.0.get() <= timeout);
        match result {
            Ok(result) if in_time => return Ok(Some(result)),
            _ if settings.retry.delay(failed).is_some() => failed += 1,
            Err(error) if in_time => return Err(gave_up(at, failed + 1).caused_by(error)),
            _ => {
                let instead = settings.on_timeout.as_ref();
                return instead
                    .map(|instead| instead(record))
                    .ok_or_else(|| too_late(at, failed + 1, settings.timeout));
            }
        }
    }
}
