//! Jobs from topics into topics, on the real runtime: each record once, over restarts and changes of the cores.

use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use millstream::checkpoint::inspect::Checkpoints;
use millstream::host::RuntimeKind;
use millstream::prelude::*;
use millstream::sink::topic_sink_with;
use millstream::source::{DeadLetter, topic_with};
use millstream::topic::{
    BatchBuilder, Isolation, Producer, Signal, TopicConfig, TopicError, TopicReader, TopicWriter,
};
use millstream_storage::disk::{Disk, StdDisk, block_on};

fn append(dir: &Path, partitions: u32, values: impl IntoIterator<Item = String>) -> Signal {
    let config = TopicConfig::new(5).partitions(partitions).segment_bytes(5_000);
    let opened = TopicWriter::open_or_create(Rc::new(StdDisk), dir, config);
    let mut writer = block_on(opened).expect("the disk works");
    for (at, value) in (0..).zip(values) {
        let mut batch = BatchBuilder::new();
        batch.push(at, None, value.as_bytes(), &[]);
        writer.append(at as u32 % partitions, batch.finish()).expect("it fits");
    }
    block_on(writer.flush()).expect("the disk works");
    let signal = writer.signal();
    block_on(writer.close()).expect("the disk works");
    signal
}

fn read(dir: &Path) -> Vec<u64> {
    let mut all: Vec<u64> = read_partitions(dir).into_iter().flatten().collect();
    all.sort_unstable();
    all
}

fn read_partitions(dir: &Path) -> Vec<Vec<u64>> {
    block_on(async {
        let mut reader =
            TopicReader::open(Rc::new(StdDisk), dir, Isolation::Committed).await.expect("a topic");
        let mut all = Vec::new();
        for partition in 0..reader.partitions() {
            let mut seen = Vec::new();
            let mut cursor = reader.seek(partition, 0).await.expect("in range");
            while let Some(records) = reader.next(&mut cursor).await.expect("not damaged") {
                let number = |value: &[u8]| serde_json::from_slice::<u64>(value).expect("a number");
                seen.extend(records.iter().map(|record| number(record.value)));
            }
            all.push(seen);
        }
        all
    })
}

fn config(cores: usize, dir: &Path) -> Config {
    Config::new()
        .cores(cores)
        .runtime(RuntimeKind::Threads)
        .checkpoints(dir.join("state"))
        .checkpoint_every(Duration::from_millis(5))
}

#[test]
fn a_job_from_a_topic_into_a_topic_writes_each_record_once() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (input, output) = (dir.path().join("in"), dir.path().join("out"));
    append(&input, 3, (0..2000_u64).map(|n| n.to_string()));
    let job = || {
        let job = Job::new("double");
        let sink = topic_sink(&output).partitions(2).key_by(|n: &u64, key| key.extend(n.to_le_bytes()));
        job.source("numbers", topic::<u64>(&input)).map(|n| n * 2).sink("doubles", sink);
        job
    };
    let report = job().run(config(2, dir.path())).expect("nothing fails");
    assert_eq!(report.records_in, 2000);
    let expected: Vec<u64> = (0..2000).map(|n| n * 2).collect();
    assert_eq!(read(&output), expected);
    let shares: Vec<usize> = read_partitions(&output).iter().map(Vec::len).collect();
    assert!(shares.len() == 2 && shares.iter().all(|share| *share > 500), "{shares:?}");
    // A job that has ended stays ended.
    job().run(config(1, dir.path())).expect("nothing fails");
    assert_eq!(read(&output), expected);
    // Without its checkpoints it would write everything again.
    let error = job().run(config(1, &dir.path().join("elsewhere"))).expect_err("a second run");
    assert_eq!(error.kind(), ErrorKind::Restore);
    assert!(error.to_string().contains("producer"), "{error}");
}

#[test]
fn a_job_that_follows_goes_on_where_it_was_cancelled() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (input, output) = (dir.path().join("in"), dir.path().join("out"));
    for round in 1..=3_u64 {
        append(&input, 2, ((round - 1) * 100..round * 100).map(|n| n.to_string()));
        let sink = topic_sink(&output);
        let (signal, job) = (sink.signal(), Job::new("follow"));
        job.source("numbers", topic::<u64>(&input).follow().poll_every(Duration::from_millis(1)))
            .sink("copies", sink);
        let running = job.start(config(round as usize % 2 + 1, dir.path())).expect("it starts");
        while read_if_any(&output).len() < 100 * round as usize {
            assert!(!running.is_over(), "it follows until it is cancelled");
            block_on_thread(&signal);
        }
        running.cancel();
        running.wait().expect("it was cancelled");
        assert_eq!(read(&output), (0..100 * round).collect::<Vec<_>>());
    }
}

fn read_if_any(dir: &Path) -> Vec<u64> {
    if dir.join("manifest").exists() { read(dir) } else { Vec::new() }
}

/// Lets some time pass, or less if something becomes readable.
fn block_on_thread(signal: &Signal) {
    let seen = signal.version();
    for _ in 0..20 {
        if signal.version() > seen {
            return;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// From one topic into another, up to the end that the first has when the job begins.
fn copy(input: &Path, output: &Path, pause: Duration) -> Job {
    let job = Job::new("copy");
    let numbers = job.source("numbers", topic::<u64>(input).poll_every(Duration::from_millis(1)));
    let slowly = numbers.map(move |n| {
        std::thread::sleep(pause);
        n
    });
    slowly.sink("copies", topic_sink(output));
    job
}

/// On a core that obeys after every few records.
fn prompt(dir: &Path) -> Config {
    config(1, dir).batch_size(20).step_budget(20)
}

/// A job that was cancelled before its end, and a partition without the mark that tells what of it is durable: as
/// when the power has failed. Returns the partition's file.
fn interrupted(dir: &Path, input: &Path, output: &Path) -> PathBuf {
    append(input, 1, (0..2000_u64).map(|n| n.to_string()));
    let running = copy(input, output, Duration::from_millis(1)).start(prompt(dir)).expect("it starts");
    while read_if_any(output).len() < 20 {
        assert!(!running.is_over(), "it takes two seconds");
        std::thread::sleep(Duration::from_millis(1));
    }
    running.cancel();
    running.wait().expect("it was cancelled");
    let file = input.join("partition-00000/00000000000000000000-0000000001.segment");
    let bytes = std::fs::read(&file).expect("it was written");
    std::fs::write(&file, &bytes[..bytes.len() - 96]).expect("it can be written");
    file
}

#[test]
fn a_checkpoint_names_only_what_may_not_be_committed() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (input, output) = (dir.path().join("in"), dir.path().join("out"));
    append(&input, 1, (0..20_000_u64).map(|n| n.to_string()));
    let job = copy(&input, &output, Duration::from_millis(1));
    let running = job.start(config(1, dir.path())).expect("it starts");
    while running.metrics().job().checkpoints.get() < 6 {
        assert!(!running.is_over(), "it takes twenty seconds");
        std::thread::sleep(Duration::from_millis(1));
    }
    running.cancel();
    running.wait().expect("it was cancelled");
    let checkpoints = Checkpoints::at(Rc::new(StdDisk), dir.path().join("state"));
    let newest = block_on(checkpoints.epochs()).expect("it can be read").into_iter().max().expect("some");
    let manifest = block_on(checkpoints.manifest(newest)).expect("it can be read");
    let prepared = manifest.steps["copies"].parts[0].prepared.as_ref().expect("it was prepared");
    let epochs = prepared["epochs"].as_array().expect("epochs");
    assert!(epochs.len() <= 2, "{epochs:?}");
}

#[test]
fn a_job_does_not_end_before_it_is_told_what_is_durable() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (input, output) = (dir.path().join("in"), dir.path().join("out"));
    interrupted(dir.path(), &input, &output);
    // A writer that lives and says nothing.
    let lease = block_on(StdDisk.lock(&input.join("lease"))).expect("nobody holds it");
    let job = copy(&input, &output, Duration::ZERO);
    let running = job.start(config(1, dir.path())).expect("it starts");
    std::thread::sleep(Duration::from_millis(50));
    drop(lease);
    running.wait().expect("nothing fails");
    assert!(read(&output).into_iter().eq(0..2000), "{} records came", read(&output).len());
}

#[test]
fn a_job_whose_records_are_lost_says_so() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (input, output) = (dir.path().join("in"), dir.path().join("out"));
    let file = interrupted(dir.path(), &input, &output);
    let bytes = std::fs::read(&file).expect("it was written");
    std::fs::write(&file, &bytes[..bytes.len() - 10]).expect("it can be written");
    let error = copy(&input, &output, Duration::ZERO).run(config(1, dir.path())).expect_err("one is missing");
    assert_eq!(error.kind(), ErrorKind::Source);
    assert!(error.to_string().contains("ends at offset 1999, but went up to 2000"), "{error}");
}

#[test]
fn records_that_cannot_be_decoded_go_to_the_dead_letters() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    append(dir.path(), 1, ["1", "nonsense", "3"].map(str::to_owned));
    let job = Job::new("poison");
    let (numbers, good) = collect::<u64>();
    let (letters, dead) = collect::<DeadLetter>();
    let source = job.source("numbers", topic::<u64>(dir.path()).poison(Poison::Skip));
    source.dead_letters().sink("dead", letters);
    source.sink("good", numbers);
    job.run(Config::new().cores(1).runtime(RuntimeKind::Threads)).expect("nothing fails");
    assert_eq!(good.take(), [1, 3]);
    let dead = dead.take();
    assert_eq!((dead.len(), dead[0].offset, dead[0].record.as_str()), (1, 1, "nonsense"));
    assert!(dead[0].split.ends_with("partition-00000"), "{}", dead[0].split);
}

#[test]
fn raw_records_carry_their_times_through() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (input, output) = (dir.path().join("in"), dir.path().join("out"));
    append(&input, 1, ["7", "8"].map(str::to_owned));
    let job = Job::new("raw");
    let raw = topic_with(&input, |record| Ok((record.timestamp, record.value.to_vec())));
    let sink = topic_sink_with(&output, |record: &(i64, Vec<u8>), out: &mut Vec<u8>| {
        out.extend_from_slice(&record.1);
        Ok(())
    });
    job.source("raw", raw).event_time(|record| record.0, Watermarks::bounded(secs(1))).sink("copies", sink);
    job.run(Config::new().cores(1).runtime(RuntimeKind::Threads)).expect("nothing fails");
    assert_eq!(read(&output), [7, 8]);
    let times = block_on(async {
        let mut reader = TopicReader::open(Rc::new(StdDisk), &output, Isolation::Committed).await?;
        let mut cursor = reader.seek(0, 0).await?;
        let records = reader.next(&mut cursor).await?.expect("one batch");
        Ok::<_, millstream::topic::TopicError>(
            records.iter().map(|record| record.timestamp).collect::<Vec<_>>(),
        )
    });
    assert_eq!(times.expect("not damaged"), [0, 1]);
}

fn batch(value: u64) -> millstream::topic::Batch {
    let mut batch = BatchBuilder::new();
    batch.push(0, None, value.to_string().as_bytes(), &[]);
    batch.finish()
}

/// A new topic, the one writer of it, and its one producer of transactions.
async fn with_producer(dir: &Path) -> Result<(TopicWriter, Producer), TopicError> {
    let mut writer = TopicWriter::open_or_create(Rc::new(StdDisk), dir, TopicConfig::new(5)).await?;
    let producer = writer.fence("p", 1)?;
    Ok((writer, producer))
}

/// What a job that ends reads.
fn read_by_a_job(input: &Path) -> Vec<u64> {
    let job = Job::new("read");
    let (sink, seen) = collect::<u64>();
    job.source("numbers", topic::<u64>(input)).sink("seen", sink);
    job.run(Config::new().cores(1).runtime(RuntimeKind::Threads)).expect("nothing fails");
    seen.take()
}

#[test]
fn a_job_does_not_take_a_commit_that_readers_were_not_told_of_for_an_open_transaction() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let committed = block_on(async {
        let (mut writer, producer) = with_producer(dir.path()).await?;
        let transaction = writer.begin(&producer)?;
        writer.append_in(transaction, 0, batch(1))?;
        writer.prepare(transaction, 1)?;
        writer.flush().await?;
        writer.append(0, batch(2))?;
        writer.flush().await?;
        writer.commit_prepared("p", 1)?;
        writer.flush().await
    });
    committed.expect("the disk works");
    // The power fails: the mark behind the commit was never synced.
    let file = dir.path().join("decisions/00000000000000000000-0000000001.segment");
    let bytes = std::fs::read(&file).expect("it was written");
    std::fs::write(&file, &bytes[..bytes.len() - 96]).expect("it can be written");
    assert_eq!(read(dir.path()), [0_u64; 0], "a reader alone cannot know");
    assert_eq!(read_by_a_job(dir.path()), [1, 2]);
}

#[test]
fn what_lies_behind_the_open_transaction_of_a_writer_that_died_is_read() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let appended = block_on(async {
        let (mut writer, producer) = with_producer(dir.path()).await?;
        let transaction = writer.begin(&producer)?;
        writer.append_in(transaction, 0, batch(1))?;
        writer.append(0, batch(2))?;
        writer.flush().await
    });
    appended.expect("the disk works");
    assert_eq!(read_by_a_job(dir.path()), [2]);
}

#[test]
fn a_transaction_of_a_writer_that_lives_is_waited_for() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let begun = block_on(async {
        let (mut writer, producer) = with_producer(dir.path()).await?;
        let transaction = writer.begin(&producer)?;
        writer.append_in(transaction, 0, batch(1))?;
        writer.flush().await?;
        Ok::<_, TopicError>((writer, transaction))
    });
    let (mut writer, transaction) = begun.expect("the disk works");
    let input = dir.path().to_owned();
    let reading = std::thread::spawn(move || read_by_a_job(&input));
    std::thread::sleep(Duration::from_millis(50));
    writer.commit(transaction).expect("it is open");
    block_on(writer.flush()).expect("the disk works");
    assert_eq!(reading.join().expect("nothing fails"), [1]);
}

#[test]
fn a_job_that_reads_what_is_not_committed_ends_although_some_of_it_is_lost() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let input = dir.path().join("in");
    append(&input, 1, (0..2000_u64).map(|n| n.to_string()));
    let file = input.join("partition-00000/00000000000000000000-0000000001.segment");
    let job = |pause: Duration| {
        let job = Job::new("copy");
        let numbers = job.source("numbers", topic::<u64>(&input).uncommitted());
        let slowly = numbers.map(move |n| {
            std::thread::sleep(pause);
            n
        });
        slowly.sink("copies", topic_sink(dir.path().join("out")));
        job
    };
    let running = job(Duration::from_millis(1)).start(prompt(dir.path())).expect("it starts");
    while read_if_any(&dir.path().join("out")).len() < 20 {
        assert!(!running.is_over(), "it takes two seconds");
        std::thread::sleep(Duration::from_millis(1));
    }
    running.cancel();
    running.wait().expect("it was cancelled");
    let bytes = std::fs::read(&file).expect("it was written");
    std::fs::write(&file, &bytes[..bytes.len() - 96 - 10]).expect("it can be written");
    job(Duration::ZERO).run(config(1, dir.path())).expect("what is not known to be durable may go");
    assert!(read(&dir.path().join("out")).into_iter().eq(0..1999));
}
