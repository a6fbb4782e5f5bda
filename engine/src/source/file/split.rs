//! One file: waiting to be opened, being read, or ended.

use millstream_storage::planted;
use serde::de::DeserializeOwned;

use super::Limits;
use super::csv::Csv;
use super::cursor::{Cursor, Position};
use super::input::{Filled, Input, Start};
use super::ndjson::Ndjson;
use super::parser::{Format, Parser};
use super::window::Window;
use crate::error::Result;
use crate::source::{Fetched, SourceContext};

/// A poll decompresses about this much at most, so that neither a bad file nor a restore stalls the shard's step.
const STEP_BYTES: usize = 1 << 20;

/// The UTF-8 byte order mark that some writers put first.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// What a poll of a split found.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// Records or poison.
    Records,
    /// Nothing has arrived; the shard will be woken.
    Pending,
    /// No record yet, but there is more to do at once.
    Working,
    /// Nothing comes any more.
    Ended,
}

/// A split and where it has been read to.
pub(super) struct Split<T> {
    cursor: Cursor,
    /// Taken when the file is opened.
    start: Option<Start>,
    open: Option<Box<Open<T>>>,
}

/// What an open file needs.
struct Open<T> {
    input: Input,
    window: Window,
    parser: Box<dyn Parser<T>>,
    /// Whether the window still begins with the first bytes of the file.
    at_beginning: bool,
    ended: bool,
}

impl<T> Split<T> {
    /// The split of the file `name`.
    pub(super) fn new(name: String, position: Position, start: Start) -> Split<T> {
        Split { cursor: Cursor::new(name, position), start: Some(start), open: None }
    }

    /// After the last record that was polled.
    pub(super) fn position(&self) -> &Position {
        &self.cursor.position
    }

    /// The path of the file.
    pub(super) fn name(&self) -> &str {
        &self.cursor.name
    }
}

impl<T: DeserializeOwned + 'static> Split<T> {
    /// Starts to read the file.
    pub(super) fn open(&mut self, cx: &SourceContext, format: Format, limits: Limits) {
        let start = self.start.take().expect("a split is opened once");
        let parser: Box<dyn Parser<T>> = match format {
            Format::Ndjson => Box::new(Ndjson::new(limits.max_record)),
            Format::Csv => {
                let header = self.position().header.as_deref();
                Box::new(Csv::new(limits.max_record, header.filter(|_| !planted!(header_forgotten))))
            }
        };
        let at_beginning = matches!(start, Start::Fresh);
        let input = Input::open(cx, self.name(), start, limits.chunk);
        let window = Window::default();
        self.open = Some(Box::new(Open { input, window, parser, at_beginning, ended: false }));
    }

    /// Decodes up to `max` records.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub(super) fn poll(&mut self, max: usize, out: &mut Fetched<T>) -> Result<Progress> {
        let Some(open) = &mut self.open else { return Ok(Progress::Ended) };
        let before = out.records.len() + out.poison.len();
        let mut decompressed = 0;
        let idle = loop {
            let got = out.records.len() + out.poison.len() - before;
            open.parse(&mut self.cursor, max - got, out)?;
            if out.records.len() + out.poison.len() - before == max {
                return Ok(Progress::Records);
            } else if open.ended {
                break Progress::Ended;
            } else if decompressed >= STEP_BYTES {
                break Progress::Working;
            }
            match open.input.fill(&mut open.window)? {
                Filled::Bytes(bytes) => decompressed += bytes,
                Filled::Pending => break Progress::Pending,
                Filled::End => open.ended = true,
            }
        };
        if out.records.len() + out.poison.len() > before {
            return Ok(Progress::Records);
        }
        if idle == Progress::Ended {
            self.close();
        }
        Ok(idle)
    }

    /// Nothing comes any more: what was skipped last now counts, and the file is closed.
    fn close(&mut self) {
        self.cursor.advance(0, 0);
        self.cursor.position.ended = true;
        self.open = None;
    }
}

impl<T> Open<T> {
    fn parse(&mut self, cursor: &mut Cursor, max: usize, out: &mut Fetched<T>) -> Result<()> {
        if self.at_beginning {
            if self.window.unread().len() < BYTE_ORDER_MARK.len() && !self.ended {
                return Ok(());
            }
            if self.window.unread().starts_with(BYTE_ORDER_MARK) {
                self.window.consume(BYTE_ORDER_MARK.len());
                cursor.skip(BYTE_ORDER_MARK.len(), 0);
            }
            self.at_beginning = false;
        }
        self.parser.parse(&mut self.window, cursor, self.ended, max, out)
    }
}
