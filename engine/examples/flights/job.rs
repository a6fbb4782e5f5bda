//! The job: per airport and hour of scheduled departure, how many flights left how late.

use std::borrow::Cow;
use std::time::Duration;

use millstream::key::{Key, KeyBuf};
use millstream::prelude::*;
use millstream::sink::Sink;
use millstream::source::Source;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::value::RawValue;
use smallvec::SmallVec;

/// What can be set about the job.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// The length of a window.
    pub window: Duration,
    /// How far behind the latest scheduled departure a record may come.
    pub out_of_orderness: Duration,
    /// How long after its end a window still takes records.
    pub allowed_lateness: Duration,
}

/// Windows of departures at each airport to one sink, the records that came too late to the other.
pub fn flights(
    source: impl Source<Flight>,
    rules: Rules,
    hours: impl Sink<Hour>,
    late: impl Sink<Flight>,
) -> Job {
    let job = Job::new("flights");
    let hourly = job
        .source("flights", source)
        .event_time(|flight| flight.scheduled_at, Watermarks::bounded(rules.out_of_orderness))
        .key_by(|flight| flight.origin.clone())
        .window(Tumbling::of(rules.window).allow_late(rules.allowed_lateness))
        .aggregate("hourly", Delays);
    hourly.late().sink("late", late);
    hourly.map(Hour::new).sink("hours", hours);
    job
}

/// A departure: what the job looks at, and the record as it came, because that is how a late one is to be kept.
#[derive(Clone, Debug)]
pub struct Flight {
    /// The scheduled departure: milliseconds since the epoch, UTC.
    pub scheduled_at: Timestamp,
    /// The airport it left from.
    pub origin: Airport,
    /// Minutes; none if the flight was cancelled.
    pub dep_delay: Option<i64>,
    line: Box<RawValue>,
}

#[derive(Deserialize)]
struct Fields<'a> {
    scheduled_at: Timestamp,
    #[serde(borrow)]
    origin: Cow<'a, str>,
    dep_delay: Option<i64>,
}

impl<'de> Deserialize<'de> for Flight {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Flight, D::Error> {
        let line = Box::<RawValue>::deserialize(deserializer)?;
        let Fields { scheduled_at, origin, dep_delay } =
            serde_json::from_str(line.get()).map_err(de::Error::custom)?;
        let origin = Airport(SmallVec::from_slice(origin.as_bytes()));
        Ok(Flight { scheduled_at, origin, dep_delay, line })
    }
}

impl Serialize for Flight {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.line.serialize(serializer)
    }
}

/// The code of an airport, like `JFK`: UTF-8 that needs no memory of its own unless it is long.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Airport(SmallVec<[u8; 16]>);

impl Airport {
    fn name(&self) -> &str {
        std::str::from_utf8(&self.0).expect("an airport is made of text")
    }
}

/// The length, then the text.
impl Key for Airport {
    fn write(&self, out: &mut KeyBuf) {
        (self.0.len() as u64).write(out);
        out.extend_from_slice(&self.0);
    }

    fn read(input: &mut &[u8]) -> Option<Airport> {
        let len = usize::try_from(u64::read(input)?).ok()?;
        let (text, rest) = input.split_at_checked(len)?;
        std::str::from_utf8(text).ok()?;
        *input = rest;
        Some(Airport(SmallVec::from_slice(text)))
    }
}

/// Counts flights and sums up their delays.
#[derive(Clone)]
pub struct Delays;

/// The state of a window: flat, so that it is updated where it lies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct Sums {
    flights: u64,
    cancelled: u64,
    /// In minutes, of the flights that left.
    delay_sum: i64,
    /// In minutes; of no meaning until a flight has left.
    delay_max: i64,
}

impl Aggregate for Delays {
    type In = Flight;
    type Acc = Sums;
    type Out = Sums;

    fn add(&self, sums: &mut Sums, flight: &Flight) {
        match flight.dep_delay {
            None => sums.cancelled += 1,
            Some(delay) => {
                let first = sums.flights == sums.cancelled;
                sums.delay_max = if first { delay } else { sums.delay_max.max(delay) };
                sums.delay_sum += delay;
            }
        }
        sums.flights += 1;
    }

    fn finish(&self, sums: &Sums) -> Sums {
        *sums
    }
}

/// A line of the output. Times are in milliseconds since the epoch, delays in minutes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hour {
    /// The airport.
    pub origin: String,
    /// The first millisecond of the window.
    pub window_start: Timestamp,
    /// The first millisecond after it.
    pub window_end: Timestamp,
    /// All flights, also cancelled ones.
    pub flights: u64,
    /// Those that did not leave.
    pub cancelled: u64,
    /// Of those that left.
    pub delay_sum: i64,
    /// Of those that left, if there is one.
    pub delay_max: Option<i64>,
    /// Of those that left, if there is one.
    pub delay_mean: Option<f64>,
}

impl Hour {
    fn new(result: Windowed<Airport, Sums>) -> Hour {
        let Windowed { key, window, value: Sums { flights, cancelled, delay_sum, delay_max } } = result;
        let left = flights - cancelled;
        Hour {
            origin: key.name().to_owned(),
            window_start: window.start,
            window_end: window.end,
            flights,
            cancelled,
            delay_sum,
            delay_max: (left > 0).then_some(delay_max),
            delay_mean: (left > 0).then(|| delay_sum as f64 / left as f64),
        }
    }
}
