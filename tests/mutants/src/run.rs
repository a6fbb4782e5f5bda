//! Runs the units: once as they are, and then with each mutant those that come by it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::list::Mutant;
use crate::units::Unit;

/// A unit that is well without a mutant.
#[derive(Debug)]
pub struct Baseline {
    unit: Unit,
    took: Duration,
    /// The mutants that it comes by.
    met: BTreeSet<usize>,
}

/// What became of a mutant.
#[derive(Debug, Deserialize, Serialize)]
pub struct Verdict {
    pub mutant: String,
    pub fate: Fate,
    /// Which unit noticed it.
    pub by: Option<String>,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub enum Fate {
    /// A unit failed.
    Killed,
    /// A unit did not come to its end in ten times its time.
    TimedOut,
    /// All were well.
    Survived,
    /// None comes by it.
    NotMet,
}

enum Ended {
    Well,
    Failed,
    TimedOut,
}

/// The address space that a test may have, in KiB, and how long its files may be, in blocks of 512 bytes: a mutant may ask for
/// all there is.
const MEMORY: u64 = 12 << 20;
const FILES: u64 = 4 << 20;

/// Runs each unit without a mutant, the quickest first in what comes back. Those that fail are left out, and named.
pub fn baseline(units: &[Unit], output: &Path, jobs: usize) -> io::Result<(Vec<Baseline>, Vec<String>)> {
    let (found, left_out) = (Mutex::new(Vec::new()), Mutex::new(Vec::new()));
    each(
        units,
        jobs,
        |unit, place| {
            let met = place.join("met");
            let _ = fs::remove_file(&met);
            let began = Instant::now();
            let ended = run(unit, place, Duration::from_secs(900), |command| {
                command.env("MUTANTS_MET", &met);
            })?;
            let took = began.elapsed();
            if !matches!(ended, Ended::Well) {
                eprintln!("{}: fails without a mutant, and is left out", unit.name);
                left_out.lock().unwrap().push(unit.name.clone());
                return Ok(());
            }
            let met: BTreeSet<usize> = fs::read_to_string(&met)
                .unwrap_or_default()
                .lines()
                .filter_map(|id| id.parse().ok())
                .collect();
            eprintln!("{}: {:.1} s, comes by {} mutants", unit.name, took.as_secs_f64(), met.len());
            found.lock().unwrap().push(Baseline { unit: unit.clone(), took, met });
            Ok(())
        },
        output,
    )?;
    let mut found = found.into_inner().unwrap();
    found.sort_by_key(|unit| unit.took);
    Ok((found, left_out.into_inner().unwrap()))
}

/// Runs with each mutant the units that come by it, until one notices. What is known already is not asked again.
pub fn mutants(
    all: &[Mutant],
    ids: &[usize],
    units: &[Baseline],
    output: &Path,
    jobs: usize,
    minutes: Option<Duration>,
) -> io::Result<()> {
    let known = verdicts(output)?;
    let waiting: VecDeque<usize> =
        ids.iter().copied().filter(|id| !known.contains_key(&all[*id].name)).collect();
    let results = Mutex::new(OpenOptions::new().create(true).append(true).open(results(output))?);
    let (began, count) = (Instant::now(), waiting.len());
    let done = Mutex::new(0);
    each(
        waiting,
        jobs,
        |id, place| {
            if minutes.is_some_and(|minutes| began.elapsed() > minutes) {
                return Ok(());
            }
            let Some((fate, by)) = fate(id, units, place)? else {
                eprintln!("a unit fails without a mutant, too: {}", all[id].name);
                return Ok(());
            };
            let verdict = Verdict { mutant: all[id].name.clone(), fate, by };
            let mut done = done.lock().unwrap();
            *done += 1;
            eprintln!("{done} of {count}: {fate:?}: {}", verdict.mutant);
            writeln!(results.lock().unwrap(), "{}", serde_json::to_string(&verdict)?)
        },
        output,
    )
}

/// The verdicts of this and earlier runs, by the names of the mutants.
pub fn verdicts(output: &Path) -> io::Result<BTreeMap<String, Verdict>> {
    let text = fs::read_to_string(results(output)).unwrap_or_default();
    let verdicts = text.lines().map(serde_json::from_str::<Verdict>).collect::<Result<Vec<_>, _>>()?;
    Ok(verdicts.into_iter().map(|verdict| (verdict.mutant.clone(), verdict)).collect())
}

fn results(output: &Path) -> PathBuf {
    output.join("results.jsonl")
}

/// Nothing, if a unit has failed that fails without the mutant, too.
fn fate(id: usize, units: &[Baseline], place: &Path) -> io::Result<Option<(Fate, Option<String>)>> {
    let mut fate = Fate::NotMet;
    for unit in units.iter().filter(|unit| unit.met.contains(&id)) {
        let most = Duration::from_secs(15) + unit.took * 10;
        let ended = run(&unit.unit, place, most, |command| {
            command.env("MUTANT", id.to_string());
        })?;
        fate = match ended {
            Ended::Well => {
                fate = Fate::Survived;
                continue;
            }
            Ended::Failed => Fate::Killed,
            Ended::TimedOut => Fate::TimedOut,
        };
        let again = run(&unit.unit, place, most, |_| {})?;
        let by = Some(unit.unit.name.clone());
        return Ok(matches!(again, Ended::Well).then_some((fate, by)));
    }
    Ok(Some((fate, None)))
}

/// Runs a unit to its end, or for `most`; all that it has started ends with it.
fn run(unit: &Unit, place: &Path, most: Duration, with: impl FnOnce(&mut Command)) -> io::Result<Ended> {
    let mut command = Command::new("sh");
    command
        .args(["-c", &format!("ulimit -v {MEMORY}; ulimit -f {FILES}; exec \"$0\" \"$@\"")])
        .arg(&unit.program)
        .args(&unit.args);
    command.current_dir(&unit.directory).env("CARGO_MANIFEST_DIR", &unit.directory).env("TMPDIR", place);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(File::create(place.join("stderr"))?)
        .process_group(0);
    with(&mut command);
    let mut child = command.spawn()?;
    let (began, group) = (Instant::now(), rustix::process::Pid::from_child(&child));
    let ended = loop {
        match child.try_wait()? {
            Some(status) if status.success() => break Ended::Well,
            Some(_) => break Ended::Failed,
            None if began.elapsed() > most => break Ended::TimedOut,
            None => std::thread::sleep(Duration::from_millis(10)),
        }
    };
    let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    let _ = child.wait();
    Ok(ended)
}

/// Does the work for each, `jobs` at a time, each in a folder that is empty.
fn each<T: Send>(
    work: impl IntoIterator<Item = T>,
    jobs: usize,
    act: impl Fn(T, &Path) -> io::Result<()> + Sync,
    output: &Path,
) -> io::Result<()> {
    let waiting = Mutex::new(work.into_iter().collect::<VecDeque<T>>());
    let failed = Mutex::new(Ok(()));
    std::thread::scope(|scope| {
        for job in 0..jobs {
            let (waiting, failed, act) = (&waiting, &failed, &act);
            scope.spawn(move || {
                let place = output.join(format!("job-{job}"));
                while let Some(work) = { waiting.lock().unwrap().pop_front() } {
                    let _ = fs::remove_dir_all(&place);
                    let result = fs::create_dir_all(&place).and_then(|()| act(work, &place));
                    if let Err(error) = result {
                        *failed.lock().unwrap() = Err(error);
                        return;
                    }
                }
            });
        }
    });
    failed.into_inner().unwrap()
}
