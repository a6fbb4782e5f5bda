//! The coordinator of consumer groups, of the classic protocol: who is a member, of which generation, and from where a group
//! goes on.
//!
//! The rules are those of `ClassicGroup` and `OffsetMetadataManager`:
//! - a member that joins or leaves begins a rebalance: all others have to join again, and are told so by their heartbeats
//!   (`REBALANCE_IN_PROGRESS`). It ends when all have joined, or when the longest of their rebalance timeouts is over: who has
//!   not joined by then is out. The generation rises;
//! - the leader then says who gets what; before it does, the others wait for it. A leader that joins a stable group begins a
//!   rebalance, others are answered at once;
//! - who is not heard of for its session timeout is out (`UNKNOWN_MEMBER_ID`), who is of another generation is refused
//!   (`ILLEGAL_GENERATION`), in particular when it commits offsets;
//! - a group that has no members lets anybody commit offsets;
//! - offsets that are committed in a transaction wait for its end marker. Who asks for stable ones has to ask again until then
//!   (`UNSTABLE_OFFSET_COMMIT`).
//!
//! Left out: static members, protocols that members choose from, the delay of the first rebalance, ids that are given out
//! before a member joins, and the newer protocol (KIP-848). Offsets do not expire.

use std::collections::BTreeMap;
use std::time::Duration;

use super::requests::{ErrorCode, Joined, Member, TopicPartition};

/// Offsets to go on from.
pub(super) type Offsets = BTreeMap<TopicPartition, u64>;

/// How far a group is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    #[default]
    Empty,
    /// Members join until then.
    Preparing(Duration),
    /// The leader is waited for.
    Completing,
    Stable,
}

#[derive(Clone, Debug)]
struct Seat {
    session: Duration,
    rebalance: Duration,
    /// When it was heard of last.
    heard: Duration,
    /// Whether it has joined since the rebalance began.
    joined: bool,
    assigned: Vec<u32>,
}

#[derive(Clone, Debug, Default)]
struct Group {
    phase: Phase,
    generation: i32,
    leader: String,
    members: BTreeMap<String, Seat>,
    offsets: Offsets,
    /// By the producer whose transaction goes on.
    pending: BTreeMap<i64, Offsets>,
}

/// All groups.
#[derive(Clone, Debug, Default)]
pub(super) struct Groups {
    groups: BTreeMap<String, Group>,
    next_member: u64,
}

impl Groups {
    /// Lets a member join, and returns its id. Whether it has to wait is said by [`joined`](Groups::joined).
    pub(super) fn join(
        &mut self,
        name: &str,
        member: &str,
        (session, rebalance): (Duration, Duration),
        now: Duration,
    ) -> Result<String, ErrorCode> {
        let group = self.groups.entry(name.to_owned()).or_default();
        let is_new = member.is_empty();
        if !is_new && !group.members.contains_key(member) {
            return Err(ErrorCode::UnknownMemberId);
        }
        let id = if is_new {
            self.next_member += 1;
            format!("member-{:06}", self.next_member)
        } else {
            member.to_owned()
        };
        let seat = Seat { session, rebalance, heard: now, joined: false, assigned: Vec::new() };
        let seat = group.members.entry(id.clone()).or_insert(seat);
        seat.heard = now;
        let begins = match group.phase {
            Phase::Preparing(_) => false,
            Phase::Stable => is_new || group.leader == id,
            Phase::Empty | Phase::Completing => is_new,
        };
        if begins {
            group.prepare(now);
        }
        group.members.get_mut(&id).expect("it was put there").joined = true;
        group.advance(now);
        Ok(id)
    }

    /// What joining has led to, if the rebalance is over.
    pub(super) fn joined(&self, name: &str, member: &str) -> Option<Result<Joined, ErrorCode>> {
        let group = &self.groups[name];
        if !group.members.contains_key(member) {
            return Some(Err(ErrorCode::UnknownMemberId));
        }
        if let Phase::Preparing(_) = group.phase {
            return None;
        }
        let is_leader = group.leader == member;
        let members = if is_leader { group.members.keys().cloned().collect() } else { Vec::new() };
        let member = Member { id: member.to_owned(), generation: group.generation };
        Some(Ok(Joined { member, leader: group.leader.clone(), members }))
    }

    /// The group of a member of its generation.
    fn of(&mut self, name: &str, member: &Member) -> Result<&mut Group, ErrorCode> {
        let group = self.groups.get_mut(name).ok_or(ErrorCode::UnknownMemberId)?;
        if !group.members.contains_key(&member.id) {
            return Err(ErrorCode::UnknownMemberId);
        }
        if group.generation != member.generation {
            return Err(ErrorCode::IllegalGeneration);
        }
        Ok(group)
    }

    /// What a member is to read; nothing yet, while the leader is waited for.
    pub(super) fn sync(
        &mut self,
        name: &str,
        member: &Member,
        assignments: &BTreeMap<String, Vec<u32>>,
        now: Duration,
    ) -> Option<Result<Vec<u32>, ErrorCode>> {
        let group = match self.of(name, member) {
            Ok(group) => group,
            Err(code) => return Some(Err(code)),
        };
        if let Phase::Preparing(_) = group.phase {
            return Some(Err(ErrorCode::RebalanceInProgress));
        }
        group.members.get_mut(&member.id).expect("it is a member").heard = now;
        if group.phase == Phase::Completing {
            if group.leader != member.id {
                return None;
            }
            for (id, seat) in &mut group.members {
                seat.assigned = assignments.get(id).cloned().unwrap_or_default();
                seat.heard = now;
            }
            group.phase = Phase::Stable;
        }
        Some(Ok(group.members[&member.id].assigned.clone()))
    }

    pub(super) fn heartbeat(&mut self, name: &str, member: &Member, now: Duration) -> Result<(), ErrorCode> {
        let group = self.of(name, member)?;
        group.members.get_mut(&member.id).expect("it is a member").heard = now;
        match group.phase {
            Phase::Preparing(_) => Err(ErrorCode::RebalanceInProgress),
            _ => Ok(()),
        }
    }

    pub(super) fn leave(&mut self, name: &str, member: &str, now: Duration) -> Result<(), ErrorCode> {
        let group = self.groups.get_mut(name).ok_or(ErrorCode::UnknownMemberId)?;
        if !group.members.contains_key(member) {
            return Err(ErrorCode::UnknownMemberId);
        }
        group.remove(member, now);
        Ok(())
    }

    /// Commits offsets: at once, or with the transaction of a producer.
    pub(super) fn commit(
        &mut self,
        name: &str,
        member: Option<&Member>,
        offsets: &Offsets,
        transaction: Option<i64>,
    ) -> Result<(), ErrorCode> {
        if member.is_some() && !self.groups.contains_key(name) {
            return Err(ErrorCode::IllegalGeneration);
        }
        let group = match member {
            Some(member) => self.of(name, member)?,
            None => self.groups.entry(name.to_owned()).or_default(),
        };
        match (transaction, group.phase) {
            (Some(producer), _) => group.pending.entry(producer).or_default().extend(offsets.clone()),
            (None, Phase::Completing) => return Err(ErrorCode::RebalanceInProgress),
            (None, phase) if member.is_none() && phase != Phase::Empty => {
                return Err(ErrorCode::UnknownMemberId);
            }
            (None, _) => group.offsets.extend(offsets.clone()),
        }
        Ok(())
    }

    /// The transaction of a producer has ended.
    pub(super) fn end(&mut self, producer: i64, commit: bool) {
        for group in self.groups.values_mut() {
            let offsets = group.pending.remove(&producer).filter(|_| commit);
            group.offsets.extend(offsets.unwrap_or_default());
        }
    }

    pub(super) fn offsets(&self, name: &str, stable: bool) -> Result<Offsets, ErrorCode> {
        match self.groups.get(name) {
            Some(group) if stable && !group.pending.is_empty() => Err(ErrorCode::UnstableOffsetCommit),
            group => Ok(group.map(|group| group.offsets.clone()).unwrap_or_default()),
        }
    }

    /// Removes who is not heard of, and ends rebalances that take too long.
    pub(super) fn tick(&mut self, now: Duration) {
        for group in self.groups.values_mut() {
            let preparing = matches!(group.phase, Phase::Preparing(_));
            // Who has joined waits for an answer, and need not say that it is alive.
            let is_gone = |seat: &Seat| !(preparing && seat.joined) && now >= seat.heard + seat.session;
            let gone: Vec<String> =
                group.members.iter().filter(|(_, seat)| is_gone(seat)).map(|(id, _)| id.clone()).collect();
            gone.iter().for_each(|id| group.remove(id, now));
            group.advance(now);
        }
    }
}

impl Group {
    /// Begins a rebalance.
    fn prepare(&mut self, now: Duration) {
        let longest = self.members.values().map(|seat| seat.rebalance).max().unwrap_or_default();
        self.members.values_mut().for_each(|seat| seat.joined = false);
        self.phase = Phase::Preparing(now + longest);
    }

    /// Ends the rebalance if it is over.
    fn advance(&mut self, now: Duration) {
        let Phase::Preparing(deadline) = self.phase else { return };
        if now < deadline && self.members.values().any(|seat| !seat.joined) {
            return;
        }
        self.members.retain(|_, seat| seat.joined);
        self.generation += 1;
        for seat in self.members.values_mut() {
            seat.heard = now;
            seat.assigned.clear();
        }
        let Some(first) = self.members.keys().next() else {
            self.phase = Phase::Empty;
            return;
        };
        if !self.members.contains_key(&self.leader) {
            self.leader = first.clone();
        }
        self.phase = Phase::Completing;
    }

    fn remove(&mut self, member: &str, now: Duration) {
        self.members.remove(member);
        match self.phase {
            Phase::Preparing(_) | Phase::Empty => {}
            Phase::Completing | Phase::Stable => self.prepare(now),
        }
        self.advance(now);
    }
}
