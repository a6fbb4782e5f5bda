//! What is measured inside an engine's process, beyond the engine's own operations.

pub(super) mod disk;
pub(super) mod overhead;
pub(super) mod pause;
pub(super) mod restart;

use std::path::Path;
use std::rc::Rc;
use std::sync::mpsc;

use millstream::host::{CoreMain, Host, LocalFuture, RuntimeConfig, launch};
use millstream_storage::snapshot::StoreSnapshot;

use crate::report::Outcome;

/// Bytes of memory that this process holds.
pub(super) fn resident() -> Outcome<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm")?;
    let pages: u64 = statm.split_whitespace().nth(1).ok_or("statm has no second field")?.parse()?;
    Ok(pages * rustix::param::page_size() as u64)
}

/// A copy of this process that does nothing.
pub(super) struct Fork(libc::pid_t);

/// Forks this process: the copy ends when it is waited for.
pub(super) fn fork() -> Outcome<Fork> {
    // SAFETY: the copy calls nothing but `pause`, which is safe after a fork even of a process with threads.
    match unsafe { libc::fork() } {
        -1 => Err(std::io::Error::last_os_error().into()),
        0 => loop {
            // SAFETY: it takes no arguments, and waits for the signal that ends the copy.
            unsafe { libc::pause() };
        },
        child => Ok(Fork(child)),
    }
}

impl Fork {
    /// Ends the copy.
    pub(super) fn wait(self) -> Outcome<()> {
        // SAFETY: the process is our own child, nobody else waits for it, and no status is asked for.
        let ended = unsafe {
            libc::kill(self.0, libc::SIGKILL) == 0 && libc::waitpid(self.0, std::ptr::null_mut(), 0) == self.0
        };
        if ended { Ok(()) } else { Err(std::io::Error::last_os_error().into()) }
    }
}

/// Runs something on a core as a job's shard would be run, on io_uring where it is allowed.
fn on_core<T: Send + 'static>(
    body: impl FnOnce(Rc<dyn Host>) -> LocalFuture<Outcome<T>> + Clone + Send + 'static,
) -> Outcome<T> {
    let results = on_cores(1, move |_, host| body.clone()(host))?;
    results.into_iter().next().ok_or_else(|| "nothing ran".into())
}

/// As [`on_core`], on several cores at once, each of which is told its number.
fn on_cores<T: Send + 'static>(
    cores: usize,
    body: impl Fn(usize, Rc<dyn Host>) -> LocalFuture<Outcome<T>> + Clone + Send + 'static,
) -> Outcome<Vec<T>> {
    let (result, results) = mpsc::channel();
    let main = |core: usize| {
        let (body, result) = (body.clone(), result.clone());
        let main: CoreMain = Box::new(move |host| {
            Box::pin(async move {
                let outcome = body(core, host).await.map_err(|error| error.to_string());
                // The receiver waits below for as long as the core lives.
                let _ = result.send((core, outcome));
            })
        });
        main
    };
    launch(&RuntimeConfig::default(), (0..cores).map(main).collect())?.join()?;
    drop(result);
    let mut outcomes: Vec<_> = results.iter().collect();
    outcomes.sort_unstable_by_key(|(core, _)| *core);
    outcomes.into_iter().map(|(_, outcome)| Ok(outcome?)).collect()
}

/// Removes all files of a directory but those that a snapshot names.
fn remove_others(snapshot: &StoreSnapshot, dir: &Path) -> Outcome<()> {
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        if !snapshot.files.iter().any(|file| *file.name == *entry.file_name()) {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}
