//! The weather example finds for each flight the observation that a plain search finds.

use std::path::Path;

use millstream::prelude::*;
use millstream_tests::flights;
use millstream_tests::topics;
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

/// As the example does it where nothing else is said.
fn by_topics(january: &Path, year: &Path) -> Vec<String> {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let place = |name: &str| dir.path().join(name);
    topics::fill::<Flight>(&place("flights"), &[january.to_owned()], Config::new()).expect("it runs");
    topics::fill::<Observation>(&place("weather"), &[year.to_owned()], Config::new()).expect("it runs");
    let (out, aside) = (topic_sink(place("out")), topic_sink(place("late")));
    let job = weather(topic(place("flights")), topic(place("weather")), hours(24), out, aside);
    job.run(Config::new().checkpoints(place("checkpoints"))).expect("the job runs");
    assert_eq!(topics::read::<Flight>(&place("late")).expect("it can be read"), vec![]);
    sorted(topics::read(&place("out")).expect("it can be read"))
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
    assert_eq!(by_topics(&january, &year), expected, "from topics to topics");
    assert!(expected.iter().filter(|line| line.contains("observed_at")).count() > 26_000);
}
