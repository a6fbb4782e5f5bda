//! How work leaves a core for a thread of its own, and how the answer comes back.
//!
//! Clients of other systems block, or bring a runtime of their own: they live on threads that are no core's. A request
//! goes out through a channel; the answer wakes the task that waits for it, on whatever runtime its core is. Nobody
//! spins, and no core ever blocks: what a future cannot know yet, it sleeps for.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread;

/// A core's line to a thread that serves it. The thread ends when all ports to it are dropped.
///
/// ```
/// use millstream::host::{CoreMain, RuntimeConfig, launch};
/// use millstream::port::{Gone, Port};
///
/// let main: CoreMain = Box::new(|_host| {
///     Box::pin(async {
///         let lengths = Port::open("lengths", |inbox| {
///             while let Some((word, reply)) = inbox.next() {
///                 let word: &str = word;
///                 // An answer that is not given is known as such.
///                 if !word.is_empty() {
///                     reply.give(word.len());
///                 }
///             }
///         });
///         let lengths = lengths.expect("a thread can be started");
///         assert_eq!(lengths.ask("four").await, Ok(4));
///         assert_eq!(lengths.ask("").await, Err(Gone));
///     })
/// });
/// launch(&RuntimeConfig::default(), vec![main])?.join()?;
/// # Ok::<(), millstream::host::HostError>(())
/// ```
pub struct Port<Q, A> {
    requests: Sender<(Q, Reply<A>)>,
}

impl<Q: Send + 'static, A: Send + 'static> Port<Q, A> {
    /// Starts a thread of this name, which runs `serve`.
    ///
    /// # Errors
    /// If the system refuses another thread.
    pub fn open(name: &str, serve: impl FnOnce(Inbox<Q, A>) + Send + 'static) -> io::Result<Port<Q, A>> {
        let (requests, inbox) = mpsc::channel();
        thread::Builder::new().name(name.to_owned()).spawn(move || serve(Inbox { requests: inbox }))?;
        Ok(Port { requests })
    }

    /// Sends a request. It is served even if nobody waits for the answer.
    pub fn ask(&self, request: Q) -> Answer<A> {
        let (reply, answer) = promise();
        // Refused only when the thread has ended: the reply is dropped then, which is what the answer says.
        drop(self.requests.send((request, reply)));
        answer
    }
}

impl<Q, A> Clone for Port<Q, A> {
    fn clone(&self) -> Port<Q, A> {
        Port { requests: self.requests.clone() }
    }
}

/// The thread's end: requests in the order in which they were sent.
///
/// ```
/// use millstream::port::{Inbox, Port};
///
/// /// Adds up what it is sent, and tells the sum.
/// fn sum(inbox: Inbox<u64, u64>) {
///     let mut sum = 0;
///     while let Some((n, reply)) = inbox.next() {
///         sum += n;
///         reply.give(sum);
///     }
/// }
///
/// let port = Port::open("sum", sum)?;
/// port.ask(1);
/// assert_eq!(millstream_storage::disk::block_on(port.ask(2)), Ok(3));
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Inbox<Q, A> {
    requests: Receiver<(Q, Reply<A>)>,
}

impl<Q, A> Inbox<Q, A> {
    /// Waits for the next request; `None` when all ports are dropped.
    pub fn next(&self) -> Option<(Q, Reply<A>)> {
        self.requests.recv().ok()
    }
}

/// Nobody will answer: the thread has ended, or has dropped the request.
///
/// ```
/// assert_eq!(millstream::port::Gone.to_string(), "the thread that was to answer has ended");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the thread that was to answer has ended")]
pub struct Gone;

/// An answer and the one who waits for it.
pub(crate) fn promise<A>() -> (Reply<A>, Answer<A>) {
    let slot = Arc::new(Mutex::new(Slot { answer: None, waiter: None }));
    (Reply { slot: slot.clone() }, Answer { slot })
}

struct Slot<A> {
    answer: Option<Result<A, Gone>>,
    waiter: Option<Waker>,
}

/// Where an answer is given. Dropped instead, as by a thread that panics, it tells that there is none.
///
/// ```
/// use millstream::port::{Port, Reply};
///
/// fn double(n: u64, reply: Reply<u64>) {
///     reply.give(2 * n);
/// }
/// let port = Port::open("double", |inbox| {
///     while let Some((n, reply)) = inbox.next() {
///         double(n, reply);
///     }
/// })?;
/// assert_eq!(millstream_storage::disk::block_on(port.ask(21)), Ok(42));
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Reply<A> {
    slot: Arc<Mutex<Slot<A>>>,
}

impl<A> Reply<A> {
    /// Gives it, and wakes who waits.
    pub fn give(self, answer: A) {
        self.settle(Ok(answer));
    }

    fn settle(&self, answer: Result<A, Gone>) {
        let mut slot = lock(&self.slot);
        if slot.answer.is_none() {
            slot.answer = Some(answer);
        }
        let waiter = slot.waiter.take();
        drop(slot);
        waiter.into_iter().for_each(Waker::wake);
    }
}

impl<A> Drop for Reply<A> {
    fn drop(&mut self) {
        // After an answer this changes nothing but for one that was taken already, and then nobody looks.
        self.settle(Err(Gone));
    }
}

/// What was asked for, once it is there.
///
/// ```
/// use millstream::port::{Answer, Port};
///
/// let port = Port::open("echo", |inbox| {
///     while let Some((word, reply)) = inbox.next() {
///         reply.give(word);
///     }
/// })?;
/// let answers: Vec<Answer<&str>> = ["a", "b"].map(|word| port.ask(word)).into();
/// for (answer, word) in answers.into_iter().zip(["a", "b"]) {
///     assert_eq!(millstream_storage::disk::block_on(answer), Ok(word));
/// }
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Answer<A> {
    slot: Arc<Mutex<Slot<A>>>,
}

impl<A> Future for Answer<A> {
    type Output = Result<A, Gone>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<A, Gone>> {
        let mut slot = lock(&self.slot);
        if let Some(answer) = slot.answer.take() {
            return Poll::Ready(answer);
        }
        slot.waiter = Some(cx.waker().clone());
        Poll::Pending
    }
}

fn lock<A>(slot: &Mutex<Slot<A>>) -> MutexGuard<'_, Slot<A>> {
    // Nothing panics while it is held.
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
