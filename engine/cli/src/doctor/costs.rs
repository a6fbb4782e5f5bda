//! What the engine's own moves cost here: yields, spawns, wakes across cores, direct writes.

use std::cell::Cell;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use millstream::host::{Class, CoreMain, Host, HostError, RuntimeConfig, RuntimeKind, launch};
use serde::Serialize;

/// What was measured on one runtime.
#[derive(Clone, Default, Serialize)]
pub struct Costs {
    /// The runtime that it was measured on: `uring` or `threads`.
    pub runtime: String,
    /// One `yield_now` of a task that is alone on its core.
    pub yield_nanos: f64,
    /// Starting a task, running it and ending it.
    pub spawn_nanos: f64,
    /// From a wake to the first step of a task on another, parked core: the median.
    pub wake_micros: f64,
}

/// Measures for some tens of milliseconds.
///
/// # Errors
/// If the runtime does not start.
pub fn measure(runtime: RuntimeKind) -> Result<Costs, HostError> {
    let config = RuntimeConfig { kind: runtime, ..RuntimeConfig::default() };
    let costs = Arc::new(Mutex::new(Costs::default()));
    let own = costs.clone();
    let alone: CoreMain = Box::new(move |host| {
        Box::pin(async move {
            let yield_nanos = yields(&host).await;
            let spawn_nanos = spawns(&host).await;
            let mut costs = own.lock().unwrap_or_else(PoisonError::into_inner);
            (costs.yield_nanos, costs.spawn_nanos) = (yield_nanos, spawn_nanos);
        })
    });
    let cores = launch(&config, vec![alone])?;
    let runtime = cores.kind().to_string();
    cores.join()?;
    let mut costs = costs.lock().unwrap_or_else(PoisonError::into_inner).clone();
    costs.runtime = runtime;
    costs.wake_micros = wakes(&config)?;
    Ok(costs)
}

async fn yields(host: &Rc<dyn Host>) -> f64 {
    const YIELDS: u32 = 200_000;
    let start = Instant::now();
    for _ in 0..YIELDS {
        host.yield_now().await;
    }
    start.elapsed().as_nanos() as f64 / f64::from(YIELDS)
}

async fn spawns(host: &Rc<dyn Host>) -> f64 {
    const BATCHES: u32 = 100;
    const BATCH: u32 = 500;
    let start = Instant::now();
    for _ in 0..BATCHES {
        let left = Rc::new(Cell::new(BATCH));
        for _ in 0..BATCH {
            let left = left.clone();
            host.spawn(Class::Records, Box::pin(async move { left.set(left.get() - 1) }));
        }
        while left.get() > 0 {
            host.yield_now().await;
        }
    }
    start.elapsed().as_nanos() as f64 / f64::from(BATCHES * BATCH)
}

/// How often each of two cores wakes the other.
const ROUNDS: usize = 500;

// One core rings, pauses until the other is parked again, and rings again.
fn wakes(config: &RuntimeConfig) -> Result<f64, HostError> {
    let bell = Arc::new(Bell::default());
    let latencies = Arc::new(Mutex::new(Vec::with_capacity(ROUNDS)));
    let (ringing, listening, collected) = (bell.clone(), bell, latencies.clone());
    let ringer: CoreMain = Box::new(move |host| {
        Box::pin(async move {
            for _ in 0..ROUNDS {
                host.sleep(Duration::from_micros(200)).await;
                ringing.ring();
                while ringing.heard.load(Ordering::Acquire) < ringing.rung.load(Ordering::Acquire) {
                    host.yield_now().await;
                }
            }
        })
    });
    let listener: CoreMain = Box::new(move |_host| {
        Box::pin(async move {
            for round in 1..=ROUNDS {
                let rung = listening.hear(round).await;
                let latency = rung.elapsed();
                listening.heard.store(round, Ordering::Release);
                collected.lock().unwrap_or_else(PoisonError::into_inner).push(latency);
            }
        })
    });
    launch(config, vec![ringer, listener])?.join()?;
    let mut latencies = std::mem::take(&mut *latencies.lock().unwrap_or_else(PoisonError::into_inner));
    latencies.sort();
    Ok(latencies[ROUNDS / 2].as_nanos() as f64 / 1000.0)
}

#[derive(Default)]
struct Bell {
    rung: AtomicUsize,
    heard: AtomicUsize,
    // When it was last rung, and who listens.
    last: Mutex<(Option<Instant>, Option<Waker>)>,
}

impl Bell {
    fn ring(&self) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        self.rung.fetch_add(1, Ordering::Release);
        last.0 = Some(Instant::now());
        let waker = last.1.take();
        drop(last);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    async fn hear(&self, round: usize) -> Instant {
        poll_fn(|context| {
            let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
            match last.0 {
                Some(instant) if self.rung.load(Ordering::Acquire) >= round => Poll::Ready(instant),
                _ => {
                    last.1 = Some(context.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await
    }
}
