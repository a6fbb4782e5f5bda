//! Tasks, timers and wakes behave the same on every host.

mod host_support;

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::thread;
use std::time::Duration;

use host_support::{config, main, run};
use millstream::host::{Class, Host, launch};

// Waits, yielding, until a condition holds.
async fn until(host: &Rc<dyn Host>, mut holds: impl FnMut() -> bool) {
    while !holds() {
        host.yield_now().await;
    }
}

both_hosts! {
    fn spawned_tasks_run_in_the_order_they_were_spawned(kind) {
        let order = run(kind, |host| async move {
            let order = Rc::new(RefCell::new(Vec::new()));
            for number in 0..100 {
                let order = order.clone();
                host.spawn(Class::Records, Box::pin(async move { order.borrow_mut().push(number) }));
            }
            until(&host, || order.borrow().len() == 100).await;
            order.take()
        });
        assert_eq!(order, (0..100).collect::<Vec<_>>());
    }

    fn yielding_tasks_take_turns(kind) {
        let order = run(kind, |host| async move {
            let order = Rc::new(RefCell::new(Vec::new()));
            for name in ["a", "b"] {
                let (own, order) = (host.clone(), order.clone());
                host.spawn(Class::Records, Box::pin(async move {
                    for _ in 0..3 {
                        order.borrow_mut().push(name);
                        own.yield_now().await;
                    }
                }));
            }
            until(&host, || order.borrow().len() == 6).await;
            order.take()
        });
        assert_eq!(order, ["a", "b", "a", "b", "a", "b"]);
    }

    fn sleeps_end_in_the_order_of_their_deadlines_and_never_early(kind) {
        let (order, early) = run(kind, |host| async move {
            let order = Rc::new(RefCell::new(Vec::new()));
            let early = Rc::new(Cell::new(false));
            for millis in [60, 0, 40, 20] {
                let (own, order, early) = (host.clone(), order.clone(), early.clone());
                host.spawn(Class::Records, Box::pin(async move {
                    // Of its own: each task may begin at another time.
                    let deadline = own.monotonic() + Duration::from_millis(millis);
                    own.sleep(Duration::from_millis(millis)).await;
                    early.set(early.get() || own.monotonic() < deadline);
                    order.borrow_mut().push(deadline);
                }));
            }
            until(&host, || order.borrow().len() == 4).await;
            (order.take(), early.get())
        });
        assert!(order.is_sorted(), "{order:?}");
        assert!(!early);
    }

    fn a_dropped_sleep_and_the_longest_sleep_do_no_harm(kind) {
        run(kind, |host| async move {
            drop(host.sleep(Duration::ZERO));
            let own = host.clone();
            host.spawn(Class::Records, Box::pin(async move { own.sleep(Duration::MAX).await }));
            host.sleep(Duration::from_millis(1)).await;
        });
    }

    fn background_work_is_never_starved_by_records(kind) {
        run(kind, |host| async move {
            let turns = Rc::new(Cell::new(0));
            let (own, count) = (host.clone(), turns.clone());
            host.spawn(Class::Background, Box::pin(async move {
                loop {
                    count.set(count.get() + 1);
                    own.yield_now().await;
                }
            }));
            until(&host, || turns.get() >= 100).await;
        });
    }

    fn records_are_never_starved_by_background_work(kind) {
        let (records, background) = run(kind, |host| async move {
            let turns = Rc::new(Cell::new(0_u64));
            for _ in 0..8 {
                let (own, count) = (host.clone(), turns.clone());
                host.spawn(Class::Background, Box::pin(async move {
                    loop {
                        count.set(count.get() + 1);
                        own.yield_now().await;
                    }
                }));
            }
            for _ in 0..20_000 {
                host.yield_now().await;
            }
            (20_000, turns.get())
        });
        assert!(background < records, "{background} polls of background beside {records} of records");
    }

    fn unfinished_tasks_are_dropped_when_the_main_ends(kind) {
        struct OnDrop(Arc<AtomicUsize>);
        impl Drop for OnDrop {
            fn drop(&mut self) {
                self.0.fetch_add(1, Ordering::SeqCst);
            }
        }
        let dropped = Arc::new(AtomicUsize::new(0));
        let count = dropped.clone();
        run(kind, |host| async move {
            for class in [Class::Records, Class::Background] {
                let (own, guard, forever) = (host.clone(), OnDrop(count.clone()), OnDrop(count.clone()));
                host.spawn(class, Box::pin(async move {
                    let _guard = guard;
                    own.sleep(Duration::from_secs(3600)).await;
                }));
                host.spawn(class, Box::pin(async move {
                    let _forever = forever;
                    std::future::pending::<()>().await;
                }));
            }
            host.yield_now().await;
        });
        assert_eq!(dropped.load(Ordering::SeqCst), 4);
    }

    fn a_task_is_woken_from_a_thread_that_is_no_core(kind) {
        let number = run(kind, |_host| async move {
            let shared = Arc::new(Mutex::new((None::<Waker>, None::<u32>)));
            let theirs = shared.clone();
            let thread = thread::spawn(move || loop {
                let mut shared = theirs.lock().unwrap();
                if let Some(waker) = shared.0.take() {
                    shared.1 = Some(7);
                    drop(shared);
                    break waker.wake();
                }
                drop(shared);
                thread::yield_now();
            });
            let number = poll_fn(|context| {
                let mut shared = shared.lock().unwrap();
                match shared.1 {
                    Some(number) => Poll::Ready(number),
                    None => {
                        shared.0 = Some(context.waker().clone());
                        Poll::Pending
                    }
                }
            })
            .await;
            thread.join().unwrap();
            number
        });
        assert_eq!(number, 7);
    }

    fn parked_cores_wake_each_other(kind) {
        const ROUNDS: usize = 2000;
        let ball = Arc::new(Ball::default());
        let mains = (0..2).map(|side| {
            let ball = ball.clone();
            main(move |_host| async move {
                for round in (side..ROUNDS).step_by(2) {
                    ball.wait_for(round).await;
                    ball.hit();
                }
            })
        });
        launch(&config(kind), mains.collect()).unwrap().join().unwrap();
        assert_eq!(ball.hits.load(Ordering::SeqCst), ROUNDS);
    }

    fn a_waker_that_outlives_its_core_is_harmless(kind) {
        let waker = run(kind, |_host| poll_fn(|context| Poll::Ready(context.waker().clone())));
        waker.wake_by_ref();
        thread::spawn(move || waker.wake()).join().unwrap();
    }

    fn more_cores_than_cpus_still_run(kind) {
        let count = Arc::new(AtomicUsize::new(0));
        let cores = thread::available_parallelism().unwrap().get() * 2 + 1;
        let mains = (0..cores).map(|core| {
            let count = count.clone();
            main(move |host| async move {
                assert_eq!(host.core(), core);
                host.sleep(Duration::from_millis(1)).await;
                count.fetch_add(1, Ordering::SeqCst);
            })
        });
        let config = millstream::host::RuntimeConfig { pin: true, ..config(kind) };
        launch(&config, mains.collect()).unwrap().join().unwrap();
        assert_eq!(count.load(Ordering::SeqCst), cores);
    }

    fn a_parked_core_is_not_scheduled(kind) {
        let switches = run(kind, |host| async move {
            host.sleep(Duration::from_millis(10)).await;
            let before = switches_of_this_thread();
            host.sleep(Duration::from_millis(300)).await;
            switches_of_this_thread() - before
        });
        assert!(switches < 20, "the core ran {switches} times while it slept once");
    }
}

// How often this thread was taken from its CPU.
fn switches_of_this_thread() -> i64 {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: the kernel fills the structure that the pointer names.
    let usage = unsafe {
        assert_eq!(libc::getrusage(libc::RUSAGE_THREAD, usage.as_mut_ptr()), 0);
        usage.assume_init()
    };
    usage.ru_nvcsw + usage.ru_nivcsw
}

// Two cores hit it in turns; each waits parked.
#[derive(Default)]
struct Ball {
    hits: AtomicUsize,
    waiter: Mutex<Option<Waker>>,
}

impl Ball {
    async fn wait_for(&self, round: usize) {
        poll_fn(|context| {
            let mut waiter = self.waiter.lock().unwrap();
            if self.hits.load(Ordering::SeqCst) == round {
                return Poll::Ready(());
            }
            *waiter = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
    }

    fn hit(&self) {
        let mut waiter = self.waiter.lock().unwrap();
        self.hits.fetch_add(1, Ordering::SeqCst);
        if let Some(waker) = waiter.take() {
            waker.wake();
        }
    }
}
