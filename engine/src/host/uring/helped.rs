//! Files past the page cache on the executor's helper threads: for a core that has no ring of its own.
//!
//! Before Linux 5.12 a ring counts as locked memory, and there may be none left.

use std::io;
use std::rc::Rc;
use std::sync::Arc;

use glommio::executor;
use millstream_storage::disk::{Buffer, File, Io, SharedBytes};

use crate::host::blocking::BlockingFile;
use crate::host::schedule::Scheduler;

/// An open file. Operations under way share it; the last to let go closes it.
pub(super) struct HelpedFile {
    file: Arc<BlockingFile>,
    scheduler: Rc<Scheduler>,
}

impl HelpedFile {
    pub(super) fn new(file: BlockingFile, scheduler: Rc<Scheduler>) -> HelpedFile {
        HelpedFile { file: Arc::new(file), scheduler }
    }

    fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&BlockingFile) -> io::Result<T> + Send + 'static,
    ) -> Io<T> {
        let file = self.file.clone();
        self.scheduler.operation(async move { executor().spawn_blocking(move || work(&file)).await })
    }
}

impl File for HelpedFile {
    fn len(&self) -> Io<u64> {
        self.run(BlockingFile::len)
    }

    fn read_at(&self, offset: u64, len: usize) -> Io<Vec<u8>> {
        self.run(move |file| file.read(offset, len))
    }

    fn read_into(&self, offset: u64, buffer: Buffer) -> Io<(Buffer, usize)> {
        self.run(move |file| file.read_into(offset, buffer))
    }

    fn write_at(&self, offset: u64, bytes: SharedBytes) -> Io<()> {
        self.run(move |file| file.write(offset, &bytes))
    }

    fn sync(&self) -> Io<()> {
        self.run(BlockingFile::sync)
    }
}
