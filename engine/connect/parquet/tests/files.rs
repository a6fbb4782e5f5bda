//! What is written is read back, by the crate that reads Parquet: values of every type, row groups, and whole jobs.

use std::fs::File;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use millstream::prelude::*;
use millstream::sink::{Encoder, Format};
use millstream_parquet::Parquet;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::{Field, Row};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Level {
    Low,
    High,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Every {
    truth: bool,
    byte: i8,
    small: u16,
    int: i32,
    unsigned: u32,
    long: i64,
    longest: u64,
    single: f32,
    double: f64,
    letter: char,
    text: String,
    level: Level,
    maybe: Option<i32>,
    perhaps: Option<String>,
}

fn every(n: u64) -> Every {
    Every {
        truth: n.is_multiple_of(2),
        byte: n as i8,
        small: n as u16,
        int: -(n as i32),
        unsigned: u32::MAX - n as u32,
        long: i64::MIN + n as i64,
        longest: u64::MAX - n,
        single: n as f32 / 2.0,
        double: n as f64 / 3.0,
        letter: if n.is_multiple_of(3) { 'é' } else { 'x' },
        text: format!("text {n}"),
        level: if n.is_multiple_of(5) { Level::High } else { Level::Low },
        maybe: (!n.is_multiple_of(4)).then_some(n as i32),
        perhaps: (!n.is_multiple_of(7)).then(|| "x".repeat(n as usize % 50)),
    }
}

fn text(field: &Field) -> Option<String> {
    match field {
        Field::Str(text) => Some(text.clone()),
        Field::Null => None,
        other => panic!("{other:?} is no text"),
    }
}

/// The fields of a row by their places.
fn read_every(row: &Row) -> Every {
    let fields: Vec<&Field> = row.get_column_iter().map(|(_, field)| field).collect();
    let [
        truth,
        byte,
        small,
        int,
        unsigned,
        long,
        longest,
        single,
        double,
        letter,
        words,
        level,
        maybe,
        perhaps,
    ] = fields[..]
    else {
        panic!("{} columns", fields.len())
    };
    match (truth, byte, small, int, unsigned, long, longest, single, double) {
        (
            &Field::Bool(truth),
            &Field::Byte(byte),
            &Field::UShort(small),
            &Field::Int(int),
            &Field::UInt(unsigned),
            &Field::Long(long),
            &Field::ULong(longest),
            &Field::Float(single),
            &Field::Double(double),
        ) => Every {
            truth,
            byte,
            small,
            int,
            unsigned,
            long,
            longest,
            single,
            double,
            letter: text(letter).expect("a letter").parse().expect("one letter"),
            text: text(words).expect("a text"),
            level: if text(level).expect("a level") == "High" { Level::High } else { Level::Low },
            maybe: match maybe {
                Field::Int(n) => Some(*n),
                Field::Null => None,
                other => panic!("{other:?}"),
            },
            perhaps: text(perhaps),
        },
        other => panic!("{other:?}"),
    }
}

/// A file of these records.
fn file<T: Serialize>(format: &Parquet, records: impl IntoIterator<Item = T>) -> millstream::Result<Vec<u8>> {
    let (mut encoder, mut file) = (Format::<T>::begin(format)?, Vec::new());
    for record in records {
        encoder.write(&record, &mut file)?;
    }
    Encoder::<T>::finish(encoder, &mut file)?;
    Ok(file)
}

fn reader(file: Vec<u8>) -> SerializedFileReader<Bytes> {
    SerializedFileReader::new(Bytes::from(file)).expect("a whole file")
}

#[test]
fn values_of_every_type_come_back_from_one_row_group_and_from_many() {
    for (format, fewest) in [
        (Parquet::of::<Every>(), 1),
        (Parquet::of::<Every>().uncompressed(), 1),
        (Parquet::of::<Every>().row_group_bytes(10_000), 30),
        (Parquet::of::<Every>().row_group_bytes(1), 5_000),
    ] {
        let reader = reader(file(&format, (0..5_000).map(every)).expect("it is written"));
        assert!(reader.num_row_groups() >= fewest, "{} row groups", reader.num_row_groups());
        let rows = reader.get_row_iter(None).expect("it has rows").map(|row| row.expect("a row"));
        assert!(rows.map(|row| read_every(&row)).eq((0..5_000).map(every)));
    }
}

#[test]
fn a_record_that_is_held_back_is_in_the_file_after_a_release() {
    let mut encoder = Format::<Every>::begin(&Parquet::of::<Every>()).expect("it begins");
    let mut file = Vec::new();
    for half in [0..10, 10..20] {
        half.for_each(|n| encoder.write(&every(n), &mut file).expect("it is a row"));
        assert!(Encoder::<Every>::held(&encoder) > 10 * 50);
        let before = file.len();
        Encoder::<Every>::release(&mut encoder, &mut file).expect("it is encoded");
        assert!(file.len() > before && Encoder::<Every>::held(&encoder) == 0);
    }
    Encoder::<Every>::finish(encoder, &mut file).expect("it ends");
    let reader = reader(file);
    assert_eq!(reader.num_row_groups(), 2);
    assert_eq!(reader.get_row_iter(None).expect("it has rows").count(), 20);
}

#[test]
fn declared_columns_are_found_by_their_names_and_keep_their_meaning() {
    #[derive(Serialize)]
    struct Reading {
        celsius: f32,
        station: Option<&'static str>,
        at: i64,
    }
    let format = Parquet::with_schema(
        "message reading {
            required int64 at (timestamp(millis, true));
            required double celsius;
            optional binary station (string);
            optional int32 unknown;
        }",
    );
    let records = [Reading { celsius: 1.5, station: None, at: 1_357_034_400_000 }];
    let reader = reader(file(&format, records).expect("it is written"));
    let row = reader.get_row_iter(None).expect("it has rows").next().expect("one").expect("a row");
    let fields: Vec<_> = row.get_column_iter().map(|(name, field)| (name.as_str(), field.clone())).collect();
    let expected = [
        ("at", Field::TimestampMillis(1_357_034_400_000)),
        ("celsius", Field::Double(1.5)),
        ("station", Field::Null),
        ("unknown", Field::Null),
    ];
    assert_eq!(fields, expected);
}

fn refusal<T: Serialize>(format: &Parquet, record: T) -> String {
    let error = file(format, [record]).expect_err("it is refused");
    error.to_string()
}

#[test]
fn what_is_no_row_is_refused_with_the_column() {
    #[derive(Serialize)]
    struct Of<T> {
        n: T,
    }
    let int = Parquet::with_schema("message m { required int32 n (integer(32, false)); }");
    let with = |what: &str| format!("cannot represent a record as a row of Parquet: {what}");
    assert_eq!(refusal(&int, Of { n: -1 }), with("column n: -1 is out of its range"));
    assert_eq!(
        refusal(&int, Of { n: 1.5 }),
        with("column n: a number with a fraction is no value of its type, INT32")
    );
    assert_eq!(
        refusal(&int, Of { n: "x" }),
        with("column n: text, or bytes, is no value of its type, INT32")
    );
    assert_eq!(refusal(&int, Of { n: [1, 2] }), with("column n: a tuple is no plain value"));
    assert_eq!(refusal(&int, Of { n: Of { n: 1 } }), with("column n: a struct Of is no plain value"));
    assert_eq!(
        refusal(&int, Of { n: None::<u32> }),
        with("column n: it is required, and the record has no value for it")
    );
    #[derive(Serialize)]
    struct More {
        n: u32,
        more: u32,
    }
    assert_eq!(refusal(&int, More { n: 1, more: 2 }), with("field more: there is no column of that name"));
    assert!(refusal(&int, 7).contains("must be a struct with named fields, and is of type i32"));
}

#[test]
fn what_cannot_be_columns_is_refused_before_the_job_reads() {
    #[derive(Clone, Serialize, Deserialize)]
    struct Nested {
        n: u32,
        list: Vec<u32>,
    }
    let wrong = |format: &Parquet| {
        Format::<Nested>::begin(format).map(|_| ()).expect_err("it is refused").to_string()
    };
    assert!(
        wrong(&Parquet::of::<Nested>())
            .contains("field list: its type does not tell that it is a plain value")
    );
    assert!(wrong(&Parquet::of::<u64>()).contains("must be a struct with named fields"));
    assert!(wrong(&Parquet::with_schema("message m { required int96 n; }")).contains("column n: INT96"));
    assert!(
        wrong(&Parquet::with_schema("message m { repeated int32 n; }")).contains("column n: is repeated")
    );
    assert!(wrong(&Parquet::with_schema("message m {}")).contains("no columns"));
    assert!(wrong(&Parquet::with_schema("nonsense")).contains("no Parquet files can be made"));

    let dir = tempfile::tempdir().expect("a temporary directory");
    let job = Job::new("nested");
    let sink = file_sink(dir.path().join("out")).format(Parquet::of::<Nested>());
    job.source("records", from_vec(vec![Nested { n: 1, list: vec![] }])).sink("out", sink);
    let error = job.run(Config::new().cores(1)).map(|_| ()).expect_err("it is refused");
    assert_eq!(error.kind(), ErrorKind::Config, "{error}");
}

/// The files below a directory, by name.
fn files(dir: &Path) -> Vec<PathBuf> {
    let entries =
        std::fs::read_dir(dir).expect("it is there").map(|entry| entry.expect("it is there").path());
    let mut files: Vec<_> =
        entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect();
    files.sort();
    files
}

#[test]
fn a_job_writes_partitions_whose_files_end_when_they_are_large() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let out = dir.path().join("out");
    let job = Job::new("parquet");
    let sink = file_sink(&out)
        .format(Parquet::of::<Every>().row_group_bytes(50_000))
        .roll_at(60_000)
        .partition_by(|every: &Every| format!("parity={}", u8::from(!every.truth)));
    job.source("records", generator(20_000, every)).sink("out", sink);
    job.run(Config::new().cores(2).checkpoint_at_end_only()).expect("it runs");
    let mut seen = Vec::new();
    let files = files(&out);
    assert!(files.len() > 4, "{files:?}");
    for path in files {
        let parity = u64::from(path.parent().expect("a partition").ends_with("parity=1"));
        let reader =
            SerializedFileReader::new(File::open(&path).expect("it is there")).expect("a whole file");
        for row in reader.get_row_iter(None).expect("it has rows") {
            let every = read_every(&row.expect("a row"));
            let n = u64::MAX - every.longest;
            assert_eq!(n % 2, parity);
            seen.push(n);
        }
    }
    seen.sort();
    assert!(seen.into_iter().eq(0..20_000));
}
