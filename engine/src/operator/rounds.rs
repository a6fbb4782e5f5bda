//! Rounds of reads: state that names more state takes several before its key can be worked on.
//!
//! What has come must still be there when the rest does. So while the first in line is waited for, fewer and fewer of
//! those behind it are asked for; in the end none. What then still does not come together, though more was brought back
//! than memory holds, never will.

use millstream_storage::store::Store;

use crate::error::{Error, ErrorKind, Result};

/// Rounds in which all are asked for: of most keys, that is as many as are needed.
const WIDE: u32 = 3;
/// Of the limit, what may be brought back for one key alone before it is given up.
const HOPELESS: u64 = 4;

/// The rounds since something could last be worked on.
#[derive(Debug, Default)]
pub(crate) struct Rounds {
    rounds: u32,
    /// What had been brought back when the first in line began to be asked for alone.
    alone_since: Option<u64>,
}

impl Rounds {
    /// How many of `n` are to be asked for.
    pub(crate) fn narrow(&self, n: usize) -> usize {
        let bits = 2 * self.rounds.saturating_sub(WIDE);
        n.checked_shr(bits).unwrap_or(0).max(1)
    }

    /// Whether those behind the next may be asked for.
    pub(crate) fn is_wide(&self) -> bool {
        self.rounds <= WIDE
    }

    /// Something was worked on.
    pub(crate) fn end(&mut self) {
        *self = Rounds::default();
    }

    /// The first of `asked` has to be waited for.
    ///
    /// # Errors
    /// If no waiting helps.
    pub(crate) fn wait(&mut self, store: &Store, asked: usize) -> Result<()> {
        self.rounds = self.rounds.saturating_add(1);
        if asked > 1 {
            return Ok(());
        }
        let (fetched, Some(budget)) = (store.fetched_bytes(), store.budget()) else { return Ok(()) };
        let since = *self.alone_since.get_or_insert(fetched);
        if fetched - since <= HOPELESS * budget {
            return Ok(());
        }
        let message = format!(
            "the lists, maps and timelines of one key do not fit into its {budget} bytes of memory together; allow more \
             memory, or divide the key"
        );
        Err(Error::new(ErrorKind::Config, message))
    }
}

#[cfg(test)]
mod tests {
    use super::Rounds;

    #[test]
    fn fewer_are_asked_for_the_longer_the_first_is_waited_for() {
        let of = |rounds| Rounds { rounds, alone_since: None }.narrow(256);
        assert_eq!([0, 1, 2, 3, 4, 5, 6, 7, 8, 100].map(of), [256, 256, 256, 256, 64, 16, 4, 1, 1, 1]);
        assert_eq!(Rounds::default().narrow(0), 1);
    }
}
