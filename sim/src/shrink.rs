//! The least of a failing run that still fails.
//!
//! What a run draws is written on a [tape](crate::tape), and played again with less: streams that are calm from some place on,
//! pieces that are taken out, draws that are calm or smaller. What breaks the same rule is kept. This knows nothing of records,
//! faults and schedules: a fault that is not needed goes with the draw that brought it.

use std::time::{Duration, Instant};

use crate::scenario::{Finding, Options, Outcome, Scenario};
use crate::tape::{Draw, Tape};

/// What is to be shrunk, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct Shrink {
    /// The seed of the run.
    pub seed: u64,
    /// What the caller decides instead of the seed.
    pub options: Options,
    /// It is given up for better after that.
    pub limit: Duration,
}

/// What is left of a run.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// The run as it was.
    pub from: Outcome,
    /// What was drawn in it.
    pub whole: Tape,
    /// The run that is left, with its log.
    pub outcome: Outcome,
    /// What is drawn in that.
    pub tape: Tape,
    /// The runs that it took.
    pub runs: u64,
    /// Whether nothing more can be taken out, as far as is tried.
    pub is_least: bool,
}

/// The fewest points that a run is allowed.
const FEWEST: u64 = 100_000;
/// The longest stream that pieces are taken out of, in pieces.
const PIECES: usize = 400;
/// The draws of a stream that are tried with smaller numbers: how much there is of something comes first, and the rest is only
/// looked at when nothing else helps.
const LOWERED: [usize; 2] = [8, 200];

impl Shrink {
    /// Shrinks, if the seed has a finding. `progress` is called after each run with the number of runs, and of the decisions that
    /// are left.
    ///
    /// ```
    /// use millstream_sim::scenario::{self, Options};
    /// use millstream_sim::shrink::Shrink;
    /// use std::time::Duration;
    ///
    /// // A protocol with a bug, that some seed shows.
    /// let scenario = scenario::all().into_iter().find(|s| s.name == "protocol-no-sync").expect("it is there");
    /// let found = (0..1_000).find(|&seed| scenario.run(seed, &Options::default()).finding.is_some()).expect("it shows");
    ///
    /// let shrink = Shrink { seed: found, options: Options::default(), limit: Duration::from_secs(5) };
    /// let shrunk = shrink.run(&scenario, |_, _| {}).expect("it has a finding");
    /// assert!(shrunk.tape.decisions() < shrunk.whole.decisions());
    /// assert!(scenario.play(found, &shrunk.tape, &Options::default()).finding.is_some());
    /// ```
    pub fn run(self, scenario: &Scenario, progress: impl FnMut(u64, usize)) -> Option<Shrunk> {
        let Shrink { seed, options, limit } = self;
        let calm = Options { keep_log: false, ..options };
        let (from, whole) = scenario.record(seed, &calm);
        let finding = from.finding.clone()?;
        let longest = from.lives.iter().map(|life| life[0]).max().unwrap_or(0);
        let most_points = if finding.rule == PROGRESS { FEWEST } else { FEWEST.max(2 * longest) };
        let mut search = Search {
            scenario,
            seed,
            options: Options { most_points: Some(most_points), ..calm },
            finding,
            tape: whole.clone(),
            until: Instant::now() + limit,
            runs: 0,
            progress,
        };
        let is_least = search.search();
        // Without the limit of points, and with the log.
        let logged = Options { keep_log: true, ..options };
        let (runs, mut tape) = (search.runs + 1, search.tape);
        let mut outcome = scenario.play(seed, &tape, &logged);
        if outcome.finding.is_none() {
            tape = whole.clone();
            outcome = scenario.play(seed, &tape, &logged);
        }
        Some(Shrunk { from, whole, outcome, tape, runs, is_least })
    }
}

/// The rule that a run breaks which takes too many points.
const PROGRESS: &str = "every process makes progress";

struct Search<'a, P> {
    scenario: &'a Scenario,
    seed: u64,
    options: Options,
    finding: Finding,
    tape: Tape,
    until: Instant,
    runs: u64,
    progress: P,
}

impl<P: FnMut(u64, usize)> Search<'_, P> {
    /// Takes out what can be. Whether that was tried to its end.
    fn search(&mut self) -> bool {
        loop {
            let before = self.tape.clone();
            self.names().iter().rev().for_each(|name| self.drop_all(name));
            for pass in [Self::cut, Self::calm, Self::take_out, Self::lower_first] {
                self.names().iter().for_each(|name| pass(self, name));
            }
            if self.tape == before {
                self.names().iter().for_each(|name| self.lower(name, LOWERED[1]));
            }
            if self.is_over() || self.tape == before {
                return !self.is_over();
            }
        }
    }

    fn is_over(&self) -> bool {
        Instant::now() >= self.until
    }

    /// The streams with decisions, those with the fewest first: they say how much there is of the others.
    fn names(&self) -> Vec<String> {
        let mut names: Vec<(usize, String)> =
            self.tape.by_stream().filter(|(_, n)| *n > 0).map(|(name, n)| (n, name.to_owned())).collect();
        names.sort();
        names.into_iter().map(|(_, name)| name).collect()
    }

    fn draws(&self, name: &str) -> &[Draw] {
        self.tape.streams.get(name).map_or(&[], |draws| draws)
    }

    /// Takes this for the stream, if what is found is still found.
    fn takes(&mut self, name: &str, draws: Vec<Draw>) -> bool {
        if self.is_over() {
            return false;
        }
        let tape = self.tape.with(name, draws);
        let outcome = self.scenario.play(self.seed, &tape, &self.options);
        self.runs += 1;
        let same = outcome.finding.is_some_and(|finding| finding.rule == self.finding.rule);
        if same {
            self.tape = tape;
        }
        (self.progress)(self.runs, self.tape.decisions());
        same
    }

    /// A stream is not needed at all.
    fn drop_all(&mut self, name: &str) {
        self.takes(name, Vec::new());
    }

    /// A stream is calm from some place on.
    fn cut(&mut self, name: &str) {
        let mut step = self.draws(name).len() / 2;
        while step > 0 && !self.is_over() {
            let draws = self.draws(name);
            let keep = draws.len().saturating_sub(step);
            let shorter = draws[..keep].to_vec();
            if keep == 0 || !self.takes(name, shorter) {
                step /= 2;
            }
        }
    }

    /// Pieces are not needed, and what is behind them moves up: records of an input.
    fn take_out(&mut self, name: &str) {
        let mut piece = self.draws(name).len() / 2;
        while piece > 0 && self.draws(name).len() / piece <= PIECES && !self.is_over() {
            let mut end = self.draws(name).len();
            while end >= piece && !self.is_over() {
                let draws = self.draws(name);
                let without = [&draws[..end - piece], &draws[end.min(draws.len())..]].concat();
                self.takes(name, without);
                end -= piece;
            }
            piece /= 2;
        }
    }

    /// Draws are calm that need not be what they are: large pieces of them first.
    fn calm(&mut self, name: &str) {
        let decisions = |draws: &[Draw]| -> Vec<usize> {
            draws.iter().enumerate().filter_map(|(at, draw)| draw.map(|_| at)).collect()
        };
        let mut piece = decisions(self.draws(name)).len().div_ceil(2);
        while piece > 0 && !self.is_over() {
            for places in decisions(self.draws(name)).rchunks(piece) {
                let mut draws = self.draws(name).to_vec();
                places.iter().for_each(|&at| draws[at] = None);
                self.takes(name, draws);
            }
            piece /= 2;
        }
    }

    fn lower_first(&mut self, name: &str) {
        self.lower(name, LOWERED[0]);
    }

    /// Draws are smaller: fewer records, smaller numbers.
    fn lower(&mut self, name: &str, most: usize) {
        let places: Vec<usize> = (0..self.draws(name).len())
            .filter(|&at| self.draws(name)[at].is_some_and(|bits| bits > 0))
            .collect();
        for at in places.into_iter().take(most) {
            for shift in [32, 8, 2, 1] {
                while let Some(bits) = self.draws(name)[at].filter(|bits| *bits >> 32 > 0) {
                    let mut draws = self.draws(name).to_vec();
                    draws[at] = Some(bits >> shift);
                    if !self.takes(name, draws) {
                        break;
                    }
                }
            }
        }
    }
}
