//! Sequences and epochs.

use super::*;

#[test]
fn a_batch_that_comes_again_has_the_offset_that_it_has() {
    let mut cluster = cluster();
    let owner = open(&mut cluster, "job");
    for sequence in 1..=5 {
        assert_eq!(produce(&mut cluster, &owner, 0, sequence), Ok(Answer::Appended(sequence as u64)));
    }
    for sequence in 1..=5 {
        assert_eq!(produce(&mut cluster, &owner, 0, sequence), Ok(Answer::Appended(sequence as u64)));
    }
    assert_eq!(cluster.end(&rows(0)), Ok(6));
}

#[test]
fn only_five_batches_are_remembered() {
    let mut cluster = cluster();
    let owner = open(&mut cluster, "job");
    (1..=5).for_each(|sequence| drop(produce(&mut cluster, &owner, 0, sequence)));
    assert_eq!(produce(&mut cluster, &owner, 0, 0), Err(ErrorCode::OutOfOrderSequenceNumber));
}

#[test]
fn a_gap_in_the_sequence_is_refused() {
    let mut cluster = cluster();
    let owner = open(&mut cluster, "job");
    assert_eq!(produce(&mut cluster, &owner, 0, 2), Err(ErrorCode::OutOfOrderSequenceNumber));
    assert_eq!(produce(&mut cluster, &owner, 0, 1), Ok(Answer::Appended(1)));
}

#[test]
fn a_new_epoch_begins_at_zero_and_ends_the_one_before() {
    let mut cluster = cluster();
    let old = open(&mut cluster, "job");
    end(&mut cluster, &old, true).expect("it goes on");
    pass(&mut cluster, 1);
    let new = init(&mut cluster, "job");
    add(&mut cluster, &new, 0).expect("it owns the id");
    assert_eq!(produce(&mut cluster, &new, 0, 1), Err(ErrorCode::OutOfOrderSequenceNumber));
    assert!(produce(&mut cluster, &new, 0, 0).is_ok());
    assert_eq!(produce(&mut cluster, &old, 0, 1), Err(ErrorCode::InvalidProducerEpoch));
}

#[test]
fn sequences_go_on_from_zero_after_the_greatest() {
    let mut log = super::super::log::Log::default();
    let producer = Some(super::super::requests::ProducerEpoch { id: 1, epoch: 0 });
    let of = |base_sequence, count| {
        let messages = vec![message("key", None); count];
        Batch { producer, transactional_id: None, base_sequence, messages }
    };
    // A producer that is not known may begin anywhere.
    assert_eq!(log.append(&of(i32::MAX - 1, 3)), Ok(0));
    assert_eq!(log.append(&of(1, 1)), Ok(3));
    assert_eq!(log.append(&of(i32::MAX - 1, 3)), Ok(0), "it is there");
    assert_eq!(log.append(&of(1, 2)), Err(ErrorCode::OutOfOrderSequenceNumber));
}

#[test]
fn nothing_is_appended_beside_the_transaction_of_its_producer() {
    let mut cluster = cluster();
    let owner = open(&mut cluster, "job");
    let beside = Batch { transactional_id: None, ..batch(&owner, 1, 1) };
    let told = tell(&mut cluster, Request::Produce { to: rows(0), batch: beside });
    assert_eq!(told, Err(ErrorCode::InvalidTxnState));
}
