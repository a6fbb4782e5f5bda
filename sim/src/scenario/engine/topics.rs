//! From the partitions of a topic through a window into the partitions of another, all on the simulated disk.

use std::cell::Cell;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use millstream::host::CoreMain;
use millstream::job::Job;
use millstream::reference::Inputs;
use millstream::sink::topic_sink;
use millstream::source::topic;
use millstream::source::watermarks::Watermarks;
use millstream_storage::disk::block_on;
use millstream_storage::topic::{BatchBuilder, Isolation, TopicConfig, TopicError, TopicReader, TopicWriter};
use serde::de::DeserializeOwned;

use super::data::{Event, Row, Total};
use super::expected::Expected;
use super::replays::Replayed;
use super::windows::Shape;
use super::{Finding, Work};
use crate::disk::{DiskView, ReadOnly};
use crate::world::World;

const EVENTS: &str = "input/events";
const ROWS: &str = "output/rows";
const LATE: &str = "output/late";

pub(super) struct Topics {
    shape: Shape,
    /// Of the output.
    partitions: u32,
    segment_bytes: u64,
    expected_rows: Expected<Row<[u64; 3]>>,
    expected_late: Expected<Event>,
    /// The job has said that it is done. On a full disk its last process cannot tell readers what is durable: the
    /// next one does.
    done: Cell<bool>,
    /// The media lie: who reads the output may be told that it is damaged.
    damaged: bool,
}

impl Topics {
    pub(super) fn new(world: &mut World) -> Topics {
        let mut random = world.streams().stream("workload");
        let (shape, inputs) = Shape::partitioned(&mut random);
        let segment_bytes = 200 + random.magnitude(100_000);
        world.run(vec![fill(inputs.clone(), segment_bytes, random.magnitude(100) as usize)]);
        let mut work = Topics {
            shape,
            partitions: random.range(1, 3) as u32,
            segment_bytes,
            expected_rows: Expected::new("rows", Row::name, Vec::new()),
            expected_late: Expected::new("late", Event::name, Vec::new()),
            done: Cell::new(false),
            damaged: false,
        };
        let given = Inputs::new().with("events", move || inputs.clone());
        let job = work.job();
        work.expected_rows = Expected::new("rows", Row::name, job.expected("rows", &given));
        work.expected_late = Expected::new("late", Event::name, job.expected("late", &given));
        work
    }
}

impl Topics {
    /// Where the media lie.
    pub(super) fn damaged(world: &mut World) -> Topics {
        Topics { damaged: true, ..Topics::new(world) }
    }
}

/// Appends the events of each partition, in batches, however often the disk refuses.
fn fill(inputs: Vec<Vec<Event>>, segment_bytes: u64, batch: usize) -> CoreMain {
    Box::new(move |host| {
        Box::pin(async move {
            let config =
                TopicConfig::new(host.random()).partitions(inputs.len() as u32).segment_bytes(segment_bytes);
            let append = || async {
                let mut writer = TopicWriter::open_or_create(host.disk(), Path::new(EVENTS), config).await?;
                for (partition, events) in (0..).zip(&inputs) {
                    for events in events[writer.end(partition) as usize..].chunks(batch) {
                        writer.append(partition, encode(events))?;
                        writer.flush().await?;
                    }
                }
                writer.close().await?;
                Ok::<_, TopicError>(())
            };
            while append().await.is_err() {
                host.sleep(Duration::from_millis(100)).await;
            }
        })
    })
}

fn encode(events: &[Event]) -> millstream_storage::topic::Batch {
    let mut batch = BatchBuilder::new();
    for event in events {
        let value = serde_json::to_vec(event).expect("an event is plain data");
        batch.push(event.time, None, &value, &[]);
    }
    batch.finish()
}

impl Work for Topics {
    fn job(&self) -> Job {
        let job = Job::new("topics");
        let totals = job
            .source("events", topic(EVENTS))
            .event_time(|event: &Event| event.time, Watermarks::bounded(self.shape.bound))
            .key_by(|event| event.key)
            .window(self.shape.window)
            .aggregate("totals", Total);
        let late = topic_sink(LATE).segment_bytes(self.segment_bytes);
        totals.late().sink("late", late);
        let rows = topic_sink(ROWS)
            .partitions(self.partitions)
            .segment_bytes(self.segment_bytes)
            .key_by(|row: &Row<[u64; 3]>, key| key.extend_from_slice(&row.key.to_le_bytes()));
        totals.map(Row::new).sink("rows", rows);
        job
    }

    fn check(&self, disk: &DiskView, done: bool) -> Result<(), Finding> {
        let complete = done && self.done.replace(done);
        match (committed(disk, ROWS), committed(disk, LATE)) {
            // A reader that refuses to read has read nothing wrong.
            (Err(_), _) | (_, Err(_)) if self.damaged => Ok(()),
            (rows, late) => {
                self.expected_rows.check(rows?, complete)?;
                self.expected_late.check(late?, complete)
            }
        }
    }

    fn replayed(&self, _: u64, _: u64) -> Replayed {
        Replayed::State
    }
}

/// What a reader of committed records finds in a topic.
fn committed<T: DeserializeOwned>(disk: &DiskView, dir: &str) -> Result<Vec<T>, Finding> {
    let read = async {
        let mut records = Vec::new();
        let mut reader =
            TopicReader::open(Rc::new(ReadOnly::new(disk)), Path::new(dir), Isolation::Committed).await?;
        for partition in 0..reader.partitions() {
            let mut cursor = reader.seek(partition, 0).await?;
            while let Some(batch) = reader.next(&mut cursor).await? {
                records.extend(batch.iter().map(|record| serde_json::from_slice(record.value)));
            }
        }
        Ok(records)
    };
    let finding = |seen: String| Finding::new("visible output is whole", format!("{dir}: {seen}"));
    match block_on(read) {
        // It is made by the first process that gets so far.
        Err(TopicError::NoTopic { .. }) => Ok(Vec::new()),
        Err(error) => Err(finding(error.to_string())),
        Ok(records) => {
            records.into_iter().collect::<Result<_, _>>().map_err(|error| finding(error.to_string()))
        }
    }
}
