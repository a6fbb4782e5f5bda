//! Tuples, byte by byte, and rows that are no rows.

use super::{Mode, Target, encode};
use crate::row::{Column, Row, Values};
use crate::value::{Millis, Type};

/// Puts what it is told to.
struct Loose(fn(&mut Values<'_>));

impl Row for Loose {
    const COLUMNS: &'static [Column] = &[
        Column::new("id", Type::Int4),
        Column::new("name", Type::Text),
        Column::new("at", Type::Timestamptz),
    ];

    fn put(&self, row: &mut Values<'_>) {
        (self.0)(row);
    }
}

fn encoded(mode: &Mode, put: fn(&mut Values<'_>)) -> Result<Vec<u8>, String> {
    let mut out = b"before".to_vec();
    let done = encode(&Loose(put), (mode, &[true, false, false]), (7, false), &mut out);
    assert!(done.is_ok() || out == b"before", "nothing of a refused row is left");
    done.map(|()| out[6..].to_vec())
}

#[test]
fn a_row_is_a_tuple_of_the_binary_format() {
    let put: fn(&mut Values<'_>) = |row| {
        row.put(&258).put("é").put(&None::<Millis>);
    };
    let fields = b"\0\0\0\x04\0\0\x01\x02\0\0\0\x02\xc3\xa9\xff\xff\xff\xff";
    let append = encoded(&Mode::Append, put).expect("it is a row");
    assert_eq!(append, [b"\0\x03", &fields[..]].concat());
    let last = encoded(&Mode::Upsert { key: vec![0], removes: false }, put).expect("it is a row");
    let number = b"\0\0\0\x08\0\0\0\0\0\0\0\x07";
    assert_eq!(last, [b"\0\x04", &fields[..], number].concat());
    let change = encoded(&Mode::Upsert { key: vec![0], removes: true }, put).expect("it is a row");
    assert_eq!(change, [b"\0\x05", &fields[..], number, b"\0\0\0\x01\0"].concat());
}

#[test]
fn what_is_no_row_says_which_column_is_wrong() {
    let said = |put| encoded(&Mode::Append, put).expect_err("it is no row");
    assert_eq!(
        said(|row| {
            row.put(&1);
        }),
        "column `name` was given no value"
    );
    assert_eq!(
        said(|row| {
            row.put(&1_i64);
        }),
        "column `id` is int4, but was given a value of int8"
    );
    assert_eq!(
        said(|row| {
            row.put(&None::<i32>);
        }),
        "column `id` is of the key, but was given NULL"
    );
    assert!(
        said(|row| {
            row.put(&1).put("a\0");
        })
        .starts_with("column `name` was given a text with a NUL")
    );
    let more = |row: &mut Values<'_>| {
        row.put(&1).put("").put(&Millis(0)).put(&1);
    };
    assert_eq!(said(more), "there are more values than columns, which are 3");
}

#[test]
fn names_that_the_server_would_change_are_refused() {
    const TWICE: &[Column] = &[Column::new("a", Type::Int4), Column::new("a", Type::Int8)];
    let target = |table: &str, columns| Target {
        sink: "sink".to_owned(),
        schema: "public".to_owned(),
        table: table.to_owned(),
        columns,
        mode: Mode::Append,
    };
    for wrong in ["", "nul\0", &"x".repeat(64)] {
        assert!(target(wrong, Loose::COLUMNS).check().is_err(), "{wrong:?}");
    }
    assert!(target(&"x".repeat(63), Loose::COLUMNS).check().is_ok());
    assert_eq!(target("t", TWICE).check(), Err("the record has two columns `a`".to_owned()));
    assert!(Target::places(TWICE, &[]).is_err() && Target::places(TWICE, &["b"]).is_err());
}

#[test]
fn tuples_of_other_columns_or_another_key_have_another_shape() {
    let target = |columns, mode| Target {
        sink: "sink".to_owned(),
        schema: "public".to_owned(),
        table: "t".to_owned(),
        columns,
        mode,
    };
    const OTHER: &[Column] = &[Column::new("id", Type::Int8)];
    let key = |key: Vec<usize>, removes| Mode::Upsert { key, removes };
    let mut shapes = vec![
        target(Loose::COLUMNS, Mode::Append).shape(),
        target(OTHER, Mode::Append).shape(),
        target(OTHER, key(vec![0], false)).shape(),
        target(OTHER, key(vec![0], true)).shape(),
        target(Loose::COLUMNS, key(vec![0], true)).shape(),
        target(Loose::COLUMNS, key(vec![0, 1], true)).shape(),
    ];
    shapes.sort_unstable();
    shapes.dedup();
    assert_eq!(shapes.len(), 6);
}
