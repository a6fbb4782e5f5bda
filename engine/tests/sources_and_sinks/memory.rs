//! Sources and sinks in memory, and the standard output.

use millstream::ErrorKind;
use millstream::sink::{Prepared, Sink, collect, discard, stdout_ndjson};
use millstream::source::{Polled, Source, from_vec, generator};
use serde_json::{Value as Json, json};

use crate::support::disk::MemDisk;
use crate::support::{Positions, TestHost, open, read};

/// Reads on several shards from restored positions, and returns the records and the new positions.
fn read_some<T>(
    source: impl Source<T>,
    shards: usize,
    polls: usize,
    restored: &Positions,
) -> (Vec<T>, Positions) {
    let (mut records, mut positions) = (Vec::new(), Positions::new());
    for k in 0..shards {
        let mut shard = open(&MemDisk::with(&[]), source.clone(), (k, shards), restored).expect("opens");
        for _ in 0..polls {
            shard.poll(3).expect("reads");
        }
        positions.append(&mut shard.reader.positions());
        records.append(&mut shard.out.records);
    }
    (records, positions)
}

#[test]
fn a_vector_is_replayed_in_order() {
    let disk = MemDisk::with(&[]);
    let (records, _) = read(&disk, from_vec((0..10).collect()), &Positions::new()).expect("reads");
    assert_eq!(records, Vec::from_iter(0..10));
}

#[test]
fn a_vector_and_a_generator_go_on_at_any_shard_count() {
    for (before, after) in [(1, 3), (3, 1), (2, 4), (4, 3)] {
        let source = generator(50, |index| index);
        let (mut records, positions) = read_some(source.clone(), before, 2, &Positions::new());
        records.append(&mut read_some(source, after, 100, &positions).0);
        records.sort_unstable();
        assert_eq!(records, Vec::from_iter(0..50), "{before} to {after}");

        let source = from_vec(Vec::from_iter(0..50u64)).splits(5);
        let (mut records, positions) = read_some(source.clone(), before, 2, &Positions::new());
        records.append(&mut read_some(source, after, 100, &positions).0);
        records.sort_unstable();
        assert_eq!(records, Vec::from_iter(0..50), "{before} to {after}");
    }
}

#[test]
fn a_vector_of_another_length_is_refused() {
    let (_, positions) = read_some(from_vec(vec![1, 2, 3]), 1, 1, &Positions::new());
    let opened = open(&MemDisk::with(&[]), from_vec(vec![1, 2]), (0, 1), &positions);
    let error = opened.err().expect("must be refused");
    assert_eq!(error.kind(), ErrorKind::Restore, "{error}");
}

#[test]
fn a_split_says_that_it_has_ended_once() {
    let mut shard = open(&MemDisk::with(&[]), from_vec(vec![1]), (0, 1), &Positions::new()).expect("opens");
    let polled: Vec<_> = (0..4).map(|_| shard.poll(10).expect("reads")).collect();
    assert_eq!(polled, [Polled::Split(0), Polled::SplitEnd(0), Polled::End, Polled::End]);
}

#[test]
fn collected_records_are_visible_when_committed() {
    let host = TestHost::new(&MemDisk::with(&[]));
    let (sink, collected) = collect();
    let mut writer = host.run(sink.open(host.sink_cx(None, 1))).expect("no crash").expect("opens");
    writer.write(&mut vec![1, 2], &[0, 0]).expect("writes");
    host.run(writer.pre_commit(1)).expect("no crash").expect("prepares");
    writer.write(&mut vec![3], &[0]).expect("writes");
    assert!(collected.snapshot().is_empty());
    host.run(writer.commit(1)).expect("no crash").expect("commits");
    assert_eq!((collected.snapshot(), collected.take(), collected.take()), (vec![1, 2], vec![1, 2], vec![]));
}

#[test]
fn collected_records_survive_a_restart_inside_the_process_exactly_once() {
    let host = TestHost::new(&MemDisk::with(&[]));
    let (sink, collected) = collect();
    let mut writer = host.run(sink.clone().open(host.sink_cx(None, 1))).expect("no crash").expect("opens");
    writer.write(&mut vec![1], &[0]).expect("writes");
    host.run(writer.pre_commit(1)).expect("no crash").expect("an aborted checkpoint prepares too");
    writer.write(&mut vec![2], &[0]).expect("writes");
    let pending = host.run(writer.pre_commit(2)).expect("no crash").expect("prepares");
    writer.write(&mut vec![3], &[0]).expect("writes");
    host.run(writer.pre_commit(3)).expect("no crash").expect("prepares");
    let prepared = vec![Prepared { shard: 0, epoch: 2, pending }];
    for _ in 0..2 {
        let recovered = sink.clone().recover(host.sink_cx(Some(2), 4), prepared.clone());
        host.run(recovered).expect("no crash").expect("recovers");
        assert_eq!(collected.snapshot(), [1, 2]);
    }

    let (elsewhere, _) = collect::<i32>();
    let recovered = elsewhere.recover(host.sink_cx(Some(2), 4), prepared);
    let error = host.run(recovered).expect("no crash").expect_err("lost with the process");
    assert!(error.to_string().contains("epoch 1"), "{error}");
}

#[test]
fn discarded_records_are_counted() {
    let host = TestHost::new(&MemDisk::with(&[]));
    let sink = discard();
    let mut writer =
        host.run(Sink::<u8>::open(sink.clone(), host.sink_cx(None, 1))).expect("no crash").expect("opens");
    let mut records = vec![1, 2, 3];
    writer.write(&mut records, &[0; 3]).expect("writes");
    assert_eq!((records.len(), sink.count()), (0, 3));
}

#[test]
fn a_checkpoint_keeps_the_lines_that_were_not_printed() {
    let host = TestHost::new(&MemDisk::with(&[]));
    let mut writer =
        host.run(Sink::<u8>::open(stdout_ndjson(), host.sink_cx(None, 1))).expect("no crash").expect("opens");
    let pre_commit = |writer: &mut Box<dyn millstream::sink::Writer<u8>>, epoch: u8| -> Json {
        writer.write(&mut vec![epoch], &[0]).expect("writes");
        host.run(writer.pre_commit(epoch.into())).expect("no crash").expect("prepares")
    };
    assert_eq!(pre_commit(&mut writer, 1), json!({ "lines": "1\n" }));
    assert_eq!(pre_commit(&mut writer, 2), json!({ "lines": "1\n2\n" }));
    host.run(writer.commit(1)).expect("no crash").expect("prints");
    assert_eq!(pre_commit(&mut writer, 3), json!({ "lines": "2\n3\n" }));
}
