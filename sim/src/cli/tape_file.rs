//! A tape in a file, with the run that it is of.

use std::fs;
use std::path::{Path, PathBuf};

use super::bug;
use crate::scenario::{Options, Scenario};
use crate::tape::Tape;

/// A run that was shrunk.
pub(super) struct TapeFile {
    pub(super) scenario: String,
    pub(super) seed: u64,
    pub(super) cores: Option<usize>,
    pub(super) bug: Option<&'static str>,
    pub(super) tape: Tape,
}

const FIRST: &str = "# a run of millstream-sim:";

impl TapeFile {
    /// Where one is kept that nobody has said a place for.
    pub(super) fn usual_place(scenario: &Scenario, seed: u64) -> PathBuf {
        PathBuf::from(format!("{}-{seed}.tape", scenario.name))
    }

    pub(super) fn write(&self, path: &Path) -> Result<(), String> {
        let cores = self.cores.map_or(String::new(), |cores| format!(" cores={cores}"));
        let bug = self.bug.map_or(String::new(), |bug| format!(" bug={bug}"));
        let text =
            format!("{FIRST} scenario={} seed={}{cores}{bug}\n{}", self.scenario, self.seed, self.tape);
        fs::write(path, text).map_err(|error| format!("{} cannot be written: {error}", path.display()))
    }

    pub(super) fn read(path: &Path) -> Result<TapeFile, String> {
        let wrong = |what: &str| format!("{}: {what}", path.display());
        let text = fs::read_to_string(path).map_err(|error| wrong(&format!("cannot be read: {error}")))?;
        let (first, rest) = text.split_once('\n').unwrap_or((&text, ""));
        let words =
            first.strip_prefix(FIRST).ok_or_else(|| wrong(&format!("does not begin with `{FIRST}`")))?;
        let mut file = TapeFile {
            scenario: String::new(),
            seed: 0,
            cores: None,
            bug: None,
            tape: rest.parse().map_err(|error: String| wrong(&error))?,
        };
        for word in words.split_whitespace() {
            let number =
                |text: &str| text.parse::<u64>().map_err(|_| wrong(&format!("`{word}` is not a number")));
            match word.split_once('=') {
                Some(("scenario", name)) => file.scenario = name.to_owned(),
                Some(("seed", seed)) => file.seed = number(seed)?,
                Some(("cores", cores)) => file.cores = Some(number(cores)? as usize),
                Some(("bug", name)) => file.bug = Some(bug(name)?),
                _ => return Err(wrong(&format!("`{word}` is not known"))),
            }
        }
        Ok(file)
    }

    pub(super) fn options(&self) -> Options {
        Options { cores: self.cores, bug: self.bug, ..Options::default() }
    }
}
