//! Steps on keyed streams that need no function with state to be written.

mod deduplicate;
mod distinct;
mod remembered;
mod rolling;
mod top;

use crate::key::Key;
use crate::state::Ttl;
use crate::stream::Keyed;
use crate::stream::chain::Chain;

pub use deduplicate::Keep;
pub use top::Ranked;

/// Lets a declared state expire, if it is to.
macro_rules! expiring {
    ($state:expr, $ttl:expr) => {{
        let state = $state;
        match $ttl {
            Some(ttl) => state.ttl(ttl),
            None => state,
        }
    }};
}
use expiring;

impl<K, T, C, F> Keyed<K, T, C, F>
where
    K: Key,
    T: Send + 'static,
    C: Chain<Out = T>,
    F: Fn(&T) -> K + Clone + Send + 'static,
{
    /// How long [`deduplicate`](Keyed::deduplicate), [`top`](Keyed::top), [`distinct`](Keyed::distinct),
    /// [`reduce`](Keyed::reduce) and [`aggregate`](Keyed::aggregate) remember a key: for ever, unless this is said before.
    /// A key that was forgotten is a new one. Other steps do not look at it.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// let job = Job::new("doc");
    /// let (sink, out) = collect();
    /// job.source("clicks", from_vec(vec!['a', 'b', 'a']))
    ///     .key_by(|visitor| *visitor)
    ///     .ttl(Ttl::after(hours(24)).on_create())
    ///     .distinct("once a day")
    ///     .sink("out", sink);
    /// job.run(Config::new().cores(1))?;
    /// assert_eq!(out.take(), ['a', 'b']);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn ttl(mut self, ttl: impl Into<Ttl>) -> Self {
        self.ttl = Some(ttl.into());
        self
    }
}
