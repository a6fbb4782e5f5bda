//! The decompressed stream of one open file.

use std::path::PathBuf;

use super::codec::{Codec, MAGIC_BYTES};
use super::prefetch::{Prefetch, Taken};
use super::window::Window;
use crate::error::{Error, ErrorKind, Result};
use crate::source::SourceContext;

/// Decompression goes on until this many bytes were added, as long as there is input.
const FILL_BYTES: usize = 128 << 10;

/// Where in a file to begin.
pub(super) enum Start {
    /// At the beginning of a file that has not been looked at yet.
    Fresh,
    /// At a byte of a plain file.
    Seek(u64),
    /// At a byte of the decompressed stream: what lies before is decompressed again and dropped.
    Skip(u64),
}

/// What became of the window.
pub(super) enum Filled {
    /// That many bytes were decompressed. Not all need to be in the window: those to be skipped are not.
    Bytes(usize),
    /// Nothing has arrived; the shard will be woken.
    Pending,
    /// The stream is complete; the last bytes may have been added.
    End,
}

/// One open file.
pub(super) struct Input {
    name: String,
    prefetch: Prefetch,
    /// `None` until enough of the file has arrived to tell.
    codec: Option<Codec>,
    chunk: Vec<u8>,
    used: usize,
    skip: u64,
}

impl Input {
    /// Opens the file `name`, to be read in pieces of `chunk` bytes.
    pub(super) fn open(cx: &SourceContext, name: &str, start: Start, chunk: usize) -> Input {
        let (offset, codec, skip) = match start {
            Start::Fresh => (0, None, 0),
            Start::Seek(offset) => (offset, Some(Codec::Plain), 0),
            Start::Skip(bytes) => (0, None, bytes),
        };
        let prefetch = Prefetch::start(cx, PathBuf::from(name), offset, chunk);
        Input { name: name.to_owned(), prefetch, codec, chunk: Vec::new(), used: 0, skip }
    }

    /// Decompresses what has arrived into the window.
    ///
    /// # Errors
    /// If the file cannot be read, is damaged or cut short, or ends before the restored position.
    pub(super) fn fill(&mut self, window: &mut Window) -> Result<Filled> {
        while self.used == self.chunk.len() || self.codec.is_none() {
            match self.prefetch.take()? {
                Taken::Chunk(bytes) => self.accept(bytes)?,
                Taken::Pending => return Ok(Filled::Pending),
                Taken::End => return self.finish(window),
            }
        }
        let tail = window.tail();
        let before = tail.len();
        let codec = self.codec.as_mut().expect("detected above");
        while self.used < self.chunk.len() && tail.len() < before + FILL_BYTES {
            match codec.decode(&self.chunk[self.used..], tail) {
                Ok(taken) => self.used += taken,
                Err(error) => return Err(damaged(&self.name, error)),
            }
        }
        let added = tail.len() - before;
        self.drop_skipped(window, added);
        Ok(Filled::Bytes(added))
    }

    /// Takes a chunk from the file, and tells the codec by the first ones.
    fn accept(&mut self, bytes: Vec<u8>) -> Result<()> {
        if self.codec.is_some() {
            (self.chunk, self.used) = (bytes, 0);
            return Ok(());
        }
        self.chunk.extend_from_slice(&bytes);
        if self.chunk.len() >= MAGIC_BYTES { self.detect() } else { Ok(()) }
    }

    fn detect(&mut self) -> Result<()> {
        let codec = Codec::detect(&self.chunk, &self.name);
        self.codec = Some(codec.map_err(|error| damaged(&self.name, error))?);
        Ok(())
    }

    /// The end of the file: what the codec still holds, and whether all is there.
    fn finish(&mut self, window: &mut Window) -> Result<Filled> {
        if self.codec.is_none() {
            self.detect()?;
        }
        let codec = self.codec.as_mut().expect("detected above");
        let tail = window.tail();
        let before = tail.len();
        while self.used < self.chunk.len() {
            let taken = codec.decode(&self.chunk[self.used..], tail);
            self.used += taken.map_err(|error| damaged(&self.name, error))?;
        }
        codec.finish(tail).map_err(|error| damaged(&self.name, error))?;
        let added = tail.len() - before;
        self.drop_skipped(window, added);
        if self.skip > 0 {
            return Err(too_short(&self.name, self.skip));
        }
        Ok(Filled::End)
    }

    /// Drops what lies before the restored position. The window holds nothing else then.
    fn drop_skipped(&mut self, window: &mut Window, added: usize) {
        let drop = usize::try_from(self.skip).map_or(added, |skip| skip.min(added));
        if drop > 0 {
            window.consume(drop);
            self.skip -= drop as u64;
        }
    }
}

fn damaged(name: &str, error: std::io::Error) -> Error {
    let message =
        format!("{name}: the compressed data is damaged or cut short; replace the file by a whole one");
    Error::new(ErrorKind::Source, message).caused_by(error)
}

fn too_short(name: &str, missing: u64) -> Error {
    let message = format!(
        "{name}: decompressed it ends {missing} bytes before the position in the checkpoint, so it is not the file \
         that was read; put that one back, or start without the checkpoint"
    );
    Error::new(ErrorKind::Restore, message)
}
