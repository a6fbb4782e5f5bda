//! The CPUs this process may use.

use std::io;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// The CPUs that the calling thread may run on, ascending.
///
/// ```
/// let cpus = millstream::host::cpus::allowed()?;
/// assert!(!cpus.is_empty() && cpus.is_sorted());
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn allowed() -> io::Result<Vec<usize>> {
    let set = sched_getaffinity(None)?;
    Ok((0..CpuSet::MAX_CPU).filter(|cpu| set.is_set(*cpu)).collect())
}

/// Keeps the calling thread on one CPU.
pub(crate) fn pin(cpu: usize) -> io::Result<()> {
    let mut set = CpuSet::new();
    set.set(cpu);
    Ok(sched_setaffinity(None, &set)?)
}

/// The CPU of each core: one each as long as there are enough, else none, and the kernel places them.
pub(crate) fn places(cores: usize, allowed: &[usize]) -> Vec<Option<usize>> {
    if cores > allowed.len() {
        return vec![None; cores];
    }
    allowed.iter().take(cores).map(|cpu| Some(*cpu)).collect()
}
