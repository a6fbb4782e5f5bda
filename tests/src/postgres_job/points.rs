//! The points at which the job dies, around everything that the sink does and asks of the server.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};

use millstream::Result;
use millstream::host::{Host, LocalFuture};
use millstream::sink::{Prepared, Sink, SinkContext, Writer};
use millstream::time::Timestamp;
use millstream_postgres::Target;
use millstream_postgres::session::{Connect, Marker, Refusal, Session, Step};
use rustix::process::{Signal, getpid, kill_process};
use serde_json::Value as Json;

/// Comes to a point: and no further, if it is the one.
fn point(name: &str, moment: &str) {
    static COUNTS: Mutex<BTreeMap<String, u32>> = Mutex::new(BTreeMap::new());
    let name = format!("{name}:{moment}");
    let mut counts = COUNTS.lock().unwrap_or_else(PoisonError::into_inner);
    let count = counts.entry(name.clone()).or_default();
    *count += 1;
    let place = format!("{name}:{count}");
    drop(counts);
    for (variable, signal) in [("DIE_AT", Signal::KILL), ("STOP_AT", Signal::STOP)] {
        if std::env::var(variable).is_ok_and(|at| at == place) {
            kill_process(getpid(), signal).expect("a process may send itself a signal");
        }
    }
}

/// What dies at points.
#[derive(Clone)]
pub struct Deadly<S>(pub S);

impl<T: 'static, S: Sink<T>> Sink<T> for Deadly<S> {
    fn describe(&self) -> String {
        self.0.describe()
    }

    fn show(&self, record: &T, json: &mut Vec<u8>) -> Result<bool> {
        self.0.show(record, json)
    }

    fn recover(self, cx: SinkContext, prepared: Vec<Prepared>) -> LocalFuture<Result<()>> {
        point("recovery", "before");
        let recovered = self.0.recover(cx, prepared);
        Box::pin(async move {
            let done = recovered.await;
            point("recovery", "after");
            done
        })
    }

    fn open(self, cx: SinkContext) -> LocalFuture<Result<Box<dyn Writer<T>>>> {
        let opened = self.0.open(cx);
        Box::pin(async move { Ok(Box::new(Deadly(opened.await?)) as Box<dyn Writer<T>>) })
    }
}

impl<T> Writer<T> for Deadly<Box<dyn Writer<T>>> {
    fn write(&mut self, records: &mut Vec<T>, times: &[Timestamp]) -> Result<()> {
        self.0.write(records, times)
    }

    fn has_room(&self) -> bool {
        self.0.has_room()
    }

    fn pre_commit(&mut self, epoch: u64) -> LocalFuture<Result<Json>> {
        point("pre-commit", "before");
        let prepared = self.0.pre_commit(epoch);
        Box::pin(async move {
            let done = prepared.await;
            point("pre-commit", "after");
            done
        })
    }

    fn commit(&mut self, epoch: u64) -> LocalFuture<Result<()>> {
        point("commit", "before");
        let committed = self.0.commit(epoch);
        Box::pin(async move {
            let done = committed.await;
            point("commit", "after");
            done
        })
    }
}

impl<C: Connect> Connect for Deadly<C> {
    fn describe(&self) -> String {
        self.0.describe()
    }

    fn connect(
        &self,
        host: &Rc<dyn Host>,
        target: &Arc<Target>,
    ) -> LocalFuture<Result<Box<dyn Session>, Refusal>> {
        let connected = self.0.connect(host, target);
        Box::pin(async move { Ok(Box::new(Deadly(connected.await?)) as Box<dyn Session>) })
    }
}

impl Session for Deadly<Box<dyn Session>> {
    fn step(&self, step: Step) -> LocalFuture<Result<Vec<Marker>, Refusal>> {
        let name = match &step {
            Step::Prepare => "Prepare",
            Step::TakeOver => "TakeOver",
            Step::Lock(_) => "Lock",
            Step::Rows(_) => "Rows",
            Step::Apply => "Apply",
            Step::Mark(_) => "Mark",
            Step::Commit => "Commit",
        };
        let mut taken = self.0.step(step);
        Box::pin(async move {
            point(name, "before");
            let mut sent = false;
            let done = poll_fn(|cx| {
                let polled = taken.as_mut().poll(cx);
                if !sent {
                    sent = true;
                    point(name, "sent");
                }
                polled
            })
            .await;
            if done.is_ok() {
                point(name, "after");
            }
            done
        })
    }
}
