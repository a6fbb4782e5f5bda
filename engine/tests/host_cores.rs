//! How cores start, fail and end.

mod host_support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use host_support::{config, main};
use millstream::host::{Class, HostError, RuntimeConfig, RuntimeKind, cpus, launch};

struct SetOnDrop(Arc<AtomicBool>);

impl Drop for SetOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

both_hosts! {
    fn a_panic_is_reported_with_its_core_and_stops_the_others(kind) {
        let stopped = Arc::new(AtomicBool::new(false));
        let flag = SetOnDrop(stopped.clone());
        let parked = main(move |_host| async move {
            let _flag = flag;
            std::future::pending::<()>().await;
        });
        let panics = main(|host| async move {
            host.yield_now().await;
            panic!("the number was {}", 13);
        });
        let error = launch(&config(kind), vec![parked, panics]).unwrap().join().expect_err("a panic");
        assert_eq!(error.to_string(), "core 1 panicked: the number was 13");
        assert!(stopped.load(Ordering::SeqCst));
    }

    fn a_panic_of_a_task_beside_the_main_is_reported(kind) {
        let mains = vec![main(|host| async move {
            host.spawn(Class::Background, Box::pin(async { panic!("in the background") }));
            std::future::pending::<()>().await;
        })];
        let error = launch(&config(kind), mains).unwrap().join().expect_err("a panic");
        assert!(matches!(error, HostError::Panicked { core: 0, message } if message == "in the background"));
    }

    fn a_panic_while_the_main_is_made_is_reported(kind) {
        let error = launch(&config(kind), vec![Box::new(|_host| panic!("made badly"))]).unwrap().join();
        assert_eq!(error.expect_err("a panic").to_string(), "core 0 panicked: made badly");
    }

    fn threads_are_named_after_their_core_and_pinned_to_their_cpu(kind) {
        let allowed = cpus::allowed().unwrap();
        let expected = allowed.clone();
        let mains = (0..allowed.len()).map(|core| {
            let cpu = expected[core];
            main(move |_host| async move {
                assert_eq!(std::thread::current().name(), Some(&*format!("millstream-{core}")));
                assert_eq!(cpus::allowed().unwrap(), [cpu]);
            })
        });
        launch(&RuntimeConfig { kind, spin: None, pin: true }, mains.collect()).unwrap().join().unwrap();
    }

    fn a_spinning_core_still_sleeps_wakes_and_ends(kind) {
        let spin = Some(std::time::Duration::from_micros(200));
        let mains = vec![main(|host| async move { host.sleep(std::time::Duration::from_millis(5)).await })];
        launch(&RuntimeConfig { kind, spin, pin: true }, mains).unwrap().join().unwrap();
    }

    fn no_cores_are_a_job_that_ends_at_once(kind) {
        launch(&config(kind), Vec::new()).unwrap().join().unwrap();
    }

    fn random_numbers_differ(kind) {
        host_support::run(kind, |host| async move { assert_ne!(host.random(), host.random()) });
    }
}

#[test]
fn runtimes_are_named_as_on_the_command_line() {
    for kind in [RuntimeKind::Auto, RuntimeKind::Uring, RuntimeKind::Threads] {
        assert_eq!(kind.to_string().parse(), Ok(kind));
    }
    let error = "tokio".parse::<RuntimeKind>().expect_err("no such runtime");
    assert_eq!(error.to_string(), "there is no runtime `tokio`; choose auto, uring or threads");
}

#[test]
fn auto_tells_what_it_chose() {
    let cores = launch(&config(RuntimeKind::Auto), vec![main(|_host| async {})]).unwrap();
    assert_eq!(cores.fallback().is_some(), cores.kind() == RuntimeKind::Threads);
    cores.join().unwrap();
}
