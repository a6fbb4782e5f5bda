//! The world: cores, time, and how processes end in it.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, VecDeque};
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::time::Duration;

use crate::common::{at_point, main_of, then_hang};
use millstream::host::{Class, CoreMain};
use millstream_sim::disk::CrashKind;
use millstream_sim::faults::{FaultPlan, Spells};
use millstream_sim::world::{RunEnd, World, WorldConfig};

/// A mailbox between cores.
#[derive(Default)]
struct Mailbox {
    mail: VecDeque<u64>,
    waiting: Option<Waker>,
}

fn send(to: &Mutex<Mailbox>, value: u64) {
    let mut to = to.lock().expect("never poisoned");
    to.mail.push_back(value);
    if let Some(waker) = to.waiting.take() {
        waker.wake();
    }
}

async fn receive(from: &Mutex<Mailbox>) -> u64 {
    poll_fn(|cx| {
        let mut from = from.lock().expect("never poisoned");
        match from.mail.pop_front() {
            Some(value) => Poll::Ready(value),
            None => {
                from.waiting = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    })
    .await
}

/// Two cores that send a number to and fro, until it reaches `until`.
fn ping_pong(until: u64) -> Vec<CoreMain> {
    let boxes: [Arc<Mutex<Mailbox>>; 2] = Default::default();
    send(&boxes[0], 0);
    let player = |core: usize| {
        let boxes = boxes.clone();
        main_of(move |host| async move {
            loop {
                let value = receive(&boxes[core]).await;
                host.sleep(Duration::from_micros(10)).await;
                send(&boxes[1 - core], value + 1);
                if value >= until {
                    return;
                }
            }
        })
    };
    vec![player(0), player(1)]
}

fn stalls() -> FaultPlan {
    let spells = Spells { gap: Duration::from_micros(100), length: Duration::from_millis(10) };
    FaultPlan { stall: Some(spells), clock_jump: Some(spells), ..FaultPlan::none() }
}

#[test]
fn two_cores_play_ping_pong_also_when_one_is_stalled() {
    for plan in [FaultPlan::none(), stalls()] {
        for seed in 0..50 {
            let mut world = World::new(seed, WorldConfig { plan: plan.clone(), ..WorldConfig::default() });
            assert_eq!(world.run(ping_pong(100)), RunEnd::Finished, "seed {seed}");
        }
    }
}

#[test]
fn the_same_seed_is_the_same_run_and_another_is_not() {
    let hash = |seed| {
        let mut world = World::new(seed, WorldConfig { plan: stalls(), ..WorldConfig::default() });
        world.run(ping_pong(50));
        world.trace_hash()
    };
    let hashes: BTreeSet<u64> = (0..100).map(hash).collect();
    assert_eq!(hashes.len(), 100);
    assert_eq!(hashes, (0..100).map(hash).collect());
}

#[test]
fn keeping_the_log_changes_nothing() {
    let run = |keep_log| {
        let mut world = World::new(5, WorldConfig { plan: stalls(), keep_log, ..WorldConfig::default() });
        world.run(ping_pong(50));
        (world.trace_hash(), world.events().len())
    };
    let (silent, kept) = (run(false), run(true));
    assert_eq!(silent.0, kept.0);
    assert_eq!(silent.1, 0);
    assert!(kept.1 > 100);
}

#[test]
fn a_deadlock_is_found_and_names_who_waits() {
    let boxes: [Arc<Mutex<Mailbox>>; 2] = Default::default();
    let wait = |core: usize| {
        let boxes = boxes.clone();
        main_of(move |host| async move {
            if core == 0 {
                host.spawn(Class::Background, Box::pin(std::future::pending()));
                host.sleep(Duration::from_secs(60)).await;
                return;
            }
            receive(&boxes[core]).await;
        })
    };
    let mut world = World::new(1, WorldConfig::default());
    let RunEnd::Deadlock(waiting) = world.run(vec![wait(0), wait(1)]) else { panic!("nobody sends") };
    assert_eq!(waiting.tasks.len(), 1, "the tasks of core 0 ended with its main future: {waiting}");
    assert_eq!(waiting.to_string(), "unfinished: the main future of core 1; 0 timers");
}

#[test]
fn a_process_that_makes_no_progress_is_stopped() {
    let config =
        WorldConfig { max_points: 1000, max_time: Duration::from_secs(10), ..WorldConfig::default() };
    let spin = main_of(|host| async move {
        loop {
            host.yield_now().await;
        }
    });
    let mut world = World::new(1, config);
    assert!(matches!(world.run(vec![spin]), RunEnd::OutOfTime(_)));
    assert!(matches!(world.run(vec![then_hang(|_| async {})]), RunEnd::OutOfTime(_)));
    assert_eq!(world.run(vec![main_of(|_| async {})]), RunEnd::Finished, "the world lives on");
}

#[test]
fn timers_go_off_in_time_never_early_and_time_jumps_to_them() {
    for seed in 0..20 {
        let mut world = World::new(seed, WorldConfig { plan: stalls(), ..WorldConfig::default() });
        let end = world.run(vec![main_of(|host| async move {
            let start = host.monotonic();
            host.sleep(Duration::from_secs(3600)).await;
            let slept = host.monotonic() - start;
            assert!(slept >= Duration::from_secs(3600) && slept < Duration::from_secs(3601), "{slept:?}");
        })]);
        assert_eq!(end, RunEnd::Finished);
    }
}

#[test]
fn a_timer_that_was_given_up_does_not_move_time() {
    let mut world = World::new(1, WorldConfig::default());
    let forever = main_of(|host| async move {
        let mut sleep = host.sleep(Duration::from_secs(3600));
        poll_fn(|cx| {
            assert!(sleep.as_mut().poll(cx).is_pending());
            Poll::Ready(())
        })
        .await;
        drop(sleep);
        std::future::pending::<()>().await;
    });
    assert!(matches!(world.run(vec![forever]), RunEnd::Deadlock(_)));
    assert!(world.now() < Duration::from_secs(1));
}

#[test]
fn the_wall_clock_jumps_and_the_monotonic_one_does_not() {
    let mut back = 0;
    for seed in 0..20 {
        let mut world = World::new(seed, WorldConfig { plan: stalls(), ..WorldConfig::default() });
        let jumps_back = Arc::new(Mutex::new(0));
        let seen = jumps_back.clone();
        world.run(vec![main_of(move |host| async move {
            let (mut wall, mut monotonic) = (host.wall_millis(), host.monotonic());
            for _ in 0..50 {
                host.sleep(Duration::from_millis(1)).await;
                assert!(host.monotonic() > monotonic);
                *seen.lock().expect("never poisoned") += u32::from(host.wall_millis() < wall);
                (wall, monotonic) = (host.wall_millis(), host.monotonic());
            }
        })]);
        back += *jumps_back.lock().expect("never poisoned");
    }
    assert!(back > 20, "{back} jumps back");
}

#[test]
fn tasks_are_dropped_unfinished_when_their_main_future_ends() {
    /// Tells whether it was dropped.
    struct Told(Arc<Mutex<u32>>);
    impl Drop for Told {
        fn drop(&mut self) {
            *self.0.lock().expect("never poisoned") += 1;
        }
    }
    let dropped = Arc::new(Mutex::new(0));
    let told = dropped.clone();
    let mut world = World::new(1, WorldConfig::default());
    let end = world.run(vec![main_of(move |host| async move {
        for _ in 0..100 {
            let told = Told(told.clone());
            host.spawn(
                Class::Records,
                Box::pin(async move {
                    std::future::pending::<()>().await;
                    drop(told);
                }),
            );
        }
        host.yield_now().await;
    })]);
    assert_eq!(end, RunEnd::Finished);
    assert_eq!(*dropped.lock().expect("never poisoned"), 100);
}

#[test]
fn a_process_can_be_killed_at_every_point_of_its_life() {
    let body = || {
        then_hang(|disk| async move {
            let file = crate::common::write(&disk, "a", &[1; 2000]).await;
            file.sync().await.expect("no faults are on");
        })
    };
    for point in 0..60 {
        let mut world = World::new(9, WorldConfig::default());
        world.set_crash(at_point(point, CrashKind::PowerLoss));
        assert_eq!(world.run(vec![body()]), RunEnd::Crashed(CrashKind::PowerLoss));
        assert_eq!(world.points(), point);
    }
}

#[test]
fn schedules_differ_between_seeds_and_nobody_starves() {
    let orders: BTreeSet<Vec<usize>> = (0..50)
        .map(|seed| {
            let order = Arc::new(Mutex::new(Vec::new()));
            let mut world = World::new(seed, WorldConfig { plan: stalls(), ..WorldConfig::default() });
            let main = |_| {
                let order = order.clone();
                main_of(move |host| async move {
                    let background = Rc::new(Cell::new(0));
                    let count = background.clone();
                    let inner = host.clone();
                    host.spawn(
                        Class::Background,
                        Box::pin(async move {
                            while count.get() < 20 {
                                inner.yield_now().await;
                                count.set(count.get() + 1);
                            }
                        }),
                    );
                    let polls = RefCell::new(0);
                    while background.get() < 20 {
                        order.lock().expect("never poisoned").push(host.core());
                        *polls.borrow_mut() += 1;
                        host.yield_now().await;
                    }
                })
            };
            assert_eq!(world.run((0..3).map(main).collect()), RunEnd::Finished);
            Arc::into_inner(order).expect("the world is at its end").into_inner().expect("never poisoned")
        })
        .collect();
    assert!(orders.len() > 40, "{} different orders of 50", orders.len());
}
