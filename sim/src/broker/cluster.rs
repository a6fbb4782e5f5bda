//! The broker itself: topics, coordinators, and what happens by its own clock.
//!
//! It has no thread: whenever somebody asks it for something, all that was due by then happens first, in its order: requests
//! that come late, end markers, timeouts, partitions that are added.

use std::collections::BTreeMap;
use std::time::Duration;

use super::coordinator::{Coordinator, Ending, State};
use super::groups::Groups;
use super::log::Log;
use super::requests::{
    Answer, Batch, End, ErrorCode, Isolation, Kind, Message, Owner, ProducerEpoch, Record, Request,
    TopicPartition,
};
use crate::random::Random;

/// How often timeouts are looked for.
const TICK: Duration = Duration::from_millis(500);
/// The topic of committed offsets: one partition of it gets the markers.
const OFFSETS: &str = "__consumer_offsets";

/// What happens later.
#[derive(Clone, Debug)]
enum Event {
    Tick,
    /// A request comes that nobody waits for any more.
    Late(Request),
    /// A marker is written.
    Marker {
        of: Ending,
        partition: TopicPartition,
    },
    /// A partition is added, with what is in it.
    Add {
        topic: String,
        log: Box<Log>,
    },
}

/// What comes of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Served {
    Now(Result<Answer, ErrorCode>),
    /// A member waits for the others.
    Join {
        group: String,
        member: String,
    },
    /// A member waits for the leader.
    Sync(Request),
}

#[derive(Clone, Debug, Default)]
struct Topic {
    partitions: Vec<Log>,
    compacted: bool,
}

pub(super) struct Cluster {
    random: Random,
    now: Duration,
    topics: BTreeMap<String, Topic>,
    coordinator: Coordinator,
    groups: Groups,
    events: BTreeMap<(Duration, u64), Event>,
    scheduled: u64,
    /// The longest that one marker takes after the other.
    pub(super) markers: Duration,
    /// Whether what is produced in a transaction must have been announced (`transaction.partition.verification.enable`).
    pub(super) verifies: bool,
}

impl Cluster {
    pub(super) fn new(random: Random) -> Cluster {
        let mut cluster = Cluster {
            random,
            now: Duration::ZERO,
            topics: BTreeMap::new(),
            coordinator: Coordinator::default(),
            groups: Groups::default(),
            events: BTreeMap::new(),
            scheduled: 0,
            markers: Duration::from_millis(20),
            verifies: true,
        };
        cluster.schedule(TICK, Event::Tick);
        cluster
    }

    pub(super) fn now(&self) -> Duration {
        self.now
    }

    pub(super) fn create(&mut self, topic: &str, partitions: u32, compacted: bool) {
        let partitions = (0..partitions).map(|_| Log::default()).collect();
        self.topics.insert(topic.to_owned(), Topic { partitions, compacted });
    }

    /// Adds a partition with what is in it, some time from now.
    pub(super) fn add_partition(&mut self, topic: &str, log: Log, after: Duration) {
        self.schedule(after, Event::Add { topic: topic.to_owned(), log: Box::new(log) });
    }

    fn schedule(&mut self, after: Duration, event: Event) {
        self.scheduled += 1;
        self.events.insert((self.now + after, self.scheduled), event);
    }

    /// A request comes, some time from now, that nobody waits for.
    pub(super) fn delay(&mut self, request: Request, after: Duration) {
        self.schedule(after, Event::Late(request));
    }

    /// Lets everything happen that is due by a time.
    pub(super) fn advance(&mut self, to: Duration) {
        while let Some(entry) = self.events.first_entry().filter(|entry| entry.key().0 <= to) {
            self.now = entry.key().0;
            let event = entry.remove();
            self.happen(event);
        }
        self.now = self.now.max(to);
    }

    /// Lets everything happen that is on its way.
    pub(super) fn settle(&mut self) {
        let is_tick = |event: &Event| matches!(event, Event::Tick);
        while let Some(last) = self.events.iter().rfind(|(_, event)| !is_tick(event)).map(|(at, _)| at.0) {
            self.advance(last);
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Tick => {
                self.coordinator.tick(self.now);
                self.groups.tick(self.now);
                self.begin_endings();
                self.clean();
                self.schedule(TICK, Event::Tick);
            }
            Event::Late(request) => drop(self.serve(&request)),
            Event::Marker { of, partition } => self.mark(&of, &partition),
            Event::Add { topic, log } => {
                self.topics.entry(topic).or_default().partitions.push(*log);
            }
        }
    }

    /// Compacts now and then.
    fn clean(&mut self) {
        for topic in self.topics.values_mut().filter(|topic| topic.compacted) {
            if self.random.one_in(8) {
                topic.partitions.iter_mut().for_each(Log::compact);
            }
        }
    }

    /// Lets the markers of what was decided be written, one by one.
    fn begin_endings(&mut self) {
        for of in self.coordinator.take_endings() {
            let mut after = Duration::ZERO;
            let mut partitions = of.partitions.clone();
            self.random.shuffle(&mut partitions);
            for partition in partitions {
                after += Duration::from_nanos(self.random.below(self.markers.as_nanos() as u64 + 1));
                self.schedule(after, Event::Marker { of: of.clone(), partition });
            }
        }
    }

    fn mark(&mut self, of: &Ending, partition: &TopicPartition) {
        if partition.topic == OFFSETS {
            self.groups.end(of.producer.id, of.commit);
        } else if let Ok(log) = self.log(partition) {
            // One that is fenced has nothing to end here.
            let _ = log.append_end(of.producer, of.commit);
        }
        self.coordinator.marked(&of.transactional_id, partition);
    }

    fn log(&mut self, at: &TopicPartition) -> Result<&mut Log, ErrorCode> {
        let topic = self.topics.get_mut(&at.topic);
        topic
            .and_then(|topic| topic.partitions.get_mut(at.partition as usize))
            .ok_or(ErrorCode::UnknownTopicOrPartition)
    }

    /// Serves a request, with the time that it is now.
    pub(super) fn serve(&mut self, request: &Request) -> Served {
        let now = self.now;
        let done = |result: Result<(), ErrorCode>| Served::Now(result.map(|()| Answer::Done));
        let served = match request {
            Request::InitProducerId { transactional_id: None, .. } => {
                Served::Now(Ok(Answer::Producer(self.coordinator.new_producer())))
            }
            Request::InitProducerId { transactional_id: Some(id), timeout, current } => {
                Served::Now(self.coordinator.init(id, *timeout, *current, now).map(Answer::Producer))
            }
            Request::AddPartitionsToTxn { owner, partitions } => done(self.add(owner, partitions)),
            Request::AddOffsetsToTxn { owner, .. } => {
                done(self.coordinator.add(owner, [TopicPartition::new(OFFSETS, 0)], now))
            }
            Request::TxnOffsetCommit { owner, group, member, offsets } => {
                let verified = self.coordinator.verify(owner, &TopicPartition::new(OFFSETS, 0));
                let id = Some(owner.producer.id);
                done(verified.and_then(|()| self.groups.commit(group, member.as_ref(), offsets, id)))
            }
            Request::EndTxn { owner, commit } => done(self.coordinator.end(owner, *commit, now)),
            Request::Produce { to, batch } => Served::Now(self.produce(to, batch).map(Answer::Appended)),
            Request::Fetch { from, offset, most, isolation } => {
                let log = self.log(from);
                Served::Now(log.and_then(|log| log.fetch(*offset, *most, *isolation)).map(Answer::Fetched))
            }
            Request::ListOffsets { of, end, isolation } => {
                Served::Now(self.log(of).map(|log| Answer::Offset(log.offset(*end, *isolation))))
            }
            Request::Metadata { topic } => {
                let count = self.topics.get(topic).map(|topic| topic.partitions.len() as u32);
                Served::Now(count.map(Answer::Partitions).ok_or(ErrorCode::UnknownTopicOrPartition))
            }
            _ => self.serve_group(request),
        };
        self.begin_endings();
        served
    }

    fn serve_group(&mut self, request: &Request) -> Served {
        let now = self.now;
        let done = |result: Result<(), ErrorCode>| Served::Now(result.map(|()| Answer::Done));
        match request {
            Request::JoinGroup { group, member, session, rebalance } => {
                match self.groups.join(group, member, (*session, *rebalance), now) {
                    Err(code) => Served::Now(Err(code)),
                    Ok(member) => self.look(Served::Join { group: group.clone(), member }),
                }
            }
            Request::SyncGroup { .. } => self.look(Served::Sync(request.clone())),
            Request::Heartbeat { group, member } => done(self.groups.heartbeat(group, member, now)),
            Request::LeaveGroup { group, member } => done(self.groups.leave(group, member, now)),
            Request::OffsetCommit { group, member, offsets } => {
                done(self.groups.commit(group, member.as_ref(), offsets, None))
            }
            Request::OffsetFetch { group, stable } => {
                Served::Now(self.groups.offsets(group, *stable).map(Answer::Offsets))
            }
            _ => unreachable!("it is served above"),
        }
    }

    /// What has come of a request by now that had to wait.
    pub(super) fn look(&mut self, waiting: Served) -> Served {
        match &waiting {
            Served::Join { group, member } => {
                let joined = self.groups.joined(group, member);
                joined.map_or(waiting, |joined| Served::Now(joined.map(Answer::Joined)))
            }
            Served::Sync(Request::SyncGroup { group, member, assignments }) => {
                let assigned = self.groups.sync(group, member, assignments, self.now);
                assigned.map_or(waiting, |assigned| Served::Now(assigned.map(Answer::Assigned)))
            }
            _ => waiting,
        }
    }

    fn add(&mut self, owner: &Owner, partitions: &[TopicPartition]) -> Result<(), ErrorCode> {
        partitions.iter().try_for_each(|partition| self.log(partition).map(drop))?;
        self.coordinator.add(owner, partitions.iter().cloned(), self.now)
    }

    fn produce(&mut self, to: &TopicPartition, batch: &Batch) -> Result<u64, ErrorCode> {
        self.log(to)?;
        if let (Some(id), Some(producer), true) = (&batch.transactional_id, batch.producer, self.verifies)
            && !self.log(to)?.is_open(producer.id)
        {
            self.coordinator.verify(&Owner { transactional_id: id.clone(), producer }, to)?;
        }
        self.log(to)?.append(batch)
    }

    /// Retention removes what is below an offset.
    pub(super) fn trim(&mut self, at: &TopicPartition, offset: u64) {
        if let Ok(log) = self.log(at) {
            log.trim(offset);
        }
    }

    /// The state of a transactional id.
    pub(super) fn state(&self, id: &str) -> Option<State> {
        self.coordinator.state(id)
    }

    /// What is committed, partition by partition, as far as a reader gets: found without the lists that readers go by.
    pub(super) fn committed(&self, topic: &str) -> Vec<Vec<Message>> {
        let logs = self.topics.get(topic).map_or(&[][..], |topic| &topic.partitions);
        logs.iter().map(|log| committed(&log.records().collect::<Vec<_>>())).collect()
    }

    /// The end of a partition, end markers included.
    pub(super) fn end(&mut self, at: &TopicPartition) -> Result<u64, ErrorCode> {
        self.log(at).map(|log| log.offset(End::Latest, Isolation::Uncommitted))
    }
}

/// Looks from each record forward to the end of its transaction.
fn committed(records: &[&Record]) -> Vec<Message> {
    let mut seen = Vec::new();
    for (place, record) in records.iter().enumerate() {
        let Kind::Data { transactional, message } = &record.kind else { continue };
        let id = record.producer.map(|ProducerEpoch { id, .. }| id);
        let end = records[place..].iter().find_map(|later| match later.kind {
            Kind::Control { commit } if later.producer.map(|of| of.id) == id => Some(commit),
            _ => None,
        });
        match (transactional, end) {
            (false, _) | (true, Some(true)) => seen.push(message.clone()),
            (true, Some(false)) => {}
            // It goes on: nothing behind it is seen.
            (true, None) => break,
        }
    }
    seen
}
