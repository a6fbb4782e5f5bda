//! The markers: which epoch of which shard is committed, and whose turn it is.

use std::collections::BTreeMap;

use millstream_storage::planted;
use serde::{Deserialize, Serialize};

use super::super::requests::{Answer, End, Fetched, Isolation, Message, Refusal, Request, TopicPartition};
use super::{Asker, nonsense, visible};

/// How many records are fetched at once.
const AT_ONCE: usize = 16;

/// What is known of a shard of a sink.
///
/// ```
/// use millstream_sim::broker::client::Marker;
/// let marker = Marker { sink: "rows".to_owned(), shard: 2, generation: 7, epoch: 40 };
/// assert!(marker.epoch >= 39, "what the shard put out in epoch 39 is committed");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Marker {
    /// The sink.
    pub sink: String,
    /// The shard.
    pub shard: u32,
    /// Which run of the job may commit: the last that took the sink over.
    pub generation: u64,
    /// The last epoch that is committed.
    pub epoch: u64,
}

impl Marker {
    pub(super) fn message(&self) -> Message {
        let key = format!("{}/{}", self.sink, self.shard);
        let value = serde_json::to_vec(self).expect("a marker is plain data");
        Message { key: Some(key.into_bytes()), value: Some(value) }
    }
}

/// The topic of the markers has one partition.
pub(super) fn partition(topic: &str) -> TopicPartition {
    TopicPartition::new(topic, 0)
}

/// The markers of a sink, by shard: if they are to be `complete`, all that were committed before this was asked; otherwise
/// those that are seen at once.
pub(super) async fn read(
    asker: &Asker,
    topic: &str,
    sink: &str,
    complete: bool,
) -> Result<BTreeMap<u32, Marker>, Refusal> {
    let isolation = match planted!(broker_marker_read_uncommitted) {
        true => Isolation::Uncommitted,
        false => Isolation::Committed,
    };
    // Not the stable end: what was committed may lie behind a transaction of another that goes on.
    let end = offset(asker, topic, End::Latest).await?;
    let mut at = offset(asker, topic, End::Earliest).await?;
    let mut markers = BTreeMap::new();
    while at < end {
        let fetched = fetch(asker, topic, at, isolation).await?;
        for (_, message) in visible(&fetched, isolation) {
            let marker = message.value.as_deref().map(serde_json::from_slice::<Marker>);
            if let Some(Ok(marker)) = marker
                && marker.sink == sink
            {
                markers.insert(marker.shard, marker);
            }
        }
        if fetched.next == at {
            if !complete || planted!(broker_stable_offset_ignored) {
                break;
            }
            if asker.is_late() {
                let why = format!("the last stable offset {at} of {topic} does not come to {end}");
                return Err(Refusal::Lost(why));
            }
            asker.pause().await;
        }
        at = fetched.next;
    }
    Ok(markers)
}

async fn fetch(asker: &Asker, topic: &str, offset: u64, isolation: Isolation) -> Result<Fetched, Refusal> {
    let fetch = Request::Fetch { from: partition(topic), offset, most: AT_ONCE, isolation };
    match asker.ask(fetch).await? {
        Answer::Fetched(fetched) => Ok(fetched),
        _ => Err(nonsense()),
    }
}

async fn offset(asker: &Asker, topic: &str, end: End) -> Result<u64, Refusal> {
    let of = partition(topic);
    match asker.ask(Request::ListOffsets { of, end, isolation: Isolation::Uncommitted }).await? {
        Answer::Offset(offset) => Ok(offset),
        _ => Err(nonsense()),
    }
}
