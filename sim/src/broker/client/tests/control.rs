//! The simulated broker can hurt: whoever leaves out a part of the protocol loses records or repeats them in some seed, and who
//! keeps to it does not.

use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard};

use millstream::host::{CoreMain, Host};

use super::super::commit::Share;
use super::super::producer::Producer;
use super::super::{Asker, markers};
use super::*;
use crate::broker::client::Marker;
use crate::broker::requests::{Isolation, Message, Port, Refusal, TopicPartition};
use crate::faults::FaultPlan;
use crate::random::Chance;
use crate::scenario::restart_until_done;
use crate::world::{World, WorldConfig};

const EPOCHS: u64 = 6;

/// How output gets to the topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    /// By the protocol.
    Careful,
    /// First the transaction, then the checkpoint.
    CommitsFirst,
    /// First the checkpoint, then the transaction, of which nobody asks what has become of it.
    CheckpointsFirst,
    /// Every start has a transactional id of its own, and goes on behind what it finds committed: it ends nothing that is
    /// still on its way.
    NewIdEachStart,
    /// By the protocol, and the reader does not mind what is committed.
    ReadsUncommitted,
}

/// What survives crashes.
#[derive(Clone)]
struct Copier {
    broker: Broker,
    manner: Manner,
    saved: Arc<Mutex<Saved>>,
}

#[derive(Default)]
struct Saved {
    /// The last epoch that has a checkpoint.
    epoch: u64,
    starts: u64,
    done: bool,
}

impl Copier {
    fn saved(&self) -> MutexGuard<'_, Saved> {
        self.saved.lock().expect("nobody panics")
    }

    fn main(&self) -> CoreMain {
        self.saved().starts += 1;
        let copier = self.clone();
        Box::new(move |host: Rc<dyn Host>| {
            Box::pin(async move {
                let id = match copier.manner {
                    Manner::NewIdEachStart => format!("rows-of-start-{}", copier.saved().starts),
                    _ => "rows-0".to_owned(),
                };
                let done = match copier.manner {
                    Manner::Careful | Manner::ReadsUncommitted => copier.by_protocol(&host).await,
                    _ => copier.naively(&host, &id).await.is_ok(),
                };
                copier.saved().done = done;
            })
        })
    }

    async fn by_protocol(&self, host: &Rc<dyn Host>) -> bool {
        let line = line(&self.broker, host);
        let saved = self.saved().epoch;
        let pieces = if saved > 0 { vec![piece(saved)] } else { Vec::new() };
        let shares = [Share { shard: 0, committed: saved.saturating_sub(1), pieces }];
        let Ok(taken) = line.take_over(1, true, &shares, |_| Ok(())).await else { return false };
        for epoch in saved + 1..=EPOCHS {
            host.sleep(Duration::from_millis(30)).await;
            self.saved().epoch = epoch;
            if line.commit(0, (taken.generation, epoch - 1), &[piece(epoch)]).await.is_err() {
                return false;
            }
        }
        true
    }

    async fn naively(&self, host: &Rc<dyn Host>, id: &str) -> Result<(), Refusal> {
        let port: Arc<dyn Port> = Arc::new(self.broker.clone());
        let asker = Asker::new(&port, host, PATIENCE);
        let mut next = self.saved().epoch + 1;
        if self.manner == Manner::NewIdEachStart {
            let marker = markers::read(&asker, "markers", "rows", false).await?.remove(&0);
            next = marker.map_or(0, |marker| marker.epoch) + 1;
        }
        for epoch in next..=EPOCHS {
            host.sleep(Duration::from_millis(30)).await;
            if self.manner == Manner::CheckpointsFirst {
                self.saved().epoch = epoch;
            }
            self.transact(&asker, id, epoch).await?;
            self.saved().epoch = epoch;
        }
        Ok(())
    }

    /// Tries again whatever the broker says.
    async fn transact(&self, asker: &Asker, id: &str, epoch: u64) -> Result<(), Refusal> {
        let mut producer = Producer::init(asker, id, Duration::from_secs(60)).await?;
        for Waiting { partition, value, .. } in piece(epoch).records {
            let message = Message { key: None, value: Some(value.into_bytes()) };
            producer.send(asker, &TopicPartition::new("rows", partition), vec![message]).await?;
        }
        let marker = Marker { sink: "rows".to_owned(), shard: 0, generation: 0, epoch };
        producer.send(asker, &markers::partition("markers"), vec![marker.message()]).await?;
        producer.commit(asker).await
    }
}

/// What a reader gets who does not mind what is committed.
fn uncommitted(broker: &Broker) -> Vec<String> {
    let outside = &mut *broker.outside();
    let mut values = Vec::new();
    for partition in 0..2 {
        let (from, isolation) = (TopicPartition::new("rows", partition), Isolation::Uncommitted);
        let fetch = crate::broker::requests::Request::Fetch { from, offset: 0, most: 1000, isolation };
        let crate::broker::cluster::Served::Now(Ok(crate::broker::requests::Answer::Fetched(fetched))) =
            outside.cluster.serve(&fetch)
        else {
            panic!("it is there")
        };
        let seen = super::super::visible(&fetched, isolation);
        let text = |message: &Message| String::from_utf8(message.value.clone().unwrap_or_default());
        values.extend(seen.into_iter().map(|(_, message)| text(message).expect("it is text")));
    }
    sorted(values.into_iter())
}

/// How many records are lost in the end, and how many repeated.
fn harm(seed: u64, manner: Manner) -> [usize; 2] {
    let plan = FaultPlan { crash: Chance::ALWAYS, ..FaultPlan::none() };
    let mut world = World::new(seed, WorldConfig { plan, ..WorldConfig::default() });
    let broker = broker(world.streams().stream("broker"));
    let copier = Copier { broker: broker.clone(), manner, saved: Arc::default() };
    let chaos = 5;
    let mains = || {
        if copier.saved().starts >= u64::from(chaos) {
            broker.calm();
        }
        vec![copier.main()]
    };
    restart_until_done(&mut world, chaos, mains, || Ok(copier.saved().done)).expect("it ends");
    broker.settle();
    let got = if manner == Manner::ReadsUncommitted { uncommitted(&broker) } else { committed(&broker) };
    let wanted = all(EPOCHS);
    let lost = wanted.iter().filter(|value| !got.contains(value)).count();
    [lost, got.len() + lost - wanted.len()]
}

#[test]
fn who_keeps_to_the_protocol_comes_to_no_harm() {
    for seed in 0..300 {
        assert_eq!(harm(seed, Manner::Careful), [0, 0], "seed {seed}");
    }
}

#[test]
fn who_does_not_is_harmed() {
    let some = |manner, is_harm: fn([usize; 2]) -> bool| (0..1000).any(|seed| is_harm(harm(seed, manner)));
    assert!(some(Manner::CommitsFirst, |[_, repeated]| repeated > 0));
    assert!(some(Manner::CheckpointsFirst, |[lost, _]| lost > 0));
    assert!(some(Manner::NewIdEachStart, |[_, repeated]| repeated > 0));
    assert!(some(Manner::ReadsUncommitted, |[_, repeated]| repeated > 0));
}
