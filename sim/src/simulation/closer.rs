//! A finding, looked at more closely: made smaller, kept on a tape, and drawn.

use std::fs;
use std::path::{Path, PathBuf};

use super::Check;
use super::env::absolute;
use super::found::Found;
use crate::scenario::{Options, Outcome, Scenario};
use crate::shrink::{Shrink, Shrunk};
use crate::tape_file::TapeFile;
use crate::timeline;

impl Check {
    /// Makes a finding smaller, and draws it, as far as that is asked for.
    pub(super) fn look_closer(&self, scenario: &Scenario, mut found: Found) -> Found {
        if !found.has_run() || self.shrink.is_none() && self.timeline.is_none() {
            return found;
        }
        let shrunk = self.shrunk(scenario, &mut found);
        let Some(path) = &self.timeline else { return found };
        let outcome = shrunk.unwrap_or_else(|| self.logged(scenario, &found));
        match self.draw(path, scenario.name, &outcome, &found.replay_line()) {
            Ok(page) => found.tell(format!("It is drawn in {}", page.display())),
            Err(wrong) => found.tell(wrong),
        }
        found
    }

    /// Draws a run in which nothing was found, if it is to be drawn.
    pub(super) fn draw_clean(&self, name: &'static str, outcome: &Outcome) {
        let Some(path) = &self.timeline else { return };
        let again = Found::line(name, outcome.seed, outcome.options.crashes);
        match self.draw(path, name, outcome, &again) {
            Ok(page) => println!("{name}: drawn in {}", page.display()),
            Err(wrong) => panic!("{wrong}"),
        }
    }

    /// The run of a finding, with its log.
    fn logged(&self, scenario: &Scenario, found: &Found) -> Outcome {
        match &self.tape {
            Some((_, tape)) => {
                let options = tape.options().unwrap_or_default();
                scenario.play(tape.seed, &tape.tape, &Options { keep_log: true, ..options })
            }
            None => self.run(scenario, found.seed(), found.crashes(), true),
        }
    }

    /// What is left of a finding, if it is to be made smaller and can be; that is on a tape then.
    fn shrunk(&self, scenario: &Scenario, found: &mut Found) -> Option<Outcome> {
        let limit = self.shrink?;
        if self.tape.is_some() {
            found.tell("It is on a tape already, and as small as it was made.".to_owned());
            return None;
        }
        if found.crashes().is_some() {
            let small = "It is as small as it gets: that the job is killed there is all that happens to it.";
            found.tell(small.to_owned());
            return None;
        }
        let options = Options { bug: self.bug, ..Options::default() };
        let shrink = Shrink { seed: found.seed(), options, limit, threads: self.threads };
        let Some(shrunk) = shrink.run(scenario, |_, _| {}) else {
            found.tell("A run by itself has no finding: it cannot be made smaller.".to_owned());
            return None;
        };
        found.tell(counted(&shrunk));
        let path = self.beside(TapeFile::usual_name(scenario.name, found.seed(), "tape"));
        match make_room(&path).and_then(|()| TapeFile::of(scenario.name, &shrunk).write(&path)) {
            Ok(()) => found.kept_on(&path),
            Err(wrong) => found.tell(wrong),
        }
        Some(shrunk.outcome)
    }

    fn draw(&self, path: &Path, name: &str, outcome: &Outcome, again: &str) -> Result<PathBuf, String> {
        let page = match is_directory(path) {
            true => path.join(TapeFile::usual_name(name, outcome.seed, "html")),
            false => path.to_owned(),
        };
        let page = absolute(&page);
        make_room(&page)?;
        fs::write(&page, timeline::page(name, outcome, again))
            .map_err(|error| format!("{} cannot be written: {error}", page.display()))?;
        Ok(page)
    }

    /// A file beside the page that is to be drawn, or where the program runs.
    fn beside(&self, file: PathBuf) -> PathBuf {
        let directory = self.timeline.as_deref().map(|path| match is_directory(path) {
            true => path,
            false => path.parent().unwrap_or(Path::new("")),
        });
        absolute(&directory.unwrap_or(Path::new("")).join(file))
    }
}

fn is_directory(path: &Path) -> bool {
    path.is_dir() || path.as_os_str().to_string_lossy().ends_with('/')
}

fn make_room(path: &Path) -> Result<(), String> {
    let Some(directory) = path.parent() else { return Ok(()) };
    fs::create_dir_all(directory).map_err(|error| format!("{} cannot be made: {error}", directory.display()))
}

/// How much is left of a run.
fn counted(shrunk: &Shrunk) -> String {
    let Shrunk { from, whole, outcome, tape, runs, is_least } = shrunk;
    let seen = outcome.finding.as_ref().map_or(String::new(), |finding| format!("\n\n  {finding}\n"));
    format!(
        "Made smaller, {} of its {} decisions are left, and {} of {} scheduling points; {}, after {runs} runs:{seen}",
        tape.decisions(),
        whole.decisions(),
        outcome.points,
        from.points,
        if *is_least { "nothing more can be taken out" } else { "there was no time for more" },
    )
}
