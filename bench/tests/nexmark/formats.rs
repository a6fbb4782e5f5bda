//! How rows are written.

use millstream_bench::nexmark::calendar::{Day, Minute};
use millstream_bench::nexmark::table::{Fields, Row, lines, text};

use millstream::prelude::*;

struct Texts(&'static str, Option<&'static str>, i128);

impl Row for Texts {
    const COLUMNS: &'static str = "a:STRING,b:STRING,c:DECIMAL(23, 3)";
    const KEY: &'static [usize] = &[0];

    fn write(&self, fields: &mut Fields) {
        fields.text(self.0).text_or_null(self.1).thousandths(self.2);
    }
}

fn table(rows: Vec<(&'static str, Option<&'static str>, i128)>) -> String {
    let job = Job::new("formats");
    let (sink, written) = collect();
    let rows = job.source("rows", from_vec(rows)).map(|(a, b, c)| Texts(a, b, c));
    lines(rows).sink("out", sink);
    job.run(Config::new().cores(1).runtime(RuntimeKind::Threads)).expect("the job runs");
    text(Texts::COLUMNS, written.take())
}

#[test]
fn what_needs_quotes_has_them_and_null_is_not_the_empty_string() {
    let rows = vec![
        ("plain", None, 1_000),
        ("com,ma", Some(""), 908),
        ("quo\"te", Some(" outer"), -5),
        ("in ner", Some("outer "), 0),
    ];
    let expected = "a:STRING,b:STRING,c:DECIMAL(23, 3)\n\"com,ma\",\"\",0.908\n\"quo\"\"te\",\" outer\",-0.005\n\
                    in ner,\"outer \",0.000\nplain,,1.000\n";
    assert_eq!(table(rows), expected);
}

#[test]
fn the_last_row_of_a_key_remains() {
    let rows = vec![("a", None, 1), ("b", None, 2), ("a", None, 3)];
    assert!(table(rows).ends_with("\na,,0.003\nb,,0.002\n"));
}

#[test]
fn days_and_minutes_are_those_of_the_calendar_before_the_epoch_too() {
    let cases = [
        (0, "1970-01-01", "00:00"),
        (-1, "1969-12-31", "23:59"),
        (1_700_000_000_000, "2023-11-14", "22:13"),
        (951_782_400_000, "2000-02-29", "00:00"),
    ];
    for (at, day, minute) in cases {
        assert_eq!((Day::of(at).to_string(), Minute::of(at).to_string()), (day.into(), minute.into()));
    }
}
