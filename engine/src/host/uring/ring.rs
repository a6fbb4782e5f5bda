//! A ring of our own beside glommio's: requests that name memory as it lies, with no copy in between.
//!
//! glommio's `DmaFile` takes buffers of its own only, and sends requests to its polling ring, which devices without
//! polling refuse; its `BufferedFile` takes vectors. This ring is not polled by anybody: each completion counts up
//! an eventfd that the executor reads through its own ring, so a core that waits for its disk sleeps.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::io;
use std::mem;
use std::os::fd::AsRawFd;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use io_uring::IoUring;
use io_uring::squeue::Entry;

use super::bell::{self, Doorbell};
use crate::host::aligned::Aligned;
use crate::host::schedule::Scheduler;
use crate::host::slots::Slots;

/// Requests under way at once; more wait. The submission queue holds as many and the completion queue twice as
/// many, so neither overflows.
const DEPTH: u32 = 128;

/// Bytes of memory that is kept for further reads, which are mostly as long as the ones before.
const SMALL: usize = 16 << 10;

/// A ring and the requests that it carries.
pub(super) struct Ring {
    uring: RefCell<IoUring>,
    requests: RefCell<Slots<Request>>,
    under_way: Cell<u32>,
    // Who waits for a place in the ring.
    waiting: RefCell<VecDeque<Waker>>,
    completed: Doorbell,
    // Memory of small reads, for the next ones.
    spare: RefCell<Vec<Aligned>>,
}

/// A request that the kernel has.
struct Request {
    // What the kernel reads or writes.
    kept: Box<dyn Any>,
    state: State,
}

enum State {
    UnderWay(Option<Waker>),
    Done(i32),
    // Nobody waits for it any more.
    Abandoned,
}

impl Ring {
    /// A ring for the calling thread.
    ///
    /// # Errors
    /// Of `io_uring_setup`: before Linux 5.12 the ring's own memory counts as locked.
    pub(super) fn new() -> io::Result<Ring> {
        let uring = IoUring::new(DEPTH)?;
        let completed = Doorbell::new()?;
        uring.submitter().register_eventfd(completed.as_raw_fd())?;
        Ok(Ring {
            uring: RefCell::new(uring),
            requests: RefCell::default(),
            under_way: Cell::new(0),
            waiting: RefCell::default(),
            completed,
            spare: RefCell::default(),
        })
    }

    /// Has the kernel do `entry`, and returns its result and `kept`. When the future is dropped the request still
    /// runs to its end.
    ///
    /// # Safety
    /// `kept` must keep all memory and the file descriptor that `entry` names valid, also when it is moved.
    pub(super) async unsafe fn run<K: 'static>(&self, entry: Entry, kept: K) -> (io::Result<u32>, K) {
        poll_fn(|context| self.enter(context)).await;
        let request = Request { kept: Box::new(kept), state: State::UnderWay(None) };
        let slot = self.requests.borrow_mut().insert(request);
        // SAFETY: the request keeps what the entry names (the caller's promise) until the kernel is done with it.
        let pushed = unsafe { self.uring.borrow_mut().submission().push(&entry.user_data(slot as u64)) };
        pushed.expect("the submission queue has a place for each request under way");
        // Handed to the kernel together with others, once nothing else is ready to run: see `submit`.
        let Request { kept, state } = Completion { ring: self, slot: Some(slot) }.await;
        let State::Done(result) = state else {
            unreachable!("a completion is ready when its request is done")
        };
        let kept = kept.downcast().expect("the request's own type");
        (u32::try_from(result).map_err(|_| io::Error::from_raw_os_error(-result)), *kept)
    }

    /// Aligned memory of this length, with anything in it.
    pub(super) fn memory(&self, len: usize) -> Aligned {
        let fits = |spare: &mut Aligned| spare.as_slice().len() == len;
        self.spare.borrow_mut().pop_if(fits).unwrap_or_else(|| Aligned::new(len))
    }

    /// Takes back what [`memory`](Self::memory) gave.
    pub(super) fn give_back(&self, memory: Aligned) {
        let mut spare = self.spare.borrow_mut();
        if memory.as_slice().len() <= SMALL && spare.len() < DEPTH as usize {
            spare.push(memory);
        }
    }

    // Takes a place in the ring.
    fn enter(&self, context: &mut Context<'_>) -> Poll<()> {
        if self.under_way.get() == DEPTH {
            self.waiting.borrow_mut().push_back(context.waker().clone());
            return Poll::Pending;
        }
        self.under_way.set(self.under_way.get() + 1);
        Poll::Ready(())
    }

    /// Hands the queued entries to the kernel. To be called after tasks have run, before the core sleeps. An error leaves
    /// the entries in the queue, to be handed over the next time.
    pub(super) fn submit(&self) -> io::Result<()> {
        let mut uring = self.uring.borrow_mut();
        while !uring.submission().is_empty() {
            match uring.submit() {
                Ok(0) => return Err(io::ErrorKind::WouldBlock.into()),
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// Takes in what the kernel has completed.
    pub(super) fn reap(&self) {
        if self.under_way.get() == 0 {
            return;
        }
        loop {
            let completion = self.uring.borrow_mut().completion().next();
            let Some(completion) = completion else { break };
            self.under_way.set(self.under_way.get() - 1);
            self.complete(completion.user_data() as usize, completion.result());
            // One place is free, for who has waited longest. Whoever has given up since leaves it to the next.
            let waiting = self.waiting.borrow_mut().pop_front();
            waiting.into_iter().for_each(Waker::wake);
        }
        if self.under_way.get() == 0 {
            // Nothing will complete any more that could wake those who are left.
            let waiting = mem::take(&mut *self.waiting.borrow_mut());
            waiting.into_iter().for_each(Waker::wake);
        }
    }

    fn complete(&self, slot: usize, result: i32) {
        let mut requests = self.requests.borrow_mut();
        let request = requests.get_mut(slot).expect("a request stays until the kernel is done with it");
        match mem::replace(&mut request.state, State::Done(result)) {
            State::Abandoned => {
                let abandoned = requests.take(slot);
                // What it kept may start an operation when it is dropped, so nothing is borrowed then.
                drop(requests);
                drop(abandoned);
            }
            State::UnderWay(waiter) => {
                drop(requests);
                waiter.into_iter().for_each(Waker::wake);
            }
            State::Done(_) => unreachable!("a request is completed once"),
        }
    }

    /// Ends [`reap`] once the core has finished.
    pub(super) fn ring(&self) {
        self.completed.ring();
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        if self.under_way.get() > 0 {
            // The kernel still uses the memory. It is lost rather than given to somebody else.
            mem::forget(self.requests.take());
        }
    }
}

/// Waits for a request.
struct Completion<'a> {
    ring: &'a Ring,
    // None once the request was given out.
    slot: Option<usize>,
}

impl Future for Completion<'_> {
    type Output = Request;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Request> {
        let slot = self.slot.expect("polled after it was ready");
        let mut requests = self.ring.requests.borrow_mut();
        let request = requests.get_mut(slot).expect("a request stays until its waiter takes it");
        if let State::UnderWay(waiter) = &mut request.state {
            *waiter = Some(context.waker().clone());
            return Poll::Pending;
        }
        let request = requests.take(slot).expect("it was there a moment ago");
        drop(requests);
        self.slot = None;
        Poll::Ready(request)
    }
}

impl Drop for Completion<'_> {
    fn drop(&mut self) {
        let Some(slot) = self.slot else { return };
        let mut requests = self.ring.requests.borrow_mut();
        match requests.get_mut(slot) {
            Some(request) if matches!(request.state, State::UnderWay(_)) => request.state = State::Abandoned,
            _ => {
                let done = requests.take(slot);
                drop(requests);
                drop(done);
            }
        }
    }
}

/// Takes in completions until the core has finished.
pub(super) async fn reap(ring: Rc<Ring>, scheduler: Rc<Scheduler>) {
    let file = ring.completed.listen();
    while !scheduler.finished() {
        bell::hear(&file).await;
        ring.reap();
    }
    // The descriptor is closed either way.
    let _ = file.close().await;
}
