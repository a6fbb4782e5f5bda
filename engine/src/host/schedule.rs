//! The tasks of one core: what runs next, who may wake it, and how it ends.
//!
//! Both real hosts schedule through this, so a task behaves the same on either. Tasks are allocations of
//! `async-task`, whose wakers may cross threads; glommio's own may not be relied upon for that (their reference
//! count is a relaxed 16-bit integer that races with the join handle). A wake from the core's own thread is a push
//! to a local queue; a wake from elsewhere goes through [`Remote`].

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use async_task::{Builder, FallibleTask, Runnable, Task};
use millstream_storage::disk::Io;

use super::remote::{Remote, local};
use super::slots::Slots;
use super::{Class, CoreMain, Host, LocalFuture};

/// A task that is ready to be polled.
pub(crate) type Ready = Runnable<Class>;

/// The tasks of one core.
pub(crate) struct Scheduler {
    // Ready tasks by class.
    records: RefCell<VecDeque<Ready>>,
    background: RefCell<VecDeque<Ready>>,
    // Who waits for a class to have a ready task, or for the end.
    idle_records: Cell<Option<Waker>>,
    idle_background: Cell<Option<Waker>>,
    // The class of the task that is being polled: what it starts inherits it.
    current: Cell<Class>,
    // Handles of the unfinished tasks, to cancel them at the end.
    handles: RefCell<Slots<Task<(), Class>>>,
    // Futures not yet dropped: those of `handles`, and operations of the disk.
    alive: Cell<usize>,
    ending: Cell<bool>,
    panicked: RefCell<Option<String>>,
    remote: Arc<Remote>,
}

impl Scheduler {
    /// No tasks yet; `remote` is where other threads leave their wakes.
    pub(crate) fn new(remote: Arc<Remote>) -> Rc<Scheduler> {
        Rc::new(Scheduler {
            records: RefCell::default(),
            background: RefCell::default(),
            idle_records: Cell::default(),
            idle_background: Cell::default(),
            current: Cell::new(Class::Records),
            handles: RefCell::default(),
            alive: Cell::new(0),
            ending: Cell::new(false),
            panicked: RefCell::default(),
            remote,
        })
    }

    /// Where other threads leave their wakes.
    pub(crate) fn remote(&self) -> &Arc<Remote> {
        &self.remote
    }

    /// Starts a task. Once the core is ending nothing new starts: the task is dropped.
    pub(crate) fn spawn(self: &Rc<Self>, class: Class, task: LocalFuture<()>) {
        if self.ending.get() {
            return;
        }
        let slot = self.handles.borrow_mut().reserve();
        let alive = Alive::new(self, Some(slot));
        let (ready, handle) = self.allocate(class, async move {
            let _alive = alive;
            task.await;
        });
        self.handles.borrow_mut().fill(slot, handle);
        ready.schedule();
    }

    /// Starts the core's main task; the core ends when it does.
    pub(crate) fn start_main(self: &Rc<Self>, main: CoreMain, host: Rc<dyn Host>) {
        let scheduler = self.clone();
        self.spawn(
            Class::Records,
            Box::pin(async move {
                // Made inside the task, so that a panic in it is caught like any other.
                main(host).await;
                scheduler.end();
            }),
        );
    }

    /// Starts an operation of the disk. It runs to its end even when the returned future is dropped and when the
    /// core is ending: memory that the kernel reads or writes must outlive the operation.
    pub(crate) fn operation<T: 'static>(
        self: &Rc<Self>,
        operation: impl Future<Output = io::Result<T>> + 'static,
    ) -> Io<T> {
        let alive = Alive::new(self, None);
        let (ready, handle) = self.allocate(self.current.get(), async move {
            let _alive = alive;
            operation.await
        });
        ready.schedule();
        Box::pin(Operation(Some(handle.fallible())))
    }

    fn allocate<T: 'static>(
        &self,
        class: Class,
        future: impl Future<Output = T> + 'static,
    ) -> (Ready, Task<T, Class>) {
        let remote = self.remote.clone();
        Builder::new().metadata(class).spawn_local(
            |_| future,
            move |ready: Ready| match local(&remote) {
                Some(scheduler) => scheduler.push(ready),
                None => remote.push(ready),
            },
        )
    }

    fn push(&self, ready: Ready) {
        let class = *ready.metadata();
        self.queue(class).borrow_mut().push_back(ready);
        self.wake_idle(class);
    }

    /// The next ready task of a class, after taking in the wakes of other threads.
    pub(crate) fn pop(&self, class: Class) -> Option<Ready> {
        if self.remote.pending() {
            self.take_in();
        }
        self.queue(class).borrow_mut().pop_front()
    }

    /// Whether a task is ready.
    pub(crate) fn has_ready(&self) -> bool {
        !self.records.borrow().is_empty() || !self.background.borrow().is_empty()
    }

    /// Takes in the wakes of other threads.
    pub(crate) fn take_in(&self) {
        for ready in self.remote.take() {
            self.push(ready);
        }
        if self.remote.stopped() {
            self.end();
        }
    }

    /// Polls a task once. A panic in it ends the core; its message is kept for [`panic_message`](Self::panic_message).
    pub(crate) fn run(&self, ready: Ready) {
        self.current.set(*ready.metadata());
        let outcome = panic::catch_unwind(AssertUnwindSafe(|| ready.run()));
        self.current.set(Class::Records);
        if let Err(payload) = outcome {
            self.panicked.borrow_mut().get_or_insert_with(|| message_of(&*payload));
            self.end();
        }
    }

    /// Cancels every task; operations of the disk run on.
    pub(crate) fn end(&self) {
        self.ending.set(true);
        // Dropping a handle schedules its task once more, to drop the future on this thread.
        let handles = self.handles.take();
        drop(handles);
        self.wake_all_idle();
    }

    /// Whether the core has ended: every future is dropped and every operation done.
    pub(crate) fn finished(&self) -> bool {
        self.ending.get() && self.alive.get() == 0
    }

    /// What the first task that panicked said.
    pub(crate) fn panic_message(&self) -> Option<String> {
        self.panicked.borrow_mut().take()
    }

    /// Waits until a class has a ready task, or the core has finished.
    pub(crate) fn idle(self: &Rc<Self>, class: Class) -> impl Future<Output = ()> {
        Idle { scheduler: self.clone(), class }
    }

    fn queue(&self, class: Class) -> &RefCell<VecDeque<Ready>> {
        match class {
            Class::Records => &self.records,
            Class::Background => &self.background,
        }
    }

    fn idle_slot(&self, class: Class) -> &Cell<Option<Waker>> {
        match class {
            Class::Records => &self.idle_records,
            Class::Background => &self.idle_background,
        }
    }

    fn wake_idle(&self, class: Class) {
        if let Some(waker) = self.idle_slot(class).take() {
            waker.wake();
        }
    }

    fn wake_all_idle(&self) {
        self.wake_idle(Class::Records);
        self.wake_idle(Class::Background);
    }
}

/// Counts a future among the living until it is dropped.
struct Alive {
    scheduler: Rc<Scheduler>,
    slot: Option<usize>,
}

impl Alive {
    fn new(scheduler: &Rc<Scheduler>, slot: Option<usize>) -> Alive {
        scheduler.alive.set(scheduler.alive.get() + 1);
        Alive { scheduler: scheduler.clone(), slot }
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        let handle = self.slot.and_then(|slot| self.scheduler.handles.borrow_mut().take(slot));
        if let Some(handle) = handle {
            handle.detach();
        }
        self.scheduler.alive.set(self.scheduler.alive.get() - 1);
        if self.scheduler.finished() {
            self.scheduler.wake_all_idle();
        }
    }
}

/// Waits for an operation without owning it.
struct Operation<T>(Option<FallibleTask<io::Result<T>, Class>>);

impl<T> Future for Operation<T> {
    type Output = io::Result<T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        let task = self.0.as_mut().expect("polled after it was dropped");
        Pin::new(task)
            .poll(context)
            .map(|outcome| outcome.unwrap_or_else(|| Err(io::Error::other("the operation panicked"))))
    }
}

impl<T> Drop for Operation<T> {
    fn drop(&mut self) {
        if let Some(task) = self.0.take() {
            task.detach();
        }
    }
}

struct Idle {
    scheduler: Rc<Scheduler>,
    class: Class,
}

impl Future for Idle {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let scheduler = &self.scheduler;
        scheduler.remote.prepare_to_sleep();
        if scheduler.remote.pending() {
            scheduler.take_in();
        }
        if scheduler.finished() || !scheduler.queue(self.class).borrow().is_empty() {
            scheduler.remote.stay_awake();
            return Poll::Ready(());
        }
        scheduler.idle_slot(self.class).set(Some(context.waker().clone()));
        Poll::Pending
    }
}

/// Lets other tasks of the core run once.
pub(crate) struct YieldNow(pub(crate) bool);

impl Future for YieldNow {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if std::mem::replace(&mut self.0, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

/// The text of a panic.
pub(crate) fn message_of(payload: &(dyn std::any::Any + Send)) -> String {
    if let Some(text) = payload.downcast_ref::<&str>() {
        return (*text).to_owned();
    }
    match payload.downcast_ref::<String>() {
        Some(text) => text.clone(),
        None => "a value that is not text".to_owned(),
    }
}
