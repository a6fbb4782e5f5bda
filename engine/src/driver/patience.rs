//! Reads of state that the machine has no room for at the moment: the records that need it wait, and the job goes on.

use std::time::Duration;

use millstream_storage::disk::lacks_room;
use millstream_storage::error::StoreError;
use millstream_storage::planted;
use millstream_storage::read::{Fetched, Read, Reader};

use crate::host::Host;
use crate::stage::WITHOUT_ROOM;

const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Reads, again and again if there are no descriptors left.
///
/// # Errors
/// If that fails for another reason, or for too long.
pub(super) async fn read(host: &dyn Host, reader: &Reader, read: &Read) -> Result<Fetched, StoreError> {
    let (until, mut pause) = (host.monotonic().saturating_add(WITHOUT_ROOM), FIRST_PAUSE);
    loop {
        match reader.perform(read).await {
            Err(StoreError::Io { source, .. })
                if lacks_room(&source) && host.monotonic() < until && !planted!(read_not_repeated) =>
            {
                host.sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
            read => return read,
        }
    }
}
