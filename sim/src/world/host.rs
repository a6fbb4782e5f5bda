//! The seam's `Host`: what one virtual core offers to its shard.

use std::cell::Cell;
use std::future::{Future, ready};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use millstream::host::{Class, Host, LocalFuture};
use millstream_storage::disk::Disk;

use super::kernel::Kernel;
use crate::disk::SimDisk;
use crate::trace::What;

pub(crate) struct SimHost {
    pub(crate) kernel: Rc<Kernel>,
    pub(crate) process: u64,
    pub(crate) core: usize,
}

impl Host for SimHost {
    fn core(&self) -> usize {
        self.core
    }

    fn monotonic(&self) -> Duration {
        let state = self.kernel.state();
        state.clock.monotonic().saturating_sub(Duration::from_nanos(state.lag(self.process)))
    }

    fn wall_millis(&self) -> i64 {
        let state = self.kernel.state();
        state.clock.wall_millis() - (state.lag(self.process) / 1_000_000) as i64
    }

    fn disk(&self) -> Rc<dyn Disk> {
        Rc::new(SimDisk { kernel: self.kernel.clone(), process: self.process })
    }

    fn spawn(&self, class: Class, task: LocalFuture<()>) {
        self.kernel.spawn(self.process, self.core, Some(class), task);
    }

    fn sleep(&self, duration: Duration) -> LocalFuture<()> {
        let after = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Box::pin(Sleep { kernel: self.kernel.clone(), process: self.process, after, timer: Cell::new(None) })
    }

    fn yield_now(&self) -> LocalFuture<()> {
        Box::pin(Yield { yielded: false })
    }

    fn before_first_step(&self) -> LocalFuture<()> {
        let mut state = self.kernel.state();
        let now = state.clock.now;
        let slot = state.life(self.process).map(|live| live.slots().start + self.core);
        let late = slot.and_then(|slot| Some((slot, state.schedule.start_late(slot, now)?)));
        match late {
            None => Box::pin(ready(())),
            Some((slot, until)) => {
                state.note(What::Stall, [slot as u64, until - now], String::new);
                Box::pin(Yield { yielded: false })
            }
        }
    }

    fn random(&self) -> u64 {
        self.kernel.state().host_random.next()
    }
}

/// Ready after a duration from its first poll.
struct Sleep {
    kernel: Rc<Kernel>,
    process: u64,
    /// Nanoseconds.
    after: u64,
    timer: Cell<Option<u64>>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match self.timer.get() {
            None => {
                let timer = self.kernel.start_timer(self.process, self.after, cx.waker().clone());
                self.timer.set(Some(timer));
                Poll::Pending
            }
            Some(timer) if self.kernel.rewait_timer(timer, cx.waker()) => Poll::Pending,
            Some(_) => Poll::Ready(()),
        }
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(timer) = self.timer.get() {
            self.kernel.stop_timer(timer);
        }
    }
}

/// Ready at the second poll.
struct Yield {
    yielded: bool,
}

impl Future for Yield {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.yielded {
            return Poll::Ready(());
        }
        self.yielded = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}
