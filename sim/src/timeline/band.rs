//! One process, drawn: an axis of its own, and below it lanes for its checkpoints, its cores, its disk and its faults.

use std::fmt::Write as _;

use super::axis::Axis;
use super::lanes::{Budget, Item, Scale};
use super::run::{Ending, Process};
use super::text::{at, counted, escape, exact, jump, rough, words};

/// Pixels: the whole, where the lanes begin, and how wide they are.
const WIDTH: f64 = 1400.0;
const LEFT: f64 = 104.0;
const PLOT: f64 = WIDTH - LEFT - 12.0;
/// Where the first lane begins, below the axis.
const TOP: f64 = 36.0;
/// Nothing is drawn narrower.
const LEAST: f64 = 0.8;
/// A letter of a small label.
const LETTER: f64 = 6.2;

/// A drawing that grows downwards.
#[derive(Default)]
struct Drawing {
    /// The names of the lanes, and what lies behind them.
    names: String,
    /// What is stretched when somebody looks closer.
    stretched: String,
    /// What keeps its size.
    fixed: String,
    y: f64,
}

/// The drawing of a process, as an `svg` element.
pub(super) fn draw(process: &Process, step: u64, budget: Budget) -> String {
    let axis = Axis::new(&process.moments, PLOT, budget.axis);
    let scale = Scale { step, process, axis: &axis };
    let mut drawing = Drawing { y: TOP, ..Drawing::default() };
    drawing.checkpoints(&scale);
    drawing.cores(&scale, budget);
    drawing.disk(&scale, budget);
    drawing.faults(&scale, budget);
    drawing.moments(&scale);
    drawing.finish(&scale)
}

impl Drawing {
    /// A lane of some height, and its name.
    fn lane(&mut self, name: &str, height: f64, title: &str) -> f64 {
        let y = self.y;
        let (top, middle) = (at(y), at(y + height / 2.0 + 3.8));
        let _ = write!(
            self.names,
            "<g><text class=\"name\" x=\"{}\" y=\"{middle}\">{}</text><title>{}</title></g>\
             <rect class=\"lane\" x=\"{LEFT}\" y=\"{top}\" width=\"{}\" height=\"{}\"/>",
            LEFT - 10.0,
            escape(name),
            escape(title),
            at(PLOT),
            at(height)
        );
        self.y += height + 3.0;
        y
    }

    /// Space between groups of lanes.
    fn space(&mut self) {
        self.y += 5.0;
    }

    fn bar(&mut self, item: &Item, y: f64, height: f64) {
        let width = (item.x[1] - item.x[0]).max(LEAST);
        let _ = write!(
            self.stretched,
            "<rect class=\"{}\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"><title>{}</title></rect>",
            item.class,
            at(item.x[0].min(PLOT - LEAST)),
            at(y),
            at(width),
            at(height),
            escape(&item.title)
        );
    }

    /// A label in the middle of something; it is seen while that is wide enough.
    fn label(&mut self, x: [f64; 2], y: f64, class: &str, text: &str) {
        let (width, need) = (x[1] - x[0], text.chars().count() as f64 * LETTER + 4.0);
        let hidden = if width < need { " hidden" } else { "" };
        let middle = at(f64::midpoint(x[0], x[1]));
        let _ = write!(
            self.fixed,
            "<g class=\"label{hidden}\" data-x=\"{middle}\" data-w=\"{}\" data-need=\"{}\" \
             transform=\"translate({middle})\"><text class=\"{class}\" y=\"{}\">{}</text></g>",
            at(width),
            at(need),
            at(y),
            escape(text)
        );
    }

    fn checkpoints(&mut self, scale: &Scale) {
        let rows = scale.checkpoints();
        for (row, items) in rows.iter().enumerate() {
            let name = if row == 0 { "checkpoints" } else { "" };
            let y = self.lane(
                name,
                16.0,
                "From the trigger of each checkpoint until it was durable, and until it was committed",
            );
            for item in items {
                self.bar(item, y + 1.0, 14.0);
                if !item.label.is_empty() {
                    let class = if item.class == "complete" { "in-bar" } else { "in-bar dark" };
                    self.label(item.x, y + 11.8, class, &item.label);
                }
            }
        }
        if !rows.is_empty() {
            self.space();
        }
    }

    fn cores(&mut self, scale: &Scale, budget: Budget) {
        for (core, blocks) in scale.steps(budget).iter().enumerate() {
            let steps = counted(scale.process.steps[core].len() as u64, "step", "steps");
            let y = self.lane(&format!("core {core}"), 16.0, &steps);
            for stall in scale.stalls(core) {
                self.bar(&stall, y, 16.0);
            }
            for block in blocks {
                self.bar(block, y + 2.0, 12.0);
            }
        }
        self.space();
    }

    fn disk(&mut self, scale: &Scale, budget: Budget) {
        let rows = scale.disk(budget);
        if rows.is_empty() {
            return;
        }
        let operations = counted(scale.process.operations.len() as u64, "operation", "operations");
        // Many rows are thin.
        let row_height = if rows.len() > 8 { 5.0 } else { 8.0 };
        let y = self.lane("disk", (rows.len() as f64 * row_height).max(13.0) + 1.0, &operations);
        for (row, items) in rows.iter().enumerate() {
            for item in items {
                self.bar(item, y + 1.0 + row as f64 * row_height, row_height - 1.0);
            }
        }
        self.space();
    }

    fn faults(&mut self, scale: &Scale, budget: Budget) {
        for (fault, strikes) in scale.faults(budget) {
            let y = self.lane(&words(&format!("{fault:?}")), 15.0, "Faults of this kind, where they struck");
            for strike in &strikes {
                if strike.x[1] - strike.x[0] > 4.0 {
                    self.bar(strike, y + 3.5, 8.0);
                    self.label(strike.x, y + 11.2, "in-fault", &format!("{}×", strike.label));
                } else {
                    self.diamond(strike, y + 7.5, "fault");
                }
            }
        }
    }

    fn diamond(&mut self, item: &Item, y: f64, class: &str) {
        let x = at(f64::midpoint(item.x[0], item.x[1]).clamp(5.0, PLOT - 5.0));
        let _ = write!(
            self.fixed,
            "<g data-x=\"{x}\" transform=\"translate({x})\"><path class=\"{class}\" d=\"M0 {}l5 5l-5 5l-5-5z\"/>\
             <title>{}</title></g>",
            at(y - 5.0),
            escape(&item.title)
        );
    }

    /// What happened at a moment to the process as a whole: jumps of the wall clock, remarks of the scenario.
    fn moments(&mut self, scale: &Scale) {
        let jumps = scale.process.jumps.iter().map(|(at, by)| (*at, jump(*by)));
        self.marks(scale, "wall clock", "jump", &jumps.collect::<Vec<_>>());
        self.marks(scale, "outside", "fault", &scale.process.outside);
        self.marks(scale, "remarks", "note", &scale.process.notes);
    }

    fn marks(&mut self, scale: &Scale, name: &str, class: &str, marks: &[(u64, String)]) {
        if marks.is_empty() {
            return;
        }
        let y = self.lane(name, 15.0, "Where it happened");
        let xs: Vec<f64> = marks.iter().map(|(at, _)| scale.axis.x(*at)).collect();
        for (index, (moment, text)) in marks.iter().enumerate() {
            let x = xs[index];
            let title = format!("{name}: {text}\n{}", scale.since(*moment));
            let item = Item { x: [x, x], class: String::new(), title, label: String::new() };
            self.diamond(&item, y + 7.5, class);
            let room = xs.get(index + 1).copied().unwrap_or(PLOT) - x - 14.0;
            let width = text.chars().count() as f64 * LETTER;
            if width <= room {
                self.label([x + 9.0, x + 9.0 + width + 5.0], y + 11.4, "beside", text);
            }
        }
    }

    fn finish(mut self, scale: &Scale) -> String {
        let height = self.y + 3.0;
        let behind = self.gaps(scale, height);
        let ending = match scale.process.ending {
            Ending::Finished => "finished",
            Ending::Killed => "killed",
            Ending::PowerLoss => "power",
            _ => "failed",
        };
        let _ = write!(
            self.fixed,
            "<g data-x=\"{x}\" transform=\"translate({x})\"><path class=\"end {ending}\" d=\"M-1.5 {TOP}V{}\"/></g>",
            at(height),
            x = at(PLOT)
        );
        let Drawing { names, stretched, fixed, .. } = &self;
        format!(
            "<svg class=\"band\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"Process {number}\">{names}\
             <svg class=\"plot\" x=\"{LEFT}\" y=\"0\" width=\"{plot}\" height=\"{height}\" data-knots=\"{knots}\" \
             data-width=\"{plot}\" data-height=\"{height}\"><rect class=\"ground\" width=\"{plot}\" height=\"{height}\"/>\
             <g class=\"zoom\">{behind}</g><g class=\"ticks\">{ticks}</g><g class=\"zoom\">{stretched}</g>\
             <g class=\"fixed\">{fixed}</g></svg></svg>",
            number = scale.process.number,
            plot = at(PLOT),
            height = at(height),
            knots = scale.axis.knots(),
            ticks = ticks(scale.axis, height),
        )
    }

    /// Where nothing happens and the axis is shortened.
    fn gaps(&mut self, scale: &Scale, height: f64) -> String {
        let mut behind = String::new();
        for [(from, x0), (to, x1)] in &scale.axis.gaps {
            let _ = write!(
                behind,
                "<rect class=\"gap\" x=\"{}\" y=\"{TOP}\" width=\"{}\" height=\"{}\"><title>{}\nfrom {} to {}</title></rect>",
                at(*x0),
                at(x1 - x0),
                at(height - TOP),
                escape(&format!("nothing happens for {}", exact(to - from))),
                scale.since(*from),
                scale.since(*to)
            );
            self.label([*x0, *x1], TOP - 5.0, "idle", &rough(to - from));
        }
        behind
    }
}

/// Round moments on the axis, each with a line through all lanes.
fn ticks(axis: &Axis, height: f64) -> String {
    let mut ticks = String::new();
    for tick in axis.ticks(120.0) {
        let (anchor, x) = if tick.x < 1.0 { ("start", 0.5) } else { ("middle", tick.x) };
        let text = if tick.after == 0 { "start".to_owned() } else { format!("+{}", exact(tick.after)) };
        let _ = write!(
            ticks,
            "<g transform=\"translate({})\"><path d=\"M0 17V{}\"/><text text-anchor=\"{anchor}\" y=\"12\">{}</text></g>",
            at(x),
            at(height),
            escape(&text)
        );
    }
    ticks
}
