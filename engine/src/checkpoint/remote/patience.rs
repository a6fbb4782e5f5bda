//! Requests that are repeated: what an object store refuses now it may do in a moment.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::{Objects, Page, Put, Refusal, Stored};
use crate::driver::race;
use crate::handle::Shared;
use crate::host::{Host, LocalFuture};

/// The first pause before a repetition; each is twice as long as the one before it.
const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(10);

/// How long what has failed is tried again.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Limit {
    /// Until it has worked.
    Endless,
    /// Each request for so long after it was first sent: as long as some are answered, others go on.
    Each(Duration),
    /// Until then, by the monotone clock.
    At(Duration),
}

/// Who hears that a store does not answer, and whether anybody still waits for it.
pub(crate) struct Watch {
    shared: Option<Arc<Shared>>,
    /// Nobody else heeds a cancellation.
    starting: Cell<bool>,
    gave_up: Cell<bool>,
}

impl Watch {
    /// A job's, from its start.
    pub(crate) fn new(shared: Option<Arc<Shared>>) -> Rc<Watch> {
        Rc::new(Watch { shared, starting: Cell::new(true), gave_up: Cell::new(false) })
    }

    /// From now on the coordinator heeds cancellations.
    pub(crate) fn started(&self) {
        self.starting.set(false);
    }

    /// Whether something was given up because the job was cancelled while it started.
    pub(crate) fn gave_up(&self) -> bool {
        self.gave_up.get()
    }

    /// Pauses. False if nobody waits any more.
    async fn pause(&self, host: &dyn Host, pause: Duration) -> bool {
        let Some(shared) = self.shared.as_ref().filter(|_| self.starting.get()) else {
            host.sleep(pause).await;
            return true;
        };
        let until = host.monotonic().saturating_add(pause);
        while !shared.is_cancelled() {
            let left = until.saturating_sub(host.monotonic());
            if left.is_zero() {
                return true;
            }
            let cancelled = shared.coordinator().wait(|| shared.is_cancelled());
            race(cancelled, host.sleep(left)).await;
        }
        self.gave_up.set(true);
        false
    }
}

/// Objects, asked again while there is time.
#[derive(Clone)]
pub(crate) struct Patient {
    pub(crate) objects: Rc<dyn Objects>,
    pub(crate) line: Line,
}

/// What tells how often something is tried.
#[derive(Clone)]
pub(crate) struct Line {
    pub(crate) host: Rc<dyn Host>,
    pub(crate) watch: Rc<Watch>,
    /// Where the store is, for messages.
    pub(crate) place: Rc<str>,
    pub(crate) limit: Limit,
}

/// The tries of one request.
pub(crate) struct Tries<'a> {
    line: &'a Line,
    end: Option<Duration>,
    pause: Duration,
}

impl Line {
    pub(crate) fn tries(&self) -> Tries<'_> {
        let end = match self.limit {
            Limit::Endless => None,
            Limit::Each(patience) => Some(self.host.monotonic().saturating_add(patience)),
            Limit::At(end) => Some(end),
        };
        Tries { line: self, end, pause: FIRST }
    }

    /// Whether there is no more time, for any request.
    pub(crate) fn is_late(&self) -> bool {
        matches!(self.limit, Limit::At(end) if self.host.monotonic() >= end)
    }
}

impl Tries<'_> {
    /// Pauses after a refusal. Whether to try again then.
    pub(crate) async fn again(&mut self, refusal: &Refusal) -> bool {
        let Line { host, watch, place, .. } = self.line;
        if self.end.is_some_and(|end| host.monotonic() >= end) {
            return false;
        }
        if let Some(shared) = &watch.shared {
            shared.note_waiting(place, refusal);
        }
        // Up to a quarter less, so that not all who were refused ask at once.
        let less = self.pause.mul_f64((host.random() % 256) as f64 / 1024.0);
        let pause = self.pause.saturating_sub(less);
        self.pause = (2 * self.pause).min(LONGEST);
        watch.pause(&**host, pause).await
    }
}

impl Patient {
    /// The same, with another limit.
    pub(crate) fn within(&self, limit: Limit) -> Patient {
        Patient { objects: self.objects.clone(), line: Line { limit, ..self.line.clone() } }
    }

    /// Sends a request until it is answered, or refused for good, or there is no more time.
    async fn again<T>(&self, ask: impl Fn() -> LocalFuture<Result<T, Refusal>>) -> Result<T, Refusal> {
        let mut tries = self.line.tries();
        loop {
            match ask().await {
                Err(refusal @ Refusal::Passing(_)) if tries.again(&refusal).await => {}
                answer => return answer,
            }
        }
    }

    pub(crate) async fn get(&self, name: &str) -> Result<Option<Vec<u8>>, Refusal> {
        self.again(|| self.objects.get(name)).await
    }

    /// Stores what has a name that nobody else uses.
    pub(crate) async fn store(&self, name: &str, bytes: Vec<u8>) -> Result<(), Refusal> {
        self.again(|| self.objects.put(name, bytes.clone(), Put::Replace)).await.map(|_| ())
    }

    /// Stores an object that is there already, if the store lets it.
    pub(crate) async fn store_again(&self, name: &str, bytes: &[u8]) -> Result<Stored, Refusal> {
        self.again(|| self.objects.put(name, bytes.to_vec(), Put::IfAbsent)).await
    }

    pub(crate) async fn delete(&self, name: &str) -> Result<(), Refusal> {
        self.again(|| self.objects.delete(name)).await
    }

    /// All names that begin with `prefix`, and come after `after`.
    pub(crate) async fn list(&self, prefix: &str, after: &str) -> Result<Vec<String>, Refusal> {
        let mut all: Vec<String> = Vec::new();
        loop {
            let last = all.last().map_or(after, String::as_str).to_owned();
            let Page { names, more } = self.again(|| self.objects.list(prefix, &last)).await?;
            let is_over = !more || names.is_empty();
            all.extend(names);
            if is_over {
                return Ok(all);
            }
        }
    }
}
