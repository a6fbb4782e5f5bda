//! What readers of a partition see.

use super::super::requests::Kind;
use super::*;

/// The records that a reader of a topic gets.
fn values(cluster: &Cluster, topic: &str) -> Vec<String> {
    let all = cluster.committed(topic).into_iter().flatten();
    all.map(|message| String::from_utf8(message.value.unwrap_or_default()).expect("it is text")).collect()
}

#[test]
fn an_open_transaction_holds_back_what_others_have_committed_behind_it() {
    let mut cluster = cluster();
    let first = open(&mut cluster, "first");
    let second = open(&mut cluster, "second");
    end(&mut cluster, &second, true).expect("it goes on");
    pass(&mut cluster, 1);
    // Its record, the record and the end of the other.
    assert_eq!(offset(&mut cluster, End::Latest, Isolation::Uncommitted), 3);
    assert_eq!(stable(&mut cluster), 0);
    assert_eq!(fetch(&mut cluster, 0, Isolation::Committed).expect("it is there").records, []);
    assert_eq!(fetch(&mut cluster, 0, Isolation::Uncommitted).expect("it is there").records.len(), 3);
    assert!(values(&cluster, "rows").is_empty());
    end(&mut cluster, &first, true).expect("it goes on");
    pass(&mut cluster, 1);
    assert_eq!(stable(&mut cluster), 4);
    assert_eq!(values(&cluster, "rows"), ["0/0", "0/0"]);
}

#[test]
fn who_was_aborted_is_told_to_readers_of_what_is_committed() {
    let mut cluster = cluster();
    let owner = open(&mut cluster, "job");
    end(&mut cluster, &owner, false).expect("it goes on");
    pass(&mut cluster, 1);
    let fetched = fetch(&mut cluster, 0, Isolation::Committed).expect("it is there");
    assert_eq!(fetched.aborted, [(owner.producer.id, 0)]);
    assert_eq!(fetched.records[1].kind, Kind::Control { commit: false });
    assert!(super::super::client::visible(&fetched, Isolation::Committed).is_empty());
    assert_eq!(super::super::client::visible(&fetched, Isolation::Uncommitted).len(), 1);
    assert_eq!(fetch(&mut cluster, 0, Isolation::Uncommitted).expect("it is there").aborted, []);
    assert_eq!(fetch(&mut cluster, 2, Isolation::Committed).expect("it is there").aborted, []);
}

#[test]
fn a_reader_tells_two_transactions_of_one_producer_apart() {
    let mut cluster = cluster();
    let owner = init(&mut cluster, "job");
    for (sequence, commit) in [(0, false), (1, true), (2, false), (3, true)] {
        add(&mut cluster, &owner, 0).expect("it owns the id");
        produce(&mut cluster, &owner, 0, sequence).expect("it owns the id");
        end(&mut cluster, &owner, commit).expect("it goes on");
        pass(&mut cluster, 1);
    }
    let fetched = fetch(&mut cluster, 0, Isolation::Committed).expect("it is there");
    let seen = super::super::client::visible(&fetched, Isolation::Committed);
    assert_eq!(seen.iter().map(|(offset, _)| *offset).collect::<Vec<_>>(), [2, 6]);
    assert_eq!(values(&cluster, "rows"), ["0/1", "0/3"], "as who looks ahead finds it");
}

#[test]
fn a_fetch_ends_where_it_was_to_and_goes_on_there() {
    let mut cluster = cluster();
    let owner = open(&mut cluster, "job");
    (1..9).for_each(|sequence| drop(produce(&mut cluster, &owner, 0, sequence)));
    let (from, isolation) = (rows(0), Isolation::Uncommitted);
    let told = tell(&mut cluster, Request::Fetch { from, offset: 2, most: 3, isolation });
    let Ok(Answer::Fetched(fetched)) = told else { panic!("{told:?}") };
    assert_eq!((fetched.records[0].offset, fetched.records.len(), fetched.next), (2, 3, 5));
}

#[test]
fn what_retention_has_removed_is_out_of_range() {
    let mut cluster = cluster();
    let owner = open(&mut cluster, "job");
    (1..9).for_each(|sequence| drop(produce(&mut cluster, &owner, 0, sequence)));
    end(&mut cluster, &owner, true).expect("it goes on");
    pass(&mut cluster, 1);
    cluster.trim(&rows(0), 4);
    assert_eq!(offset(&mut cluster, End::Earliest, Isolation::Committed), 4);
    assert_eq!(fetch(&mut cluster, 3, Isolation::Committed), Err(ErrorCode::OffsetOutOfRange));
    assert_eq!(fetch(&mut cluster, 4, Isolation::Committed).expect("it is left").records[0].offset, 4);
    assert_eq!(fetch(&mut cluster, 10, Isolation::Committed).expect("it is the end").records, []);
    assert_eq!(fetch(&mut cluster, 11, Isolation::Committed), Err(ErrorCode::OffsetOutOfRange));
}

/// Puts a record under a key into the compacted topic, in a transaction.
fn put(cluster: &mut Cluster, key: &str, value: Option<&str>, commit: bool) {
    let owner = init(cluster, "job");
    let to = TopicPartition::new("markers", 0);
    let partitions = vec![to.clone()];
    tell(cluster, Request::AddPartitionsToTxn { owner: owner.clone(), partitions }).expect("it owns the id");
    let batch = Batch { messages: vec![message(key, value)], ..batch(&owner, 0, 0) };
    tell(cluster, Request::Produce { to, batch }).expect("it owns the id");
    end(cluster, &owner, commit).expect("it goes on");
    // Compaction comes about every four seconds.
    pass(cluster, 60);
}

#[test]
fn compaction_keeps_the_last_committed_record_of_each_key() {
    let mut cluster = cluster();
    put(&mut cluster, "a", Some("1"), true);
    put(&mut cluster, "b", Some("2"), true);
    put(&mut cluster, "a", Some("3"), true);
    put(&mut cluster, "b", Some("4"), false);
    assert_eq!(values(&cluster, "markers"), ["2", "3"]);
    let end = cluster.end(&TopicPartition::new("markers", 0));
    assert_eq!(end, Ok(8), "offsets stay what they are");
    put(&mut cluster, "b", None, true);
    assert_eq!(values(&cluster, "markers"), ["3"], "a removal goes in the second pass");
}

#[test]
fn compaction_does_not_go_beyond_what_is_stable() {
    let mut log = super::super::log::Log::default();
    let producer = super::super::requests::ProducerEpoch { id: 1, epoch: 0 };
    let of = |id: Option<&str>, producer, value| Batch {
        producer: Some(producer),
        transactional_id: id.map(str::to_owned),
        base_sequence: 0,
        messages: vec![message("a", Some(value))],
    };
    log.append(&of(None, super::super::requests::ProducerEpoch { id: 2, epoch: 0 }, "old"))
        .expect("it is new");
    log.append(&of(Some("job"), producer, "new")).expect("it is new");
    log.compact();
    assert_eq!(log.records().count(), 2, "the new one may be aborted");
    log.append_end(producer, true).expect("it goes on");
    log.compact();
    assert_eq!(log.records().map(|record| record.offset).collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn partitions_come_when_they_come() {
    let mut cluster = cluster();
    cluster.add_partition("rows", Default::default(), Duration::from_secs(3));
    let ask = Request::Metadata { topic: "rows".to_owned() };
    assert_eq!(tell(&mut cluster, ask.clone()), Ok(Answer::Partitions(2)));
    let of = rows(2);
    let list = Request::ListOffsets { of, end: End::Latest, isolation: Isolation::Committed };
    assert_eq!(tell(&mut cluster, list.clone()), Err(ErrorCode::UnknownTopicOrPartition));
    pass(&mut cluster, 3);
    assert_eq!(tell(&mut cluster, ask), Ok(Answer::Partitions(3)));
    assert_eq!(tell(&mut cluster, list), Ok(Answer::Offset(0)));
}
