//! Starts the cores, and waits for their end.

use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};

use super::probe::{self, Denied};
use super::remote::Remote;
use super::runtime::{HostError, RuntimeConfig, RuntimeKind};
use super::schedule::message_of;
use super::seat::{CoreStart, Seat, Setup};
use super::{CoreMain, cpus, threads, uring};

/// Bytes registered for direct I/O per core, where the limit allows: one write's window twice over.
const IO_MEMORY: u64 = 4 << 20;
/// glommio registers the same memory with each of its three rings, and each is charged.
const RINGS: u64 = 3;
/// What a core's ring for direct I/O is charged before Linux 5.12, in bytes: its queues, generously.
const DIRECT_RING: u64 = 64 << 10;

/// Cores that run. Dropping this leaves them running.
///
/// ```
/// use millstream::host::{CoreMain, Cores, RuntimeConfig, RuntimeKind, launch};
///
/// let mains: Vec<CoreMain> = vec![Box::new(|_| Box::pin(async {})), Box::new(|_| Box::pin(async {}))];
/// let cores: Cores = launch(&RuntimeConfig::default(), mains)?;
/// match cores.fallback() {
///     None => assert_eq!(cores.kind(), RuntimeKind::Uring),
///     Some(denied) => assert_eq!(cores.kind(), RuntimeKind::Threads, "{denied}"),
/// }
/// cores.join()?;
/// # Ok::<(), millstream::host::HostError>(())
/// ```
pub struct Cores {
    kind: RuntimeKind,
    fallback: Option<Denied>,
    threads: Vec<JoinHandle<()>>,
    ends: Receiver<End>,
    remotes: Vec<Arc<Remote>>,
}

/// How a core ended: its index, and what it said if it panicked.
type End = (usize, Option<String>);

/// Starts one core for each main future, in the order of their indices.
///
/// All cores are set up before any main is called: the job starts whole or not at all.
///
/// ```
/// use millstream::host::{CoreMain, RuntimeConfig, launch};
///
/// let mains: Vec<CoreMain> = vec![Box::new(|host| Box::pin(async move { host.yield_now().await }))];
/// launch(&RuntimeConfig::default(), mains)?.join()?;
/// # Ok::<(), millstream::host::HostError>(())
/// ```
///
/// # Errors
/// [`HostError::Denied`] if io_uring was demanded and is denied, [`HostError::Start`] if a core cannot be set up.
pub fn launch(config: &RuntimeConfig, mains: Vec<CoreMain>) -> Result<Cores, HostError> {
    if config.kind == RuntimeKind::Threads {
        return Ok(start(RuntimeKind::Threads, config, mains)?);
    }
    let (denied, mains) = match start_uring(config, mains) {
        Ok(cores) => return Ok(cores),
        Err((denied, _)) if config.kind == RuntimeKind::Uring => return Err(denied.into()),
        Err(fallback) => fallback,
    };
    let mut cores = start(RuntimeKind::Threads, config, mains)?;
    cores.fallback = Some(denied);
    Ok(cores)
}

fn start_uring(config: &RuntimeConfig, mains: Vec<CoreMain>) -> Result<Cores, (Denied, Vec<CoreMain>)> {
    if let Err(denied) = probe::probe() {
        return Err((denied, mains));
    }
    start(RuntimeKind::Uring, config, mains)
        .map_err(|failed| (probe::denied_core(failed.core, &failed.source), failed.mains))
}

/// A job that did not start; its mains were not called.
struct Failed {
    core: usize,
    source: std::io::Error,
    mains: Vec<CoreMain>,
}

impl From<Failed> for HostError {
    fn from(failed: Failed) -> HostError {
        HostError::Start { core: failed.core, source: failed.source }
    }
}

fn start(kind: RuntimeKind, config: &RuntimeConfig, mains: Vec<CoreMain>) -> Result<Cores, Failed> {
    let (setup, setups) = mpsc::channel();
    let (end, ends) = mpsc::channel();
    let mut threads = Vec::with_capacity(mains.len());
    let mut gates = Vec::with_capacity(mains.len());
    for seat in seats(config, mains.len()) {
        let core = seat.core;
        let (gate, go) = mpsc::channel();
        let start = CoreStart { core, setup: setup.clone(), go };
        match spawn(kind, seat, start, end.clone()) {
            Ok(thread) => threads.push(thread),
            Err(source) => return Err(Failed { core, source, mains }),
        }
        gates.push(gate);
    }
    drop((setup, end));
    // An early return drops the gates, which sends the cores that were set up home.
    let remotes = match all_set_up(&setups, &ends, mains.len()) {
        Ok(remotes) => remotes,
        Err((core, source)) => return Err(Failed { core, source, mains }),
    };
    for (gate, main) in gates.into_iter().zip(mains) {
        // The core waits at its gate; if it died there, its end says so.
        let _ = gate.send(main);
    }
    Ok(Cores { kind, fallback: None, threads, ends, remotes })
}

fn spawn(
    kind: RuntimeKind,
    seat: Seat,
    start: CoreStart,
    end: Sender<End>,
) -> std::io::Result<JoinHandle<()>> {
    thread::Builder::new().name(format!("millstream-{}", seat.core)).spawn(move || {
        let body = || match kind {
            RuntimeKind::Threads => threads::run(&seat, start),
            RuntimeKind::Auto | RuntimeKind::Uring => uring::run(&seat, start),
        };
        let message = match panic::catch_unwind(AssertUnwindSafe(body)) {
            Ok(message) => message,
            Err(payload) => Some(message_of(&*payload)),
        };
        // Nobody listens once `Cores` is dropped.
        let _ = end.send((seat.core, message));
    })
}

fn all_set_up(
    setups: &Receiver<Setup>,
    ends: &Receiver<End>,
    cores: usize,
) -> Result<Vec<Arc<Remote>>, (usize, std::io::Error)> {
    let mut remotes = Vec::with_capacity(cores);
    for (core, outcome) in setups {
        remotes.push(outcome.map_err(|source| (core, source))?);
    }
    if remotes.len() < cores {
        // A core that has not answered has panicked, and its end follows.
        let (core, message) = ends.recv().unwrap_or_default();
        let message = message.unwrap_or_else(|| "it ended".to_owned());
        return Err((core, std::io::Error::other(message)));
    }
    Ok(remotes)
}

fn seats(config: &RuntimeConfig, cores: usize) -> Vec<Seat> {
    // Without the set of CPUs nothing can be pinned, and nothing needs to be.
    let allowed = if config.pin { cpus::allowed().unwrap_or_default() } else { Vec::new() };
    let io_memory = probe::lockable(cores)
        .map_or(IO_MEMORY, |bytes| IO_MEMORY.min(bytes.saturating_sub(DIRECT_RING) / RINGS));
    let seat = |(core, cpu)| Seat { core, cpu, spin: config.spin, io_memory: io_memory as usize };
    cpus::places(cores, &allowed).into_iter().enumerate().map(seat).collect()
}

impl Cores {
    /// The host that really runs the cores: never [`RuntimeKind::Auto`].
    pub fn kind(&self) -> RuntimeKind {
        self.kind
    }

    /// Why `auto` did not choose io_uring.
    pub fn fallback(&self) -> Option<&Denied> {
        self.fallback.as_ref()
    }

    /// Waits until every core has ended. When one panics, the others are asked to end: their main futures are
    /// dropped.
    ///
    /// # Errors
    /// [`HostError::Panicked`] with the first core that did.
    pub fn join(self) -> Result<(), HostError> {
        let mut first = None;
        for (core, message) in &self.ends {
            let Some(message) = message else { continue };
            if first.is_none() {
                self.remotes.iter().for_each(|remote| remote.stop());
                first = Some(HostError::Panicked { core, message });
            }
        }
        for thread in self.threads {
            // Its panics are caught and told through `ends`.
            let _ = thread.join();
        }
        first.map_or(Ok(()), Err)
    }
}
