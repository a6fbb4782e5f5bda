//! A run as its log tells it: processes, and what happened in each.

use std::collections::BTreeMap;
use std::path::Path;

use crate::coverage::{Fault, Site};
use crate::disk::CrashKind;
use crate::trace::{Event, What};

/// How a process ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    Finished,
    /// Its job failed, with this.
    Failed(String),
    Killed,
    PowerLoss,
    /// It made no progress; what it waited for.
    Stuck(String),
    /// The run ended in it: something panicked.
    Cut,
}

/// A disk operation.
pub(super) struct Operation {
    pub(super) issued: u64,
    /// When it took effect, if its process lived to see that.
    pub(super) done: Option<u64>,
    pub(super) site: Site,
    /// What was asked, with the name of the file.
    pub(super) what: String,
    pub(super) error: Option<String>,
    pub(super) faults: Vec<Fault>,
}

/// A fault where it struck.
pub(super) struct Struck {
    pub(super) at: u64,
    pub(super) fault: Fault,
    pub(super) site: Site,
    pub(super) what: String,
}

/// A checkpoint, or the attempt at one.
pub(super) struct Checkpoint {
    pub(super) epoch: u64,
    pub(super) triggered: u64,
    pub(super) completed: Option<u64>,
    pub(super) committed: Option<u64>,
    pub(super) aborted: Option<u64>,
    /// What is told of it: what it was for, what it wrote, why it was aborted.
    pub(super) told: Vec<String>,
}

/// A core that stood still.
pub(super) struct Stall {
    pub(super) core: usize,
    pub(super) at: u64,
    pub(super) until: u64,
}

/// A process.
pub(super) struct Process {
    pub(super) number: u64,
    /// It is the process before it, which went on.
    pub(super) again: bool,
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) ending: Ending,
    /// When each core ran a step.
    pub(super) steps: Vec<Vec<u64>>,
    pub(super) stalls: Vec<Stall>,
    /// When the wall clock jumped, and by how many milliseconds.
    pub(super) jumps: Vec<(u64, i64)>,
    pub(super) operations: Vec<Operation>,
    /// Those that struck while it ran.
    pub(super) faults: Vec<Struck>,
    /// What its end took.
    pub(super) losses: Vec<Struck>,
    /// What a loss of power took afterwards, if there was one before the next process.
    pub(super) cut_after: Option<Vec<Struck>>,
    pub(super) checkpoints: Vec<Checkpoint>,
    pub(super) notes: Vec<(u64, String)>,
    /// What went wrong outside the machine.
    pub(super) outside: Vec<(u64, String)>,
    /// What its jobs said at their end.
    pub(super) outcomes: Vec<String>,
    /// Every moment at which something happened, once.
    pub(super) moments: Vec<u64>,
}

/// A run.
pub(super) struct Run {
    pub(super) processes: Vec<Process>,
    /// How long a step takes, in nanoseconds: steps follow each other at once where there is anything to do.
    pub(super) step: u64,
}

/// Reads a log.
#[derive(Default)]
struct Reader {
    processes: Vec<Process>,
    /// The names that files were opened by.
    names: BTreeMap<u64, String>,
    /// Where the operations of the process lie that are on their way.
    flying: BTreeMap<u64, usize>,
    /// The operation that was in the log last, and when: faults that follow it struck it.
    last: Option<(u64, usize)>,
    /// The process is over, or is being killed.
    ended: bool,
    dying: bool,
}

impl Run {
    pub(super) fn of(events: &[Event]) -> Run {
        let mut reader = Reader::default();
        for event in events {
            reader.read(event);
        }
        for process in &mut reader.processes {
            process.moments.push(process.end);
            process.moments.sort_unstable();
            process.moments.dedup();
            let end = process.end;
            process.stalls.iter_mut().for_each(|stall| stall.until = stall.until.min(end));
        }
        let step = reader.processes.iter().filter_map(Process::least_step).min();
        Run { processes: reader.processes, step: step.unwrap_or(1) }
    }

    pub(super) fn faults(&self) -> usize {
        let all = self.processes.iter();
        all.map(|of| of.faults.len() + of.losses.len() + of.cut_after.as_ref().map_or(0, Vec::len)).sum()
    }
}

impl Process {
    fn new(at: u64, number: u64, cores: u64, again: bool) -> Process {
        Process {
            number,
            again,
            start: at,
            end: at,
            ending: Ending::Cut,
            steps: vec![Vec::new(); cores as usize],
            stalls: Vec::new(),
            jumps: Vec::new(),
            operations: Vec::new(),
            faults: Vec::new(),
            losses: Vec::new(),
            cut_after: None,
            checkpoints: Vec::new(),
            notes: Vec::new(),
            outside: Vec::new(),
            outcomes: Vec::new(),
            moments: Vec::new(),
        }
    }

    /// The least time from one step to the next.
    fn least_step(&self) -> Option<u64> {
        let mut all: Vec<u64> = self.steps.iter().flatten().copied().collect();
        all.sort_unstable();
        all.windows(2).map(|pair| pair[1] - pair[0]).filter(|gap| *gap > 0).min()
    }

    fn checkpoint(&mut self, epoch: u64, is_open: impl Fn(&Checkpoint) -> bool) -> Option<&mut Checkpoint> {
        self.checkpoints.iter_mut().rev().find(|of| of.epoch == epoch && is_open(of))
    }
}

impl Reader {
    fn read(&mut self, event: &Event) {
        let at = event.at.as_nanos() as u64;
        let [a, b] = event.numbers;
        if event.what == What::Start {
            self.processes.push(Process::new(at, a, b, !event.text.is_empty()));
            self.flying.clear();
            (self.last, self.ended, self.dying) = (None, false, false);
        }
        if self.processes.is_empty() {
            return;
        }
        match event.what {
            What::Issue => self.issue(at, a, &event.text),
            What::Complete => self.complete(at, event),
            What::Fault => self.fault(at, event),
            _ => {}
        }
        let Some(process) = self.processes.last_mut() else { return };
        if !self.ended {
            process.end = process.end.max(at);
            process.moments.push(at);
        }
        match event.what {
            What::Poll => {
                if let Some(steps) = process.steps.get_mut(a as usize) {
                    steps.push(at);
                }
            }
            What::Stall => process.stalls.push(Stall { core: a as usize, at, until: at + b }),
            What::Jump => process.jumps.push((at, a as i64)),
            What::Note => process.notes.push((at, event.text.clone())),
            What::Outside => process.outside.push((at, event.text.clone())),
            What::Crash => {
                self.dying = true;
                let power = a == CrashKind::PowerLoss as u64;
                process.ending = if power { Ending::PowerLoss } else { Ending::Killed };
            }
            What::End => {
                self.ended = true;
                if process.ending == Ending::Cut {
                    let is_finished = event.text == "finished";
                    process.ending =
                        if is_finished { Ending::Finished } else { Ending::Stuck(event.text.clone()) };
                }
            }
            What::Aftermath if self.ended => drop(process.cut_after.get_or_insert_default()),
            What::Outcome => outcome(process, a > 0, &event.text),
            What::Triggered | What::Completed | What::Aborted | What::Committed => {
                checkpoint(process, at, event);
            }
            _ => {}
        }
    }

    fn issue(&mut self, at: u64, number: u64, text: &str) {
        let (site, what) = self.asked(text);
        let Some(process) = self.processes.last_mut() else { return };
        self.last = Some((at, process.operations.len()));
        self.flying.insert(number, process.operations.len());
        let operation = Operation { issued: at, done: None, site, what, error: None, faults: Vec::new() };
        process.operations.push(operation);
    }

    fn complete(&mut self, at: u64, event: &Event) {
        let [number, outcome] = event.numbers;
        let Some(index) = self.flying.remove(&number) else { return };
        self.last = Some((at, index));
        let error = event.text.split_once(": ").map(|(_, error)| error.to_owned());
        if error.is_none()
            && let Some(path) = opened(&event.text)
        {
            self.names.insert(outcome, path.to_owned());
        }
        if let Some(process) = self.processes.last_mut() {
            let operation = &mut process.operations[index];
            (operation.done, operation.error) = (Some(at), error);
        }
    }

    fn fault(&mut self, at: u64, event: &Event) {
        let [fault, site] = event.numbers;
        let (Some(&fault), Some(&site)) = (Fault::ALL.get(fault as usize), Site::ALL.get(site as usize))
        else {
            return;
        };
        let asked = event.text.split_once(": ").map_or("", |(_, asked)| asked);
        let struck = Struck { at, fault, site, what: self.asked(asked).1 };
        let Some(process) = self.processes.last_mut() else { return };
        match (self.ended, self.dying) {
            (true, _) => process.cut_after.get_or_insert_default().push(struck),
            (false, true) => process.losses.push(struck),
            (false, false) => {
                if let Some((_, index)) = self.last.filter(|last| last.0 == at) {
                    process.operations[index].faults.push(fault);
                }
                process.faults.push(struck);
            }
        }
    }

    /// The kind of file that an operation is about, and the operation with the file's name for its number.
    fn asked(&self, text: &str) -> (Site, String) {
        let of_path = |path: &str| Site::of(Path::new(path));
        let numbered = text.split_once("file ").and_then(|(before, rest)| {
            let end = rest.find(' ').unwrap_or(rest.len());
            Some((before, rest[..end].parse::<u64>().ok()?, &rest[end..]))
        });
        if let Some((before, number, rest)) = numbered {
            return match self.names.get(&number) {
                Some(name) => (of_path(name), format!("{before}{name}{rest}")),
                None => (Site::Other, text.to_owned()),
            };
        }
        if let Some(path) = opened(text) {
            return (of_path(path), text.to_owned());
        }
        let path = text.split_once(" to ").map(|(_, to)| to);
        let path = path.or_else(|| text.split_once(' ').map(|(_, path)| path)).unwrap_or(text);
        (of_path(path), text.to_owned())
    }
}

/// The path of an operation that opens a file.
fn opened(text: &str) -> Option<&str> {
    text.strip_prefix("open ")?.rsplit_once(' ').map(|(path, _)| path)
}

fn outcome(process: &mut Process, failed: bool, text: &str) {
    if failed && process.ending == Ending::Finished {
        let why = text.strip_prefix("the job failed: ").unwrap_or(text);
        process.ending = Ending::Failed(why.to_owned());
    }
    process.outcomes.push(text.to_owned());
}

fn checkpoint(process: &mut Process, at: u64, event: &Event) {
    let epoch = event.numbers[0];
    let told = event.text.strip_prefix(&format!("checkpoint {epoch}")).unwrap_or(&event.text);
    let told = told.trim_start_matches([':', ' ']).to_owned();
    let found = match event.what {
        What::Triggered => {
            let triggered = at.max(process.start);
            process.checkpoints.push(Checkpoint {
                epoch,
                triggered,
                completed: None,
                committed: None,
                aborted: None,
                told: Vec::new(),
            });
            process.checkpoints.last_mut()
        }
        What::Completed => process.checkpoint(epoch, |of| of.completed.is_none() && of.aborted.is_none()),
        What::Aborted => process.checkpoint(epoch, |of| of.completed.is_none() && of.aborted.is_none()),
        _ => process.checkpoint(epoch, |of| of.committed.is_none()),
    };
    let Some(found) = found else { return };
    match event.what {
        What::Completed => found.completed = Some(at),
        What::Aborted => found.aborted = Some(at),
        What::Committed => found.committed = Some(at),
        _ => {}
    }
    if !told.is_empty() {
        found.told.push(told);
    }
}
