//! When a channel is read, and what a barrier overtakes.

use std::sync::Arc;

use super::{Aligned, Intake};
use crate::exchange::codec::archives;
use crate::exchange::edge::{Edge, Mesh, Pattern};
use crate::exchange::overtaken::Waiting;
use crate::exchange::port::Port;
use crate::exchange::route::bells;
use crate::record::{Barrier, Tail};
use crate::time::MIN_TIME;

const BARRIER: Barrier = Barrier { epoch: 7 };

/// The input of core 0 from two cores, and what they send by. Both have started.
fn two_channels(overtakable: bool) -> (Intake<u64>, Vec<Port<u64>>) {
    let mesh = Mesh { bells: bells(2), depth: 8, batch_size: 1 };
    let edge: Arc<Edge<u64>> = Edge::with_codec(Pattern::AllToAll, overtakable.then(archives));
    let mut intake = Intake::new(edge.take_receivers(&mesh, 0), MIN_TIME);
    let port = |core| Port::new(edge.take_senders(&mesh, core).remove(0), 1, true);
    let mut ports = vec![port(0), port(1)];
    for port in &mut ports {
        port.tail(Tail::Start);
        assert!(read(&mut intake).is_some());
    }
    (intake, ports)
}

fn send(port: &mut Port<u64>, record: u64) {
    port.push_keyed(0, record, record);
}

/// Reads a batch to its end.
fn read(intake: &mut Intake<u64>) -> Option<(Vec<u64>, Aligned)> {
    let (channel, batch) = intake.next()?;
    let records = batch.records.clone();
    Some((records, intake.finish(channel, batch)))
}

/// Reads what may be read.
fn read_all(intake: &mut Intake<u64>) -> (Vec<u64>, Vec<Aligned>) {
    let (mut records, mut told) = (Vec::new(), Vec::new());
    while let Some((more, aligned)) = read(intake) {
        records.extend(more);
        told.extend((aligned != Aligned::No).then_some(aligned));
    }
    (records, told)
}

#[test]
fn rule_26_a_channel_is_not_read_behind_its_barrier_until_all_have_delivered_it() {
    let (mut intake, mut ports) = two_channels(false);
    send(&mut ports[0], 1);
    ports[0].tail(Tail::Barrier(BARRIER));
    send(&mut ports[0], 2);
    send(&mut ports[1], 3);
    let (mut records, told) = read_all(&mut intake);
    records.sort_unstable();
    assert_eq!((records, told), (vec![1, 3], vec![]), "a record came before the barrier was everywhere");
    ports[1].tail(Tail::Barrier(BARRIER));
    assert_eq!(read_all(&mut intake), (vec![2], vec![Aligned::Barrier(BARRIER)]));
}

#[test]
fn rule_26_a_newer_barrier_ends_the_wait_for_an_older_one() {
    let (mut intake, mut ports) = two_channels(false);
    ports[0].tail(Tail::Barrier(BARRIER));
    assert_eq!(read_all(&mut intake), (vec![], vec![]));
    send(&mut ports[0], 1);
    let newer = Barrier { epoch: 8 };
    ports[1].tail(Tail::Barrier(newer));
    assert_eq!(read_all(&mut intake), (vec![1], vec![]));
    ports[0].tail(Tail::Barrier(newer));
    assert_eq!(read_all(&mut intake), (vec![], vec![Aligned::Barrier(newer)]));
}

#[test]
fn rule_27_a_barrier_overtakes_what_waits_which_is_worked_on_all_the_same() {
    let (mut intake, mut ports) = two_channels(true);
    for (port, records) in ports.iter_mut().zip([[1, 2], [3, 4]]) {
        records.into_iter().for_each(|record| send(port, record));
        port.tail(Tail::Barrier(BARRIER));
        send(port, 10);
    }
    intake.overtake(BARRIER.epoch);
    assert!(intake.can_look());
    intake.look();
    assert_eq!(intake.overtaking(), Some(BARRIER));
    let mut waiting = Waiting::default();
    intake.pass(BARRIER, &mut waiting);
    assert_eq!(waiting.records(), 4, "what waits before the barrier, and nothing behind it");
    let (mut records, told) = read_all(&mut intake);
    records.sort_unstable();
    assert_eq!((records, told), (vec![1, 2, 3, 4, 10, 10], vec![]), "the barrier came again");
}

#[test]
fn rule_27_a_barrier_waits_for_those_that_have_not_come() {
    let (mut intake, mut ports) = two_channels(true);
    send(&mut ports[0], 1);
    ports[0].tail(Tail::Barrier(BARRIER));
    intake.overtake(BARRIER.epoch);
    intake.look();
    assert_eq!(intake.overtaking(), None);
    // Worked on in the meantime, up to the barrier.
    assert_eq!(read_all(&mut intake), (vec![1], vec![]));
    send(&mut ports[1], 2);
    ports[1].tail(Tail::Barrier(BARRIER));
    intake.look();
    assert_eq!(intake.overtaking(), Some(BARRIER));
    let mut waiting = Waiting::default();
    intake.pass(BARRIER, &mut waiting);
    assert_eq!(waiting.records(), 1);
}

#[test]
fn rule_27_nothing_is_overtaken_where_it_is_not_allowed() {
    let (mut intake, mut ports) = two_channels(false);
    ports.iter_mut().for_each(|port| port.tail(Tail::Barrier(BARRIER)));
    intake.overtake(BARRIER.epoch);
    intake.look();
    assert_eq!(intake.overtaking(), None);
    assert_eq!(read_all(&mut intake), (vec![], vec![Aligned::Barrier(BARRIER)]));
}

#[test]
fn rule_27_a_late_order_to_overtake_is_no_reason_to_look() {
    let (mut intake, mut ports) = two_channels(true);
    ports.iter_mut().for_each(|port| port.tail(Tail::Barrier(BARRIER)));
    assert_eq!(read_all(&mut intake), (vec![], vec![Aligned::Barrier(BARRIER)]));
    intake.overtake(BARRIER.epoch);
    send(&mut ports[0], 1);
    assert!(!intake.can_look(), "nothing holds the senders back any more");
}

#[test]
fn rule_27_no_more_is_on_its_way_however_often_barriers_overtake_it() {
    let (mut intake, mut ports) = two_channels(true);
    let mut sent = 0;
    for epoch in 7..1_000 {
        for port in &mut ports {
            while port.has_room() {
                send(port, sent);
                sent += 1;
            }
            port.tail(Tail::Barrier(Barrier { epoch }));
        }
        intake.overtake(epoch);
        while intake.overtaking().is_none() {
            assert!(intake.can_look(), "barrier {epoch} does not come");
            intake.look();
            for port in &mut ports {
                port.flush();
            }
        }
        let mut waiting = Waiting::default();
        intake.pass(Barrier { epoch }, &mut waiting);
        // A ring holds eight, and one has found no room.
        assert!(intake.channels.iter().all(|channel| channel.aside.len() <= 9));
        assert!(waiting.records() <= 2 * 9, "{} records wait for barrier {epoch}", waiting.records());
    }
    assert!(ports.iter_mut().all(|port| !port.has_room() && !port.can_flush()), "nothing was worked on");
    assert_eq!(read_all(&mut intake).0.len() as u64, sent);
    // Nobody need be woken: who looks once more before it sleeps sees it.
    assert!(ports.iter_mut().all(|port| port.can_flush() && port.flush() && !port.can_flush()));
    assert!(ports.iter_mut().all(Port::has_room));
}
