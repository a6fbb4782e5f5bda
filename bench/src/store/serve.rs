//! The engine's side: does what each line of standard input says, and answers on standard output.

use std::io::{BufRead, Write};
use std::time::{Duration, Instant};

use super::engine::{Engine, Opener, Scanned, Setup};
use super::keys::{self, BATCH, Random};
use super::probe;
use super::wire::{Command, Reply};
use crate::report::Outcome;

pub(super) fn serve(open: Opener) -> Outcome<()> {
    let mut server = Server { open, engine: None, updates: 0, appended: 0 };
    let mut output = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let reply = server.answer(serde_json::from_str(&line?)?);
        let reply =
            reply.unwrap_or_else(|error| Reply { error: Some(error.to_string()), ..Reply::default() });
        serde_json::to_writer(&mut output, &reply)?;
        writeln!(output)?;
        output.flush()?;
    }
    Ok(())
}

struct Server {
    open: Opener,
    engine: Option<(Setup, Box<dyn Engine>)>,
    /// Updates so far: what the counts of all keys must come to.
    updates: u64,
    appended: u64,
}

impl Server {
    fn answer(&mut self, command: Command) -> Outcome<Reply> {
        match command {
            Command::Open(setup) => self.open(setup),
            Command::Fill => self.fill(),
            Command::Update { seconds, seed } => self.update(seconds, seed),
            Command::Read { seconds, seed } => self.timed(seconds, seed, BATCH, |engine, keys| {
                std::hint::black_box(engine.read(keys)?);
                Ok(keys.len() as u64)
            }),
            Command::Scan => self.scan(),
            Command::Memory => self.memory(),
            Command::Snapshots { count } => self.snapshots(count),
            Command::Append { elements } => self.append(elements),
            Command::Iterate { seconds, seed } => {
                self.timed(seconds, seed, 1, |engine, keys| Ok(engine.iterate(keys)?.entries))
            }
            Command::Pauses { keys, value_len, count, dir } => probe::pause::run(keys, value_len, count, dir),
            Command::Overhead { keys, seconds, rounds, dir } => {
                probe::overhead::run(keys, seconds, rounds, dir)
            }
            Command::Disk { work, dir } => probe::disk::run(work, dir),
            Command::Restart { work, dir } => probe::restart::run(work, dir),
        }
    }

    fn engine(&mut self) -> Outcome<(&Setup, &mut dyn Engine)> {
        let (setup, engine) = self.engine.as_mut().ok_or("no engine is open")?;
        Ok((setup, engine.as_mut()))
    }

    fn open(&mut self, setup: Setup) -> Outcome<Reply> {
        std::fs::create_dir_all(&setup.dir)?;
        let engine = (self.open)(&setup)?;
        let unavailable = engine.is_none();
        self.engine = engine.map(|engine| (setup, engine));
        Ok(Reply { unavailable, ..Reply::default() })
    }

    fn fill(&mut self) -> Outcome<Reply> {
        let (setup, engine) = self.engine()?;
        let count = setup.keys;
        let mut all = keys::each_once(count);
        let mut busy = Duration::ZERO;
        loop {
            let batch: Vec<u64> = all.by_ref().take(BATCH).collect();
            if batch.is_empty() {
                break;
            }
            let start = Instant::now();
            engine.update(&batch)?;
            busy += start.elapsed();
        }
        self.updates += count;
        Ok(Reply { operations: count, seconds: busy.as_secs_f64(), ..Reply::default() })
    }

    fn update(&mut self, seconds: f64, seed: u64) -> Outcome<Reply> {
        let reply = self.timed(seconds, seed, BATCH, |engine, keys| {
            engine.update(keys)?;
            Ok(keys.len() as u64)
        })?;
        self.updates += reply.operations;
        Ok(reply)
    }

    /// Gives batches of random keys to the engine until it has worked for so long.
    fn timed(
        &mut self,
        seconds: f64,
        seed: u64,
        batch_len: usize,
        mut work: impl FnMut(&mut dyn Engine, &[u64]) -> Outcome<u64>,
    ) -> Outcome<Reply> {
        let (setup, engine) = self.engine()?;
        let mut random = Random::new(seed, setup.keys);
        let (mut batch, mut operations, mut busy) = (Vec::new(), 0, Duration::ZERO);
        while busy.as_secs_f64() < seconds {
            random.fill(&mut batch, batch_len);
            let start = Instant::now();
            operations += work(engine, &batch)?;
            busy += start.elapsed();
        }
        Ok(Reply { operations, seconds: busy.as_secs_f64(), ..Reply::default() })
    }

    /// Visits everything, and checks that nothing was lost.
    fn scan(&mut self) -> Outcome<Reply> {
        let updates = self.updates;
        let (setup, engine) = self.engine()?;
        let start = Instant::now();
        let scanned = engine.scan()?;
        let seconds = start.elapsed().as_secs_f64();
        let expected = Scanned { entries: setup.keys, sum: updates };
        if scanned != expected {
            return Err(format!("{} holds {scanned:?} where there were {expected:?}", setup.engine).into());
        }
        Ok(Reply { operations: scanned.entries, seconds, scanned, ..Reply::default() })
    }

    fn memory(&mut self) -> Outcome<Reply> {
        let accounted = self.engine.as_ref().and_then(|(_, engine)| engine.accounted_bytes());
        Ok(Reply { resident: probe::resident()?, accounted, ..Reply::default() })
    }

    fn snapshots(&mut self, count: usize) -> Outcome<Reply> {
        let mut pauses = Vec::new();
        for seed in 0..count as u64 {
            let (_, engine) = self.engine()?;
            let Some(pause) = engine.snapshot()? else {
                return Ok(Reply { unavailable: true, ..Reply::default() });
            };
            pauses.push(pause.as_secs_f64() * 1e6);
            self.update(0.02, seed)?;
        }
        Ok(Reply { series: vec![("pause".into(), pauses)], ..Reply::default() })
    }

    fn append(&mut self, elements: u64) -> Outcome<Reply> {
        let mut from = self.appended;
        self.appended += elements;
        let end = self.appended;
        let (setup, engine) = self.engine()?;
        let (mut all, mut busy) = (keys::each_once(setup.keys), Duration::ZERO);
        while from < end {
            let left = (end - from).min(BATCH as u64) as usize;
            let mut batch: Vec<u64> = all.by_ref().take(left).collect();
            if batch.len() < left {
                all = keys::each_once(setup.keys);
                batch.extend(all.by_ref().take(left - batch.len()));
            }
            let start = Instant::now();
            engine.append(&batch, from)?;
            busy += start.elapsed();
            from += batch.len() as u64;
        }
        Ok(Reply { operations: elements, seconds: busy.as_secs_f64(), ..Reply::default() })
    }
}
