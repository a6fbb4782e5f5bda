//! Tells on standard output how far the sinks are, a letter each time: a file outlives the process that is killed, and
//! says in which phase that was.

use std::io::Write as _;

use millstream::Report;
use millstream::Result;
use millstream::host::LocalFuture;
use millstream::sink::{Prepared, Sink, SinkContext, Writer};
use millstream::time::Timestamp;
use serde_json::Value as Json;

fn tell(letter: &str) {
    let mut output = std::io::stdout().lock();
    // Nobody may be reading.
    let _ = output.write_all(letter.as_bytes()).and_then(|()| output.flush());
}

/// How it ended.
pub fn over(report: &Report) {
    tell(if report.already_finished { "had finished before" } else { "finished" });
}

/// A sink that tells: `r` it recovers, `o` a core has opened it, `p` and `P` a pre-commit begins and is done, `c` and `C`
/// a commit.
#[derive(Clone)]
pub struct Told<S>(pub S);

impl<T: 'static, S: Sink<T>> Sink<T> for Told<S> {
    fn describe(&self) -> String {
        self.0.describe()
    }

    fn show(&self, record: &T, json: &mut Vec<u8>) -> Result<bool> {
        self.0.show(record, json)
    }

    fn recover(self, cx: SinkContext, prepared: Vec<Prepared>) -> LocalFuture<Result<()>> {
        tell("r");
        self.0.recover(cx, prepared)
    }

    fn open(self, cx: SinkContext) -> LocalFuture<Result<Box<dyn Writer<T>>>> {
        let opened = self.0.open(cx);
        Box::pin(async move {
            let writer = opened.await?;
            tell("o");
            Ok(Box::new(Told(writer)) as Box<dyn Writer<T>>)
        })
    }
}

impl<T> Writer<T> for Told<Box<dyn Writer<T>>> {
    fn write(&mut self, records: &mut Vec<T>, times: &[Timestamp]) -> Result<()> {
        self.0.write(records, times)
    }

    fn has_room(&self) -> bool {
        self.0.has_room()
    }

    fn drained(&mut self) {
        self.0.drained();
    }

    fn pre_commit(&mut self, epoch: u64) -> LocalFuture<Result<Json>> {
        tell("p");
        let prepared = self.0.pre_commit(epoch);
        Box::pin(async move {
            let done = prepared.await;
            tell("P");
            done
        })
    }

    fn commit(&mut self, epoch: u64) -> LocalFuture<Result<()>> {
        tell("c");
        let committed = self.0.commit(epoch);
        Box::pin(async move {
            let done = committed.await;
            tell("C");
            done
        })
    }
}
