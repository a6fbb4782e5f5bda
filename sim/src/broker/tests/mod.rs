//! The rules of the broker, one by one; what a job hears of it; and that what ignores them comes to harm.

mod groups;
mod log;
mod network;
mod producers;
mod transactions;

use std::time::Duration;

use super::cluster::{Cluster, Served};
use super::requests::{
    Answer, Batch, End, ErrorCode, Fetched, Isolation, Message, Owner, Request, TopicPartition,
};
use crate::random::Streams;

const TIMEOUT: Duration = Duration::from_secs(10);

/// A broker with topics `rows` and, compacted, `markers`, whose markers take a while.
fn cluster() -> Cluster {
    let mut cluster = Cluster::new(Streams::new(1).stream("broker"));
    cluster.create("rows", 2, false);
    cluster.create("markers", 1, true);
    cluster
}

fn rows(partition: u32) -> TopicPartition {
    TopicPartition::new("rows", partition)
}

fn tell(cluster: &mut Cluster, request: Request) -> Result<Answer, ErrorCode> {
    match cluster.serve(&request) {
        Served::Now(answer) => answer,
        waiting => panic!("it is not answered: {waiting:?}"),
    }
}

/// Lets as many seconds pass.
fn pass(cluster: &mut Cluster, seconds: u64) {
    let now = cluster.now();
    cluster.advance(now + Duration::from_secs(seconds));
}

fn try_init(cluster: &mut Cluster, id: &str) -> Result<Owner, ErrorCode> {
    let init =
        Request::InitProducerId { transactional_id: Some(id.to_owned()), timeout: TIMEOUT, current: None };
    match tell(cluster, init)? {
        Answer::Producer(producer) => Ok(Owner { transactional_id: id.to_owned(), producer }),
        other => panic!("{other:?}"),
    }
}

fn init(cluster: &mut Cluster, id: &str) -> Owner {
    try_init(cluster, id).expect("nothing goes on")
}

fn add(cluster: &mut Cluster, owner: &Owner, partition: u32) -> Result<Answer, ErrorCode> {
    let partitions = vec![rows(partition)];
    tell(cluster, Request::AddPartitionsToTxn { owner: owner.clone(), partitions })
}

fn message(key: &str, value: Option<&str>) -> Message {
    Message { key: Some(key.as_bytes().to_vec()), value: value.map(|value| value.as_bytes().to_vec()) }
}

/// A batch of a transaction: so many records, from this sequence on.
fn batch(owner: &Owner, base_sequence: i32, count: usize) -> Batch {
    let value = |n: usize| format!("{}/{}", owner.producer.epoch, base_sequence as usize + n);
    let messages = (0..count).map(|n| message("key", Some(&value(n)))).collect();
    let transactional_id = Some(owner.transactional_id.clone());
    Batch { producer: Some(owner.producer), transactional_id, base_sequence, messages }
}

fn produce(cluster: &mut Cluster, owner: &Owner, partition: u32, sequence: i32) -> Result<Answer, ErrorCode> {
    tell(cluster, Request::Produce { to: rows(partition), batch: batch(owner, sequence, 1) })
}

fn end(cluster: &mut Cluster, owner: &Owner, commit: bool) -> Result<Answer, ErrorCode> {
    tell(cluster, Request::EndTxn { owner: owner.clone(), commit })
}

/// A transaction with a record in partition 0 that goes on.
fn open(cluster: &mut Cluster, id: &str) -> Owner {
    let owner = init(cluster, id);
    add(cluster, &owner, 0).expect("it owns the id");
    produce(cluster, &owner, 0, 0).expect("it owns the id");
    owner
}

fn fetch(cluster: &mut Cluster, offset: u64, isolation: Isolation) -> Result<Fetched, ErrorCode> {
    match tell(cluster, Request::Fetch { from: rows(0), offset, most: 100, isolation })? {
        Answer::Fetched(fetched) => Ok(fetched),
        other => panic!("{other:?}"),
    }
}

fn offset(cluster: &mut Cluster, end: End, isolation: Isolation) -> u64 {
    match tell(cluster, Request::ListOffsets { of: rows(0), end, isolation }) {
        Ok(Answer::Offset(offset)) => offset,
        other => panic!("{other:?}"),
    }
}

fn stable(cluster: &mut Cluster) -> u64 {
    offset(cluster, End::Latest, Isolation::Committed)
}
