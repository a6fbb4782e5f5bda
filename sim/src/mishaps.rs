//! What the code of users, sources and sinks does wrong, now and then: it panics, or it fails.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use millstream::{Error, ErrorKind, Result};

use crate::outside;
use crate::random::Random;

/// Strikes at drawn moments, wherever it is asked, as often as was drawn. Its clones strike together.
///
/// ```
/// use millstream_sim::mishaps::Mishaps;
/// use millstream_sim::random::Streams;
///
/// let mishaps = Mishaps::new(Streams::new(7).stream("mishaps"), 2, 10);
/// assert!((0..1_000).all(|_| !mishaps.strikes()), "nothing happens before it is armed");
/// mishaps.arm(true);
/// assert_eq!((0..1_000).filter(|_| mishaps.strikes()).count(), 2);
/// ```
#[derive(Clone, Debug)]
pub struct Mishaps(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    random: Random,
    left: u64,
    /// Whoever asks is struck once in about as many times.
    one_in: u64,
    armed: bool,
}

/// What every mishap says of itself.
pub const MISHAP: &str = "a mishap (injected)";

impl Mishaps {
    /// At most `most` of them, each in about `one_in` questions. They begin when they are [armed](Mishaps::arm).
    pub fn new(random: Random, most: u64, one_in: u64) -> Mishaps {
        Mishaps(Arc::new(Mutex::new(State { random, left: most, one_in, armed: false })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets them begin, or ends them.
    pub fn arm(&self, armed: bool) {
        self.state().armed = armed;
    }

    /// Whether one happens now.
    pub fn strikes(&self) -> bool {
        let mut state = self.state();
        let State { random, left, one_in, armed } = &mut *state;
        let strikes = *armed && *left > 0 && random.one_in(*one_in);
        *left -= u64::from(strikes);
        if strikes {
            outside::tell(|| format!("code of users: {MISHAP}"));
        }
        strikes
    }

    /// Panics if one happens now.
    ///
    /// # Panics
    /// That is what it is for.
    pub fn may_panic(&self) {
        // Not under the lock.
        assert!(!self.strikes(), "{MISHAP} of a function");
    }

    /// Fails if one happens now.
    ///
    /// # Errors
    /// That is what it is for.
    pub fn may_fail(&self, kind: ErrorKind, what: &str) -> Result<()> {
        match self.strikes() {
            true => Err(Error::new(kind, what.to_owned()).caused_by(MISHAP)),
            false => Ok(()),
        }
    }
}
