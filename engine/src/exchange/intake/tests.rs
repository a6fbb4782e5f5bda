//! What a stage reads first.

use std::sync::Arc;

use millstream_ring::Bell;

use super::*;
use crate::exchange::edge::{Edge, Mesh, Pattern, Sender};
use crate::time::MIN_TIME;

/// The intake of core 0, and what both cores send to it.
fn two_channels() -> (Intake<char>, Sender<char>, Sender<char>) {
    let bells = (0..2).map(|_| Arc::new(Bell::new())).collect();
    let mesh = Mesh { bells, depth: 4, batch_size: 8 };
    let edge = Edge::new(Pattern::AllToAll);
    let mut own = edge.take_senders(&mesh, 0);
    let mut other = edge.take_senders(&mesh, 1);
    let intake = Intake::new(edge.take_receivers(&mesh, 0), MIN_TIME);
    (intake, own.remove(0), other.remove(0))
}

fn send(to: &mut Sender<char>, watermark: Timestamp, record: Option<char>) {
    let mut batch = Box::<Batch<char>>::default();
    record.into_iter().for_each(|record| batch.push(0, record));
    batch.mark(MarkKind::Watermark(watermark));
    assert!(to.full.push(batch).is_ok(), "there is room");
}

#[test]
fn no_record_is_read_before_every_channel_has_told_its_watermark() {
    let (mut intake, mut own, mut other) = two_channels();
    send(&mut own, 10, None);
    send(&mut own, 20, Some('a'));
    let (channel, batch) = intake.next().expect("a greeting may be read");
    assert_eq!((channel, batch.records.len(), intake.watermark()), (0, 0, MIN_TIME));
    intake.finish(channel, batch);
    assert!(
        !intake.is_ready() && intake.next().is_none(),
        "the other core may still hold the watermark back"
    );

    send(&mut other, MAX_TIME, None);
    let (channel, greeting) = intake.next().expect("a greeting may be read");
    assert_eq!((channel, intake.watermark()), (1, 10), "a channel that has ended holds nothing back");
    intake.finish(channel, greeting);
    let (_, batch) = intake.next().expect("all have greeted");
    assert_eq!((batch.records, intake.watermark()), (vec!['a'], 20));
}
