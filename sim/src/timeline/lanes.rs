//! The lanes of a process: what is drawn in each.

use super::axis::{Axis, Detail};
use super::merge::{Span, joined, rows, within_budget};
use super::run::{Checkpoint, Operation, Process, Struck};
use super::text::{counted, exact, rough, words};
use crate::coverage::{Fault, Site};

/// The most rows of operations in flight.
const DISK_ROWS: usize = 16;
/// Of several texts in one tooltip, so many.
const TEXTS: usize = 8;

/// How much may be drawn of a process.
#[derive(Clone, Copy)]
pub(super) struct Budget {
    pub(super) blocks: usize,
    pub(super) operations: usize,
    pub(super) faults: usize,
    pub(super) axis: Detail,
}

/// Something to be drawn, with its tooltip.
pub(super) struct Item {
    pub(super) x: [f64; 2],
    pub(super) class: String,
    pub(super) title: String,
    /// What is written in it, if it is wide enough.
    pub(super) label: String,
}

/// Places things on the axis of a process and tells when they were.
pub(super) struct Scale<'a> {
    /// How long a step takes.
    pub(super) step: u64,
    pub(super) process: &'a Process,
    pub(super) axis: &'a Axis,
}

impl Scale<'_> {
    /// A moment as it is told: since the start of the process.
    pub(super) fn since(&self, at: u64) -> String {
        format!("+{}", exact(at.saturating_sub(self.process.start)))
    }

    fn span<T>(&self, from: u64, to: u64, of: T) -> Span<T> {
        Span { x: [self.axis.x(from), self.axis.x(to)], at: [from, to], count: 1, of }
    }

    /// The steps of each core, in blocks.
    pub(super) fn steps(&self, budget: Budget) -> Vec<Vec<Item>> {
        let lanes: Vec<Vec<Span<()>>> = self.process.steps.iter().map(|steps| self.lane(steps)).collect();
        let joined = |within| lanes.iter().map(|lane| joined(lane, within, |(), ()| true)).collect();
        let blocks = within_budget(budget.blocks, 0.4, joined, Vec::len);
        let item = |core: usize, block: &Span<()>| self.block(core, block);
        let all = blocks.iter().enumerate();
        all.map(|(core, lane)| lane.iter().map(|block| item(core, block)).collect()).collect()
    }

    fn lane(&self, steps: &[u64]) -> Vec<Span<()>> {
        steps.iter().map(|&at| self.span(at, (at + self.step).min(self.process.end), ())).collect()
    }

    fn block(&self, core: usize, block: &Span<()>) -> Item {
        let [from, to] = block.at;
        let busy = (block.count as u64 * self.step * 100 / (to - from).max(1)).clamp(1, 100);
        let density = (busy / 26 + 1).min(4);
        let when = if block.count == 1 {
            self.since(from)
        } else {
            format!("{} to {}, {busy} % of that time", self.since(from), self.since(to))
        };
        let steps = counted(block.count as u64, "step", "steps");
        Item {
            x: block.x,
            class: format!("run d{density}"),
            title: format!("core {core}: {steps}\n{when}"),
            label: String::new(),
        }
    }

    /// When a core stood still.
    pub(super) fn stalls(&self, core: usize) -> Vec<Item> {
        let stalls = self.process.stalls.iter().filter(|stall| stall.core == core);
        let item = |from, until| Item {
            x: [self.axis.x(from), self.axis.x(until)],
            class: "stall".to_owned(),
            title: format!("core {core} is stalled for {}\nfrom {}", exact(until - from), self.since(from)),
            label: String::new(),
        };
        stalls.map(|stall| item(stall.at, stall.until)).collect()
    }

    /// The operations on the disk, in rows of those that do not overlap.
    pub(super) fn disk(&self, budget: Budget) -> Vec<Vec<Item>> {
        let end = self.process.end;
        let spans =
            self.process.operations.iter().map(|of| self.span(of.issued, of.done.unwrap_or(end), vec![of]));
        let rows = rows(spans.collect(), DISK_ROWS, 0.5);
        let joined = |within| rows.iter().map(|row| joined(row, within, join)).collect();
        let rows: Vec<Vec<Span<Vec<&Operation>>>> = within_budget(budget.operations, 0.05, joined, Vec::len);
        rows.iter().map(|row| row.iter().map(|span| self.operation(span)).collect()).collect()
    }

    fn operation(&self, span: &Span<Vec<&Operation>>) -> Item {
        let first = span.of[0];
        let class = format!("op s{}{}", first.site as u8, injury(first));
        if span.of.len() > 1 {
            let [from, to] = span.at.map(|at| self.since(at));
            let many = counted(span.of.len() as u64, "operation", "operations");
            let each = match injury(first) {
                " hit" => ", each struck by a fault",
                " bad" => ", each of which failed",
                _ => "",
            };
            let title = format!("{many} on {} files{each}\n{from} to {to}", of_site(first.site));
            return Item { x: span.x, class, title, label: String::new() };
        }
        let mut title =
            format!("{}\n{} file, from {}", first.what, of_site(first.site), self.since(first.issued));
        match first.done {
            Some(done) => title += &format!(", took {}", exact(done - first.issued)),
            None => title += ", never answered: its process ended",
        }
        if let Some(error) = &first.error {
            title += &format!("\nfailed: {error}");
        }
        for fault in &first.faults {
            title += &format!("\nfault: {}", words(&format!("{fault:?}")));
        }
        Item { x: span.x, class, title, label: String::new() }
    }

    /// The faults that struck while the process ran, by kind.
    pub(super) fn faults(&self, budget: Budget) -> Vec<(Fault, Vec<Item>)> {
        let mut kinds: Vec<(Fault, Vec<Span<Vec<&Struck>>>)> = Vec::new();
        for struck in &self.process.faults {
            let span = self.span(struck.at, struck.at, vec![struck]);
            match kinds.iter_mut().find(|(fault, _)| *fault == struck.fault) {
                Some((_, spans)) => spans.push(span),
                None => kinds.push((struck.fault, vec![span])),
            }
        }
        kinds.sort_by_key(|(fault, _)| *fault);
        let together = |a: &mut Vec<_>, b: &Vec<_>| {
            a.extend(b.iter().copied());
            true
        };
        let joined =
            |within| kinds.iter().map(|(of, spans)| (*of, joined(spans, within, together))).collect();
        let kinds: Vec<(Fault, Vec<Span<Vec<&Struck>>>)> =
            within_budget(budget.faults, 7.0, joined, |(_, spans)| spans.len());
        let items = |spans: Vec<Span<Vec<&Struck>>>| spans.iter().map(|span| self.strike(span)).collect();
        kinds.into_iter().map(|(fault, spans)| (fault, items(spans))).collect()
    }

    fn strike(&self, span: &Span<Vec<&Struck>>) -> Item {
        let told = span
            .of
            .iter()
            .map(|of| format!("{}: {} ({} file)", self.since(of.at), of.what, of_site(of.site)));
        let kind = words(&format!("{:?}", span.of[0].fault));
        let many = if span.of.len() > 1 { format!("{kind}, {} times", span.of.len()) } else { kind };
        let label = if span.of.len() > 1 { span.of.len().to_string() } else { String::new() };
        Item { x: span.x, class: "fault".to_owned(), title: format!("{many}\n{}", several(told)), label }
    }

    /// Attempts at checkpoints, in rows of those that do not overlap; each in up to two parts.
    pub(super) fn checkpoints(&self) -> Vec<Vec<Item>> {
        let spans = self.process.checkpoints.iter();
        let spans = spans.map(|of| self.span(of.triggered, self.over(of), of));
        let rows = rows(spans.collect(), 4, 0.0);
        rows.iter().map(|row| row.iter().flat_map(|span| self.checkpoint(span.of)).collect()).collect()
    }

    /// When nothing more happened to a checkpoint.
    fn over(&self, of: &Checkpoint) -> u64 {
        of.aborted.or(of.committed).unwrap_or(self.process.end)
    }

    fn checkpoint(&self, of: &Checkpoint) -> Vec<Item> {
        let over = self.over(of);
        let title = self.of_checkpoint(of);
        let item = |from, to, class: &str, label: String| Item {
            x: [self.axis.x(from), self.axis.x(to)],
            class: class.to_owned(),
            title: title.clone(),
            label,
        };
        let first = |to, class| item(of.triggered, to, class, of.epoch.to_string());
        match (of.completed, of.committed) {
            (Some(completed), Some(_)) => {
                vec![first(completed, "complete"), item(completed, over, "commit", String::new())]
            }
            (Some(completed), None) => {
                vec![first(completed, "complete"), item(completed, over, "commit cut-off", String::new())]
            }
            (None, _) if of.aborted.is_some() => vec![first(over, "aborted")],
            (None, _) => vec![first(over, "cut-off")],
        }
    }

    fn of_checkpoint(&self, of: &Checkpoint) -> String {
        let mut lines = vec![format!("checkpoint {}: triggered {}", of.epoch, self.since(of.triggered))];
        let after = |at, since: u64| format!("{}, after {}", self.since(at), rough(at.saturating_sub(since)));
        lines.extend(of.aborted.map(|at| format!("aborted {}", after(at, of.triggered))));
        lines.extend(of.completed.map(|at| format!("durable {}", after(at, of.triggered))));
        let durable = of.completed.unwrap_or_default();
        lines.extend(of.committed.map(|at| format!("committed {}", after(at, durable))));
        if of.aborted.is_none() && of.committed.is_none() {
            let what = if of.completed.is_some() {
                "before every sink had committed"
            } else {
                "before it was durable"
            };
            lines.push(format!("its process ended {what}"));
        }
        lines.extend(of.told.iter().cloned());
        lines.join("\n")
    }
}

/// What a kind of file is called.
pub(super) fn of_site(site: Site) -> &'static str {
    match site {
        Site::Input => "input",
        Site::Lease => "lease",
        Site::Manifest => "manifest",
        Site::Delta => "state",
        Site::Pending => "pending output",
        Site::Output => "output",
        Site::Topic => "topic",
        Site::Other => "other",
    }
}

/// Some lines, and how many more there are.
pub(super) fn several(lines: impl ExactSizeIterator<Item = String>) -> String {
    let more = lines.len().saturating_sub(TEXTS);
    let mut shown: Vec<String> = lines.take(TEXTS).collect();
    if more > 0 {
        shown.push(format!("and {more} more, see the log"));
    }
    shown.join("\n")
}

/// What is to be seen of an operation besides its kind of file. That a file is not there is an answer as good as any.
fn injury(of: &Operation) -> &'static str {
    let failed = of.error.as_ref().is_some_and(|error| !error.starts_with("no such file"));
    match () {
        () if !of.faults.is_empty() => " hit",
        () if failed => " bad",
        () if of.done.is_none() => " open",
        () => "",
    }
}

/// Operations go together if they look the same.
fn join<'a>(a: &mut Vec<&'a Operation>, b: &Vec<&'a Operation>) -> bool {
    let together = a[0].site == b[0].site && injury(a[0]) == injury(b[0]);
    if together {
        a.extend(b);
    }
    together
}
