//! What becomes of requests on their way.

use std::rc::Rc;
use std::sync::{Arc, Mutex};

use millstream::host::{CoreMain, Host};

use super::super::Broker;
use super::super::requests::{Port, Refusal};
use super::*;
use crate::world::{World, WorldConfig};

/// A batch of nobody in particular.
fn plain(value: &str) -> Request {
    let messages = vec![message("key", Some(value))];
    let batch = Batch { producer: None, transactional_id: None, base_sequence: 0, messages };
    Request::Produce { to: rows(0), batch }
}

/// Sends batches one after the other, and returns what was heard of each, and how often each is there: at once and in the end.
fn send(seed: u64) -> Vec<(bool, [usize; 2])> {
    const COUNT: usize = 40;
    let mut world = World::new(seed, WorldConfig::default());
    let broker = Broker::new(world.streams().stream("broker"), Duration::from_millis(2));
    broker.create("rows", 1);
    let heard = Arc::new(Mutex::new(Vec::new()));
    let (port, told) = (broker.clone(), heard.clone());
    let main: CoreMain = Box::new(move |host: Rc<dyn Host>| {
        Box::pin(async move {
            for n in 0..COUNT {
                let answer = port.call(&host, plain(&n.to_string())).await;
                assert!(!matches!(answer, Err(Refusal::Error(code)) if !code.is_retriable()), "{answer:?}");
                told.lock().expect("nobody panics").push((answer.is_ok(), count(&port, n)));
            }
        })
    });
    world.run(vec![main]);
    broker.settle();
    let heard = heard.lock().expect("nobody panics");
    heard.iter().enumerate().map(|(n, (ok, now))| (*ok, [*now, count(&broker, n)])).collect()
}

fn count(broker: &Broker, n: usize) -> usize {
    let value = n.to_string().into_bytes();
    broker.committed("rows")[0].iter().filter(|message| message.value.as_ref() == Some(&value)).count()
}

#[test]
fn requests_are_lost_late_and_repeated() {
    let all: Vec<_> = (0..40).flat_map(send).collect();
    let some = |ok: bool, counts: [usize; 2]| all.contains(&(ok, counts));
    assert!(some(true, [1, 1]), "served");
    assert!(some(true, [1, 2]), "served, and once more later");
    assert!(some(false, [0, 0]), "lost");
    assert!(some(false, [0, 1]), "late");
    assert!(some(false, [1, 1]), "the answer lost");
    assert!(all.iter().all(|(ok, counts)| !ok || counts[0] >= 1), "what was acknowledged is there");
}

#[test]
fn a_seed_is_the_same_each_time() {
    (0..10).for_each(|seed| assert_eq!(send(seed), send(seed)));
}

#[test]
fn a_request_may_take_effect_after_its_process_has_died() {
    let mut late = 0;
    for seed in 0..40 {
        let mut world = World::new(seed, WorldConfig::default());
        let broker = Broker::new(world.streams().stream("broker"), Duration::from_secs(2));
        broker.create("rows", 1);
        broker.calm();
        let port = broker.clone();
        world.run(vec![Box::new(move |host: Rc<dyn Host>| {
            Box::pin(async move {
                let (to, of) = (host.clone(), port.clone());
                let send = async move { drop(of.call(&to, plain("0")).await) };
                host.spawn(millstream::host::Class::Records, Box::pin(send));
                // Its core ends before the request can be there.
                host.yield_now().await;
                host.yield_now().await;
            })
        })]);
        assert_eq!(count(&broker, 0), 0);
        broker.settle();
        late += count(&broker, 0);
    }
    assert!(late > 0);
}
