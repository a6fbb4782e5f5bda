//! The names of files: final ones sort by epoch, pending ones are hidden and never used twice.

/// What pending names begin with.
const PENDING: &str = ".pending-";

/// The name of the output of a shard in an epoch.
pub(super) fn final_name(epoch: u64, shard: usize) -> String {
    format!("{epoch:010}-{shard:03}.ndjson")
}

/// The name of the `seq`-th file of a shard in the run that began with `first_epoch`, before it is committed. The
/// epoch it will belong to is known only at the barrier.
pub(super) fn pending_name(first_epoch: u64, seq: u64, shard: usize) -> String {
    format!("{PENDING}{first_epoch:010}-{seq:010}-{shard:03}.ndjson")
}

/// Whether this is a pending name.
pub(super) fn is_pending(name: &str) -> bool {
    let inner = name.strip_prefix(PENDING).and_then(|rest| rest.strip_suffix(".ndjson"));
    inner.is_some_and(|rest| numbers(rest).is_some_and(|numbers| numbers.len() == 3))
}

/// The epoch in a final name; `None` if it is not one.
pub(super) fn epoch_of(name: &str) -> Option<u64> {
    let numbers = numbers(name.strip_suffix(".ndjson")?)?;
    (numbers.len() == 2).then_some(numbers[0])
}

/// Numbers with dashes between them.
fn numbers(text: &str) -> Option<Vec<u64>> {
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit()).then(|| part.parse().ok())?;
    text.split('-').map(digits).collect()
}
