//! A process that appends to a topic on the real disk and is killed, again and again: what it acknowledged is there.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::rc::Rc;

use millstream_storage::disk::{StdDisk, block_on};
use millstream_storage::topic::{
    Batch, BatchBuilder, Isolation, TopicConfig, TopicError, TopicReader, TopicWriter,
};

/// Tells the process that is to be killed where its topic is.
const DIR: &str = "MILLSTREAM_TOPIC_TO_KILL";
const ACKNOWLEDGED: &str = "acknowledged ";
const KILLS: usize = 20;

fn batch(number: u64) -> Batch {
    let mut batch = BatchBuilder::new();
    batch.push(0, None, &number.to_le_bytes(), &[]);
    batch.finish()
}

/// Appends numbers to partition 0, each also to partition 1 in a transaction, and says which are durable.
async fn append_for_ever(dir: &Path) -> Result<(), TopicError> {
    let config = TopicConfig::new(1).partitions(2).segment_bytes(1 << 10);
    let mut writer = TopicWriter::open_or_create(Rc::new(StdDisk), dir, config).await?;
    let producer = writer.fence("p", 1)?;
    loop {
        let number = writer.end(0);
        let transaction = writer.begin(&producer)?;
        writer.append(0, batch(number))?;
        writer.append_in(transaction, 1, batch(number))?;
        writer.commit(transaction)?;
        writer.flush().await?;
        let mut out = std::io::stdout().lock();
        writeln!(out, "{ACKNOWLEDGED}{number}").and_then(|()| out.flush()).expect("somebody listens");
    }
}

/// Nothing, unless it is started by the test below: then the process that is to be killed.
#[test]
fn appends_until_it_is_killed() {
    let Some(dir) = std::env::var_os(DIR) else { return };
    block_on(append_for_ever(dir.as_ref())).expect("the disk works");
}

/// Kills a process after so many acknowledgements, and returns all that it gave.
fn kill_after(dir: &Path, count: usize) -> Vec<u64> {
    let mut child = Command::new(std::env::current_exe().expect("this is a program"))
        .args(["--exact", "appends_until_it_is_killed", "--nocapture"])
        .env(DIR, dir)
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
    let mut acknowledged = Vec::new();
    for line in lines {
        // What it said before it was killed counts, too.
        let line = line.expect("text");
        let number: Option<u64> = line.rsplit_once(ACKNOWLEDGED).and_then(|(_, number)| number.parse().ok());
        acknowledged.extend(number);
        if number.is_some() && acknowledged.len() == count {
            child.kill().expect("it runs until then");
        }
    }
    assert!(!child.wait().expect("it was started").success());
    acknowledged
}

fn read(dir: &Path, partition: u32) -> Vec<u64> {
    block_on(async {
        let opened = TopicReader::open(Rc::new(StdDisk), dir, Isolation::Committed).await;
        let mut reader = opened.expect("a topic");
        let mut cursor = reader.seek(partition, 0).await.expect("in range");
        let mut numbers = Vec::new();
        while let Some(records) = reader.next(&mut cursor).await.expect("not damaged") {
            let number = |value: &[u8]| u64::from_le_bytes(value.try_into().expect("a number"));
            numbers.extend(records.iter().map(|record| number(record.value)));
        }
        numbers
    })
}

#[test]
fn what_a_killed_process_acknowledged_is_there() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut acknowledged = BTreeSet::new();
    for kill in 0..KILLS {
        let more = kill_after(dir.path(), 1 + kill * 7 % 23);
        assert!(!more.is_empty());
        acknowledged.extend(more);
        let shown = [0, 1].map(|partition| read(dir.path(), partition));
        drop(block_on(TopicWriter::open(Rc::new(StdDisk), dir.path())).expect("nothing is damaged"));
        let [plain, committed] = [0, 1].map(|partition| read(dir.path(), partition));
        assert!(plain.iter().copied().eq(0..plain.len() as u64), "kill {kill}: {plain:?}");
        assert!(committed.is_sorted_by(|a, b| a < b), "kill {kill}: {committed:?}");
        for (is, was) in [&plain, &committed].into_iter().zip(&shown) {
            assert!(is.starts_with(was), "kill {kill}: {was:?} was shown, now it is {is:?}");
            let is: BTreeSet<u64> = is.iter().copied().collect();
            assert!(acknowledged.is_subset(&is), "kill {kill}: {acknowledged:?} is not all in {is:?}");
        }
    }
}
