//! Which store, where in it, and who one is there.

use std::fmt;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use millstream::checkpoint::remote::{Objects, Refusal, Remote};
use millstream::host::{Host, LocalFuture};
use object_store::aws::{AmazonS3Builder, S3ConditionalPut};
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreScheme, RetryConfig};
use reqwest::Url;

use crate::client::Client;

/// Longer files are stored in parts: what is sent again after an error, and held in memory meanwhile.
const PART_BYTES: u64 = 8 << 20;

/// A place in an object store, by its URL: see the [table](crate).
///
/// ```
/// # use millstream::prelude::*;
/// use millstream_objects::objects;
/// # let (here, there, store) = (tempfile::tempdir()?, tempfile::tempdir()?, tempfile::tempdir()?);
/// # let url = format!("file://{}", store.path().display());
///
/// let run = |directory: &std::path::Path| {
///     let job = Job::new("squares");
///     job.source("numbers", generator(1_000, |n| n * n)).sink("nowhere", discard());
///     job.run(Config::new().cores(1).checkpoints(directory).checkpoints_to(objects(&url)))
/// };
/// assert_eq!(run(here.path())?.records_in, 1_000);
/// assert!(run(there.path())?.already_finished);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn objects(url: &str) -> Place {
    Place { url: url.to_owned(), options: Vec::new() }
}

/// A place in an object store. Made by [`objects`].
///
/// ```
/// use millstream::checkpoint::remote::Remote;
/// use millstream_objects::{Place, objects};
///
/// let place: Place = objects("s3://shop/squares").option("aws_endpoint", "http://127.0.0.1:9000").option("allow_http", "true");
/// assert_eq!(place.describe(), "s3://shop/squares");
/// assert!(!format!("{place:?}").contains("9000"), "what an option says may be a secret");
/// ```
#[derive(Clone)]
pub struct Place {
    url: String,
    options: Vec<(String, String)>,
}

impl Place {
    /// Sets an option of the store's client, by the name that [`object_store`] has for it; it goes before the environment.
    pub fn option(mut self, key: &str, value: &str) -> Place {
        self.options.push((key.to_owned(), value.to_owned()));
        self
    }

    /// The client of the store, and the path in it.
    pub(crate) fn open(&self) -> Result<(Arc<dyn ObjectStore>, Path), Refusal> {
        let refuse = |what: String| Refusal::Refused(format!("{}: {what}", self.describe()));
        let url = Url::parse(&self.url).map_err(|error| refuse(format!("is no URL: {error}")))?;
        if url.password().is_some() || url.query().is_some() {
            return Err(refuse(
                "credentials do not belong into the URL, but into the environment".to_owned(),
            ));
        }
        let parsed = ObjectStoreScheme::parse(&url);
        let (scheme, path) = parsed.map_err(|error| refuse(format!("is of no known store: {error}")))?;
        let failed = |error: object_store::Error| refuse(error.to_string());
        match scheme {
            ObjectStoreScheme::AmazonS3 => Ok((Arc::new(self.s3().map_err(failed)?), path)),
            ObjectStoreScheme::GoogleCloudStorage => Ok((Arc::new(self.gcs().map_err(failed)?), path)),
            ObjectStoreScheme::MicrosoftAzure => Ok((Arc::new(self.azure().map_err(failed)?), path)),
            ObjectStoreScheme::Local => {
                let dir = PathBuf::from(url.path());
                // One that is missing may be a share that is not mounted: to begin anew there would repeat all output.
                if !dir.is_dir() {
                    return Err(refuse(
                        "there is no such directory: make it, or mount what it is in".to_owned(),
                    ));
                }
                let store = LocalFileSystem::new_with_prefix(dir).map_err(failed)?;
                Ok((Arc::new(store.with_fsync(true)), Path::default()))
            }
            _ => Err(refuse("is of none of s3, gs, az and file".to_owned())),
        }
    }

    fn s3(&self) -> object_store::Result<impl ObjectStore + use<>> {
        let builder = AmazonS3Builder::from_env()
            .with_url(&self.url)
            .with_retry(once())
            .with_conditional_put(S3ConditionalPut::ETagMatch);
        let set = |builder: AmazonS3Builder, (key, value): &(String, String)| {
            Ok::<_, object_store::Error>(builder.with_config(key.parse()?, value))
        };
        self.options.iter().try_fold(builder, set)?.build()
    }

    fn gcs(&self) -> object_store::Result<impl ObjectStore + use<>> {
        let builder = GoogleCloudStorageBuilder::from_env().with_url(&self.url).with_retry(once());
        let set = |builder: GoogleCloudStorageBuilder, (key, value): &(String, String)| {
            Ok::<_, object_store::Error>(builder.with_config(key.parse()?, value))
        };
        self.options.iter().try_fold(builder, set)?.build()
    }

    fn azure(&self) -> object_store::Result<impl ObjectStore + use<>> {
        let builder = MicrosoftAzureBuilder::from_env().with_url(&self.url).with_retry(once());
        let set = |builder: MicrosoftAzureBuilder, (key, value): &(String, String)| {
            Ok::<_, object_store::Error>(builder.with_config(key.parse()?, value))
        };
        self.options.iter().try_fold(builder, set)?.build()
    }
}

/// A request is sent once: who waits for it repeats it, and knows then that it was sent before.
fn once() -> RetryConfig {
    RetryConfig { max_retries: 0, ..RetryConfig::default() }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys: Vec<&str> = self.options.iter().map(|(key, _)| key.as_str()).collect();
        f.debug_struct("Place").field("url", &self.describe()).field("options", &keys).finish()
    }
}

impl Remote for Place {
    fn describe(&self) -> String {
        // A secret in it may have made it something else.
        if Url::parse(&self.url).is_err() {
            return "a place that is no URL".to_owned();
        }
        let url = self.url.split(['?', '#']).next().unwrap_or_default();
        let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let host = authority.rsplit('@').next().unwrap_or_default();
        format!("{scheme}://{host}/{}", path.trim_end_matches('/'))
    }

    fn part_bytes(&self) -> u64 {
        PART_BYTES
    }

    fn connect(&self, _: &Rc<dyn Host>) -> LocalFuture<Result<Rc<dyn Objects>, Refusal>> {
        let place = self.clone();
        Box::pin(async move { Ok(Rc::new(Client::connect(place).await?) as Rc<dyn Objects>) })
    }
}

#[cfg(test)]
mod tests;
