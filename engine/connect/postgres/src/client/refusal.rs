//! What the client's errors mean: ask again, or not.

use std::error::Error as _;

use postgres::Error;
use postgres::error::DbError;

use crate::session::Refusal;

/// Codes, or classes of codes, of what another session may not meet: lost connections, a server that is started or
/// stopped or has no room for now, transactions that were sacrificed for others.
const PASSING: [&str; 8] = ["08", "40001", "40P01", "53", "55P03", "57P", "25P03", "58"];

/// Sorts an error.
pub(super) fn refusal(error: &Error) -> Refusal {
    let told = told(error);
    match error.as_db_error() {
        Some(db) if PASSING.iter().any(|code| db.code().code().starts_with(code)) => Refusal::Lost(told),
        Some(_) => Refusal::Refused(told),
        None if error.is_closed() || is_io(error) => Refusal::Lost(told),
        None => Refusal::Refused(told),
    }
}

/// An error of the stream that rows are written to.
pub(super) fn of_stream(error: &std::io::Error) -> Refusal {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    inner.map_or_else(|| Refusal::Lost(error.to_string()), refusal)
}

fn is_io(error: &Error) -> bool {
    let mut cause = error.source();
    while let Some(error) = cause {
        if error.is::<std::io::Error>() {
            return true;
        }
        cause = error.source();
    }
    false
}

/// All that is known, in one line: what the server says of a row that it refuses names the row and the constraint.
pub(super) fn told(error: &Error) -> String {
    if let Some(db) = error.as_db_error() {
        return of_server(db);
    }
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.ends_with(&said) {
            text = format!("{text}: {said}");
        }
        cause = error.source();
    }
    text
}

fn of_server(error: &DbError) -> String {
    let mut text = format!("{} (SQLSTATE {})", error.message(), error.code().code());
    let more = [
        ("", error.detail()),
        ("hint: ", error.hint()),
        ("constraint ", error.constraint()),
        ("column ", error.column()),
        ("at ", error.where_()),
    ];
    for (name, more) in more {
        if let Some(more) = more {
            text = format!("{text}; {name}{}", more.replace('\n', " "));
        }
    }
    text
}
