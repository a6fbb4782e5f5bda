//! Appends to a topic what it does not have yet. A transaction takes a group of records, and its id says how many there
//! are with it: the last id that was committed is where the next process goes on.

use std::path::Path;
use std::rc::Rc;
use std::thread::sleep;
use std::time::Duration;

use millstream::topic::{BatchBuilder, Producer, TopicConfig, TopicError, TopicWriter};
use millstream_storage::disk::{StdDisk, block_on};
use millstream_tests::random::Random;
use millstream_tests::shop::expected::line;
use millstream_tests::shop::{order, payment, payments};

/// The name of its transactions.
const NAME: &str = "feed";

/// Appends both, side by side.
///
/// # Errors
/// If a topic refuses.
pub fn feed(dir: &Path, seed: u64, total: u64, pace: Duration) -> Result<(), TopicError> {
    let mut random = Random::new(seed);
    let mut of_orders = Feed::open(&dir.join("orders"))?;
    let mut of_payments = Feed::open(&dir.join("payments"))?;
    while of_orders.next < total || of_payments.next < payments(total) {
        let (some, until) = (1 + random.below(200), of_orders.next.max(2 * of_payments.next) + 100);
        let end = (of_orders.next + some).min(total);
        of_orders.append(end, |id| {
            let order = order(seed, id);
            (order.at, line(&order))
        })?;
        let end = (of_payments.next + some).min(payments(until.min(total))).max(of_payments.next);
        of_payments.append(end, |id| {
            let payment = payment(seed, id);
            (payment.at, line(&payment))
        })?;
        sleep(pace);
    }
    of_orders.close()?;
    of_payments.close()
}

/// A topic of one partition, and the number of the next record.
struct Feed {
    writer: TopicWriter,
    producer: Producer,
    next: u64,
}

impl Feed {
    fn open(dir: &Path) -> Result<Feed, TopicError> {
        let mut writer = open(dir)?;
        let (epoch, done) = writer.producer(NAME).unwrap_or_default();
        let producer = writer.fence(NAME, epoch + 1)?;
        // What was prepared without being committed does not count: it is appended again.
        writer.abort_all(NAME)?;
        block_on(writer.flush())?;
        Ok(Feed { writer, producer, next: done.unwrap_or(0) })
    }

    /// Appends the records up to a number; now and then others before them, which are aborted.
    fn append(&mut self, end: u64, record: impl Fn(u64) -> (i64, String)) -> Result<(), TopicError> {
        if end == self.next {
            return Ok(());
        }
        if self.next.is_multiple_of(3) {
            let lost = self.writer.begin(&self.producer)?;
            let mut batch = BatchBuilder::new();
            batch.push(0, None, b"never to be seen", &[]);
            self.writer.append_in(lost, 0, batch.finish())?;
            self.writer.abort(lost)?;
        }
        let transaction = self.writer.begin(&self.producer)?;
        let mut batch = BatchBuilder::new();
        for id in self.next..end {
            let (at, line) = record(id);
            batch.push(at, None, line.as_bytes(), &[]);
        }
        self.writer.append_in(transaction, 0, batch.finish())?;
        self.writer.prepare(transaction, end)?;
        self.writer.commit(transaction)?;
        block_on(self.writer.flush())?;
        self.next = end;
        Ok(())
    }

    fn close(self) -> Result<(), TopicError> {
        block_on(self.writer.close())
    }
}

/// A reader that brings in order what was left of a killed process holds the topic for a moment.
fn open(dir: &Path) -> Result<TopicWriter, TopicError> {
    let config = TopicConfig::new(7).segment_bytes(300_000);
    for _ in 0..2_000 {
        match block_on(TopicWriter::open_or_create(Rc::new(StdDisk), dir, config)) {
            Err(TopicError::Held { .. }) => sleep(Duration::from_millis(5)),
            opened => return opened,
        }
    }
    Err(TopicError::Held { dir: dir.to_owned() })
}
