//! Consumer groups.

use std::collections::BTreeMap;

use super::super::requests::{Joined, Member};
use super::*;

const GROUP: &str = "readers";

fn join(cluster: &mut Cluster, member: &str) -> Served {
    let (session, rebalance) = (Duration::from_secs(10), Duration::from_secs(30));
    let (group, member) = (GROUP.to_owned(), member.to_owned());
    cluster.serve(&Request::JoinGroup { group, member, session, rebalance })
}

fn joined(served: Served) -> Joined {
    match served {
        Served::Now(Ok(Answer::Joined(joined))) => joined,
        other => panic!("{other:?}"),
    }
}

fn sync(cluster: &mut Cluster, member: &Member, assignments: &[(&str, u32)]) -> Served {
    let assignments = assignments.iter().map(|(id, part)| ((*id).to_owned(), vec![*part])).collect();
    cluster.serve(&Request::SyncGroup { group: GROUP.to_owned(), member: member.clone(), assignments })
}

fn beat(cluster: &mut Cluster, member: &Member) -> Result<Answer, ErrorCode> {
    tell(cluster, Request::Heartbeat { group: GROUP.to_owned(), member: member.clone() })
}

fn commit(cluster: &mut Cluster, member: Option<&Member>, offset: u64) -> Result<Answer, ErrorCode> {
    let (group, member) = (GROUP.to_owned(), member.cloned());
    tell(cluster, Request::OffsetCommit { group, member, offsets: BTreeMap::from([(rows(0), offset)]) })
}

/// A stable group of one.
fn alone(cluster: &mut Cluster) -> Member {
    let first = joined(join(cluster, ""));
    assert_eq!(first.leader, first.member.id);
    assert_eq!(
        sync(cluster, &first.member, &[(&first.member.id, 0)]),
        Served::Now(Ok(Answer::Assigned(vec![0])))
    );
    first.member
}

/// A stable group of two.
fn two(cluster: &mut Cluster) -> [Member; 2] {
    let first = alone(cluster);
    let waiting = join(cluster, "");
    assert!(matches!(waiting, Served::Join { .. }), "the first has to join again");
    assert_eq!(beat(cluster, &first), Err(ErrorCode::RebalanceInProgress));
    let again = joined(join(cluster, &first.id));
    let second = joined(cluster.look(waiting));
    assert_eq!((again.member.generation, second.member.generation), (2, 2));
    assert_eq!((again.members.len(), second.members.len()), (2, 0), "the leader is told who is there");
    let waiting = sync(cluster, &second.member, &[]);
    assert!(matches!(waiting, Served::Sync(_)), "the leader is waited for");
    assert_eq!(commit(cluster, Some(&again.member), 1), Err(ErrorCode::RebalanceInProgress));
    let parts = [(again.member.id.as_str(), 0), (second.member.id.as_str(), 1)];
    assert_eq!(sync(cluster, &again.member, &parts), Served::Now(Ok(Answer::Assigned(vec![0]))));
    assert_eq!(cluster.look(waiting), Served::Now(Ok(Answer::Assigned(vec![1]))));
    [again.member, second.member]
}

#[test]
fn a_member_that_joins_begins_a_rebalance() {
    let mut cluster = cluster();
    let [first, second] = two(&mut cluster);
    assert_eq!(beat(&mut cluster, &first), Ok(Answer::Done));
    assert_eq!(beat(&mut cluster, &second), Ok(Answer::Done));
    let again = joined(join(&mut cluster, &second.id));
    assert_eq!(again.member, second, "one that follows and joins again changes nothing");
}

#[test]
fn a_member_of_an_old_generation_commits_nothing() {
    let mut cluster = cluster();
    let old = alone(&mut cluster);
    assert_eq!(commit(&mut cluster, Some(&old), 3), Ok(Answer::Done));
    let waiting = join(&mut cluster, "");
    let new = joined(join(&mut cluster, &old.id)).member;
    joined(cluster.look(waiting));
    assert_eq!(commit(&mut cluster, Some(&old), 9), Err(ErrorCode::IllegalGeneration));
    assert_eq!(beat(&mut cluster, &old), Err(ErrorCode::IllegalGeneration));
    assert!(new.generation > old.generation);
    let ask = Request::OffsetFetch { group: GROUP.to_owned(), stable: true };
    assert_eq!(tell(&mut cluster, ask), Ok(Answer::Offsets(BTreeMap::from([(rows(0), 3)]))));
}

#[test]
fn who_is_not_heard_of_is_out() {
    let mut cluster = cluster();
    let [first, second] = two(&mut cluster);
    pass(&mut cluster, 6);
    assert_eq!(beat(&mut cluster, &first), Ok(Answer::Done));
    pass(&mut cluster, 6);
    assert_eq!(beat(&mut cluster, &second), Err(ErrorCode::UnknownMemberId));
    assert_eq!(commit(&mut cluster, Some(&second), 9), Err(ErrorCode::UnknownMemberId));
    assert_eq!(beat(&mut cluster, &first), Err(ErrorCode::RebalanceInProgress));
    let again = joined(join(&mut cluster, &first.id));
    assert_eq!((again.members.len(), again.member.generation), (1, 3));
    assert_eq!(join(&mut cluster, &second.id), Served::Now(Err(ErrorCode::UnknownMemberId)));
}

#[test]
fn a_rebalance_does_not_wait_for_ever() {
    let mut cluster = cluster();
    let first = alone(&mut cluster);
    let mut waiting = join(&mut cluster, "");
    for _ in 0..29 {
        pass(&mut cluster, 1);
        // It is alive, and does not join.
        drop(beat(&mut cluster, &first));
        waiting = cluster.look(waiting);
        assert!(matches!(waiting, Served::Join { .. }));
    }
    pass(&mut cluster, 2);
    let second = joined(cluster.look(waiting));
    assert_eq!((second.leader, second.members.len()), (second.member.id, 1));
    assert_eq!(beat(&mut cluster, &first), Err(ErrorCode::UnknownMemberId));
}

#[test]
fn a_member_that_leaves_begins_a_rebalance() {
    let mut cluster = cluster();
    let [first, second] = two(&mut cluster);
    let leave = Request::LeaveGroup { group: GROUP.to_owned(), member: first.id.clone() };
    assert_eq!(tell(&mut cluster, leave.clone()), Ok(Answer::Done));
    assert_eq!(tell(&mut cluster, leave), Err(ErrorCode::UnknownMemberId));
    assert_eq!(beat(&mut cluster, &second), Err(ErrorCode::RebalanceInProgress));
    let alone = joined(join(&mut cluster, &second.id));
    assert_eq!(alone.leader, second.id, "it leads now");
}

#[test]
fn who_is_no_member_commits_only_for_a_group_without_any() {
    let mut cluster = cluster();
    assert_eq!(commit(&mut cluster, None, 1), Ok(Answer::Done));
    let member = alone(&mut cluster);
    assert_eq!(commit(&mut cluster, None, 2), Err(ErrorCode::UnknownMemberId));
    let stranger = Member { id: "stranger".to_owned(), ..member };
    assert_eq!(commit(&mut cluster, Some(&stranger), 2), Err(ErrorCode::UnknownMemberId));
}

#[test]
fn a_transaction_commits_offsets_for_the_present_generation_only() {
    let mut cluster = cluster();
    let (old, owner) = (alone(&mut cluster), init(&mut cluster, "job"));
    tell(&mut cluster, Request::AddOffsetsToTxn { owner: owner.clone(), group: GROUP.to_owned() })
        .expect("it owns the id");
    let put = |cluster: &mut Cluster, member: &Member| {
        let (owner, group, member) = (owner.clone(), GROUP.to_owned(), Some(member.clone()));
        let offsets = BTreeMap::from([(rows(0), 5)]);
        tell(cluster, Request::TxnOffsetCommit { owner, group, member, offsets })
    };
    assert_eq!(put(&mut cluster, &old), Ok(Answer::Done));
    let waiting = join(&mut cluster, "");
    let new = joined(join(&mut cluster, &old.id)).member;
    joined(cluster.look(waiting));
    assert_eq!(put(&mut cluster, &old), Err(ErrorCode::IllegalGeneration));
    assert_eq!(put(&mut cluster, &new), Ok(Answer::Done));
}
