//! A sink that takes its time.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use serde_json::Value as Json;

use crate::error::Result;
use crate::host::{Class, LocalFuture};
use crate::sink::{Prepared, Sink, SinkContext, Writer};
use crate::time::Timestamp;

/// A sink that takes no more than one record per `pace` on each core, to see how a job fares in front of a slow system.
///
/// ```
/// use millstream::prelude::*;
/// use millstream::testing::Throttled;
///
/// let job = Job::new("slow");
/// job.source("numbers", generator(100, |n| n)).sink("out", Throttled::new(discard(), millis(1)));
/// let report = job.run(Config::new())?;
/// assert_eq!(report.records_out, 100);
/// # Ok::<(), millstream::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Throttled<S> {
    sink: S,
    pace: Duration,
}

impl<S> Throttled<S> {
    /// Slows a sink down.
    pub fn new(sink: S, pace: Duration) -> Throttled<S> {
        Throttled { sink, pace }
    }
}

impl<T: 'static, S: Sink<T>> Sink<T> for Throttled<S> {
    fn describe(&self) -> String {
        self.sink.describe()
    }

    fn show(&self, record: &T, json: &mut Vec<u8>) -> Result<bool> {
        self.sink.show(record, json)
    }

    fn recover(self, cx: SinkContext, prepared: Vec<Prepared>) -> LocalFuture<Result<()>> {
        self.sink.recover(cx, prepared)
    }

    fn open(self, cx: SinkContext) -> LocalFuture<Result<Box<dyn Writer<T>>>> {
        Box::pin(async move {
            let writer = self.sink.open(cx.clone()).await?;
            let throttled = ThrottledWriter { writer, cx, pace: self.pace, busy: Rc::default() };
            Ok(Box::new(throttled) as Box<dyn Writer<T>>)
        })
    }
}

struct ThrottledWriter<T> {
    writer: Box<dyn Writer<T>>,
    cx: SinkContext,
    pace: Duration,
    busy: Rc<Cell<bool>>,
}

impl<T> Writer<T> for ThrottledWriter<T> {
    fn write(&mut self, records: &mut Vec<T>, times: &[Timestamp]) -> Result<()> {
        let taken = self.pace.saturating_mul(u32::try_from(records.len()).unwrap_or(u32::MAX));
        self.busy.set(true);
        let (busy, wake, over) = (self.busy.clone(), self.cx.wake.clone(), self.cx.host.sleep(taken));
        let free = async move {
            over.await;
            busy.set(false);
            wake.wake();
        };
        self.cx.host.spawn(Class::Records, Box::pin(free));
        self.writer.write(records, times)
    }

    fn has_room(&self) -> bool {
        !self.busy.get() && self.writer.has_room()
    }

    fn drained(&mut self) {
        self.writer.drained();
    }

    fn pre_commit(&mut self, epoch: u64) -> LocalFuture<Result<Json>> {
        self.writer.pre_commit(epoch)
    }

    fn commit(&mut self, epoch: u64) -> LocalFuture<Result<()>> {
        self.writer.commit(epoch)
    }
}
