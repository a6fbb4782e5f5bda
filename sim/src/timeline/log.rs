//! The log as text: whole where it is short, otherwise without the single steps, and in the end without the middle of long
//! processes.

use std::fmt::Write as _;

use super::text::{count, escape, in_log};
use crate::trace::{Event, What};

/// About so many bytes of text are shown.
const MOST: usize = 600_000;

/// The log as it is shown, escaped. `again` prints all of it.
pub(super) fn text(events: &[Event], again: &str) -> String {
    let whole = lines(events, false);
    let lines = if size(&whole) <= MOST { whole } else { shortened(lines(events, true), again) };
    lines.iter().fold(String::new(), |mut text, line| {
        text.push_str(&escape(line));
        text.push('\n');
        text
    })
}

fn size(lines: &[String]) -> usize {
    lines.iter().map(|line| line.len() + 1).sum()
}

/// A line for each event; for steps, timers and new tasks that follow each other one for all, if wanted.
fn lines(events: &[Event], summed: bool) -> Vec<String> {
    let (mut lines, mut steps) = (Vec::new(), Steps::default());
    for event in events {
        let at = event.at.as_nanos() as u64;
        let is_step = matches!(event.what, What::Poll | What::Timer | What::Spawn);
        if is_step && summed {
            steps.add(at);
            continue;
        }
        lines.extend(steps.end());
        lines.push(line(at, event));
    }
    lines.extend(steps.end());
    lines
}

#[derive(Default)]
struct Steps {
    from: u64,
    to: u64,
    count: u64,
}

impl Steps {
    fn add(&mut self, at: u64) {
        if self.count == 0 {
            self.from = at;
        }
        (self.to, self.count) = (at, self.count + 1);
    }

    fn end(&mut self) -> Option<String> {
        let Steps { from, to, count: steps } = std::mem::take(self);
        (steps > 0).then(|| {
            format!(
                "{:>19}  …         {} steps, timers and new tasks until {}",
                in_log(from),
                count(steps),
                in_log(to)
            )
        })
    }
}

fn line(at: u64, event: &Event) -> String {
    let [a, b] = event.numbers;
    let mut line = format!("{:>19}  {:<9} ", in_log(at), format!("{:?}", event.what));
    let _ = match event.what {
        What::Start => write!(line, "process {a} on {b} cores"),
        What::Poll => write!(line, "core {a} runs task {b}"),
        What::Timer => write!(line, "timer {a}"),
        What::Stall => write!(line, "core {a} for {}", in_log(b)),
        What::Jump => write!(line, "the wall clock, by {} ms", a as i64),
        What::Issue => write!(line, "#{a} {}, takes {}", event.text, in_log(b)),
        What::Complete => write!(line, "#{a} {}", event.text),
        What::Freeze => write!(line, "process {a}: {}", event.text),
        What::Wake => write!(line, "process {a}, after {}", in_log(b)),
        What::Crash => write!(line, "{} after {b} points", event.text),
        What::End => write!(line, "process {a} after {b} points: {}", event.text),
        What::Aftermath if event.text.is_empty() => write!(line, "of process {a}: {b:x}"),
        _ => write!(line, "{}", event.text),
    };
    line
}

/// As many lines from the beginning and the end as fit, more of the end: that is where something was found.
fn shortened(lines: Vec<String>, again: &str) -> Vec<String> {
    if size(&lines) <= MOST {
        return lines;
    }
    let fit = |lines: &mut dyn Iterator<Item = &String>, most: usize| {
        let mut left = most;
        lines
            .take_while(|line| {
                let fits = line.len() < left;
                left = left.saturating_sub(line.len() + 1);
                fits
            })
            .count()
    };
    let first = fit(&mut lines.iter(), MOST / 3);
    let last = fit(&mut lines.iter().rev(), MOST - MOST / 3);
    let left_out = lines.len() - first - last;
    let mut kept = lines[..first].to_vec();
    kept.push(format!(
        "{:>19}  …         {} lines are left out; to print them: {again}",
        "",
        count(left_out as u64)
    ));
    kept.extend_from_slice(&lines[lines.len() - last..]);
    kept
}
