//! The statements. No data is ever part of one; names are quoted.

use crate::row::Column;
use crate::target::{Mode, Target};

/// The table of commits, in the schema of the sink's table.
const COMMITS: &str = "millstream_commits";
/// Where the rows of a transaction wait, if not all of them become rows.
const STAGE: &str = "pg_temp.millstream_stage";
/// The columns that the stage has besides: a record's number, and whether it stays.
const NUMBER: &str = "\"millstream number\"";
const STAYS: &str = "\"millstream stays\"";

/// A name, quoted.
fn name(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The table of a sink, quoted.
pub(crate) fn table_of(target: &Target) -> String {
    table(&target.schema, &target.table)
}

/// A table in a schema, quoted.
fn table(schema: &str, table: &str) -> String {
    format!("{}.{}", name(schema), name(table))
}

fn list<'a>(columns: impl IntoIterator<Item = &'a Column>, form: impl Fn(&str) -> String) -> String {
    let columns: Vec<String> = columns.into_iter().map(|column| form(&name(column.name))).collect();
    columns.join(", ")
}

/// The statements of a sink.
pub(crate) struct Statements {
    /// Makes the table of commits.
    pub(crate) create_commits: String,
    /// Whether there is one: `$1` is its name.
    pub(crate) commits: String,
    /// `$1`: the sink. Locks all of its markers.
    pub(crate) lock_all: String,
    /// `$1`, `$2`: the sink and the shard.
    pub(crate) lock_one: String,
    /// `$1` to `$4`: sink, shard, generation, epoch.
    pub(crate) mark: String,
    /// Makes the stage, if the mode has one.
    pub(crate) stage: Option<String>,
    /// Takes rows.
    pub(crate) copy: String,
    /// Moves rows from the stage to the table, if there is one.
    pub(crate) merge: Option<String>,
}

impl Statements {
    pub(crate) fn of(target: &Target) -> Statements {
        let commits = table(&target.schema, COMMITS);
        let lock = format!("SELECT shard, generation, epoch FROM {commits} WHERE sink = $1::text");
        let columns = list(target.columns, str::to_owned);
        let (stage, copy, merge) = match &target.mode {
            Mode::Append => {
                (None, format!("COPY {} ({columns}) FROM STDIN (FORMAT binary)", table_of(target)), None)
            }
            Mode::Upsert { key, removes } => {
                let (stage, copy) = staged(target, *removes);
                (Some(stage), copy, Some(merge(target, key, *removes)))
            }
        };
        Statements {
            create_commits: format!(
                "CREATE TABLE IF NOT EXISTS {commits} (sink text NOT NULL, shard int4 NOT NULL, generation int8 NOT \
                 NULL, epoch int8 NOT NULL, committed_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (sink, shard))"
            ),
            lock_all: format!("{lock} ORDER BY shard FOR UPDATE"),
            lock_one: format!("{lock} AND shard = $2::int4 FOR UPDATE"),
            mark: format!(
                "INSERT INTO {commits} (sink, shard, generation, epoch) VALUES ($1::text, $2::int4, $3::int8, \
                 $4::int8) ON CONFLICT (sink, shard) DO UPDATE SET generation = EXCLUDED.generation, epoch = \
                 EXCLUDED.epoch, committed_at = now()"
            ),
            commits,
            stage,
            copy,
            merge,
        }
    }
}

/// The statements that make the stage and fill it.
fn staged(target: &Target, removes: bool) -> (String, String) {
    let columns = list(target.columns, str::to_owned);
    let (made, stays) = match removes {
        true => (format!(", false AS {STAYS}"), format!(", {STAYS}")),
        false => Default::default(),
    };
    let table = table_of(target);
    let create = format!(
        "CREATE TEMPORARY TABLE IF NOT EXISTS millstream_stage ON COMMIT DELETE ROWS AS SELECT {columns}, 0::int8 AS \
         {NUMBER}{made} FROM {table} WITH NO DATA"
    );
    (create, format!("COPY {STAGE} ({columns}, {NUMBER}{stays}) FROM STDIN (FORMAT binary)"))
}

/// The statement that lets the last record of each key have its way. Keys are locked in their order, so that two
/// transactions never wait for each other.
fn merge(target: &Target, key: &[usize], removes: bool) -> String {
    let table = table_of(target);
    let (keys, rest): (Vec<_>, Vec<_>) = (0..target.columns.len()).partition(|at| key.contains(at));
    let of = |places: &[usize], form: &dyn Fn(&str) -> String| {
        list(places.iter().map(|&at| &target.columns[at]), form)
    };
    let columns = list(target.columns, str::to_owned);
    let keys_named = of(&keys, &str::to_owned);
    let update = match rest.is_empty() {
        true => "NOTHING".to_owned(),
        false => format!("UPDATE SET {}", of(&rest, &|name| format!("{name} = EXCLUDED.{name}"))),
    };
    let conflict = format!("ON CONFLICT ({keys_named}) DO {update}");
    let stays = if removes { format!(", {STAYS}") } else { String::new() };
    let last = format!(
        "SELECT DISTINCT ON ({keys_named}) {columns}{stays} FROM {STAGE} ORDER BY {keys_named}, {NUMBER} DESC"
    );
    if !removes {
        return format!("INSERT INTO {table} ({columns}) {last} {conflict}");
    }
    let same: Vec<String> = keys
        .iter()
        .map(|&at| name(target.columns[at].name))
        .map(|name| format!("present.{name} = latest.{name}"))
        .collect();
    format!(
        "WITH latest AS MATERIALIZED ({last}), gone AS (DELETE FROM {table} AS present USING latest WHERE NOT \
         latest.{STAYS} AND {}) INSERT INTO {table} ({columns}) SELECT {columns} FROM latest WHERE {STAYS} {conflict}",
        same.join(" AND ")
    )
}

#[cfg(test)]
mod tests;
