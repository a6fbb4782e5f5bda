//! The job: each flight with the weather that was in force at its airport when it was scheduled to leave.

use std::time::Duration;

use millstream::join::LeftOuter;
use millstream::prelude::*;
use millstream::sink::Sink;
use millstream::source::Source;
use serde::{Deserialize, Serialize};

/// Departures and observations in, departures in their weather out. A departure comes at most `out_of_orderness` behind
/// the latest scheduled one.
pub fn weather(
    flights: impl Source<Flight>,
    observations: impl Source<Observation>,
    out_of_orderness: Duration,
    out: impl Sink<Departure>,
    late: impl Sink<Flight>,
) -> Job {
    let job = Job::new("weather");
    let observations = job
        .source("observations", observations)
        .event_time(|seen| seen.observed_at, Watermarks::monotonous())
        .insertions()
        .key_by(|seen| seen.row.origin.clone());
    let departures = job
        .source("flights", flights)
        .event_time(|flight| flight.scheduled_at, Watermarks::bounded(out_of_orderness))
        .key_by(|flight| flight.origin.clone())
        .temporal_join("weather", observations, LeftOuter);
    departures.side(millstream::join::late_left::<Flight>()).sink("late", late);
    departures.map(|(flight, weather)| Departure { flight, weather }).sink("departures", out);
    job
}

/// A departure.
#[derive(
    Clone, Debug, PartialEq, Serialize, Deserialize, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize,
)]
pub struct Flight {
    /// The scheduled departure: milliseconds since the epoch, UTC.
    pub scheduled_at: Timestamp,
    /// The airport it left from.
    pub origin: String,
    /// The airline.
    pub carrier: String,
    /// Its number.
    pub flight: u32,
    /// Minutes; none if the flight was cancelled.
    pub dep_delay: Option<i64>,
}

/// The weather at an airport, in force until the next observation.
#[derive(
    Clone, Debug, PartialEq, Serialize, Deserialize, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize,
)]
pub struct Observation {
    /// Milliseconds since the epoch, UTC.
    pub observed_at: Timestamp,
    /// The airport.
    pub origin: String,
    /// Degrees Fahrenheit.
    pub temp: Option<f64>,
    /// Miles per hour.
    pub wind_speed: Option<f64>,
    /// How far one sees, in miles, at most 10.
    pub visib: Option<f64>,
    /// Inches of rain or snow in an hour.
    pub precip: Option<f64>,
}

/// A line of the output.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Departure {
    /// The flight.
    pub flight: Flight,
    /// The weather, if there was an observation before.
    pub weather: Option<Observation>,
}
