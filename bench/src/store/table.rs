//! The table: every engine's figure, and ours beside it.

use super::goals::Goal;
use crate::report::{Cell, Report, Spread};

/// Whether more or less is better.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Better {
    More,
    Less,
}

/// What was measured of several engines in turn.
pub(super) struct Work<'a> {
    pub(super) name: String,
    pub(super) unit: &'static str,
    pub(super) decimals: usize,
    pub(super) better: Better,
    pub(super) goals: &'a [Goal],
}

pub(super) struct Table {
    report: Report,
}

/// The name of our store.
const OURS: &str = "millstream";

impl Table {
    pub(super) fn new() -> Table {
        let columns = ["work", "engine", "median", "range", "unit", "ours is", "goal"];
        Table { report: Report::new("state store: one thread, engines in turn, medians", &columns) }
    }

    /// One row per engine, with how many times as good ours is.
    pub(super) fn compare(&mut self, work: &Work<'_>, figures: Vec<(String, Vec<f64>)>) {
        let figures: Vec<_> = figures.into_iter().filter(|(_, values)| !values.is_empty()).collect();
        let spreads: Vec<_> = figures.into_iter().map(|(name, values)| (name, Spread::of(values))).collect();
        let ours = spreads.iter().find(|(name, _)| name == OURS).map(|(_, spread)| spread.median);
        for (name, spread) in &spreads {
            let times = ours.filter(|_| name != OURS).map(|ours| match work.better {
                Better::More => ours / spread.median,
                Better::Less => spread.median / ours,
            });
            // The variants of an engine are called after it.
            let goal = work.goals.iter().find(|goal| name.starts_with(goal.beside));
            let goal = times.zip(goal).map(|(times, goal)| (times >= goal.times, format!("{}×", goal.times)));
            self.row(work, name, spread, times.map(|times| format!("{times:.2}×")), goal);
        }
    }

    /// One row, judged on its own.
    pub(super) fn judge(
        &mut self,
        work: &Work<'_>,
        engine: &str,
        values: Vec<f64>,
        goal: Option<(bool, String)>,
    ) {
        self.row(work, engine, &Spread::of(values), None, goal);
    }

    /// One row about a share, such as of the disk's bandwidth.
    pub(super) fn share(
        &mut self,
        work: &Work<'_>,
        engine: &str,
        values: Vec<f64>,
        share: f64,
        goal: Option<f64>,
    ) {
        let goal = goal.map(|goal| (share >= goal, format!("{goal}")));
        self.row(work, engine, &Spread::of(values), Some(format!("{share:.2} of it")), goal);
    }

    fn row(
        &mut self,
        work: &Work<'_>,
        engine: &str,
        spread: &Spread,
        ours: Option<String>,
        goal: Option<(bool, String)>,
    ) {
        let decimals = work.decimals;
        let verdict = |(reached, goal)| format!("{goal}: {}", if reached { "reached" } else { "missed" });
        self.report.row(vec![
            Cell::text(&*work.name),
            Cell::text(engine),
            Cell::number(spread.median, decimals),
            Cell::text(format!("{:.decimals$}–{:.decimals$}", spread.min, spread.max)),
            Cell::text(work.unit),
            Cell::text(ours.unwrap_or_default()),
            Cell::text(goal.map(verdict).unwrap_or_default()),
        ]);
    }

    pub(super) fn note(&mut self, note: impl Into<String>) {
        self.report.note(note);
    }

    pub(super) fn finish(self) -> Report {
        self.report
    }
}
