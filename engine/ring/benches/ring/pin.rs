//! Binds threads to cores.

use std::mem;

/// Binds the calling thread to the `n`th core that the process may use, counted around them.
///
/// # Panics
/// If the kernel refuses.
pub fn pin(n: usize) {
    // Before any thread was bound: afterwards the mask of the caller is its own core.
    static ALLOWED: std::sync::OnceLock<Vec<usize>> = std::sync::OnceLock::new();
    let allowed = ALLOWED.get_or_init(allowed);
    // SAFETY: a `cpu_set_t` is plain bits, and the size is its own.
    let refused = unsafe {
        let mut set: libc::cpu_set_t = mem::zeroed();
        libc::CPU_SET(allowed[n % allowed.len()], &mut set);
        libc::sched_setaffinity(0, mem::size_of_val(&set), &set)
    };
    assert_eq!(refused, 0, "the kernel refuses to bind this thread to a core");
}

fn allowed() -> Vec<usize> {
    // SAFETY: as above; the kernel fills the set.
    unsafe {
        let mut set: libc::cpu_set_t = mem::zeroed();
        assert_eq!(libc::sched_getaffinity(0, mem::size_of_val(&set), &mut set), 0, "the mask can be read");
        (0..libc::CPU_SETSIZE as usize).filter(|&core| libc::CPU_ISSET(core, &set)).collect()
    }
}
