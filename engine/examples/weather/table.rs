//! How delays depend on the weather, as text.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::job::{Departure, Observation};

/// What is seen of the flights in some weather.
#[derive(Default)]
struct Seen {
    flights: u64,
    cancelled: u64,
    /// Minutes, of those that left.
    delay: i64,
}

/// A kind of weather, from the fairest to the worst.
fn kind(weather: Option<&Observation>) -> (u8, &'static str) {
    let Some(weather) = weather else { return (9, "not observed") };
    let (sight, wet) = (weather.visib.unwrap_or(10.0), weather.precip.unwrap_or(0.0) > 0.0);
    let windy = weather.wind_speed.unwrap_or(0.0) >= 20.0;
    match (wet, sight < 3.0, windy) {
        (false, false, false) => (0, "fair"),
        (false, false, true) => (1, "dry and windy"),
        (false, true, _) => (2, "fog"),
        (true, false, _) => (3, "rain or snow"),
        (true, true, _) => (4, "rain or snow, dense"),
    }
}

/// A row for each kind of weather.
pub fn by_weather(departures: &[Departure]) -> String {
    let mut kinds: BTreeMap<(u8, &str), Seen> = BTreeMap::new();
    for Departure { flight, weather } in departures {
        let seen = kinds.entry(kind(weather.as_ref())).or_default();
        seen.flights += 1;
        match flight.dep_delay {
            Some(delay) => seen.delay += delay,
            None => seen.cancelled += 1,
        }
    }
    let mut text = format!("{:<20}  {:>8}  {:>9}  {:>10}\n", "weather", "flights", "cancelled", "mean delay");
    for ((_, name), Seen { flights, cancelled, delay }) in kinds {
        let left = flights - cancelled;
        let mean = if left > 0 { delay as f64 / left as f64 } else { 0.0 };
        let share = 100.0 * cancelled as f64 / flights as f64;
        let row = writeln!(text, "{name:<20}  {flights:>8}  {share:>7.1} %  {mean:>6.1} min");
        row.expect("a string takes all text");
    }
    text
}
