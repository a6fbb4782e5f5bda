//! What the client promises, and what happens to those that promise less.

mod control;
mod job;
mod takeover;

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use millstream::host::Host;

use super::commit::{Line, Piece, Target, Waiting};
use crate::broker::Broker;
use crate::random::Random;

const PATIENCE: Duration = Duration::from_secs(300);

fn broker(random: Random) -> Broker {
    let broker = Broker::new(random, Duration::from_millis(3));
    broker.create("rows", 2);
    broker.create_compacted("markers");
    broker
}

fn line(broker: &Broker, host: &Rc<dyn Host>) -> Line {
    let target = Target {
        name: "rows".to_owned(),
        topic: "rows".to_owned(),
        markers: "markers".to_owned(),
        timeout: Duration::from_secs(60),
    };
    Line {
        port: Arc::new(broker.clone()),
        host: host.clone(),
        target,
        patience: PATIENCE,
        used: RefCell::default(),
    }
}

/// What an epoch puts out: a few records in each partition.
fn piece(epoch: u64) -> Piece {
    let records =
        (0..4).map(|n| Waiting { partition: n % 2, key: String::new(), value: format!("{epoch}.{n}") });
    Piece { epoch, records: records.collect() }
}

/// All that is put out up to an epoch, in some order.
fn all(epochs: u64) -> Vec<String> {
    let values = (1..=epochs).flat_map(|epoch| piece(epoch).records).map(|record| record.value);
    sorted(values)
}

fn sorted(values: impl Iterator<Item = String>) -> Vec<String> {
    let mut values: Vec<String> = values.collect();
    values.sort_unstable();
    values
}

/// What readers of committed records find.
fn committed(broker: &Broker) -> Vec<String> {
    let text = |value: Option<Vec<u8>>| String::from_utf8(value.unwrap_or_default()).expect("it is text");
    sorted(broker.committed("rows").into_iter().flatten().map(|message| text(message.value)))
}
