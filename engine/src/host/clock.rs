//! The clock and the randomness of the real world.

use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Sleeps are cut to this, so that no deadline overflows: ten years.
pub(crate) const LONGEST_SLEEP: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// When this process first asked for the time.
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Time since some moment of this process, the same for all cores, whenever they are started: monotone.
pub(crate) fn monotonic() -> Duration {
    START.elapsed()
}

/// Milliseconds since the epoch; negative before it.
pub(crate) fn wall_millis() -> i64 {
    let millis = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => millis(since),
        Err(before) => -millis(before.duration()),
    }
}

/// Eight random bytes of the kernel.
pub(crate) fn random() -> u64 {
    let mut bytes = [0; size_of::<u64>()];
    loop {
        // A request this short is answered whole, or interrupted before the kernel's pool is ready.
        match rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty()) {
            Ok(drawn) if drawn == bytes.len() => return u64::from_ne_bytes(bytes),
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => panic!("the kernel gives no random numbers: {error}"),
        }
    }
}
