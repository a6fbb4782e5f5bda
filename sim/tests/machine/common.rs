//! What the tests of the simulated world share.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;

use millstream::host::{CoreMain, Host};
use millstream_sim::disk::CrashKind;
use millstream_sim::world::{Crash, When};
use millstream_storage::disk::{Disk, OpenMode};

/// A main future.
pub fn main_of<F>(body: impl FnOnce(Rc<dyn Host>) -> F + Send + 'static) -> CoreMain
where
    F: Future<Output = ()> + 'static,
{
    Box::new(move |host| -> Pin<Box<dyn Future<Output = ()>>> { Box::pin(body(host)) })
}

/// A main future that uses the disk and then never ends, so that whatever it did, it is killed.
pub fn then_hang<F>(body: impl FnOnce(Rc<dyn Disk>) -> F + Send + 'static) -> CoreMain
where
    F: Future<Output = ()> + 'static,
{
    main_of(move |host| async move {
        body(host.disk()).await;
        loop {
            host.sleep(std::time::Duration::from_secs(1)).await;
        }
    })
}

/// A process is killed before it has taken this many points.
pub fn at_point(point: u64, kind: CrashKind) -> Option<Crash> {
    Some(Crash { when: When::Point(point), kind })
}

/// Writes a new file, without syncing anything.
pub async fn write(disk: &Rc<dyn Disk>, path: &str, bytes: &[u8]) -> Rc<dyn millstream_storage::disk::File> {
    let file = disk.open(path.as_ref(), OpenMode::Create).await.expect("the name is free");
    file.write_at(0, bytes.to_vec().into()).await.expect("no faults are on");
    file
}
