//! What the program prints: the worst windows of each airport, and how the run went.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use millstream::prelude::*;

use crate::civil::utc;
use crate::job::{Hour, Rules};

/// With fewer flights a window says little about its hour.
const MIN_FLIGHTS: u64 = 5;

/// Windows shown per airport.
const SHOWN: usize = 5;

/// The windows and the number of late records in an output directory.
///
/// # Errors
/// If a file cannot be read, or is not one of this program's.
pub fn read(dir: &Path) -> io::Result<(Vec<Hour>, usize)> {
    let mut hours = Vec::new();
    for path in visible(&dir.join("hourly"))? {
        for line in fs::read_to_string(&path)?.lines() {
            let hour = serde_json::from_str(line);
            let hour = hour.map_err(|error| io::Error::other(format!("{}: {error}", path.display())))?;
            hours.push(hour);
        }
    }
    let mut late = 0;
    for path in visible(&dir.join("late"))? {
        late += fs::read_to_string(path)?.lines().count();
    }
    Ok((hours, late))
}

/// The committed files, oldest first: their names sort by epoch.
fn visible(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(dir)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    let hidden =
        |path: &PathBuf| path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
    let mut files: Vec<_> = entries.into_iter().filter(|path| !hidden(path)).collect();
    files.sort();
    Ok(files)
}

/// A table of the windows of each airport with the highest mean delay.
pub fn worst(rows: &[Hour], rules: &Rules) -> String {
    // A window that was refined by late records appears again: the last one counts.
    let latest: BTreeMap<_, _> = rows.iter().map(|hour| ((&hour.origin, hour.window_start), hour)).collect();
    let mut airports: BTreeMap<&str, Vec<(f64, &Hour)>> = BTreeMap::new();
    for hour in latest.values().filter(|hour| hour.flights >= MIN_FLIGHTS) {
        let Some(mean) = hour.delay_mean else { continue };
        airports.entry(&hour.origin).or_default().push((mean, hour));
    }
    let mut text = format!(
        "The worst {} at each airport, of those with {MIN_FLIGHTS} flights or more\n\n\
         airport  from (UTC)          flights  cancelled  mean delay   max delay\n",
        if rules.window == hours(1) { "hours".to_owned() } else { format!("windows of {:?}", rules.window) }
    );
    for (airport, mut windows) in airports {
        windows.sort_by(|(a, _), (b, _)| b.total_cmp(a));
        for (mean, hour) in windows.iter().take(SHOWN) {
            let (start, flights, cancelled) = (utc(hour.window_start), hour.flights, hour.cancelled);
            let max = hour.delay_max.unwrap_or_default();
            let row = format!(
                "{airport:<8} {start:<18} {flights:>8}  {cancelled:>9}  {mean:>6.1} min  {max:>5} min\n"
            );
            text.push_str(&row);
        }
        text.push('\n');
    }
    text
}

/// What the run did, in a few lines.
pub fn summary(report: &Report, late: usize, runtime: RuntimeKind, fallback: Option<&str>) -> String {
    let mut text = String::new();
    let mut line = |line: String| writeln!(text, "{line}").expect("a string takes all text");
    if report.already_finished {
        line("the job had finished before: nothing was left to do, and this is what it has written".into());
    } else {
        if let Some(epoch) = report.restored {
            line(format!("went on from checkpoint {epoch}"));
        }
        let rate = report.records_in as f64 / report.elapsed.as_secs_f64();
        let (records, elapsed, checkpoints) = (report.records_in, report.elapsed, report.checkpoints);
        line(format!(
            "{records} records in {elapsed:.2?}: {rate:.0} per second; {checkpoints} {}",
            if checkpoints == 1 { "checkpoint" } else { "checkpoints" }
        ));
    }
    line(format!("{late} late records"));
    line(match fallback {
        Some(why) => format!("runtime: {runtime}, because {why}"),
        None => format!("runtime: {runtime}"),
    });
    text
}
