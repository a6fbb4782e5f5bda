//! What the environment says of the checks of a program.

use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use super::Check;
use crate::tape_file::TapeFile;

/// A seed, of every check or of the one of a name.
struct Meant {
    name: Option<String>,
    seed: u64,
}

impl FromStr for Meant {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Meant, Self::Err> {
        let (name, seed) = match text.rsplit_once(':') {
            Some((name, seed)) => (Some(name.to_owned()), seed),
            None => (None, text),
        };
        seed.parse().map(|seed| Meant { name, seed })
    }
}

/// All that it says.
pub(super) fn read() -> Result<Check, String> {
    let plain = Check::new();
    let seed: Option<Meant> =
        variable("SIM_SEED", "a seed, such as 1234, or that of one check, such as revenue:1234")?;
    let tape = variable::<PathBuf>("SIM_TAPE", "a file")?.map(read_tape).transpose()?;
    let (only, named) = seed.map_or((None, None), |Meant { name, seed }| (Some(seed), name));
    Ok(Check {
        seeds: variable::<NonZeroU64>("SIM_SEEDS", "a number of seeds, such as 1000, and not zero")?
            .map_or(plain.seeds, NonZeroU64::get),
        first: variable("SIM_FIRST", "a seed, such as 5000")?.unwrap_or(plain.first),
        only,
        meant: tape.as_ref().map(|(_, tape)| tape.scenario.clone()).or(named),
        crashes: variable("SIM_CRASH", "where processes are killed, such as point:120:power")?,
        tape,
        threads: variable("SIM_THREADS", "a number of threads, such as 2")?.unwrap_or(plain.threads).max(1),
        most: variable("SIM_MOST", "a number of runs, such as 500")?,
        bug: plain.bug,
        shrink: variable("SIM_SHRINK", "a number of seconds, such as 60")?.map(Duration::from_secs),
        timeline: variable("SIM_TIMELINE", "a file, such as run.html, or a directory, such as found/")?,
    })
}

fn read_tape(path: PathBuf) -> Result<(PathBuf, TapeFile), String> {
    let tape = TapeFile::read(&path).map_err(|wrong| format!("SIM_TAPE: {wrong}"))?;
    Ok((path, tape))
}

/// A variable of the environment, if it is set.
fn variable<T: FromStr>(name: &str, what: &str) -> Result<Option<T>, String> {
    let Ok(text) = std::env::var(name) else { return Ok(None) };
    let parsed =
        text.parse().map_err(|_| format!("{name}={text}: it must be {what}; correct it, or unset it"));
    parsed.map(Some)
}

/// As one word for the shell.
pub(super) fn quoted(word: &str) -> String {
    let plain =
        |letter: char| letter.is_alphanumeric() || matches!(letter, '-' | '_' | '.' | '/' | ':' | ',');
    match !word.is_empty() && word.chars().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

/// A path from wherever a shell is.
pub(super) fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_may_be_that_of_one_check() {
        let meant = |text: &str| text.parse::<Meant>().map(|meant| (meant.name, meant.seed)).ok();
        assert_eq!(meant("12"), Some((None, 12)));
        assert_eq!(meant("sums: all:12"), Some((Some("sums: all".to_owned()), 12)));
        assert_eq!([meant("sums"), meant("12:sums"), meant("")], [None, None, None]);
    }

    #[test]
    fn a_word_for_the_shell_is_quoted_where_it_must_be() {
        assert_eq!(quoted("sums:12"), "sums:12");
        assert_eq!(quoted("Ann's sums:12"), r"'Ann'\''s sums:12'");
    }
}
