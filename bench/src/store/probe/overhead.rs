//! Updates on a core with a checkpoint each second, the same without, and a hash map, in turn.

use std::cell::RefCell;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

use millstream::host::{Class, Host};
use millstream_storage::snapshot::StoreSnapshot;

use crate::report::Outcome;
use crate::store::engine::{Engine, Setup, State};
use crate::store::keys::{self, BATCH, Random};
use crate::store::millstream::Millstream;
use crate::store::wire::Reply;
use crate::store::{hash_map, probe};

/// From one seal to the next.
const INTERVAL: Duration = Duration::from_secs(1);
/// Updates of a step, after which other tasks of the core have their turn.
const STEP: usize = 1024;
const VALUE: usize = 16;

pub(in crate::store) fn run(keys: u64, seconds: f64, rounds: usize, dir: PathBuf) -> Outcome<Reply> {
    probe::on_core(move |host| {
        Box::pin(async move {
            let engine = "hashbrown".to_owned();
            let (state, value_len) = (State::Values, VALUE);
            let setup = Setup { engine, dir: dir.clone(), keys, value_len, budget: 0, state };
            let mut map = hash_map::open(&setup).ok_or("the hash map has no values of this length")?;
            let mut store = Millstream::new(VALUE);
            let mut checkpoints = Checkpoints {
                host: host.clone(),
                dir,
                epoch: 0,
                next: None,
                under_way: None,
                done: Vec::new(),
            };
            let turns = Turns { host, keys, seconds };
            turns.touch_all(map.as_mut())?;
            let (mut plain, mut with, mut bare) = (Vec::new(), Vec::new(), Vec::new());
            for round in 0..rounds as u64 {
                bare.push(turns.turn(map.as_mut(), round, |_| Ok(())).await?);
                // What the last checkpoint froze is made changeable again, and compaction comes to its end.
                turns.touch_all(&mut store)?;
                plain.push(turns.turn(&mut store, round, |_| Ok(())).await?);
                checkpoints.next = Some(Instant::now());
                with.push(turns.turn(&mut store, round, |store| checkpoints.look(store)).await?);
                checkpoints.finish(&mut store).await?;
            }
            let series =
                [("hashbrown", bare), ("without", plain), ("with", with), ("checkpoint", checkpoints.done)];
            Ok(Reply {
                series: series.map(|(name, values)| (name.to_owned(), values)).into(),
                ..Reply::default()
            })
        })
    })
}

struct Turns {
    host: Rc<dyn Host>,
    keys: u64,
    seconds: f64,
}

impl Turns {
    fn touch_all(&self, engine: &mut (impl Engine + ?Sized)) -> Outcome<()> {
        let all: Vec<u64> = keys::each_once(self.keys).collect();
        all.chunks(BATCH).try_for_each(|batch| engine.update(batch))
    }

    /// Million updates per second, all that the core did meanwhile included, but for drawing the keys.
    async fn turn<E: Engine + ?Sized>(
        &self,
        engine: &mut E,
        seed: u64,
        mut between: impl FnMut(&mut E) -> Outcome<()>,
    ) -> Outcome<f64> {
        let mut random = Random::new(seed, self.keys);
        let (mut batch, mut updates, mut drawing) = (Vec::new(), 0_u64, Duration::ZERO);
        let start = Instant::now();
        while start.elapsed().as_secs_f64() < self.seconds {
            let drawn = Instant::now();
            random.fill(&mut batch, BATCH);
            drawing += drawn.elapsed();
            for step in batch.chunks(STEP) {
                engine.update(step)?;
                between(engine)?;
                self.host.yield_now().await;
            }
            updates += batch.len() as u64;
        }
        Ok(updates as f64 / (start.elapsed() - drawing).as_secs_f64() / 1e6)
    }
}

/// The outcome of a write in the background, once it is known.
type UnderWay = Rc<RefCell<Option<Result<StoreSnapshot, String>>>>;

/// A checkpoint each [`INTERVAL`], written in the background; one at a time.
struct Checkpoints {
    host: Rc<dyn Host>,
    dir: PathBuf,
    epoch: u64,
    /// When the next one is due.
    next: Option<Instant>,
    under_way: Option<(UnderWay, u64)>,
    /// Megabytes of each that was written.
    done: Vec<f64>,
}

impl Checkpoints {
    fn look(&mut self, engine: &mut Millstream) -> Outcome<()> {
        self.take_outcome(engine)?;
        let due = self.next.is_some_and(|next| Instant::now() >= next);
        if due && self.under_way.is_none() {
            self.next = Some(Instant::now() + INTERVAL);
            self.start(engine);
        }
        Ok(())
    }

    fn start(&mut self, engine: &mut Millstream) {
        self.epoch += 1;
        let sealed = engine.store().seal(self.epoch);
        let outcome = UnderWay::default();
        self.under_way = Some((outcome.clone(), sealed.bytes()));
        let (disk, dir) = (self.host.disk(), self.dir.clone());
        let task = async move {
            let written = sealed.write(disk.clone(), dir.clone()).await.map_err(|error| error.to_string());
            let synced = disk.sync_dir(&dir).await.map_err(|error| error.to_string());
            *outcome.borrow_mut() = Some(synced.and(written));
        };
        self.host.spawn(Class::Background, Box::pin(task));
    }

    fn take_outcome(&mut self, engine: &mut Millstream) -> Outcome<()> {
        let known = |(outcome, _): &mut (UnderWay, u64)| outcome.borrow().is_some();
        let Some((outcome, bytes)) = self.under_way.take_if(known) else { return Ok(()) };
        let snapshot = outcome.take().ok_or("an outcome was taken twice")??;
        engine.store().flushed(self.epoch, &snapshot);
        probe::remove_others(&snapshot, &self.dir)?;
        self.done.push(bytes as f64 / 1e6);
        Ok(())
    }

    async fn finish(&mut self, engine: &mut Millstream) -> Outcome<()> {
        while self.under_way.is_some() {
            self.host.yield_now().await;
            self.take_outcome(engine)?;
        }
        Ok(())
    }
}
