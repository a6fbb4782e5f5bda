//! A tape in a file, with the run that it is of: what is left of a finding, to be kept and played again.

use std::fs;
use std::path::{Path, PathBuf};

use crate::planted;
use crate::scenario::Options;
use crate::shrink::Shrunk;
use crate::tape::{Tape, escaped, unescaped};

/// A run that was shrunk, as it is kept in a file.
///
/// ```
/// use millstream_sim::scenario::{self, Options};
/// use millstream_sim::tape_file::TapeFile;
///
/// let protocol = scenario::all().into_iter().find(|scenario| scenario.name == "protocol").expect("it is there");
/// let (outcome, tape) = protocol.record(7, &Options::default());
/// let kept = TapeFile { scenario: "protocol".to_owned(), seed: 7, cores: None, bug: None, rule: None, tape };
///
/// let read: TapeFile = kept.to_string().parse()?;
/// let again = protocol.play(read.seed, &read.tape, &read.options()?);
/// assert_eq!(again.hash, outcome.hash);
/// # Ok::<(), String>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TapeFile {
    /// The name of its scenario, or of the check.
    pub scenario: String,
    /// The seed that it was shrunk from.
    pub seed: u64,
    /// The number of cores, if that was not drawn.
    pub cores: Option<usize>,
    /// The planted bug that it shows, if it is one.
    pub bug: Option<String>,
    /// The rule that it breaks, as far as that was written down.
    pub rule: Option<String>,
    /// What is drawn.
    pub tape: Tape,
}

const FIRST: &str = "# a run of millstream-sim:";
const SECOND: &str = "# it breaks the rule:";

impl TapeFile {
    /// What is left of a run of a scenario.
    pub(crate) fn of(scenario: &str, shrunk: &Shrunk) -> TapeFile {
        let Options { cores, bug, .. } = shrunk.outcome.options;
        let rule = shrunk.outcome.finding.as_ref().map(|finding| finding.rule.clone());
        let (scenario, seed, tape) = (scenario.to_owned(), shrunk.outcome.seed, shrunk.tape.clone());
        TapeFile { scenario, seed, cores, bug: bug.map(str::to_owned), rule, tape }
    }

    /// The name of a file for a run, whatever its scenario is called.
    pub(crate) fn usual_name(scenario: &str, seed: u64, extension: &str) -> PathBuf {
        let words = scenario.split(|letter: char| !letter.is_alphanumeric() && letter != '_');
        let name = words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join("-");
        PathBuf::from(format!("{name}-{seed}.{extension}"))
    }

    /// Writes it to a file.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), String> {
        fs::write(path, self.to_string())
            .map_err(|error| format!("{} cannot be written: {error}", path.display()))
    }

    /// Reads one from a file.
    ///
    /// # Errors
    /// If the file cannot be read, or is something else.
    pub fn read(path: &Path) -> Result<TapeFile, String> {
        let wrong = |what: String| format!("{}: {what}", path.display());
        let text = fs::read_to_string(path).map_err(|error| wrong(format!("cannot be read: {error}")))?;
        text.parse().map_err(wrong)
    }

    /// What was decided of the run besides what is drawn.
    ///
    /// # Errors
    /// If its bug is not planted here.
    pub fn options(&self) -> Result<Options, String> {
        let bug = self.bug.as_deref().map(planted::named).transpose()?;
        Ok(Options { cores: self.cores, bug, ..Options::default() })
    }
}

impl std::fmt::Display for TapeFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{FIRST} scenario={} seed={}", escaped(&self.scenario), self.seed)?;
        self.cores.map_or(Ok(()), |cores| write!(f, " cores={cores}"))?;
        self.bug.as_ref().map_or(Ok(()), |bug| write!(f, " bug={bug}"))?;
        writeln!(f)?;
        if let Some(rule) = &self.rule {
            writeln!(f, "{SECOND} {}", rule.replace('\n', " "))?;
        }
        write!(f, "{}", self.tape)
    }
}

impl std::str::FromStr for TapeFile {
    type Err = String;

    fn from_str(text: &str) -> Result<TapeFile, String> {
        let (first, rest) = text.split_once('\n').unwrap_or((text, ""));
        let words = first.strip_prefix(FIRST).ok_or_else(|| format!("does not begin with `{FIRST}`"))?;
        let (rule, rest) = match rest.strip_prefix(SECOND) {
            Some(second) => {
                let (rule, rest) = second.split_once('\n').unwrap_or((second, ""));
                (Some(rule.trim().to_owned()), rest)
            }
            None => (None, rest),
        };
        let (scenario, tape) = (String::new(), rest.parse()?);
        let mut file = TapeFile { scenario, seed: 0, cores: None, bug: None, rule, tape };
        for word in words.split_whitespace() {
            let number = |text: &str| text.parse::<u64>().map_err(|_| format!("`{word}` is not a number"));
            match word.split_once('=') {
                Some(("scenario", name)) => file.scenario = unescaped(name)?,
                Some(("seed", seed)) => file.seed = number(seed)?,
                Some(("cores", cores)) => file.cores = Some(number(cores)? as usize),
                Some(("bug", name)) => file.bug = Some(name.to_owned()),
                _ => return Err(format!("`{word}` is not known")),
            }
        }
        Ok(file)
    }
}
