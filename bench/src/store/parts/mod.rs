//! The conductor: which engine does what when, and what is made of it.

pub(super) mod collections;
pub(super) mod disk;
pub(super) mod larger;
pub(super) mod memory;
pub(super) mod overhead;
pub(super) mod pause;
pub(super) mod restart;

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::engine::{Setup, State};
use super::process::Process;
use super::wire::{Command, Reply};
use super::{Args, Roster};
use crate::report::Outcome;

/// Figures by engine.
type Figures = Vec<(String, Vec<f64>)>;

/// A benchmark under way.
pub(super) struct Bench<'a> {
    pub(super) args: &'a Args,
    command: &'static [&'static str],
    engines: Vec<&'static str>,
    dir: &'a Path,
    /// Directories handed out.
    used: Cell<u64>,
    began: Instant,
}

impl<'a> Bench<'a> {
    pub(super) fn new(args: &'a Args, roster: &Roster, dir: &'a Path) -> Outcome<Bench<'a>> {
        if let Some(name) = args.engines.iter().find(|name| !roster.engines.contains(&name.as_str())) {
            return Err(format!("there is no engine {name}; there are {}", roster.engines.join(", ")).into());
        }
        let chosen =
            |name: &&&str| args.engines.is_empty() || args.engines.iter().any(|chosen| chosen == **name);
        let engines = roster.engines.iter().filter(chosen).copied().collect();
        let command = roster.command;
        Ok(Bench { args, command, engines, dir, used: Cell::new(0), began: Instant::now() })
    }

    fn say(&self, what: &str) {
        eprintln!("{:>5} s  {what}", self.began.elapsed().as_secs());
    }

    /// A new directory.
    fn new_dir(&self) -> Outcome<PathBuf> {
        self.used.set(self.used.get() + 1);
        let dir = self.dir.join(self.used.get().to_string());
        std::fs::create_dir(&dir)?;
        Ok(dir)
    }

    /// Whether our own store takes part.
    fn has_ours(&self) -> bool {
        self.engines.contains(&"millstream")
    }

    /// A process of our own store.
    fn ours(&self) -> Outcome<Process> {
        Process::start("millstream", self.command)
    }

    /// Opens one engine, if it can hold such a state.
    fn open_one(
        &self,
        engine: &str,
        keys: u64,
        value_len: usize,
        budget: u64,
        state: State,
    ) -> Outcome<Option<Process>> {
        let mut process = Process::start(engine, self.command)?;
        let (engine, dir) = (engine.to_owned(), self.new_dir()?);
        let setup = Setup { engine, dir, keys, value_len, budget, state };
        Ok(process.ask(&Command::Open(setup))?.map(|_| process))
    }

    /// Opens every engine that can hold such a state, each in a process of its own.
    fn open(&self, keys: u64, value_len: usize, budget: u64, state: State) -> Outcome<Contest> {
        let mut engines = Vec::new();
        for engine in &self.engines {
            engines.extend(self.open_one(engine, keys, value_len, budget, state)?);
        }
        Ok(Contest { engines })
    }
}

/// Engines that take turns.
struct Contest {
    engines: Vec<Process>,
}

impl Contest {
    /// Has every engine do something, one after the other.
    fn each(&mut self, mut work: impl FnMut(&mut Process) -> Outcome<f64>) -> Outcome<Figures> {
        self.engines.iter_mut().map(|process| Ok((process.engine.clone(), vec![work(process)?]))).collect()
    }

    /// Has the engines take turns at a command for some rounds, each round begun by another. A first round warms
    /// up, and does not count.
    fn rounds(
        &mut self,
        rounds: usize,
        command: impl Fn(u64) -> Command,
        figure: impl Fn(&Reply) -> f64,
    ) -> Outcome<Figures> {
        let mut figures: Figures =
            self.engines.iter().map(|process| (process.engine.clone(), Vec::new())).collect();
        let count = self.engines.len();
        for round in 0..=rounds {
            for turn in 0..count {
                let at = (turn + round) % count;
                let reply = self.engines[at].must(&command(round as u64))?;
                self.engines[at].settle()?;
                if round > 0 {
                    figures[at].1.push(figure(&reply));
                }
            }
        }
        Ok(figures)
    }
}
