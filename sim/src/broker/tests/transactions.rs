//! Transactional ids, and the states of their transactions.

use std::collections::BTreeMap;

use super::super::coordinator::{EXPIRY, State};
use super::super::requests::ProducerEpoch;
use super::*;

fn state(cluster: &Cluster) -> Option<State> {
    cluster.state("job")
}

#[test]
fn a_transaction_goes_through_its_states() {
    let mut cluster = cluster();
    assert_eq!(state(&cluster), None);
    let owner = init(&mut cluster, "job");
    assert_eq!(state(&cluster), Some(State::Empty));
    add(&mut cluster, &owner, 0).expect("it owns the id");
    assert_eq!(state(&cluster), Some(State::Ongoing));
    produce(&mut cluster, &owner, 0, 0).expect("it owns the id");
    end(&mut cluster, &owner, true).expect("it goes on");
    assert_eq!(state(&cluster), Some(State::PrepareCommit));
    assert_eq!(stable(&mut cluster), 0, "the marker is still to come");
    assert_eq!(end(&mut cluster, &owner, true), Err(ErrorCode::ConcurrentTransactions));
    assert_eq!(end(&mut cluster, &owner, false), Err(ErrorCode::InvalidTxnState));
    assert_eq!(add(&mut cluster, &owner, 1), Err(ErrorCode::ConcurrentTransactions));
    assert_eq!(try_init(&mut cluster, "job"), Err(ErrorCode::ConcurrentTransactions));
    pass(&mut cluster, 1);
    assert_eq!(state(&cluster), Some(State::CompleteCommit));
    assert_eq!(stable(&mut cluster), 2);
    assert_eq!(end(&mut cluster, &owner, true), Ok(Answer::Done), "repeated");
    assert_eq!(end(&mut cluster, &owner, false), Err(ErrorCode::InvalidTxnState));
    add(&mut cluster, &owner, 0).expect("it owns the id");
    end(&mut cluster, &owner, false).expect("it goes on");
    assert_eq!(state(&cluster), Some(State::PrepareAbort));
    pass(&mut cluster, 1);
    assert_eq!(state(&cluster), Some(State::CompleteAbort));
    assert_eq!(end(&mut cluster, &owner, false), Ok(Answer::Done), "repeated");
}

#[test]
fn markers_are_written_one_by_one() {
    let mut cluster = cluster();
    let owner = open(&mut cluster, "job");
    add(&mut cluster, &owner, 1).expect("it owns the id");
    produce(&mut cluster, &owner, 1, 0).expect("it owns the id");
    end(&mut cluster, &owner, true).expect("it goes on");
    let mut halves = 0;
    while state(&cluster) == Some(State::PrepareCommit) {
        let ends = [cluster.end(&rows(0)), cluster.end(&rows(1))];
        halves += usize::from(ends.contains(&Ok(2)) && ends.contains(&Ok(1)));
        let now = cluster.now();
        cluster.advance(now + Duration::from_micros(100));
    }
    assert!(halves > 0, "at some time one is written and the other is not");
    assert_eq!([cluster.end(&rows(0)), cluster.end(&rows(1))], [Ok(2), Ok(2)]);
}

#[test]
fn a_new_instance_aborts_what_the_one_before_has_left() {
    let mut cluster = cluster();
    let old = open(&mut cluster, "job");
    assert_eq!(try_init(&mut cluster, "job"), Err(ErrorCode::ConcurrentTransactions));
    assert_eq!(state(&cluster), Some(State::PrepareAbort));
    pass(&mut cluster, 1);
    let new = init(&mut cluster, "job");
    assert_eq!((new.producer.id, new.producer.epoch), (old.producer.id, old.producer.epoch + 2));
    assert_eq!(fetch(&mut cluster, 0, Isolation::Committed).expect("it is there").aborted.len(), 1);
    // What the old one has sent and what comes now.
    assert_eq!(end(&mut cluster, &old, true), Err(ErrorCode::ProducerFenced));
    assert_eq!(add(&mut cluster, &old, 0), Err(ErrorCode::ProducerFenced));
    assert_eq!(produce(&mut cluster, &old, 0, 1), Err(ErrorCode::ProducerFenced));
    cluster.verifies = false;
    assert_eq!(produce(&mut cluster, &old, 0, 1), Err(ErrorCode::InvalidProducerEpoch));
}

#[test]
fn a_new_instance_waits_for_a_commit_that_is_decided() {
    let mut cluster = cluster();
    let old = open(&mut cluster, "job");
    end(&mut cluster, &old, true).expect("it goes on");
    assert_eq!(try_init(&mut cluster, "job"), Err(ErrorCode::ConcurrentTransactions));
    pass(&mut cluster, 1);
    let new = init(&mut cluster, "job");
    assert_eq!(new.producer.epoch, old.producer.epoch + 1);
    assert_eq!(cluster.committed("rows")[0].len(), 1);
}

#[test]
fn a_late_end_of_an_old_instance_ends_nothing() {
    let mut cluster = cluster();
    let old = open(&mut cluster, "job");
    cluster.delay(Request::EndTxn { owner: old, commit: true }, Duration::from_secs(5));
    drop(try_init(&mut cluster, "job"));
    pass(&mut cluster, 1);
    let new = open(&mut cluster, "job");
    pass(&mut cluster, 6);
    assert_eq!(state(&cluster), Some(State::Ongoing));
    end(&mut cluster, &new, true).expect("it goes on");
    pass(&mut cluster, 1);
    assert_eq!(cluster.committed("rows")[0].len(), 1, "the old one's record is aborted");
}

/// Why each instance has one transaction only.
#[test]
fn a_late_end_of_the_same_instance_ends_its_next_transaction() {
    let mut cluster = cluster();
    let owner = open(&mut cluster, "job");
    let commit = Request::EndTxn { owner: owner.clone(), commit: true };
    cluster.delay(commit, Duration::from_secs(5));
    end(&mut cluster, &owner, true).expect("it goes on");
    pass(&mut cluster, 1);
    add(&mut cluster, &owner, 0).expect("it owns the id");
    produce(&mut cluster, &owner, 0, 1).expect("it owns the id");
    pass(&mut cluster, 6);
    assert_eq!(state(&cluster), Some(State::CompleteCommit));
}

#[test]
fn a_transaction_that_takes_too_long_is_aborted_and_its_owner_fenced() {
    let mut cluster = cluster();
    let owner = open(&mut cluster, "job");
    pass(&mut cluster, 9);
    assert_eq!(state(&cluster), Some(State::Ongoing));
    pass(&mut cluster, 3);
    assert_eq!(state(&cluster), Some(State::CompleteAbort));
    assert_eq!(end(&mut cluster, &owner, true), Err(ErrorCode::ProducerFenced));
    assert_eq!(stable(&mut cluster), 2);
    assert!(cluster.committed("rows")[0].is_empty());
    let next = init(&mut cluster, "job");
    assert_eq!(next.producer.epoch, owner.producer.epoch + 2);
}

#[test]
fn what_was_decided_is_not_aborted_for_taking_long() {
    let mut cluster = cluster();
    let owner = open(&mut cluster, "job");
    pass(&mut cluster, 9);
    cluster.markers = Duration::from_secs(100);
    end(&mut cluster, &owner, true).expect("it goes on");
    pass(&mut cluster, 120);
    assert_eq!(state(&cluster), Some(State::CompleteCommit));
    assert_eq!(cluster.committed("rows")[0].len(), 1);
}

#[test]
fn nobody_produces_to_a_partition_that_was_not_announced() {
    let mut cluster = cluster();
    let owner = open(&mut cluster, "job");
    assert_eq!(produce(&mut cluster, &owner, 1, 0), Err(ErrorCode::TransactionAbortable));
}

/// What brokers before 3.6 let happen.
#[test]
fn without_verification_a_late_batch_leaves_a_transaction_that_hangs() {
    for verifies in [true, false] {
        let mut cluster = cluster();
        cluster.verifies = verifies;
        let owner = open(&mut cluster, "job");
        let late = Request::Produce { to: rows(0), batch: batch(&owner, 1, 1) };
        cluster.delay(late, Duration::from_secs(5));
        end(&mut cluster, &owner, false).expect("it goes on");
        pass(&mut cluster, 3600);
        assert_eq!(stable(&mut cluster) < cluster.end(&rows(0)).expect("it is there"), !verifies);
    }
}

#[test]
fn only_its_last_instance_may_go_on_with_an_id() {
    let mut cluster = cluster();
    let first = init(&mut cluster, "job");
    let go_on = |cluster: &mut Cluster, current| {
        let transactional_id = Some("job".to_owned());
        let init = Request::InitProducerId { transactional_id, timeout: TIMEOUT, current: Some(current) };
        tell(cluster, init)
    };
    let second = ProducerEpoch { epoch: first.producer.epoch + 1, ..first.producer };
    assert_eq!(go_on(&mut cluster, first.producer), Ok(Answer::Producer(second)));
    assert_eq!(go_on(&mut cluster, first.producer), Ok(Answer::Producer(second)), "asked again");
    let third = init(&mut cluster, "job");
    assert_eq!(third.producer.epoch, second.epoch + 1);
    assert_eq!(go_on(&mut cluster, second), Err(ErrorCode::ProducerFenced));
    let other = ProducerEpoch { id: second.id + 1, epoch: 0 };
    assert_eq!(go_on(&mut cluster, other), Err(ErrorCode::ProducerFenced));
}

#[test]
fn a_producer_whose_epochs_are_used_up_gets_another_id() {
    let mut cluster = cluster();
    let mut owner = init(&mut cluster, "job");
    let id = owner.producer.id;
    while owner.producer.epoch < i16::MAX - 1 {
        assert_eq!(owner.producer.id, id);
        owner = init(&mut cluster, "job");
    }
    let next = init(&mut cluster, "job");
    assert_ne!(next.producer.id, id);
    assert_eq!(next.producer.epoch, 0);
    assert_eq!(add(&mut cluster, &owner, 0), Err(ErrorCode::InvalidProducerIdMapping));
}

#[test]
fn an_id_that_is_not_used_is_forgotten() {
    let mut cluster = cluster();
    let owner = init(&mut cluster, "job");
    pass(&mut cluster, EXPIRY.as_secs() + 1);
    assert_eq!(state(&cluster), None);
    assert_eq!(add(&mut cluster, &owner, 0), Err(ErrorCode::InvalidProducerIdMapping));
    assert_ne!(init(&mut cluster, "job").producer.id, owner.producer.id);
}

#[test]
fn a_timeout_beyond_the_brokers_own_is_refused() {
    let mut cluster = cluster();
    let timeout = Duration::from_secs(901);
    let transactional_id = Some("job".to_owned());
    let told = tell(&mut cluster, Request::InitProducerId { transactional_id, timeout, current: None });
    assert_eq!(told, Err(ErrorCode::InvalidTransactionTimeout));
}

#[test]
fn nothing_ends_where_nothing_goes_on() {
    let mut cluster = cluster();
    let owner = init(&mut cluster, "job");
    assert_eq!(end(&mut cluster, &owner, true), Err(ErrorCode::InvalidTxnState));
    let stranger = Owner { transactional_id: "other".to_owned(), ..owner };
    assert_eq!(end(&mut cluster, &stranger, true), Err(ErrorCode::InvalidProducerIdMapping));
}

#[test]
fn offsets_of_a_group_are_committed_with_the_transaction() {
    for commit in [true, false] {
        let mut cluster = cluster();
        let (owner, group) = (init(&mut cluster, "job"), "readers".to_owned());
        let offsets = BTreeMap::from([(rows(0), 7)]);
        let put = Request::TxnOffsetCommit {
            owner: owner.clone(),
            group: group.clone(),
            member: None,
            offsets: offsets.clone(),
        };
        assert_eq!(tell(&mut cluster, put.clone()), Err(ErrorCode::TransactionAbortable), "not announced");
        let announce = Request::AddOffsetsToTxn { owner: owner.clone(), group: group.clone() };
        assert_eq!(tell(&mut cluster, announce), Ok(Answer::Done));
        assert_eq!(tell(&mut cluster, put), Ok(Answer::Done));
        let ask = |stable| Request::OffsetFetch { group: group.clone(), stable };
        assert_eq!(tell(&mut cluster, ask(false)), Ok(Answer::Offsets(BTreeMap::new())));
        assert_eq!(tell(&mut cluster, ask(true)), Err(ErrorCode::UnstableOffsetCommit));
        end(&mut cluster, &owner, commit).expect("it goes on");
        pass(&mut cluster, 1);
        let expected = if commit { offsets } else { BTreeMap::new() };
        assert_eq!(tell(&mut cluster, ask(true)), Ok(Answer::Offsets(expected)));
    }
}
