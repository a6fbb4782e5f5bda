//! Files through blocking calls on the helper thread.

use std::rc::Rc;
use std::sync::Arc;

use millstream_storage::disk::{Buffer, File, Io, SharedBytes};

use super::helper::Helper;
use crate::host::blocking::BlockingFile;

/// An open file. Operations under way share it; the last to let go closes it.
pub(super) struct ThreadFile {
    file: Arc<BlockingFile>,
    helper: Rc<Helper>,
}

impl ThreadFile {
    pub(super) fn new(file: BlockingFile, helper: Rc<Helper>) -> ThreadFile {
        ThreadFile { file: Arc::new(file), helper }
    }
}

impl File for ThreadFile {
    fn len(&self) -> Io<u64> {
        let file = self.file.clone();
        self.helper.run(move || file.len())
    }

    fn read_at(&self, offset: u64, len: usize) -> Io<Vec<u8>> {
        let file = self.file.clone();
        self.helper.run(move || file.read(offset, len))
    }

    fn read_into(&self, offset: u64, buffer: Buffer) -> Io<(Buffer, usize)> {
        let file = self.file.clone();
        self.helper.run(move || file.read_into(offset, buffer))
    }

    fn write_at(&self, offset: u64, bytes: SharedBytes) -> Io<()> {
        let file = self.file.clone();
        self.helper.run(move || file.write(offset, &bytes))
    }

    fn sync(&self) -> Io<()> {
        let file = self.file.clone();
        self.helper.run(move || file.sync())
    }
}
