//! The thread that takes requests, and the runtime on which they are sent, many at once.

use std::sync::Arc;

use futures_util::TryStreamExt;
use millstream::checkpoint::remote::{Put, Refusal, Stored};
use millstream::port::Inbox;
use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt, PutMode};

use crate::place::Place;

/// Answers that stay the same: who asks is not known or may not, or there is no such bucket.
const FINAL: [&str; 3] = ["401 Unauthorized", "403 Forbidden", "404 Not Found"];

/// What the thread is asked.
pub(crate) enum Ask {
    /// Whether there is a client.
    Connect,
    Put(String, Vec<u8>, Put),
    Get(String),
    List {
        prefix: String,
        after: String,
    },
    Delete(String),
}

/// What it answers.
pub(crate) enum Told {
    Done,
    Stored(Stored),
    Found(Option<Vec<u8>>),
    Names(Vec<String>),
}

/// Serves until nobody asks any more.
pub(crate) fn serve(inbox: &Inbox<Ask, Result<Told, Refusal>>, place: &Place) {
    let Some((_, reply)) = inbox.next() else { return };
    // Refused only if the process has a default already, which is then used.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("objects-io")
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return reply.give(Err(Refusal::Passing(format!("no runtime for a client: {error}")))),
    };
    let entered = runtime.enter();
    let (store, base) = match place.open() {
        Ok(opened) => opened,
        Err(refusal) => return reply.give(Err(refusal)),
    };
    drop(entered);
    reply.give(Ok(Told::Done));
    let shelf = Arc::new(Shelf { store, base });
    while let Some((ask, reply)) = inbox.next() {
        let shelf = shelf.clone();
        runtime.spawn(async move { reply.give(shelf.answer(ask).await) });
    }
    // What is still on its way is for nobody.
    runtime.shutdown_background();
}

struct Shelf {
    store: Arc<dyn ObjectStore>,
    base: Path,
}

impl Shelf {
    async fn answer(&self, ask: Ask) -> Result<Told, Refusal> {
        match ask {
            Ask::Connect => Ok(Told::Done),
            Ask::Put(name, bytes, how) => self.put(&name, bytes, how).await.map(Told::Stored),
            Ask::Get(name) => self.get(&name).await.map(Told::Found),
            Ask::List { prefix, after } => self.list(&prefix, &after).await.map(Told::Names),
            Ask::Delete(name) => match self.store.delete(&self.path(&name)?).await {
                Ok(()) | Err(Error::NotFound { .. }) => Ok(Told::Done),
                Err(error) => Err(refusal(&error)),
            },
        }
    }

    fn path(&self, name: &str) -> Result<Path, Refusal> {
        let whole =
            if self.base.as_ref().is_empty() { name.to_owned() } else { format!("{}/{name}", self.base) };
        Path::parse(whole).map_err(|error| Refusal::Refused(error.to_string()))
    }

    async fn put(&self, name: &str, bytes: Vec<u8>, how: Put) -> Result<Stored, Refusal> {
        let mode = match how {
            Put::IfAbsent => PutMode::Create,
            Put::Replace => PutMode::Overwrite,
        };
        match self.store.put_opts(&self.path(name)?, bytes.into(), mode.into()).await {
            Ok(_) => Ok(Stored::Now),
            Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) if how == Put::IfAbsent => {
                Ok(Stored::Before)
            }
            Err(error) => Err(refusal(&error)),
        }
    }

    async fn get(&self, name: &str) -> Result<Option<Vec<u8>>, Refusal> {
        let found = match self.store.get(&self.path(name)?).await {
            Err(Error::NotFound { .. }) => return Ok(None),
            found => found.map_err(|error| refusal(&error))?,
        };
        found.bytes().await.map(|bytes| Some(bytes.into())).map_err(|error| refusal(&error))
    }

    /// Sorted: not every store answers in order.
    async fn list(&self, prefix: &str, after: &str) -> Result<Vec<String>, Refusal> {
        let folder = self.path(prefix.trim_end_matches('/'))?;
        let found = match after.is_empty() {
            true => self.store.list(Some(&folder)),
            false => self.store.list_with_offset(Some(&folder), &self.path(after)?),
        };
        let found: Vec<_> = found.try_collect().await.map_err(|error| refusal(&error))?;
        let below = |path: &str| match self.base.as_ref() {
            "" => Some(path.to_owned()),
            base => path.strip_prefix(base)?.strip_prefix('/').map(str::to_owned),
        };
        let mut names: Vec<String> =
            found.iter().filter_map(|object| below(object.location.as_ref())).collect();
        names.sort();
        Ok(names)
    }
}

/// Sorts an error: whether the request was not done for sure, and would not be the next time.
fn refusal(error: &Error) -> Refusal {
    let told = told(error);
    match error {
        Error::NotFound { .. }
        | Error::InvalidPath { .. }
        | Error::NotSupported { .. }
        | Error::NotImplemented { .. }
        | Error::PermissionDenied { .. }
        | Error::Unauthenticated { .. }
        | Error::UnknownConfigurationKey { .. } => Refusal::Refused(told),
        // Of a list the client tells no more than what it was answered.
        _ if FINAL.iter().any(|status| told.contains(status)) => Refusal::Refused(told),
        _ => Refusal::Passing(told),
    }
}

/// All that is known, in one line, without what stands behind the path of a URL: it may be a signature.
fn told(error: &Error) -> String {
    let (mut text, mut cause) = (error.to_string(), std::error::Error::source(error));
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        cause = error.source();
    }
    let word = |word: &str| match word.split_once('?') {
        Some((url, _)) if url.contains("://") => url.to_owned(),
        _ => word.to_owned(),
    };
    text.split_whitespace().map(word).collect::<Vec<_>>().join(" ")
}
