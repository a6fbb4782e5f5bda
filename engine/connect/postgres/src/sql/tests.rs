//! The statements, word by word: names are quoted, and nothing else comes from outside.

use super::Statements;
use crate::row::Column;
use crate::target::{Mode, Target};
use crate::value::Type;

const COLUMNS: &[Column] =
    &[Column::new("key", Type::Text), Column::new("a\"b", Type::Int8), Column::new("select", Type::Int4)];

fn statements(mode: Mode) -> Statements {
    let (sink, schema, table) = ("s".to_owned(), "my schema".to_owned(), "t; --".to_owned());
    Statements::of(&Target { sink, schema, table, columns: COLUMNS, mode })
}

#[test]
fn rows_are_appended_by_one_copy() {
    let Statements { copy, stage, merge, .. } = statements(Mode::Append);
    assert_eq!(copy, r#"COPY "my schema"."t; --" ("key", "a""b", "select") FROM STDIN (FORMAT binary)"#);
    assert_eq!((stage, merge), (None, None));
}

#[test]
fn the_last_record_of_a_key_is_taken_from_the_stage() {
    let Statements { copy, merge, .. } = statements(Mode::Upsert { key: vec![2, 0], removes: false });
    assert_eq!(
        copy,
        r#"COPY pg_temp.millstream_stage ("key", "a""b", "select", "millstream number") FROM STDIN (FORMAT binary)"#
    );
    assert_eq!(
        merge.as_deref(),
        Some(
            r#"INSERT INTO "my schema"."t; --" ("key", "a""b", "select") SELECT DISTINCT ON ("key", "select") "key", "a""b", "select" FROM pg_temp.millstream_stage ORDER BY "key", "select", "millstream number" DESC ON CONFLICT ("key", "select") DO UPDATE SET "a""b" = EXCLUDED."a""b""#
        )
    );
}

#[test]
fn removed_rows_go_and_all_columns_may_be_the_key() {
    let Statements { copy, merge, .. } = statements(Mode::Upsert { key: vec![0, 1, 2], removes: true });
    assert!(copy.contains(r#""millstream number", "millstream stays""#), "{copy}");
    let merge = merge.expect("there is one");
    assert!(merge.contains(r#"DELETE FROM "my schema"."t; --" AS present USING latest WHERE NOT latest."millstream stays" AND present."key" = latest."key" AND present."a""b" = latest."a""b""#), "{merge}");
    assert!(merge.ends_with("DO NOTHING"), "{merge}");
}
