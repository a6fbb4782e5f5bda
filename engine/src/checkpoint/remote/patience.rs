//! Requests that are repeated: what an object store refuses now it may do in a moment.

use std::rc::Rc;
use std::time::Duration;

use super::{Objects, Page, Put, Refusal, Stored};
use crate::host::{Host, LocalFuture};

/// The first pause before a repetition; each is twice as long as the one before it.
const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(10);

/// Pauses between repetitions.
pub(crate) struct Backoff(Duration);

impl Backoff {
    pub(crate) fn new() -> Backoff {
        Backoff(FIRST)
    }

    pub(crate) async fn pause(&mut self, host: &dyn Host) {
        // Up to a quarter less, so that not all who were refused ask at once.
        let less = self.0.mul_f64((host.random() % 256) as f64 / 1024.0);
        host.sleep(self.0.saturating_sub(less)).await;
        self.0 = (2 * self.0).min(LONGEST);
    }
}

/// Objects, asked again while there is time.
#[derive(Clone)]
pub(crate) struct Patient {
    pub(crate) objects: Rc<dyn Objects>,
    pub(crate) host: Rc<dyn Host>,
    /// By the monotone clock: what fails later than this is not repeated. Without it there is no end.
    pub(crate) until: Option<Duration>,
}

impl Patient {
    /// The same, with another end.
    pub(crate) fn until(&self, until: Option<Duration>) -> Patient {
        Patient { until, ..self.clone() }
    }

    pub(crate) fn is_late(&self) -> bool {
        self.until.is_some_and(|until| self.host.monotonic() >= until)
    }

    /// Sends a request until it is answered, or refused for good, or there is no more time.
    async fn again<T>(&self, ask: impl Fn() -> LocalFuture<Result<T, Refusal>>) -> Result<T, Refusal> {
        let mut backoff = Backoff::new();
        loop {
            match ask().await {
                Err(Refusal::Passing(_)) if !self.is_late() => backoff.pause(&*self.host).await,
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
