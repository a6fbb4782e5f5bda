//! A look at the chain without a job, and without taking it over.

use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use super::Remote;
use super::chain::Chain;
use super::link::Link;
use super::patience::{Limit, Watch};
use crate::error::Result;
use crate::host::Host;
use crate::testing::host::StillHost;

/// The last link of a job's chain, if there is one. Nothing is tried twice.
///
/// # Errors
/// If the store cannot be reached, or the link is damaged or another job's.
pub(crate) fn last_link(remote: &dyn Remote, job: &str) -> Result<Option<Link>> {
    let host: Rc<dyn Host> = Rc::new(StillHost { core: 0, now: 0 });
    wait(async {
        let once = Limit::At(Duration::ZERO);
        Chain::open(remote, &host, job, once, Watch::new(None)).await?.head(once).await
    })
}

/// Wakes the thread that waits.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}
