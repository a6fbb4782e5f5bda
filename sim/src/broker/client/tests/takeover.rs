//! A run that was thought dead, and one that begins with the wrong checkpoint.

use std::collections::BTreeMap;
use std::rc::Rc;

use millstream::ErrorKind;
use millstream::host::Host;

use super::super::commit::Share;
use super::*;
use crate::broker::client::Marker;
use crate::world::{RunEnd, World, WorldConfig};

/// Runs something against a broker that nothing goes wrong with.
fn run<F: Future<Output = ()> + 'static>(body: impl FnOnce(Broker, Rc<dyn Host>) -> F + Send + 'static) {
    let mut world = World::new(7, WorldConfig::default());
    let broker = broker(world.streams().stream("broker"));
    broker.calm();
    let end = world.run(vec![Box::new(move |host: Rc<dyn Host>| Box::pin(body(broker, host)))]);
    assert_eq!(end, RunEnd::Finished);
}

fn fine(_: &BTreeMap<u32, Marker>) -> millstream::Result<()> {
    Ok(())
}

#[test]
fn a_run_that_was_thought_dead_commits_nothing_any_more() {
    run(|broker, host| async move {
        let (old, new) = (line(&broker, &host), line(&broker, &host));
        let before = old.take_over(1, true, &[], fine).await.expect("nobody is there");
        old.commit(0, (before.generation, 0), &[piece(1)]).await.expect("it is its turn");
        let now = new.take_over(1, true, &[], fine).await.expect("it may");
        assert_eq!(now.generation, before.generation + 1);
        assert_eq!(now.committed[&0], 1);
        let error = old.commit(0, (before.generation, 1), &[piece(2)]).await.expect_err("its time is over");
        assert_eq!(error.kind(), ErrorKind::Restore);
        assert!(error.to_string().contains("another run of the job has taken over"), "{error}");
        // What it has done to the producer is overcome.
        new.commit(0, (now.generation, 1), &[piece(2)]).await.expect("it is its turn");
        broker.settle();
        assert_eq!(committed(&broker), all(2));
    });
}

#[test]
fn a_start_commits_what_the_checkpoint_has_and_the_topic_has_not() {
    run(|broker, host| async move {
        let old = line(&broker, &host);
        let before = old.take_over(2, true, &[], fine).await.expect("nobody is there");
        old.commit(0, (before.generation, 0), &[piece(1)]).await.expect("it is its turn");
        // Both epochs are in the checkpoint: it was not known whether the first was committed.
        let share = Share { shard: 0, committed: 0, pieces: vec![piece(1), piece(2)] };
        // With fewer shards than before.
        let now = line(&broker, &host).take_over(1, true, &[share], fine).await.expect("it may");
        assert_eq!(now.committed, BTreeMap::from([(0, 2), (1, 0)]));
        broker.settle();
        assert_eq!(committed(&broker), all(2));
    });
}

#[test]
fn a_broker_that_has_lost_output_is_noticed() {
    run(|broker, host| async move {
        let line = line(&broker, &host);
        let taken = line.take_over(1, true, &[], fine).await.expect("nobody is there");
        let error = line.commit(0, (taken.generation, 4), &[piece(5)]).await.expect_err("4 is not there");
        assert!(error.to_string().contains("the broker has lost output"), "{error}");
    });
}
