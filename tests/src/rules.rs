//! What the example must compute, the straightforward way: one loop over the lines, in order, and nothing of the
//! engine.

use std::collections::BTreeMap;

use serde_json::Value;

/// The job's parameters, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// The length of a window.
    pub window: i64,
    /// How far behind the latest time a record may come.
    pub bound: i64,
    /// How long after its end a window still takes records.
    pub lateness: i64,
}

/// An airport and the start of a window.
pub type Place = (String, i64);

/// What must come out.
#[derive(Debug, Default, PartialEq)]
pub struct Expected {
    /// The rows of each window in the order of their output, as lines of JSON: one when the window fires, and one
    /// for each record that comes later and is still allowed.
    pub rows: BTreeMap<Place, Vec<String>>,
    /// The lines of the late records, sorted.
    pub late: Vec<String>,
}

#[derive(Default)]
struct Sums {
    flights: u64,
    cancelled: u64,
    sum: i64,
    max: Option<i64>,
    fired: bool,
}

/// Computes it for one file's lines.
///
/// # Panics
/// If a line is no flight.
pub fn expected(text: &str, rules: Rules) -> Expected {
    let mut expected = Expected::default();
    let mut windows: BTreeMap<(i64, String), Sums> = BTreeMap::new();
    let (mut latest, mut watermark) = (i64::MIN, i64::MIN);
    for line in text.lines() {
        let flight: Value = serde_json::from_str(line).expect("a flight is JSON");
        let time = flight["scheduled_at"].as_i64().expect("a flight is scheduled");
        let start = time.div_euclid(rules.window) * rules.window;
        if start + rules.window - 1 + rules.lateness <= watermark {
            expected.late.push(line.to_owned());
        } else {
            let origin = flight["origin"].as_str().expect("a flight leaves from somewhere");
            let sums = windows.entry((start, origin.to_owned())).or_default();
            sums.add(flight["dep_delay"].as_i64());
            // Its time to fire has passed: this record's result is output at once.
            sums.fired |= start + rules.window - 1 <= watermark;
            if sums.fired {
                expected.emit(origin, start, sums, rules);
            }
        }
        if time > latest {
            latest = time;
            watermark = latest - rules.bound - 1;
            fire(&mut windows, watermark, &mut expected, rules);
        }
    }
    fire(&mut windows, i64::MAX, &mut expected, rules);
    expected.late.sort();
    expected
}

/// Outputs every window that the watermark has reached, and forgets those that nothing can reach any more.
fn fire(windows: &mut BTreeMap<(i64, String), Sums>, watermark: i64, expected: &mut Expected, rules: Rules) {
    windows.retain(|(start, origin), sums| {
        let last = start + rules.window - 1;
        if last <= watermark && !sums.fired {
            sums.fired = true;
            expected.emit(origin, *start, sums, rules);
        }
        last + rules.lateness > watermark
    });
}

impl Sums {
    fn add(&mut self, delay: Option<i64>) {
        self.flights += 1;
        match delay {
            None => self.cancelled += 1,
            Some(delay) => {
                self.sum += delay;
                self.max = Some(self.max.map_or(delay, |max| max.max(delay)));
            }
        }
    }
}

impl Expected {
    fn emit(&mut self, origin: &str, start: i64, sums: &Sums, rules: Rules) {
        let Sums { flights, cancelled, sum, max, .. } = sums;
        let (end, left) = (start + rules.window, flights - cancelled);
        let mean = if left == 0 { Value::Null } else { Value::from(*sum as f64 / left as f64) };
        let max = max.map_or(Value::Null, Value::from);
        let row = format!(
            "{{\"origin\":\"{origin}\",\"window_start\":{start},\"window_end\":{end},\"flights\":{flights},\
             \"cancelled\":{cancelled},\"delay_sum\":{sum},\"delay_max\":{max},\"delay_mean\":{mean}}}"
        );
        self.rows.entry((origin.to_owned(), start)).or_default().push(row);
    }
}

/// Sorts output into the form of what is expected: rows in the order of the output, late records in any.
///
/// # Panics
/// If a row is not one of the example's.
pub fn collected(rows: impl IntoIterator<Item = String>, late: impl IntoIterator<Item = String>) -> Expected {
    let mut expected = Expected { rows: BTreeMap::new(), late: late.into_iter().collect() };
    for row in rows {
        let json: Value = serde_json::from_str(&row).expect("a row is JSON");
        let origin = json["origin"].as_str().expect("a row has an airport").to_owned();
        let start = json["window_start"].as_i64().expect("a row has a window");
        expected.rows.entry((origin, start)).or_default().push(row);
    }
    expected.late.sort();
    expected
}

/// Panics with the first difference, as the whole would be too long to read.
///
/// # Panics
/// If there is a difference.
pub fn compare(found: &Expected, expected: &Expected, about: &str) {
    for place in expected.rows.keys().chain(found.rows.keys()) {
        let (found, expected) = (found.rows.get(place), expected.rows.get(place));
        assert_eq!(found, expected, "{about}: rows of {place:?}");
    }
    let only =
        |a: &Expected, b: &Expected| a.late.iter().find(|line| b.late.binary_search(line).is_err()).cloned();
    assert_eq!(only(found, expected), None, "{about}: is late, and should not be");
    assert_eq!(only(expected, found), None, "{about}: should be late, and is not");
    assert_eq!(found.late.len(), expected.late.len(), "{about}: late records");
}
