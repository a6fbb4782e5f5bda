//! The weather example finds for each flight the observation that a plain search finds.

use millstream::prelude::*;
use millstream_tests::flights;
use millstream_tests::weather::{Departure, Flight, Observation, weather};

fn records<T: serde::de::DeserializeOwned>(path: &std::path::Path) -> Vec<T> {
    let text = flights::text(path);
    text.lines().map(|line| serde_json::from_str(line).expect("a line is a record")).collect()
}

/// For each flight all observations are looked at.
fn plain(flights: Vec<Flight>, observations: &[Observation]) -> Vec<Departure> {
    let in_force = |flight: &Flight| {
        let before = observations.iter().filter(|seen| seen.observed_at <= flight.scheduled_at);
        before.filter(|seen| seen.origin == flight.origin).max_by_key(|seen| seen.observed_at).cloned()
    };
    flights.into_iter().map(|flight| Departure { weather: in_force(&flight), flight }).collect()
}

fn sorted(departures: Vec<Departure>) -> Vec<String> {
    let line = |departure: &Departure| serde_json::to_string(departure).expect("a departure is JSON");
    let mut lines: Vec<_> = departures.iter().map(line).collect();
    lines.sort();
    lines
}

#[test]
fn every_flight_meets_the_weather_in_force_at_its_scheduled_time() {
    let data = flights::repository().join("engine/examples/data");
    let (january, year) = (data.join("flights-2013-01.ndjson.gz"), data.join("weather-2013.ndjson.gz"));
    let observations: Vec<Observation> = records(&year);
    // The flights of January are over before most of the year's weather.
    let relevant: Vec<_> = observations.into_iter().take(26_115 / 11).collect();
    let expected = sorted(plain(records(&january), &relevant));
    for cores in [1, 2, 3] {
        let ((out, departures), (aside, late)) = (collect(), collect());
        let job = weather(files([&january]), files([&year]), hours(24), out, aside);
        let report = job.run(Config::new().cores(cores)).expect("the job runs");
        assert_eq!((report.late, late.take()), (0, vec![]), "{cores} cores");
        let found = sorted(departures.take());
        assert_eq!(found.len(), expected.len(), "{cores} cores");
        assert_eq!(found, expected, "{cores} cores");
    }
    assert!(expected.iter().filter(|line| line.contains("observed_at")).count() > 26_000);
}
