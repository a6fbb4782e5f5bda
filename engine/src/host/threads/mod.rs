//! Cores on plain threads: for machines where io_uring is denied.
//!
//! Each core is one pinned thread with a loop of its own; a helper thread beside it does the blocking work of its
//! disk. Tasks are [`Scheduler`]'s, so they behave as they do on io_uring.

mod disk;
mod file;
mod helper;
mod timers;

use std::future::ready;
use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};

use millstream_storage::disk::Disk;

use super::remote::{Remote, Seated};
use super::schedule::{Scheduler, YieldNow};
use super::seat::{CoreStart, Seat};
use super::{Class, Host, LocalFuture, clock, cpus};
use disk::ThreadDisk;
use helper::Helper;
use timers::Timers;

/// While both classes have work, background gets one poll after this many polls of records.
const RECORD_POLLS: u32 = 8;
/// Timers are looked at after this many polls, or when nothing is ready: reading the clock costs as much as a poll.
const TIMER_POLLS: u32 = 16;

/// Runs a core on this thread until its main future has ended.
pub(crate) fn run(seat: &Seat, start: CoreStart) -> Option<String> {
    let setup = Helper::start(seat.core).and_then(|helper| {
        seat.cpu.map_or(Ok(()), cpus::pin)?;
        Ok(helper)
    });
    let helper = match setup {
        Ok(helper) => helper,
        Err(error) => {
            start.failed(error);
            return None;
        }
    };
    let own = thread::current();
    let remote = Remote::new(Box::new(move || own.unpark()));
    let scheduler = Scheduler::new(remote.clone());
    let main = start.ready(remote)?;
    let seated = Seated::new(&scheduler);
    let timers = Rc::<Timers>::default();
    let host: Rc<dyn Host> = Rc::new(ThreadHost::new(seat.core, &scheduler, &timers, helper));
    scheduler.start_main(main, host);
    Loop { scheduler: &scheduler, timers: &timers, spin: seat.spin.unwrap_or_default(), polls: 0 }.run();
    drop(seated);
    scheduler.panic_message()
}

struct Loop<'a> {
    scheduler: &'a Scheduler,
    timers: &'a Timers,
    spin: Duration,
    polls: u32,
}

impl Loop<'_> {
    fn run(&mut self) {
        while !self.scheduler.finished() {
            if self.polls.is_multiple_of(TIMER_POLLS) {
                self.timers.fire();
            }
            if !self.poll_one() {
                self.wait();
            }
        }
    }

    // Polls the next task, of records as long as background has had its turn. False if nothing is ready.
    fn poll_one(&mut self) -> bool {
        let (first, second) = if self.polls % (RECORD_POLLS + 1) == RECORD_POLLS {
            (Class::Background, Class::Records)
        } else {
            (Class::Records, Class::Background)
        };
        let Some(ready) = self.scheduler.pop(first).or_else(|| self.scheduler.pop(second)) else {
            return false;
        };
        self.polls = self.polls.wrapping_add(1);
        self.scheduler.run(ready);
        true
    }

    // Waits for a timer or for another thread: awake for a while if asked to, then parked.
    fn wait(&self) {
        let until = self.timers.fire();
        let remote = self.scheduler.remote();
        let spun = Instant::now();
        while !self.spin.is_zero() && spun.elapsed() < self.spin.min(until.unwrap_or(Duration::MAX)) {
            if remote.pending() {
                return;
            }
            std::hint::spin_loop();
        }
        // A timer may have fired into the local queue; the caller looks there first.
        let until = self.timers.fire();
        if self.scheduler.has_ready() {
            return;
        }
        remote.prepare_to_sleep();
        if !remote.pending() {
            match until {
                Some(duration) => thread::park_timeout(duration),
                None => thread::park(),
            }
        }
        remote.stay_awake();
    }
}

/// What a core on plain threads offers to its shard.
struct ThreadHost {
    core: usize,
    scheduler: Rc<Scheduler>,
    timers: Rc<Timers>,
    disk: Rc<ThreadDisk>,
}

impl ThreadHost {
    fn new(core: usize, scheduler: &Rc<Scheduler>, timers: &Rc<Timers>, helper: Helper) -> ThreadHost {
        let disk = Rc::new(ThreadDisk::new(Rc::new(helper)));
        ThreadHost { core, scheduler: scheduler.clone(), timers: timers.clone(), disk }
    }
}

impl Host for ThreadHost {
    fn core(&self) -> usize {
        self.core
    }

    fn monotonic(&self) -> Duration {
        clock::monotonic()
    }

    fn wall_millis(&self) -> i64 {
        clock::wall_millis()
    }

    fn disk(&self) -> Rc<dyn Disk> {
        self.disk.clone()
    }

    fn spawn(&self, class: Class, task: LocalFuture<()>) {
        self.scheduler.spawn(class, task);
    }

    fn sleep(&self, duration: Duration) -> LocalFuture<()> {
        Box::pin(self.timers.sleep(duration.min(clock::LONGEST_SLEEP)))
    }

    fn yield_now(&self) -> LocalFuture<()> {
        Box::pin(YieldNow(false))
    }

    fn before_first_step(&self) -> LocalFuture<()> {
        Box::pin(ready(()))
    }

    fn random(&self) -> u64 {
        clock::random()
    }
}
