//! The least of a failing run that still fails.
//!
//! What a run draws is written on a [tape](crate::tape), and played again with less: streams that are calm from some place on,
//! pieces that are taken out, draws that are calm or smaller. What breaks the same rule is kept. This knows nothing of records,
//! faults and schedules: a fault that is not needed goes with the draw that brought it.

use std::time::{Duration, Instant};

use crate::scenario::{Finding, NO_PANIC, Options, Outcome, PROGRESS, Scenario};
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
    /// How many threads.
    pub threads: usize,
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

/// The fewest points that a process is allowed, and the most.
const FEWEST: u64 = 100_000;
const MOST: u64 = 5_000_000;
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
    /// let shrink = Shrink { seed: found, options: Options::default(), limit: Duration::from_secs(5), threads: 2 };
    /// let shrunk = shrink.run(&scenario, |_, _| {}).expect("it has a finding");
    /// assert!(shrunk.tape.decisions() < shrunk.whole.decisions());
    /// assert!(scenario.play(found, &shrunk.tape, &Options::default()).finding.is_some());
    /// ```
    pub fn run(self, scenario: &Scenario, progress: impl FnMut(u64, usize)) -> Option<Shrunk> {
        let Shrink { seed, options, limit, threads } = self;
        // A run that takes no end is not written down whole.
        let calm = Options { keep_log: false, most_points: Some(MOST), ..options };
        let (from, whole) = scenario.record(seed, &calm);
        let finding = from.finding.clone()?;
        let longest = from.lives.iter().map(|life| life[0]).max().unwrap_or(0);
        let most_points = FEWEST.max(2 * longest).min(MOST);
        let mut search = Search {
            scenario,
            seed,
            options: Options { most_points: Some(most_points), ..calm },
            finding,
            tape: whole.clone(),
            until: Instant::now().checked_add(limit),
            runs: 0,
            threads: threads.max(1),
            progress,
        };
        let is_least = search.search();
        // With its log.
        let logged = Options { keep_log: true, ..search.options };
        let (runs, tape) = (search.runs + 1, search.tape);
        let outcome = scenario.play(seed, &tape, &logged);
        Some(Shrunk { from, whole, outcome, tape, runs, is_least })
    }
}

/// Whether two findings are of one kind: the same rule, and, where the rule says little, a panic at the same place, or a process
/// that is stuck in the same way.
fn alike(one: &Finding, other: &Finding) -> bool {
    let kind = |finding: &Finding| match finding.rule.as_str() {
        NO_PANIC => finding.seen.lines().next().map(str::to_owned),
        PROGRESS => finding.seen.split(';').next().map(str::to_owned),
        _ => None,
    };
    one.rule == other.rule && kind(one) == kind(other)
}

struct Search<'a, P> {
    scenario: &'a Scenario,
    seed: u64,
    options: Options,
    finding: Finding,
    tape: Tape,
    /// Never, if that is too far away.
    until: Option<Instant>,
    runs: u64,
    threads: usize,
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
        self.until.is_some_and(|until| Instant::now() >= until)
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

    /// Takes the first of these for the stream with which what is found is still found. They are tried side by side, but what
    /// comes of it is as if they had been tried one after the other.
    fn takes_first(&mut self, name: &str, candidates: Vec<Vec<Draw>>) -> Option<usize> {
        if self.is_over() {
            return None;
        }
        let tapes: Vec<Tape> = candidates.into_iter().map(|draws| self.tape.with(name, draws)).collect();
        let (scenario, seed, options, finding) = (self.scenario, self.seed, &self.options, &self.finding);
        let fails = |tape: &Tape| {
            let outcome = scenario.play(seed, tape, options);
            outcome.finding.is_some_and(|other| alike(&other, finding))
        };
        let (fails, (first, others)) = (&fails, tapes.split_first()?);
        let failing: Vec<bool> = std::thread::scope(|scope| {
            let others: Vec<_> = others.iter().map(|tape| scope.spawn(move || fails(tape))).collect();
            let first = fails(first);
            let joined = others.into_iter().map(|other| other.join().expect("a run keeps its panics"));
            std::iter::once(first).chain(joined).collect()
        });
        self.runs += tapes.len() as u64;
        let taken = failing.into_iter().position(|fails| fails);
        if let Some(tape) = taken.and_then(|at| tapes.into_iter().nth(at)) {
            self.tape = tape;
        }
        (self.progress)(self.runs, self.tape.decisions());
        taken
    }

    fn takes(&mut self, name: &str, draws: Vec<Draw>) -> bool {
        self.takes_first(name, vec![draws]).is_some()
    }

    /// Tries each of `count` changes to what the stream is by then.
    fn takes_each(&mut self, name: &str, count: usize, change: impl Fn(&[Draw], usize) -> Vec<Draw>) {
        let mut next = 0;
        while next < count && !self.is_over() {
            let together = next..count.min(next + self.threads);
            let candidates = together.clone().map(|n| change(self.draws(name), n)).collect();
            next = self.takes_first(name, candidates).map_or(together.end, |taken| next + taken + 1);
        }
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

    /// Draws are calm that need not be what they are: large pieces of them first.
    fn calm(&mut self, name: &str) {
        let decisions = |draws: &[Draw]| -> Vec<usize> {
            draws.iter().enumerate().filter_map(|(at, draw)| draw.map(|_| at)).collect()
        };
        let mut piece = decisions(self.draws(name)).len().div_ceil(2);
        while piece > 0 && !self.is_over() {
            let places = decisions(self.draws(name));
            let pieces: Vec<&[usize]> = places.rchunks(piece).collect();
            self.takes_each(name, pieces.len(), |draws, n| {
                let mut draws = draws.to_vec();
                pieces[n].iter().for_each(|&at| draws[at] = None);
                draws
            });
            piece /= 2;
        }
    }

    /// Pieces are not needed, and what is behind them moves up: records of an input. From the end, so that the places of those
    /// that are still to be tried stay.
    fn take_out(&mut self, name: &str) {
        let mut piece = self.draws(name).len() / 2;
        while piece > 0 && self.draws(name).len() / piece <= PIECES && !self.is_over() {
            let whole = self.draws(name).len();
            self.takes_each(name, whole / piece, |draws, n| {
                let end = whole - n * piece;
                [&draws[..end - piece], &draws[end.min(draws.len())..]].concat()
            });
            piece /= 2;
        }
    }

    fn lower_first(&mut self, name: &str) {
        self.lower(name, LOWERED[0]);
    }

    /// Draws are smaller: fewer records, smaller numbers.
    fn lower(&mut self, name: &str, most: usize) {
        let is_large = |draw: Draw| draw.is_some_and(|bits| bits >> 32 > 0);
        let places = (0..self.draws(name).len()).filter(|&at| is_large(self.draws(name)[at]));
        for at in places.take(most).collect::<Vec<_>>() {
            // By the most that helps, again and again.
            while is_large(self.draws(name)[at]) {
                let helps = [32, 8, 2, 1].into_iter().any(|shift| {
                    let mut draws = self.draws(name).to_vec();
                    draws[at] = draws[at].map(|bits| bits >> shift);
                    self.takes(name, draws)
                });
                if !helps {
                    break;
                }
            }
        }
    }
}
