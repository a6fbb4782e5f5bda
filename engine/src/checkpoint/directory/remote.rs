//! A directory whose checkpoints are complete only when they are in an object store, too.
//!
//! ```text
//! remote                  where that is
//! void-0000000013         a manifest that was prepared here, and is in no link of the chain
//! ```

use std::path::Path;

use millstream_storage::manifest;

use super::{Contents, Directory, MANIFEST};
use crate::error::{Error, ErrorKind, Result};

const REMOTE: &str = "remote";

impl Directory {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Where the store is that this directory belongs to, if it belongs to one.
    ///
    /// # Errors
    /// If it cannot be read.
    pub(crate) async fn remote(&self) -> Result<Option<String>> {
        if !self.list(&self.path).await?.iter().any(|name| name == REMOTE) {
            return Ok(None);
        }
        let path = self.path.join(REMOTE);
        let bytes = manifest::read_verified(&*self.disk, &path).await.map_err(|error| {
            let what = "it tells which object store the checkpoints are in: if it is lost, remove it, with all checkpoints \
                        beside it";
            Error::new(ErrorKind::Restore, format!("{}: {what}", path.display())).caused_by(error)
        })?;
        Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// From now on the directory belongs to a store.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(crate) async fn set_remote(&self, place: &str) -> Result<()> {
        let written = manifest::write_atomically(&*self.disk, &self.path, REMOTE, place.as_bytes()).await;
        written.map_err(|error| {
            let message = format!("{}: cannot be written", self.path.join(REMOTE).display());
            Error::new(ErrorKind::Checkpoint, message).caused_by(error)
        })
    }

    /// Takes their names from the manifests of later checkpoints than this: they were prepared, and never complete.
    ///
    /// # Errors
    /// If the disk refuses.
    pub(crate) async fn make_void(&self, contents: &Contents, after: Option<u64>) -> Result<()> {
        let is_void = |(epoch, _): &(&u64, &String)| after.is_none_or(|after| **epoch > after);
        for (epoch, name) in contents.manifests.iter().filter(is_void) {
            let (from, to) = (self.path.join(name), self.path.join(format!("void-{epoch:010}")));
            let renamed = self.disk.rename(&from, &to).await;
            renamed.map_err(|error| {
                let message = format!("{}: cannot be renamed", from.display());
                Error::new(ErrorKind::Restore, message).caused_by(error)
            })?;
        }
        self.settle().await
    }

    /// Removes the manifest of a checkpoint that was prepared and then given up. What cannot be removed is in nobody's
    /// way: it is not in the chain, and the next clean-up tries again.
    pub(crate) async fn withdraw(&self, epoch: u64) {
        // Whatever comes of it.
        let _ = self.remove(&self.path.join(format!("{MANIFEST}{epoch:010}"))).await;
    }
}
