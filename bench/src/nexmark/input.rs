//! The events of a file, in its order or another.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use flate2::read::MultiGzDecoder;
use millstream::prelude::*;
use millstream::stream::FromSource;
use millstream::stream::chain::Identity;

use super::event::Event;
use crate::report::Outcome;

/// The stream that every query starts from.
pub type Events = Stream<Event, Identity<Event, FromSource>>;

/// Where events come from.
#[derive(Clone, Debug)]
pub enum Input {
    /// A file with one event a line, as JSON; `.gz` is decompressed.
    File(PathBuf),
    /// These.
    Events(Vec<Event>),
}

/// How far the watermark is behind the latest event: one that is four seconds old is still in time, so that one
/// millisecond less is what may pass.
const BOUND: Duration = Duration::from_millis(3_999);

impl Input {
    /// A file, in the order that another one gives, if there is one: that has for each event the number of its line
    /// in the first, from 0.
    ///
    /// # Errors
    /// If a file cannot be read, or the order is not one.
    pub fn open(file: &Path, order: Option<&Path>) -> Outcome<Input> {
        match order {
            None => Ok(Input::File(file.to_owned())),
            Some(_) => Input::read(file, order).map(Input::Events),
        }
    }

    /// The events of a file; see [`Input::open`].
    ///
    /// # Errors
    /// If a file cannot be read, or the order is not one.
    pub fn read(file: &Path, order: Option<&Path>) -> Outcome<Vec<Event>> {
        let events = lines(file, |line| serde_json::from_str::<Event>(line))?;
        let Some(order) = order else { return Ok(events) };
        let pick = |number: usize| {
            let event = events.get(number).cloned();
            event.ok_or_else(|| {
                format!("the order names line {number}, but there are only {}", events.len()).into()
            })
        };
        lines(order, str::parse::<usize>)?.into_iter().map(pick).collect()
    }

    /// The events as a stream, with their times.
    pub fn stream(self, job: &Job) -> Events {
        match self {
            Input::File(path) => timed(job.source("events", files::<Event>([path]))),
            Input::Events(events) => timed(job.source("events", from_vec(events))),
        }
    }
}

/// Gives events their times and watermarks, which all kinds of events push on.
pub(super) fn timed(events: Events) -> Events {
    events.event_time(Event::at, Watermarks::bounded(BOUND))
}

/// Every line of a file, compressed or not, parsed.
fn lines<T, E: std::fmt::Display>(path: &Path, parse: impl Fn(&str) -> Result<T, E>) -> Outcome<Vec<T>> {
    let at = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let file = File::open(path).map_err(|error| at(&error))?;
    let bytes: Box<dyn Read> = match path.extension().is_some_and(|extension| extension == "gz") {
        true => Box::new(MultiGzDecoder::new(file)),
        false => Box::new(file),
    };
    let mut parsed = Vec::new();
    for (number, line) in BufReader::new(bytes).lines().enumerate() {
        let line = line.map_err(|error| at(&error))?;
        let value = parse(&line).map_err(|error| at(&format_args!("line {}: {error}", number + 1)))?;
        parsed.push(value);
    }
    Ok(parsed)
}
