//! A topic beside a plain model: vectors of records per partition, and what became of each transaction.

use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;

use millstream_storage::disk::{StdDisk, block_on};
use millstream_storage::topic::{
    BatchBuilder, Isolation, Outcome, TopicConfig, TopicReader, TopicWriter, Transaction,
};
use proptest::prelude::*;

const PARTITIONS: u32 = 2;

#[derive(Clone, Debug)]
enum Op {
    Append {
        partition: u32,
        records: u32,
    },
    Begin,
    AppendIn {
        which: usize,
        partition: u32,
        records: u32,
    },
    Prepare {
        which: usize,
    },
    Commit {
        which: usize,
    },
    Abort {
        which: usize,
    },
    CommitById {
        which: usize,
    },
    Flush,
    /// The writer ends without a flush, as in a crash that loses nothing that was written.
    Drop,
    Close,
    Trim,
}

fn op() -> impl Strategy<Value = Op> {
    let which = 0..4_usize;
    let (partition, records) = (0..PARTITIONS, 1..30_u32);
    prop_oneof![
        4 => (partition.clone(), records.clone()).prop_map(|(partition, records)| Op::Append { partition, records }),
        3 => Just(Op::Begin),
        6 => (which.clone(), partition, records)
            .prop_map(|(which, partition, records)| Op::AppendIn { which, partition, records }),
        3 => which.clone().prop_map(|which| Op::Prepare { which }),
        2 => which.clone().prop_map(|which| Op::Commit { which }),
        2 => which.clone().prop_map(|which| Op::Abort { which }),
        2 => which.prop_map(|which| Op::CommitById { which }),
        6 => Just(Op::Flush),
        1 => Just(Op::Drop),
        1 => Just(Op::Close),
        1 => Just(Op::Trim),
    ]
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Open,
    Prepared,
    Committed,
    Aborted,
}

/// What the topic must hold.
#[derive(Clone, Default)]
struct Model {
    /// Value and transaction of each record; transactions are numbered in the order of their beginnings.
    partitions: [Vec<(String, Option<usize>)>; PARTITIONS as usize],
    fates: Vec<Fate>,
}

impl Model {
    /// What a reader sees that begins at `from`: only what lies ahead of it can hold it back.
    fn visible(&self, partition: u32, isolation: Isolation, from: u64) -> Vec<(u64, String)> {
        let mut visible = Vec::new();
        let all = self.partitions[partition as usize].iter().enumerate();
        for (offset, (value, transaction)) in all.skip(from as usize) {
            match transaction.map(|of| self.fates[of]) {
                _ if isolation == Isolation::Uncommitted => {}
                None | Some(Fate::Committed) => {}
                Some(Fate::Aborted) => continue,
                Some(Fate::Open | Fate::Prepared) => break,
            }
            visible.push((offset as u64, value.clone()));
        }
        visible
    }

    fn abort_unprepared(&mut self) {
        for fate in self.fates.iter_mut().filter(|fate| **fate == Fate::Open) {
            *fate = Fate::Aborted;
        }
    }
}

struct Pair {
    dir: tempfile::TempDir,
    writer: Option<TopicWriter>,
    model: Model,
    durable: Model,
    /// Those of this writer's life; prepared ones are found by their id later.
    handles: BTreeMap<usize, Transaction>,
}

fn config() -> TopicConfig {
    TopicConfig::new(0xA5).partitions(PARTITIONS).segment_bytes(3000)
}

impl Pair {
    fn new() -> Pair {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let mut pair = Pair {
            dir,
            writer: None,
            model: Model::default(),
            durable: Model::default(),
            handles: BTreeMap::new(),
        };
        pair.open();
        pair
    }

    fn open(&mut self) {
        let opened = TopicWriter::open_or_create(Rc::new(StdDisk), self.dir.path(), config());
        let mut writer = block_on(opened).expect("nothing is damaged");
        writer.fence("p", 1).expect("one epoch");
        self.writer = Some(writer);
        self.handles.clear();
        self.model.abort_unprepared();
        // What was appended without a flush never was.
        self.durable = self.model.clone();
    }

    fn writer(&mut self) -> &mut TopicWriter {
        self.writer.as_mut().expect("open between the operations")
    }

    fn append(&mut self, transaction: Option<usize>, partition: u32, records: u32) {
        let mut batch = BatchBuilder::new();
        let first = self.model.partitions[partition as usize].len();
        for n in 0..records {
            let value = format!("{partition}-{}-{transaction:?}", first + n as usize);
            let key = (n % 3 > 0).then_some(&b"key"[..]);
            batch.push(i64::from(n) * 7 - 50, key, value.as_bytes(), &[("n", &n.to_le_bytes())]);
            self.model.partitions[partition as usize].push((value, transaction));
        }
        let handle = transaction.map(|of| self.handles[&of]);
        let writer = self.writer();
        let range = match handle {
            None => writer.append(partition, batch.finish()),
            Some(of) => writer.append_in(of, partition, batch.finish()),
        };
        assert_eq!(range.expect("it fits").start, first as u64);
    }

    /// One of the transactions that stand so.
    fn pick(&self, which: usize, fate: Fate) -> Option<usize> {
        let all = self.model.fates.iter().enumerate().filter(|(_, of)| **of == fate);
        all.map(|(at, _)| at).nth(which)
    }

    fn apply(&mut self, op: &Op) {
        match *op {
            Op::Append { partition, records } => self.append(None, partition, records),
            Op::Begin => {
                let producer = self.writer().fence("p", 1).expect("one epoch");
                let transaction = self.writer().begin(&producer).expect("not fenced");
                self.handles.insert(self.model.fates.len(), transaction);
                self.model.fates.push(Fate::Open);
            }
            Op::AppendIn { which, partition, records } => {
                if let Some(of) = self.pick(which, Fate::Open) {
                    self.append(Some(of), partition, records);
                }
            }
            Op::Prepare { which } => {
                if let Some(of) = self.pick(which, Fate::Open) {
                    let handle = self.handles[&of];
                    self.writer().prepare(handle, of as u64).expect("it is open");
                    self.model.fates[of] = Fate::Prepared;
                }
            }
            Op::Commit { which } => {
                if let Some(of) = self.pick(which, Fate::Open) {
                    let handle = self.handles[&of];
                    self.writer().commit(handle).expect("it is open");
                    self.model.fates[of] = Fate::Committed;
                }
            }
            Op::Abort { which } => {
                if let Some(of) = self.pick(which, Fate::Open) {
                    let handle = self.handles[&of];
                    self.writer().abort(handle).expect("it is open");
                    self.model.fates[of] = Fate::Aborted;
                }
            }
            Op::CommitById { which } => self.commit_by_id(which),
            Op::Flush => self.flush(),
            Op::Drop => {
                self.writer = None;
                self.model = self.durable.clone();
                self.open();
                self.check();
            }
            Op::Close => {
                block_on(self.writer.take().expect("open").close()).expect("the disk works");
                self.open();
                self.check();
            }
            Op::Trim => {
                block_on(self.writer().retain(0)).expect("the disk works");
                self.durable = self.model.clone();
            }
        }
    }

    fn commit_by_id(&mut self, which: usize) {
        let Some(of) = self.pick(which, Fate::Prepared) else { return };
        // Its id is known once its preparation is.
        self.flush();
        let outcome = self.writer().commit_prepared("p", of as u64).expect("it is prepared");
        assert_eq!(outcome, Outcome::Committed);
        self.model.fates[of] = Fate::Committed;
        self.flush();
        let again = self.writer().commit_prepared("p", of as u64).expect("it is remembered");
        assert_eq!(again, Outcome::Repeated);
    }

    fn flush(&mut self) {
        block_on(self.writer().flush()).expect("the disk works");
        self.durable = self.model.clone();
        self.check();
    }

    fn check(&self) {
        for isolation in [Isolation::Committed, Isolation::Uncommitted] {
            for partition in 0..PARTITIONS {
                let end = self.durable.partitions[partition as usize].len() as u64;
                for from in [0, end / 3, end] {
                    let expected = self.durable.visible(partition, isolation, from);
                    assert_eq!(read(self.dir.path(), partition, isolation, from), expected, "from {from}");
                }
            }
        }
    }
}

fn read(dir: &Path, partition: u32, isolation: Isolation, from: u64) -> Vec<(u64, String)> {
    block_on(async {
        let mut reader = TopicReader::open(Rc::new(StdDisk), dir, isolation).await.expect("a topic");
        let mut cursor = reader.seek(partition, from).await.expect("in range");
        let mut seen = Vec::new();
        while let Some(records) = reader.next(&mut cursor).await.expect("nothing is damaged") {
            let text = |value: &[u8]| String::from_utf8(value.to_vec()).expect("text was written");
            seen.extend(records.iter().map(|record| (record.offset, text(record.value))));
        }
        seen
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_topic_holds_what_a_plain_model_holds(ops in prop::collection::vec(op(), 1..60)) {
        let mut pair = Pair::new();
        for op in &ops {
            pair.apply(op);
        }
        pair.flush();
    }
}
