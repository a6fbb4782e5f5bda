//! Where the shards hand over what they write: one task appends for all of them.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::poll_fn;
use std::mem;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;

use millstream_storage::error::StoreError;
use millstream_storage::topic::{Batch, Signal, TopicError, TopicWriter, Transaction};

use super::failed;
use crate::driver::race;
use crate::error::{Error, ErrorKind, Result};
use crate::host::{Class, Host};

/// Without a request that waits for the disk, this many bytes are gathered before they are written.
const GATHER: usize = 4 << 20;
/// How long to wait before a full disk is tried again.
const PATIENCE: Duration = Duration::from_millis(100);

/// Shared by the shards of a sink. A batch is handed over under a lock, a record never.
#[derive(Clone, Default)]
pub(super) struct Hub(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    partitions: u32,
    requests: Vec<Request>,
    /// Bytes handed over by each shard and not yet durable.
    backlog: BTreeMap<usize, usize>,
    /// Whom to wake when there is room again.
    shards: BTreeMap<usize, Waker>,
    /// The task that appends.
    server: Option<Waker>,
    /// Why nothing is written any more.
    failure: Option<String>,
    signal: Signal,
}

/// What a shard asks for.
pub(super) struct Request {
    pub(super) shard: usize,
    pub(super) producer: String,
    pub(super) what: What,
}

pub(super) enum What {
    /// Register with this epoch.
    Fence(u64),
    /// Append to the open transaction, the next one if there is none.
    Append(u32, Batch),
    /// Make the open transaction durable under this epoch.
    Prepare(u64, Reply),
    /// Make visible what was prepared under these epochs.
    Commit(Vec<u64>, Reply),
}

/// Where an answer is waited for.
#[derive(Clone, Default)]
pub(super) struct Reply(Arc<Mutex<(bool, Option<Waker>)>>);

impl Reply {
    fn give(&self) {
        let mut slot = lock(&self.0);
        slot.0 = true;
        let waker = slot.1.take();
        drop(slot);
        waker.into_iter().for_each(Waker::wake);
    }
}

/// Nothing is done under these locks that can panic half-way.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Hub {
    pub(super) fn signal(&self) -> Signal {
        lock(&self.0).signal.clone()
    }

    pub(super) fn partitions(&self) -> u32 {
        lock(&self.0).partitions
    }

    /// Starts the task that appends.
    pub(super) fn start(&self, host: &Rc<dyn Host>, mut writer: TopicWriter, retains: bool) {
        let mut state = lock(&self.0);
        *state = State { partitions: writer.partitions(), signal: state.signal.clone(), ..State::default() };
        writer.give(state.signal.clone());
        drop(state);
        let server = Server {
            hub: self.clone(),
            host: host.clone(),
            writer,
            retains,
            open: BTreeMap::new(),
            epochs: BTreeMap::new(),
        };
        host.spawn(Class::Records, Box::pin(server.run()));
    }

    /// Makes a shard known.
    pub(super) fn join(&self, shard: usize, wake: Waker) {
        lock(&self.0).shards.insert(shard, wake);
    }

    /// Hands over a request.
    pub(super) fn ask(&self, request: Request) {
        let mut state = lock(&self.0);
        if let What::Append(_, batch) = &request.what {
            *state.backlog.entry(request.shard).or_default() += batch.bytes();
        }
        state.requests.push(request);
        let server = state.server.take();
        drop(state);
        server.into_iter().for_each(Waker::wake);
    }

    /// Bytes of a shard that are on their way.
    pub(super) fn backlog(&self, shard: usize) -> usize {
        let state = lock(&self.0);
        // A failure is to be heard of, by the next batch.
        if state.failure.is_some() { 0 } else { state.backlog.get(&shard).copied().unwrap_or(0) }
    }

    /// # Errors
    /// If nothing is written any more.
    pub(super) fn check(&self) -> Result<()> {
        match &lock(&self.0).failure {
            None => Ok(()),
            Some(failure) => Err(Error::new(ErrorKind::Sink, failure.clone())),
        }
    }

    /// Waits for an answer.
    ///
    /// # Errors
    /// If nothing is written any more.
    pub(super) async fn answer(&self, reply: Reply) -> Result<()> {
        poll_fn(|cx| {
            let mut slot = lock(&reply.0);
            if slot.0 {
                return Poll::Ready(());
            }
            slot.1 = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
        self.check()
    }
}

/// The task that appends.
struct Server {
    hub: Hub,
    host: Rc<dyn Host>,
    writer: TopicWriter,
    retains: bool,
    /// The open transaction of each producer.
    open: BTreeMap<String, Transaction>,
    epochs: BTreeMap<String, u64>,
}

impl Server {
    async fn run(mut self) {
        let Err(_told) = self.serve().await;
        // Whoever comes now is told at once.
        loop {
            let requests = self.requests().await;
            replies(&requests).for_each(Reply::give);
        }
    }

    /// Lets everybody know that nothing is written any more.
    fn fail(&self, error: &Error) {
        let mut state = lock(&self.hub.0);
        state.failure = Some(error.to_string());
        let requests = mem::take(&mut state.requests);
        let shards: Vec<Waker> = state.shards.values().cloned().collect();
        drop(state);
        replies(&requests).for_each(Reply::give);
        shards.into_iter().for_each(Waker::wake);
    }

    async fn serve(&mut self) -> Result<Infallible> {
        let mut gathered = Vec::new();
        loop {
            if !self.writer.is_clean() {
                // A full disk has kept it from telling readers. That is made up for, whether there is more to do or not.
                race(self.news(), self.host.sleep(PATIENCE)).await;
                if lock(&self.hub.0).requests.is_empty() {
                    if let Err(error) = self.flush(false).await {
                        return Err(self.give_up(error, Vec::new()));
                    }
                    continue;
                }
            }
            gathered.extend(self.requests().await);
            let bytes: usize = gathered.iter().map(Request::bytes).sum();
            if replies(&gathered).next().is_none() && bytes < GATHER {
                continue;
            }
            let commits = gathered.iter().any(|request| matches!(request.what, What::Commit(..)));
            // Of all: who asked behind a request that fails is to hear of it, too.
            let answers: Vec<Reply> = replies(&gathered).cloned().collect();
            let mut done = BTreeMap::new();
            for request in mem::take(&mut gathered) {
                *done.entry(request.shard).or_insert(0) += request.bytes();
                if let Err(error) = self.apply(request) {
                    return Err(self.give_up(error, answers));
                }
            }
            if let Err(error) = self.flush(commits).await {
                return Err(self.give_up(error, answers));
            }
            self.settle(&done);
            answers.iter().for_each(Reply::give);
        }
    }

    /// Answers those who wait, by the failure.
    fn give_up(&self, error: TopicError, answers: Vec<Reply>) -> Error {
        let error = failed(error);
        self.fail(&error);
        answers.iter().for_each(Reply::give);
        error
    }

    /// Waits for requests.
    async fn requests(&self) -> Vec<Request> {
        self.news().await;
        mem::take(&mut lock(&self.hub.0).requests)
    }

    /// Waits until there are requests.
    async fn news(&self) {
        poll_fn(|cx| {
            let mut state = lock(&self.hub.0);
            if state.requests.is_empty() {
                state.server = Some(cx.waker().clone());
                return Poll::Pending;
            }
            Poll::Ready(())
        })
        .await;
    }

    fn apply(&mut self, Request { producer, what, .. }: Request) -> Result<(), TopicError> {
        match what {
            What::Fence(epoch) => {
                // The lease keeps others out; a job without checkpoints counts from 1 each time.
                let epoch = epoch.max(self.writer.producer(&producer).map_or(0, |(newest, _)| newest));
                self.writer.fence(&producer, epoch)?;
                self.epochs.insert(producer, epoch);
            }
            What::Append(partition, batch) => {
                let transaction = match self.open.get(&producer) {
                    Some(open) => *open,
                    None => {
                        let epoch = self.epochs.get(&producer).copied().unwrap_or(0);
                        let handle = self.writer.fence(&producer, epoch)?;
                        let begun = self.writer.begin(&handle)?;
                        *self.open.entry(producer).or_insert(begun)
                    }
                };
                self.writer.append_in(transaction, partition, batch)?;
            }
            What::Prepare(epoch, _) => {
                if let Some(transaction) = self.open.remove(&producer) {
                    self.writer.prepare(transaction, epoch)?;
                }
            }
            What::Commit(epochs, _) => {
                for epoch in epochs {
                    self.writer.commit_prepared(&producer, epoch)?;
                }
            }
        }
        Ok(())
    }

    /// Makes it all durable. A disk that is full now may not be later: until then the shards are held back, and
    /// checkpoints time out.
    async fn flush(&mut self, commits: bool) -> Result<(), TopicError> {
        loop {
            match self.writer.flush().await {
                Err(TopicError::Store(StoreError::Io { source, .. })) if is_passing(&source) => {
                    self.host.sleep(PATIENCE).await;
                }
                flushed => break flushed?,
            }
        }
        if !(commits && self.retains) {
            return Ok(());
        }
        match self.writer.retain(self.host.wall_millis()).await {
            // Tried again with the next commit.
            Err(TopicError::Store(StoreError::Io { source, .. })) if is_passing(&source) => Ok(()),
            retained => retained.map(drop),
        }
    }

    /// Makes room for the shards.
    fn settle(&self, done: &BTreeMap<usize, usize>) {
        let mut state = lock(&self.hub.0);
        let mut woken = Vec::new();
        for (shard, bytes) in done {
            if let Some(backlog) = state.backlog.get_mut(shard) {
                *backlog -= bytes;
            }
            woken.extend(state.shards.get(shard).cloned());
        }
        drop(state);
        woken.into_iter().for_each(Waker::wake);
    }
}

impl Request {
    fn bytes(&self) -> usize {
        if let What::Append(_, batch) = &self.what { batch.bytes() } else { 0 }
    }
}

fn replies(requests: &[Request]) -> impl Iterator<Item = &Reply> {
    requests.iter().filter_map(|request| match &request.what {
        What::Prepare(_, reply) | What::Commit(_, reply) => Some(reply),
        What::Fence(_) | What::Append(..) => None,
    })
}

/// Whether an error goes away by itself: no space, or no descriptors.
fn is_passing(error: &std::io::Error) -> bool {
    let cause = || {
        let inner = error.get_ref()?.downcast_ref::<crate::host::DiskError>()?;
        inner.source.raw_os_error()
    };
    let number = error.raw_os_error().or_else(cause);
    error.kind() == std::io::ErrorKind::StorageFull || matches!(number, Some(libc::EMFILE | libc::ENFILE))
}
