//! From files through a window into files of NDJSON, all on the simulated disk.

use std::cell::{Cell, RefCell};
use std::path::Path;

use millstream::checkpoint::manifest::{Manifest, Part};
use millstream::job::Job;
use millstream::reference::Inputs;
use millstream::sink::ndjson_dir;
use millstream::source::watermarks::Watermarks;
use millstream::source::{DeadLetter, Poison, files};
use millstream::time::millis;
use millstream::window::Tumbling;
use millstream::{Config, Report};
use serde::de::DeserializeOwned;

use super::checkpoints::manifests;
use super::data::{Event, Row, Total, events};
use super::expected::Expected;
use super::formats::{Format, Packed, encode};
use super::replays::Replayed;
use super::windows::Shape;
use super::{Finding, STATE, Work};
use crate::disk::DiskView;
use crate::world::World;

const ROWS: &str = "output/rows";
const LATE: &str = "output/late";
const DEAD: &str = "output/dead";

pub(super) struct Files {
    shape: Shape,
    format: Format,
    read_size: usize,
    /// Lines that cannot be decoded, by file and line.
    bad: Vec<(String, u64)>,
    /// Whether these go into files of their own; otherwise they are counted.
    dead_letters: bool,
    expected_rows: Expected<Row<[u64; 3]>>,
    expected_late: Expected<Event>,
    expected_dead: Expected<(String, u64)>,
    later: Later,
}

/// Files that come when the first process is over, unless the end of the others is in a checkpoint by then.
struct Later {
    disk: DiskView,
    files: RefCell<Vec<(String, Vec<u8>)>>,
    /// What is to be expected without them.
    rows: Expected<Row<[u64; 3]>>,
    started: Cell<bool>,
}

impl Later {
    /// Keeps the last of `files` back, if `some` may be, and no process ends the job that started before they came.
    fn draw(world: &World, files: &mut Vec<(String, Vec<u8>)>, some: bool) -> Later {
        let mut random = world.streams().stream("later");
        let kept = if some && !world.may_freeze() && files.len() > 1 && random.coin() {
            random.range(1, files.len() as u64 - 1)
        } else {
            0
        };
        let later = files.split_off(files.len() - kept as usize);
        let rows = Expected::new("rows", Row::name, Vec::new());
        Later { disk: world.disk(), files: later.into(), rows, started: Cell::new(false) }
    }

    /// A process starts.
    fn start(&self) {
        let ended = || manifests(&self.disk, STATE).is_ok_and(|all| all.iter().any(has_ended));
        if self.started.replace(true) && !ended() {
            for (path, bytes) in self.files.take() {
                self.disk.install(path, bytes).expect("nothing is in the way");
            }
        }
    }
}

/// Whether a checkpoint has the end of all files: then windows have fired for it, and what comes later is late.
fn has_ended(manifest: &Manifest) -> bool {
    let all_ended = |part: &Part| {
        let splits = part.meta["positions"].as_object().map_or(0, |positions| positions.len());
        splits == part.meta["ended"].as_array().map_or(0, Vec::len)
    };
    manifest.finished || manifest.steps["events"].parts.iter().all(all_ended)
}

impl Files {
    pub(super) fn new(world: &World) -> Files {
        Files::draw(world, 0, false)
    }

    pub(super) fn poisoned(world: &World) -> Files {
        Files::draw(world, 20, false)
    }

    /// NDJSON or CSV, each file plain or compressed.
    pub(super) fn formatted(world: &World) -> Files {
        Files::draw(world, 5, true)
    }

    /// `poison` lines of a hundred cannot be decoded. All is plain NDJSON, if not of several `formats`.
    fn draw(world: &World, poison: u64, formats: bool) -> Files {
        let mut random = world.streams().stream("workload");
        let mut shape = Shape::draw(&mut random);
        let count = *random.pick(&[1, 1, 1, 3, 6]);
        if count > 1 {
            // Files are read one after the other as well: only the end of all of them ends a window.
            shape.bound = millis(1 << 30);
            shape.window = Tumbling::of(millis(random.magnitude(1000)));
        }
        let mut inputs: Vec<Vec<Event>> = (0..count).map(|_| events(&mut random, shape.disorder)).collect();
        for (k, events) in inputs.iter_mut().enumerate() {
            events.iter_mut().for_each(|event| event.id += (k as u64) << 32);
            // Which of two files is read first must not matter.
            events.iter_mut().for_each(|event| event.key += if count > 1 { 100 * k as u64 } else { 0 });
        }
        let (mut bad, mut files) = (Vec::new(), Vec::new());
        let format = if formats && random.coin() { Format::Csv } else { Format::Ndjson };
        for (k, events) in inputs.iter().enumerate() {
            let packed = if formats { Packed::draw(&mut random) } else { Packed::Plain };
            let path = format!("input/{k}.lines{}", packed.suffix(&mut random));
            let bytes = encode(&mut random, format, &path, events, poison, &mut bad);
            let bytes = packed.pack(&mut random, &bytes);
            files.push((path, bytes));
        }
        let later = Later::draw(world, &mut files, !formats && poison == 0);
        let early: Vec<_> = inputs[..files.len()].to_vec();
        files
            .into_iter()
            .for_each(|(path, bytes)| world.disk().install(path, bytes).expect("a new disk is empty"));
        let mut work = Files {
            shape,
            format,
            read_size: 64 + random.magnitude(4096) as usize,
            dead_letters: poison > 0 && random.coin(),
            expected_rows: Expected::new("rows", Row::name, Vec::new()),
            expected_late: Expected::new("late", Event::name, Vec::new()),
            expected_dead: Expected::new("dead", |bad| bad.0.clone(), bad.clone()),
            bad,
            later,
        };
        let job = work.job();
        let given = Inputs::new().with("events", move || early.clone());
        work.later.rows = Expected::new("rows", Row::name, job.expected("rows", &given));
        let given = Inputs::new().with("events", move || inputs.clone());
        work.expected_rows = Expected::new("rows", Row::name, job.expected("rows", &given));
        work.expected_late = Expected::new("late", Event::name, job.expected("late", &given));
        work
    }
}

impl Work for Files {
    fn job(&self) -> Job {
        let job = Job::new("files");
        let input = files(["input"]).read_size(self.read_size).poison(Poison::Skip);
        let input = if self.format == Format::Csv { input.csv() } else { input };
        let events = job
            .source("events", input)
            .event_time(|event: &Event| event.time, Watermarks::bounded(self.shape.bound));
        if self.dead_letters {
            events.dead_letters().sink("dead", ndjson_dir(DEAD));
        }
        let totals = events.key_by(|event| event.key).window(self.shape.window).aggregate("totals", Total);
        totals.late().sink("late", ndjson_dir(LATE));
        totals.map(Row::new).sink("rows", ndjson_dir(ROWS));
        job
    }

    fn configure(&self, config: Config) -> Config {
        self.later.start();
        config
    }

    fn check(&self, disk: &DiskView, done: bool) -> Result<(), Finding> {
        let rows = if self.later.files.borrow().is_empty() { &self.expected_rows } else { &self.later.rows };
        rows.check(visible(disk, ROWS, done)?, done)?;
        self.expected_late.check(visible(disk, LATE, done)?, done)?;
        if !self.dead_letters {
            return Ok(());
        }
        let dead: Vec<DeadLetter> = visible(disk, DEAD, done)?;
        let place = |letter: DeadLetter| (letter.split, letter.line.unwrap_or(0));
        self.expected_dead.check(dead.into_iter().map(place).collect(), done)
    }

    fn replayed(&self, _: u64, _: u64) -> Replayed {
        Replayed::State
    }

    fn account(&self, report: &Report) -> Result<(), Finding> {
        if report.poison == self.bad.len() as u64 {
            return Ok(());
        }
        let seen = format!("{} of {} counted", report.poison, self.bad.len());
        Err(Finding::new("every record that cannot be decoded is counted", seen))
    }
}

/// The records in the files of a directory that have their final names. Once the job is done, others must be gone.
fn visible<T: DeserializeOwned>(disk: &DiskView, dir: &str, done: bool) -> Result<Vec<T>, Finding> {
    let rule = "visible output is whole";
    let mut records = Vec::new();
    for entry in disk.list(dir).unwrap_or_default() {
        if entry.name.starts_with('.') {
            if done {
                return Err(Finding::new(
                    "nothing pending is left at the end",
                    format!("{dir}/{}", entry.name),
                ));
            }
            continue;
        }
        let bytes = disk.read(Path::new(dir).join(&entry.name)).expect("it was listed");
        for line in bytes.split_inclusive(|&b| b == b'\n') {
            let record = serde_json::from_slice(line);
            let record = record.map_err(|error| {
                let line = String::from_utf8_lossy(line);
                Finding::new(rule, format!("{dir}/{}: {line:?}: {error}", entry.name))
            })?;
            records.push(record);
        }
    }
    Ok(records)
}
