//! The server: connections, transactions, locks, and what is committed.

use std::collections::{BTreeMap, VecDeque};

use millstream_postgres::session::{Marker, Refusal, Step};
use millstream_postgres::{Mode, Target};

use super::tuples::{Tuple, parse};
use crate::outside;
use crate::random::{Chance, Random};

/// A dead connection is noticed after the server was asked this often by others, at the latest.
const LONGEST_DEATH: u64 = 40;
/// Connections are refused this often after a restart, at most.
const LONGEST_START: u64 = 30;

pub(super) struct Server {
    random: Random,
    /// That a connection breaks, per request.
    breaks: Chance,
    /// That the server is restarted, per request.
    restarts: Chance,
    sinks: BTreeMap<String, Sink>,
    connections: BTreeMap<u64, Connection>,
    next: u64,
    /// How many connections are refused.
    starting: u64,
    broken: Option<String>,
}

/// What is committed of a sink.
struct Sink {
    mode: Mode,
    columns: usize,
    rows: Vec<Tuple>,
    by_key: BTreeMap<Tuple, Tuple>,
    markers: BTreeMap<u32, Marker>,
}

struct Connection {
    sink: String,
    inbox: VecDeque<Step>,
    transaction: Option<Transaction>,
    /// After how many requests of others its end is noticed.
    dead: Option<u64>,
}

#[derive(Default)]
struct Transaction {
    /// Of these shards; of all, if there are none.
    locks: Option<u32>,
    copied: Vec<u8>,
    rows: Vec<Tuple>,
    marks: Vec<Marker>,
}

fn lost(why: &str) -> Refusal {
    outside::tell(|| format!("database: {why}"));
    Refusal::Lost(format!("{why} (injected)"))
}

impl Server {
    pub(super) fn new(mut random: Random) -> Server {
        let breaks = *random.pick(&[Chance::NEVER, Chance::of(1, 100), Chance::of(1, 12)]);
        let restarts = *random.pick(&[Chance::NEVER, Chance::NEVER, Chance::of(1, 200)]);
        Server {
            random,
            breaks,
            restarts,
            sinks: BTreeMap::new(),
            connections: BTreeMap::new(),
            next: 0,
            starting: 0,
            broken: None,
        }
    }

    pub(super) fn calm(&mut self) {
        (self.breaks, self.restarts, self.starting) = (Chance::NEVER, Chance::NEVER, 0);
        self.settle();
    }

    pub(super) fn settle(&mut self) {
        // What is served late may end others.
        while let Some(id) = self.connections.iter().find(|(_, c)| c.dead.is_some()).map(|(id, _)| *id) {
            self.bury(id);
        }
    }

    pub(super) fn table(&self, sink: &str) -> Vec<Tuple> {
        let rows = |sink: &Sink| sink.rows.iter().chain(sink.by_key.values()).cloned().collect();
        self.sinks.get(sink).map(rows).unwrap_or_default()
    }

    pub(super) fn broken(&self) -> Option<String> {
        self.broken.clone()
    }

    pub(super) fn connect(&mut self, target: &Target) -> Result<u64, Refusal> {
        if self.starting > 0 {
            self.starting -= 1;
            return Err(lost("the server is starting up"));
        }
        self.sinks.entry(target.sink.clone()).or_insert_with(|| Sink {
            mode: target.mode.clone(),
            columns: target.columns.len(),
            rows: Vec::new(),
            by_key: BTreeMap::new(),
            markers: BTreeMap::new(),
        });
        self.next += 1;
        let sink = target.sink.clone();
        let connection = Connection { sink, inbox: VecDeque::new(), transaction: None, dead: None };
        self.connections.insert(self.next, connection);
        Ok(self.next)
    }

    /// Takes a request, if it arrives.
    pub(super) fn send(&mut self, id: u64, step: Step) -> Result<(), Refusal> {
        if self.random.chance(self.breaks) {
            self.hang_up(id);
        }
        match self.connections.get_mut(&id).filter(|connection| connection.dead.is_none()) {
            Some(connection) => {
                connection.inbox.push_back(step);
                Ok(())
            }
            None => Err(lost("the connection is closed")),
        }
    }

    /// Serves the request of a connection, and tells what the client hears; nothing yet, if it must wait.
    pub(super) fn serve(&mut self, id: u64) -> Option<Result<Vec<Marker>, Refusal>> {
        self.go_on();
        // With the request on its way.
        if self.random.chance(self.breaks) {
            self.hang_up(id);
        }
        if self.connections.get(&id).is_none_or(|connection| connection.dead.is_some()) {
            return Some(Err(lost("connection reset")));
        }
        let told = self.process(id)?;
        if self.random.chance(self.breaks) {
            self.hang_up(id);
            return Some(Err(lost("the answer did not come")));
        }
        Some(Ok(told))
    }

    /// The client has gone. The server will notice.
    pub(super) fn hang_up(&mut self, id: u64) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        if connection.dead.is_none() {
            connection.dead = Some(self.random.below(LONGEST_DEATH));
        }
    }

    /// What the server does by itself: restart, and notice who has gone.
    fn go_on(&mut self) {
        if self.random.chance(self.restarts) {
            self.connections.clear();
            self.starting = self.random.below(LONGEST_START);
        }
        let mut noticed = Vec::new();
        for (id, connection) in &mut self.connections {
            match &mut connection.dead {
                Some(0) => noticed.push(*id),
                Some(left) => *left -= 1,
                None => {}
            }
        }
        noticed.into_iter().for_each(|id| self.bury(id));
    }

    /// Notices that a client has gone: serves what it has sent, or not, and ends its transaction.
    fn bury(&mut self, id: u64) {
        if self.random.coin() {
            while self.connections.get(&id).is_some_and(|c| !c.inbox.is_empty()) && self.process(id).is_some()
            {
            }
        }
        self.connections.remove(&id);
    }

    /// Serves the next request of a connection, if it need not wait.
    fn process(&mut self, id: u64) -> Option<Vec<Marker>> {
        let wanted = match self.connections[&id].inbox.front()? {
            Step::Lock(shard) => Some(Some(*shard)),
            Step::TakeOver => {
                self.end_others(id);
                Some(None)
            }
            _ => None,
        };
        if let Some(locks) = wanted {
            if self.is_locked(id, locks) {
                return None;
            }
            self.begin(id, locks);
        }
        let mut connection = self.connections.remove(&id).expect("it has a request");
        let step = connection.inbox.pop_front().expect("it was looked at above");
        let told = self.take(&mut connection, step);
        self.connections.insert(id, connection);
        Some(told)
    }

    fn end_others(&mut self, id: u64) {
        let sink = self.connections[&id].sink.clone();
        let others: Vec<u64> = self
            .connections
            .iter()
            .filter(|(of, c)| **of != id && c.sink == sink)
            .map(|(of, _)| *of)
            .collect();
        others.into_iter().for_each(|of| self.hang_up(of));
    }

    /// Whether another has a lock that is wanted: of one shard, or of all.
    fn is_locked(&self, id: u64, wanted: Option<u32>) -> bool {
        let sink = &self.connections[&id].sink;
        let clashes = |held: Option<u32>| held.is_none() || wanted.is_none() || held == wanted;
        self.connections
            .iter()
            .filter(|(of, connection)| **of != id && connection.sink == *sink)
            .any(|(_, connection)| connection.transaction.as_ref().is_some_and(|t| clashes(t.locks)))
    }

    fn begin(&mut self, id: u64, locks: Option<u32>) {
        let transaction = Transaction { locks, ..Transaction::default() };
        let connection = self.connections.get_mut(&id).expect("it was looked at above");
        if connection.transaction.replace(transaction).is_some() {
            self.broken.get_or_insert("a transaction was begun in another".to_owned());
        }
    }

    fn take(&mut self, connection: &mut Connection, step: Step) -> Vec<Marker> {
        let sink = self.sinks.get_mut(&connection.sink).expect("it was made when somebody connected");
        let outside = || "a step of a transaction was taken without one".to_owned();
        let mut wrong = None;
        match (step, &mut connection.transaction) {
            (Step::Prepare, None) => {}
            (Step::TakeOver, Some(_)) => return sink.markers.values().copied().collect(),
            (Step::Lock(shard), Some(_)) => return sink.markers.get(&shard).copied().into_iter().collect(),
            (Step::Rows(rows), Some(transaction)) => transaction.copied.extend(rows),
            (Step::Apply, Some(transaction)) => match parse(&std::mem::take(&mut transaction.copied)) {
                Ok(rows) => transaction.rows.extend(rows),
                Err(why) => wrong = Some(why),
            },
            (Step::Mark(marks), Some(transaction)) => {
                let is_locked = |mark: &Marker| transaction.locks.is_none_or(|shard| shard == mark.shard);
                if !marks.iter().all(is_locked) {
                    wrong = Some("a marker was set without its lock".to_owned());
                }
                transaction.marks.extend(marks);
            }
            (Step::Commit, transaction @ Some(_)) => {
                wrong = transaction.take().and_then(|transaction| sink.commit(transaction).err());
            }
            _ => wrong = Some(outside()),
        }
        if let Some(wrong) = wrong {
            self.broken.get_or_insert(wrong);
        }
        Vec::new()
    }
}

impl Sink {
    fn commit(&mut self, transaction: Transaction) -> Result<(), String> {
        if !transaction.copied.is_empty() {
            return Err("rows were committed that were not applied".to_owned());
        }
        match self.mode.clone() {
            Mode::Append => self.rows.extend(transaction.rows),
            Mode::Upsert { key, removes } => self.merge(transaction.rows, &key, removes)?,
        }
        self.markers.extend(transaction.marks.into_iter().map(|marker| (marker.shard, marker)));
        Ok(())
    }

    /// Lets the record of each key have its way that has the greatest number.
    fn merge(&mut self, mut rows: Vec<Tuple>, key: &[usize], removes: bool) -> Result<(), String> {
        let width = self.columns + 1 + usize::from(removes);
        if let Some(row) = rows.iter().find(|row| row.len() != width) {
            return Err(format!("a row has {} fields, not {width}", row.len()));
        }
        // As bytes, most significant first, numbers are in their order.
        rows.sort_by(|a, b| a[self.columns].cmp(&b[self.columns]));
        for mut row in rows {
            let stays = !removes || row[self.columns + 1] == Some(vec![1]);
            row.truncate(self.columns);
            let key: Tuple = key.iter().map(|&at| row[at].clone()).collect();
            match stays {
                true => self.by_key.insert(key, row),
                false => self.by_key.remove(&key),
            };
        }
        Ok(())
    }
}
