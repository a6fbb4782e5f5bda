//! Into files of every kind: partitioned and rolled, with a header or a footer, ended by each checkpoint or going on
//! across them.

mod counted;

use std::path::Path;
use std::time::Duration;

use millstream::job::Job;
use millstream::reference::Inputs;
use millstream::sink::{Csv, file_sink};

use super::data::{Event, events, feed};
use super::expected::Expected;
use super::{Finding, Work};
use crate::disk::DiskView;
use crate::feed::Feed;
use crate::random::Random;
use crate::world::World;
use counted::Counted;

const ROWS: &str = "output/rows";
const COUNTED: &str = "output/counted";
const LONG: &str = "output/long";

/// When files end.
struct Rolling {
    bytes: u64,
    age: Duration,
    open: usize,
    partitions: u64,
}

impl Rolling {
    fn draw(random: &mut Random) -> Rolling {
        let micros = random.magnitude(3_000_000);
        Rolling {
            bytes: random.magnitude(20_000),
            age: Duration::from_micros(micros),
            open: random.range(1, 4) as usize,
            partitions: random.range(1, 5),
        }
    }
}

pub(super) struct Outputs {
    feed: Feed<Event>,
    rows: Rolling,
    header: bool,
    counted: Rolling,
    format: Counted,
    long: Rolling,
    /// In the order of their directories.
    expected: [Expected<Event>; 3],
}

impl Outputs {
    pub(super) fn new(world: &World) -> Outputs {
        let mut random = world.streams().stream("workload");
        let count = *random.pick(&[1, 1, 2, 3]);
        let mut inputs: Vec<Vec<Event>> = (0..count).map(|_| events(&mut random, 0)).collect();
        for (k, events) in inputs.iter_mut().enumerate() {
            events.iter_mut().for_each(|event| event.id += (k as u64) << 32);
            // The order of a key's records is that of its split.
            events.iter_mut().for_each(|event| event.key += 100 * k as u64);
        }
        let mut work = Outputs {
            feed: feed(&mut random, inputs.clone()),
            rows: Rolling::draw(&mut random),
            header: random.coin(),
            counted: Rolling::draw(&mut random),
            format: Counted { group: random.magnitude(30) as usize },
            long: Rolling::draw(&mut random),
            expected: ["rows", "counted", "long"].map(|sink| Expected::new(sink, Event::name, Vec::new())),
        };
        let given = Inputs::new().with("events", move || inputs.clone());
        let job = work.job();
        work.expected = ["rows", "counted", "long"]
            .map(|sink| Expected::new(sink, Event::name, job.expected(sink, &given)));
        work
    }

    /// The records in a file.
    fn decode(&self, dir: &str, bytes: &[u8]) -> Result<Vec<Event>, String> {
        match dir {
            COUNTED => counted::decode(bytes),
            ROWS => decode_csv(bytes, self.header),
            _ => bytes
                .split_inclusive(|&b| b == b'\n')
                .map(|line| serde_json::from_slice(line).map_err(|error| error.to_string()))
                .collect(),
        }
    }

    /// The records in the files that have their final names: of a directory and its sub-directories. Once the job is
    /// done, other files must be gone.
    fn visible(&self, disk: &DiskView, sink: &str, dir: &str, done: bool) -> Result<Vec<Event>, Finding> {
        let mut records = Vec::new();
        for entry in disk.list(dir).unwrap_or_default() {
            let path = format!("{dir}/{}", entry.name);
            if entry.is_dir {
                records.extend(self.visible(disk, sink, &path, done)?);
            } else if !entry.name.starts_with('.') {
                let bytes = disk.read(Path::new(&path)).expect("it was listed");
                let wrong = |seen| Finding::new("visible output is whole", format!("{path}: {seen}"));
                records.extend(self.decode(sink, &bytes).map_err(wrong)?);
            } else if done {
                return Err(Finding::new("nothing pending is left at the end", path));
            }
        }
        Ok(records)
    }
}

impl Work for Outputs {
    fn job(&self) -> Job {
        let job = Job::new("outputs");
        let events = job.source("events", self.feed.clone());
        let (csv, of) = (Csv::new(), self.rows.partitions);
        let rows = file_sink(ROWS)
            .format(if self.header { csv } else { csv.without_header() })
            .roll_at(self.rows.bytes)
            .open_files(self.rows.open)
            .partition_by(move |event: &Event| format!("parity={}/part={}", event.key % 2, event.key % of));
        events.clone().sink("rows", rows);
        // Some are ended by checkpoints alone, and there is one for all records.
        let roll_at = if self.counted.partitions > 2 { u64::MAX } else { self.counted.bytes };
        events.clone().sink("counted", file_sink(COUNTED).format(self.format).roll_at(roll_at));
        let of = self.long.partitions;
        let long = file_sink(LONG)
            .across_checkpoints()
            .roll_at(self.long.bytes)
            .roll_after(self.long.age)
            .open_files(self.long.open)
            .partition_by(move |event: &Event| format!("part={}", event.key % of));
        events.sink("long", long);
        job
    }

    fn check(&self, disk: &DiskView, done: bool) -> Result<(), Finding> {
        for (dir, expected) in [ROWS, COUNTED, LONG].into_iter().zip(&self.expected) {
            expected.check(self.visible(disk, dir, dir, done)?, done)?;
        }
        Ok(())
    }
}

fn decode_csv(bytes: &[u8], header: bool) -> Result<Vec<Event>, String> {
    let text = std::str::from_utf8(bytes).map_err(|error| error.to_string())?;
    let mut lines = text.split_inclusive('\n');
    if header && lines.next() != Some("id,key,time,value\n") {
        return Err("begins without the header row".to_owned());
    }
    lines.map(|line| row(line).ok_or_else(|| format!("{line:?} is no row"))).collect()
}

fn row(line: &str) -> Option<Event> {
    let mut fields = line.strip_suffix('\n')?.split(',');
    let mut next = || fields.next();
    let event = Event {
        id: next()?.parse().ok()?,
        key: next()?.parse().ok()?,
        time: next()?.parse().ok()?,
        value: next()?.parse().ok()?,
    };
    next().is_none().then_some(event)
}
