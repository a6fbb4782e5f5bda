//! Cores without threads: tasks that are run, in the order in which they were woken or in one that a seed draws, when whoever
//! drives them asks for it, by a clock that he moves. Of tests, and of replays.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::future::{Future, ready};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use async_task::{Runnable, Task, spawn_local};
use millstream_storage::disk::Disk;

use super::disk::MemoryDisk;
use crate::error::{Error, ErrorKind, Result};
use crate::host::{Class, CoreMain, Host, LocalFuture};
use crate::time::Timestamp;

/// After so many tasks without a pause it is taken for granted that there will never be one.
const MOST_TURNS: u64 = 10_000_000;

/// The world of a job that is tested or replayed.
pub(crate) struct World {
    inbox: Arc<Inbox>,
    tasks: RefCell<Vec<Task<()>>>,
    /// Finished tasks are swept out when there are this many in all.
    sweep_at: Cell<usize>,
    /// Since the world began.
    now: Cell<Duration>,
    /// What the wall clock shows when the world begins, in milliseconds since the epoch.
    wall: Cell<Timestamp>,
    /// Those who sleep, by their time and in the order in which they went to sleep.
    sleepers: RefCell<BTreeMap<(Duration, u64), Waker>>,
    numbers: Cell<u64>,
    /// Draws which of those that are ready goes first; nothing if that is who was woken first.
    order: Option<RefCell<Draws>>,
    disk: Rc<dyn Disk>,
}

/// The tasks that are ready. Wakers may be called from any thread.
#[derive(Default)]
struct Inbox {
    ready: Mutex<VecDeque<Runnable>>,
    pushed: Condvar,
}

impl Inbox {
    fn ready(&self) -> MutexGuard<'_, VecDeque<Runnable>> {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, ready: Runnable) {
        self.ready().push_back(ready);
        self.pushed.notify_one();
    }

    fn pop(&self, draws: Option<&RefCell<Draws>>) -> Option<Runnable> {
        let mut ready = self.ready();
        match draws {
            Some(draws) if ready.len() > 1 => {
                let at = draws.borrow_mut().below(ready.len() as u64);
                ready.remove(usize::try_from(at).expect("it is below a length"))
            }
            _ => ready.pop_front(),
        }
    }

    /// Waits until something is ready, in real time. Returns whether it is.
    fn wait(&self, most: Duration) -> bool {
        let waited = self.pushed.wait_timeout_while(self.ready(), most, |ready| ready.is_empty());
        !waited.unwrap_or_else(PoisonError::into_inner).0.is_empty()
    }
}

/// Numbers that follow from a seed (SplitMix64, by Steele, Lea and Flood).
pub(crate) struct Draws(u64);

impl Draws {
    pub(crate) fn new(seed: u64) -> Draws {
        Draws(seed)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % bound.max(1)
    }
}

/// In memory, without a seed, at the beginning of time.
impl Default for World {
    fn default() -> World {
        World::new(Rc::new(MemoryDisk::default()), 0, None)
    }
}

impl World {
    /// With a disk, and a wall clock that shows this time, in milliseconds since the epoch.
    pub(crate) fn new(disk: Rc<dyn Disk>, wall: Timestamp, order: Option<Draws>) -> World {
        World {
            inbox: Arc::default(),
            tasks: RefCell::default(),
            sweep_at: Cell::default(),
            now: Cell::default(),
            wall: Cell::new(wall),
            sleepers: RefCell::default(),
            numbers: Cell::default(),
            order: order.map(RefCell::new),
            disk,
        }
    }

    /// Starts the cores of a job. Nothing runs yet.
    pub(crate) fn start(self: &Rc<Self>, mains: Vec<CoreMain>) {
        for (core, main) in mains.into_iter().enumerate() {
            let host = Rc::new(KitHost { world: self.clone(), core });
            self.spawn(Box::pin(async move { main(host).await }));
        }
    }

    fn spawn(&self, task: LocalFuture<()>) {
        let inbox = self.inbox.clone();
        let (ready, task) = spawn_local(task, move |ready| inbox.push(ready));
        let mut tasks = self.tasks.borrow_mut();
        if tasks.len() >= self.sweep_at.get() {
            tasks.retain(|task| !task.is_finished());
            self.sweep_at.set(16 + 2 * tasks.len());
        }
        tasks.push(task);
        ready.schedule();
    }

    /// Runs what is ready, and what that makes ready, until nothing is.
    ///
    /// # Errors
    /// If there is no end to it.
    pub(crate) fn settle(&self) -> Result<()> {
        if self.turn(MOST_TURNS) {
            return Ok(());
        }
        let message = "the job does not come to rest: does a function of its own wait in a loop?";
        Err(Error::new(ErrorKind::Host, message))
    }

    /// Runs so many of the tasks that are ready. Returns whether none is any more.
    pub(crate) fn turn(&self, most: u64) -> bool {
        for _ in 0..most {
            let Some(ready) = self.inbox.pop(self.order.as_ref()) else { return true };
            ready.run();
        }
        false
    }

    /// Waits until somebody outside wakes a task, for as long in real time as the next sleeper has to sleep, or `most`.
    /// Returns whether somebody did.
    pub(crate) fn wait(&self, most: Duration) -> bool {
        let next = self.sleepers.borrow().keys().next().map(|(at, _)| at.saturating_sub(self.now.get()));
        self.inbox.wait(next.unwrap_or(most).min(most))
    }

    /// Goes on to the next sleeper's time, if it is not beyond `until`, and wakes whoever sleeps until then.
    pub(crate) fn wake_next(&self, until: Duration) -> bool {
        let mut sleepers = self.sleepers.borrow_mut();
        let Some((at, _)) = sleepers.keys().next().copied().filter(|(at, _)| *at <= until) else {
            return false;
        };
        self.now.set(self.now.get().max(at));
        let mut woken = Vec::new();
        while let Some(first) = sleepers.first_entry().filter(|first| first.key().0 == at) {
            woken.push(first.remove());
        }
        drop(sleepers);
        woken.into_iter().for_each(Waker::wake);
        true
    }

    /// Since the world began.
    pub(crate) fn now(&self) -> Duration {
        self.now.get()
    }

    /// The time passes to `now`; nobody is woken.
    pub(crate) fn set_now(&self, now: Duration) {
        self.now.set(now);
    }

    /// Milliseconds since the epoch.
    pub(crate) fn wall_millis(&self) -> Timestamp {
        let passed = Timestamp::try_from(self.now.get().as_millis()).unwrap_or(Timestamp::MAX);
        self.wall.get().saturating_add(passed)
    }

    /// The wall clock jumps.
    pub(crate) fn set_wall_millis(&self, wall: Timestamp) {
        let jump = wall.saturating_sub(self.wall_millis());
        self.wall.set(self.wall.get().saturating_add(jump));
    }

    pub(crate) fn disk(&self) -> Rc<dyn Disk> {
        self.disk.clone()
    }

    /// Ends all tasks where they are.
    pub(crate) fn stop(&self) {
        // A task that is dropped is scheduled once more, for its future to be dropped; and may start or wake others.
        loop {
            let tasks = std::mem::take(&mut *self.tasks.borrow_mut());
            let over = tasks.is_empty();
            drop(tasks);
            let mut any = false;
            while let Some(ready) = self.inbox.pop(None) {
                drop(ready);
                any = true;
            }
            if over && !any {
                break;
            }
        }
        let sleepers = std::mem::take(&mut *self.sleepers.borrow_mut());
        drop(sleepers);
    }
}

/// One of the cores.
struct KitHost {
    world: Rc<World>,
    core: usize,
}

impl Host for KitHost {
    fn core(&self) -> usize {
        self.core
    }

    fn monotonic(&self) -> Duration {
        self.world.now.get()
    }

    fn wall_millis(&self) -> i64 {
        self.world.wall_millis()
    }

    fn disk(&self) -> Rc<dyn Disk> {
        self.world.disk()
    }

    fn spawn(&self, _: Class, task: LocalFuture<()>) {
        self.world.spawn(task);
    }

    fn sleep(&self, duration: Duration) -> LocalFuture<()> {
        let world = self.world.clone();
        let number = world.numbers.get();
        world.numbers.set(number + 1);
        let key = (world.now.get().saturating_add(duration), number);
        Box::pin(Sleep { world, key })
    }

    fn yield_now(&self) -> LocalFuture<()> {
        Box::pin(Yield(false))
    }

    fn before_first_step(&self) -> LocalFuture<()> {
        Box::pin(ready(()))
    }

    /// Always the same numbers.
    fn random(&self) -> u64 {
        let number = self.world.numbers.get();
        self.world.numbers.set(number + 1);
        number.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15)
    }
}

struct Sleep {
    world: Rc<World>,
    key: (Duration, u64),
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.world.now.get() >= self.key.0 {
            return Poll::Ready(());
        }
        self.world.sleepers.borrow_mut().insert(self.key, cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        let waker = self.world.sleepers.borrow_mut().remove(&self.key);
        drop(waker);
    }
}

/// Ready at the second poll.
struct Yield(bool);

impl Future for Yield {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if std::mem::replace(&mut self.0, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}
