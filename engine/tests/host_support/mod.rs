//! What the tests of the hosts share: each runs on io_uring and on threads.

use std::future::Future;
use std::rc::Rc;
use std::sync::{Arc, Mutex};

use millstream::host::{CoreMain, Host, LocalFuture, RuntimeConfig, RuntimeKind, launch};

/// Defines each test twice, once per host: `both_hosts! { fn name(kind) { .. } }`.
#[macro_export]
macro_rules! both_hosts {
    ($($(#[$attribute:meta])* fn $name:ident($kind:ident) $body:block)*) => {
        mod uring {
            $($(#[$attribute])* #[test] fn $name() { super::$name(millstream::host::RuntimeKind::Uring) })*
        }
        mod threads {
            $($(#[$attribute])* #[test] fn $name() { super::$name(millstream::host::RuntimeKind::Threads) })*
        }
        $(fn $name($kind: millstream::host::RuntimeKind) $body)*
    };
}

/// Unpinned, so that tests that run at once do not fight over the first CPU.
pub fn config(kind: RuntimeKind) -> RuntimeConfig {
    RuntimeConfig { kind, spin: None, pin: false }
}

/// A main from an async function.
pub fn main<F: Future<Output = ()> + 'static>(
    body: impl FnOnce(Rc<dyn Host>) -> F + Send + 'static,
) -> CoreMain {
    Box::new(move |host| Box::pin(body(host)) as LocalFuture<()>)
}

/// Runs one core and returns what its main returned.
pub fn run<T: Send + 'static, F: Future<Output = T> + 'static>(
    kind: RuntimeKind,
    body: impl FnOnce(Rc<dyn Host>) -> F + Send + 'static,
) -> T {
    let result = Arc::new(Mutex::new(None));
    let slot = result.clone();
    let main = main(move |host| async move {
        let value = body(host).await;
        *slot.lock().expect("no panic while it is held") = Some(value);
    });
    let cores = launch(&config(kind), vec![main]).expect("the core starts");
    assert_eq!(cores.kind(), kind);
    cores.join().expect("the core ends well");
    let value = result.lock().expect("no panic while it is held").take();
    value.expect("the main ran to its end")
}
