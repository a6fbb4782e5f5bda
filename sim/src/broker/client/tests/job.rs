//! A job that reads a topic.

use millstream::job::Job;
use millstream::{Config, ErrorKind};

use super::super::{BrokerSink, BrokerSource};
use super::*;
use crate::broker::Fill;
use crate::broker::requests::Message;
use crate::world::{World, WorldConfig};

/// Numbers as records.
fn fill(numbers: std::ops::Range<u64>, commit: Option<bool>) -> Fill {
    let message = |n: u64| Message { key: None, value: Some(n.to_string().into_bytes()) };
    Fill { messages: numbers.map(message).collect(), commit }
}

/// Copies the numbers in a topic, up to given ends, into another.
fn copy(world: &mut World, broker: &Broker, ends: Vec<u64>) -> millstream::Result<()> {
    let job = Job::new("copy");
    let source: BrokerSource<u64> = BrokerSource::new(broker.clone(), "numbers", ends).patience(PATIENCE);
    job.source("numbers", source)
        .sink("rows", BrokerSink::new(broker.clone(), ("rows", 2), "markers", |n: &u64| n.to_string()));
    let config = Config::new().cores(2).checkpoints("state").checkpoint_every(Duration::from_millis(5));
    let (mains, control) = job.into_mains(&config).expect("the job is well formed");
    world.run(mains);
    control.outcome().expect("it has ended").map(drop)
}

fn world_and_broker() -> (World, Broker) {
    let world = World::new(3, WorldConfig::default());
    let broker = broker(world.streams().stream("broker"));
    broker.create("numbers", 0);
    broker.calm();
    (world, broker)
}

fn text(numbers: std::ops::Range<u64>) -> Vec<String> {
    sorted(numbers.map(|n| n.to_string()))
}

#[test]
fn it_reads_what_is_committed_and_waits_for_partitions() {
    let (mut world, broker) = world_and_broker();
    let fills = [fill(0..100, Some(true)), fill(500..600, Some(false)), fill(100..200, None)];
    let first = broker.add_partition("numbers", &fills, Duration::ZERO);
    let second = broker.add_partition("numbers", &[fill(200..300, Some(true))], Duration::from_secs(8));
    copy(&mut world, &broker, vec![first, second]).expect("nothing goes wrong");
    broker.settle();
    assert_eq!(committed(&broker), text(0..300));
    copy(&mut world, &broker, vec![first, second]).expect("nothing goes wrong");
    broker.settle();
    assert_eq!(committed(&broker), text(0..300), "it has ended before");
}

#[test]
fn it_stops_where_retention_has_removed_what_it_needs() {
    let (mut world, broker) = world_and_broker();
    let end = broker.add_partition("numbers", &[fill(0..100, Some(true))], Duration::ZERO);
    broker.settle();
    broker.trim("numbers", 0, 40);
    let error = copy(&mut world, &broker, vec![end]).expect_err("the first 40 are gone");
    assert_eq!(error.kind(), ErrorKind::Source);
    let text = error.to_string();
    assert!(text.contains("offset 0 of numbers-0: the broker has 40..101"), "{text}");
}

#[test]
fn it_does_not_go_on_with_another_checkpoint_than_the_topic_has() {
    let (mut world, broker) = world_and_broker();
    let end = broker.add_partition("numbers", &[fill(0..100, Some(true))], Duration::ZERO);
    copy(&mut world, &broker, vec![end]).expect("nothing goes wrong");
    // A machine that does not have the checkpoints.
    let mut other = World::new(4, WorldConfig::default());
    let error = copy(&mut other, &broker, vec![end]).expect_err("it would write all of it again");
    assert_eq!(error.kind(), ErrorKind::Restore);
    assert!(error.to_string().contains("would be written again"), "{error}");
}
