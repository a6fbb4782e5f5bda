//! Cores on io_uring: one glommio executor per core, pinned to its CPU.
//!
//! glommio brings the rings, the timers and the sharing of a core between two task queues; tasks and their wakers
//! are [`Scheduler`]'s. Each queue runs one *pump* that polls the tasks of its class. glommio looks at its rings when
//! no pump is ready, so a pump rests for an instant now and then: a busy core notices finished I/O within [`SLICE`].
//!
//! # A fault of glommio, and what is done about it
//! glommio 0.9 can park with a pump ready: its `run_task_queues` says "nothing ran" when its preemption timer or a
//! wake from a helper thread comes before its first queue, and `LocalExecutor::run` takes that for "nothing is ready".
//! Preemption is therefore as good as off, the pumps measure their slices themselves, and a heartbeat bounds what is
//! left: a core that parked wrongly goes on after [`HEARTBEAT`].

mod bell;
mod direct;
mod disk;
mod extent;
mod file;
mod helped;
mod ring;
mod window;

use std::future::ready;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use glommio::nop::NopSubmitter;
use glommio::timer::Timer;
use glommio::{
    GlommioError, Latency, LocalExecutor, LocalExecutorBuilder, Placement, PoolPlacement, Shares, executor,
};
use millstream_storage::disk::Disk;

use super::remote::{Remote, Seated};
use super::schedule::{Scheduler, YieldNow};
use super::seat::{CoreStart, Seat};
use super::{Class, Host, LocalFuture, clock};
use bell::Doorbell;
use disk::UringDisk;
use ring::Ring;

/// How long records are worked on before glommio looks at its rings and background work has a turn.
const SLICE: Duration = Duration::from_micros(200);

/// The longest that a core sleeps with work at hand; see the module's documentation. Forty wakes a second cost a
/// core at rest next to nothing.
const HEARTBEAT: Duration = Duration::from_millis(25);

/// How long requests wait that the kernel has no memory for.
const RETRY: Duration = Duration::from_millis(1);

/// Longer than any slice: glommio never takes a queue off the core by its own clock.
const PREEMPTION: Duration = Duration::from_secs(3600);

/// Shares of the core while both classes have work: records get five sixths.
const RECORD_SHARES: usize = 1000;
const BACKGROUND_SHARES: usize = 200;

/// Threads per core for what blocks: a long sync of a directory must not hold up a rename.
const HELPERS: usize = 2;

/// Runs a core on this thread until its main future has ended.
pub(crate) fn run(seat: &Seat, start: CoreStart) -> Option<String> {
    // Before the executor, which locks memory as well. Without it direct I/O takes the helper threads.
    let ring = Ring::new().ok().map(Rc::new);
    let executor = match build(seat) {
        Ok(executor) => executor,
        Err(error) => {
            start.failed(error);
            return None;
        }
    };
    let doorbell = match Doorbell::new() {
        Ok(doorbell) => Arc::new(doorbell),
        Err(error) => {
            start.failed(error);
            return None;
        }
    };
    let bell = doorbell.clone();
    let remote = Remote::new(Box::new(move || bell.ring()));
    let scheduler = Scheduler::new(remote.clone());
    // The first time a process parks, the kernel registers it for memory barriers, which takes some 20 ms. Parking
    // here once keeps that pause from the records.
    executor.run(async { Timer::new(Duration::from_micros(1)).await });
    let main = start.ready(remote)?;
    let seated = Seated::new(&scheduler);
    let host: Rc<dyn Host> = Rc::new(UringHost::new(seat.core, &scheduler, ring.clone()));
    executor.run(drive(&scheduler, doorbell, ring, host, main));
    drop(seated);
    scheduler.panic_message()
}

/// Tries out the ring that each core makes for direct I/O.
pub(super) fn try_direct_ring() -> io::Result<()> {
    Ring::new().map(drop)
}

fn build(seat: &Seat) -> io::Result<LocalExecutor> {
    let placement = seat.cpu.map_or(Placement::Unbound, Placement::Fixed);
    let mut builder = LocalExecutorBuilder::new(placement)
        .name("millstream")
        .preempt_timer(PREEMPTION)
        .blocking_thread_pool_placement(PoolPlacement::Unbound(HELPERS))
        .io_memory(seat.io_memory);
    if let Some(spin) = seat.spin {
        builder = builder.spin_before_park(spin);
    }
    builder.make().map_err(io_error)
}

async fn drive(
    scheduler: &Rc<Scheduler>,
    bell: Arc<Doorbell>,
    ring: Option<Rc<Ring>>,
    host: Rc<dyn Host>,
    main: super::CoreMain,
) {
    let latency = Latency::NotImportant;
    let queue = |shares, name| executor().create_task_queue(Shares::Static(shares), latency, name);
    let records = queue(RECORD_SHARES, "records");
    let background = queue(BACKGROUND_SHARES, "background");
    let spawn = "a queue that was made above and is never removed";
    let answer = glommio::spawn_local_into(bell::answer(bell.clone(), scheduler.clone()), records);
    let answer = answer.expect(spawn);
    let reap = ring
        .clone()
        .map(|ring| glommio::spawn_local_into(ring::reap(ring, scheduler.clone()), records).expect(spawn));
    let pump = pump_records(scheduler.clone(), ring.clone());
    let in_background = pump_background(scheduler.clone(), ring.clone());
    let records = glommio::spawn_local_into(pump, records).expect(spawn);
    let background = glommio::spawn_local_into(in_background, background).expect(spawn);
    let heartbeat = glommio::spawn_local(beat(scheduler.clone()));
    scheduler.start_main(main, host);
    records.await;
    background.await;
    bell.ring();
    answer.await;
    if let (Some(ring), Some(reap)) = (ring, reap) {
        ring.ring();
        reap.await;
    }
    heartbeat.cancel().await;
}

/// Wakes the executor regularly.
async fn beat(scheduler: Rc<Scheduler>) {
    while !scheduler.finished() {
        Timer::new(HEARTBEAT).await;
    }
}

/// Leaves the core to glommio until it has looked at its rings once: an operation that does nothing is through then.
async fn rest(rings: &NopSubmitter) {
    rings.run_nop().await.expect("doing nothing cannot fail");
}

/// Hands requests to the kernel. False if it has no memory for them: they are to be handed over again.
fn hand_over(ring: Option<&Ring>) -> bool {
    ring.is_none_or(|ring| ring.submit().is_ok())
}

async fn pump_records(scheduler: Rc<Scheduler>, ring: Option<Rc<Ring>>) {
    let rings = NopSubmitter::new();
    let mut since = Instant::now();
    while !scheduler.finished() {
        // A look into memory: a busy core need not wait for the bell of its own ring.
        ring.iter().for_each(|ring| ring.reap());
        match scheduler.pop(Class::Records) {
            Some(ready) => {
                scheduler.run(ready);
                if since.elapsed() < SLICE {
                    continue;
                }
                hand_over(ring.as_deref());
                rest(&rings).await;
            }
            // All that the tasks have asked for goes to the kernel at once.
            None if hand_over(ring.as_deref()) => scheduler.idle(Class::Records).await,
            None => _ = Timer::new(RETRY).await,
        }
        since = Instant::now();
    }
}

async fn pump_background(scheduler: Rc<Scheduler>, ring: Option<Rc<Ring>>) {
    let rings = NopSubmitter::new();
    while !scheduler.finished() {
        match scheduler.pop(Class::Background) {
            Some(ready) => {
                scheduler.run(ready);
                while !hand_over(ring.as_deref()) {
                    Timer::new(RETRY).await;
                }
                // Records wait for one poll at most, not for a whole slice.
                rest(&rings).await;
            }
            None => scheduler.idle(Class::Background).await,
        }
    }
}

/// What a core on io_uring offers to its shard.
struct UringHost {
    core: usize,
    scheduler: Rc<Scheduler>,
    disk: Rc<UringDisk>,
}

impl UringHost {
    fn new(core: usize, scheduler: &Rc<Scheduler>, ring: Option<Rc<Ring>>) -> UringHost {
        let disk = Rc::new(UringDisk::new(scheduler.clone(), ring));
        UringHost { core, scheduler: scheduler.clone(), disk }
    }
}

impl Host for UringHost {
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
        let timer = Timer::new(duration.min(clock::LONGEST_SLEEP));
        Box::pin(async move {
            timer.await;
        })
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

/// glommio's error as one of the operating system, its number kept where there is one.
fn io_error<T>(error: GlommioError<T>) -> io::Error {
    match error {
        GlommioError::IoError(source) | GlommioError::EnhancedIoError { source, .. } => source,
        other => io::Error::other(other.to_string()),
    }
}
