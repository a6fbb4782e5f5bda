//! The conductor's side of an engine's process.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command as Program, Stdio};
use std::time::Duration;

use super::cage::Cage;
use super::wire::{Command, Reply};
use crate::report::Outcome;

/// How often an engine is looked at until its threads rest, and how long that may take together.
const LOOK: Duration = Duration::from_millis(100);
const PATIENCE: u32 = 300;

/// A process of this same program that is one engine. It ends when this is dropped.
pub(super) struct Process {
    pub(super) engine: String,
    child: Child,
    cage: Option<Cage>,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Process {
    pub(super) fn start(engine: &str, command: &[&str]) -> Outcome<Process> {
        let mut program = Program::new(std::env::current_exe()?);
        program.args(command).arg("--serve").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = program.spawn()?;
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().ok_or("the process has no output")?);
        Ok(Process { engine: engine.to_owned(), child, cage: None, input, output })
    }

    /// Holds the process to so many bytes of memory, its files in the page cache included.
    pub(super) fn confine(&mut self, bytes: u64) -> std::io::Result<()> {
        self.cage = Some(Cage::of(self.child.id(), bytes)?);
        Ok(())
    }

    /// Has a command done. `None` if the engine cannot do it.
    pub(super) fn ask(&mut self, command: &Command) -> Outcome<Option<Reply>> {
        let input = self.input.as_mut().ok_or("the process was told to end")?;
        writeln!(input, "{}", serde_json::to_string(command)?)?;
        let mut line = String::new();
        if self.output.read_line(&mut line)? == 0 {
            return Err(format!("the process of {} ended during {command:?}", self.engine).into());
        }
        let reply: Reply = serde_json::from_str(&line)?;
        match reply.error {
            Some(error) => Err(format!("{}: {error}", self.engine).into()),
            None => Ok((!reply.unavailable).then_some(reply)),
        }
    }

    /// As [`Process::ask`], of an engine that can do it.
    pub(super) fn must(&mut self, command: &Command) -> Outcome<Reply> {
        let reply = self.ask(command)?;
        reply.ok_or_else(|| format!("{} cannot do {command:?}", self.engine).into())
    }

    /// Waits until its background threads rest, so that they do not take from the next engine's turn.
    pub(super) fn settle(&mut self) -> Outcome<()> {
        let mut before = self.cpu_ticks()?;
        for _ in 0..PATIENCE {
            std::thread::sleep(LOOK);
            let now = self.cpu_ticks()?;
            if now <= before + 1 {
                return Ok(());
            }
            before = now;
        }
        eprintln!("{} is still busy in the background", self.engine);
        Ok(())
    }

    /// Hundredths of a second of CPU that the process took.
    fn cpu_ticks(&self) -> Outcome<u64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        // The name, in parentheses, may hold spaces; user and system time are fields 14 and 15.
        let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        Ok(fields.split_whitespace().skip(11).take(2).filter_map(|n| n.parse::<u64>().ok()).sum())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.input.take());
        // Engines may take long to close, and nothing of theirs is needed any more.
        let _ = self.child.kill();
        let _ = self.child.wait();
        drop(self.cage.take());
    }
}
