//! A connection: what each step is in the server's language.

use std::io::Write;
use std::sync::Arc;

use postgres::{Client, Config, NoTls, Statement};

use super::Told;
use super::refusal::{of_stream, refusal};
use crate::row::Column;
use crate::session::{Marker, Refusal, Step};
use crate::sql::{Statements, table_of};
use crate::target::Target;

/// The lock of whoever makes a table of commits: any number that others hardly use.
const CREATING: i64 = 0x6d69_6c6c_7374_7265;

/// What a binary COPY begins with: a signature, no flags, nothing more.
const HEAD: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// What it ends with.
const TAIL: &[u8] = &(-1_i16).to_be_bytes();

/// A transaction whose client has stopped, or gone without a word, does not keep its locks for ever; nobody's habits cut
/// a long one short; and what is committed stays so when the server's machine loses its power.
const SETTINGS: &str = "SET idle_in_transaction_session_timeout = '60s'; SET tcp_keepalives_idle = 20; \
                        SET tcp_keepalives_interval = 10; SET tcp_keepalives_count = 3; \
                        SET statement_timeout = 0; SET lock_timeout = 0; SET default_transaction_isolation = 'read committed'; \
                        SELECT set_config('synchronous_commit', 'on', false) \
                        WHERE current_setting('synchronous_commit') = 'off'";
/// `$1`: the name of the sessions.
const END_OTHERS: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1::text \
                          AND datname = current_database() AND usename = current_user AND pid <> pg_backend_pid()";
/// `$1`: the sink. Those who take it over do so one after the other, also when there is nothing of it yet.
const ONE_BY_ONE: &str = "SELECT pg_advisory_xact_lock(hashtextextended($1::text, 6))";
/// `$1`: the table.
const COLUMNS: &str = "SELECT attname::text, atttypid, format_type(atttypid, atttypmod) FROM pg_attribute \
                       WHERE attrelid = to_regclass($1::text) AND attnum > 0 AND NOT attisdropped";

pub(super) struct Link {
    client: Client,
    target: Arc<Target>,
    statements: Statements,
    /// The name of the session.
    name: String,
    /// The stage was made.
    staged: bool,
    lock: Option<Statement>,
    mark: Option<Statement>,
}

impl Link {
    pub(super) fn connect(mut config: Config, target: Arc<Target>) -> Result<Link, Refusal> {
        let name = session_name(&target.sink);
        config.application_name(&name);
        let mut client = config.connect(NoTls).map_err(|error| refusal(&error))?;
        client.batch_execute(SETTINGS).map_err(|error| refusal(&error))?;
        let statements = Statements::of(&target);
        Ok(Link { client, target, statements, name, staged: false, lock: None, mark: None })
    }

    /// Takes a step that is not about rows.
    pub(super) fn take(&mut self, step: Step) -> Told {
        match step {
            Step::Prepare => self.prepare().map(|()| Vec::new()),
            Step::TakeOver => self.take_over().map_err(|error| refusal(&error)),
            Step::Lock(shard) => self.lock(shard).map_err(|error| refusal(&error)),
            Step::Mark(markers) => self.mark(&markers).map_err(|error| refusal(&error)),
            Step::Commit => self.run("COMMIT"),
            // Without rows there is nothing to apply.
            Step::Apply | Step::Rows(_) => Ok(Vec::new()),
        }
    }

    fn run(&mut self, sql: &str) -> Told {
        self.client.batch_execute(sql).map(|()| Vec::new()).map_err(|error| refusal(&error))
    }

    fn prepare(&mut self) -> Result<(), Refusal> {
        self.check_columns()?;
        let commits = self.statements.commits.clone();
        let found = self.client.query_one("SELECT to_regclass($1::text) IS NOT NULL", &[&commits]);
        if !found.map_err(|error| refusal(&error))?.get::<_, bool>(0) {
            let create = self.statements.create_commits.clone();
            // Two that make it at once get in each other's way, in spite of its `IF NOT EXISTS`: the session of a process that was
            // killed may still be at it. Both statements are one transaction.
            let alone = format!("SELECT pg_advisory_xact_lock({CREATING}); {create}");
            self.run(&alone).map_err(|refused| match refused {
                Refusal::Refused(why) => Refusal::Refused(format!(
                    "the table of commits cannot be made: {why}; have it made by somebody who may: {create}"
                )),
                lost => lost,
            })?;
        }
        // Only who plans the statement learns whether the key has an index that it needs.
        if let Some(merge) = self.statements.merge.clone() {
            self.run("BEGIN")?;
            self.stage()?;
            self.run(&format!("EXPLAIN {merge}"))?;
            self.run("ROLLBACK")?;
            self.staged = false;
        }
        Ok(())
    }

    /// Whether the table has the columns of the records, and of their types.
    fn check_columns(&mut self) -> Result<(), Refusal> {
        let table = table_of(&self.target);
        let rows = self.client.query(COLUMNS, &[&table]).map_err(|error| refusal(&error))?;
        let found: Vec<(String, u32, String)> =
            rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect();
        if found.is_empty() {
            return Err(Refusal::Refused(format!("there is no table {table}")));
        }
        for Column { name, kind } in self.target.columns {
            match found.iter().find(|(column, ..)| column == name) {
                Some((_, oid, _)) if kind.fits(*oid) => {}
                Some((_, _, is)) => {
                    let why = format!("column `{name}` of {table} is {is}, but the records' is {kind}");
                    return Err(Refusal::Refused(why));
                }
                None => {
                    let names: Vec<&str> = found.iter().map(|(column, ..)| column.as_str()).collect();
                    let why = format!("{table} has no column `{name}`; it has {}", names.join(", "));
                    return Err(Refusal::Refused(why));
                }
            }
        }
        Ok(())
    }

    fn take_over(&mut self) -> Result<Vec<Marker>, postgres::Error> {
        self.client.query(END_OTHERS, &[&self.name])?;
        self.client.batch_execute("BEGIN")?;
        self.client.query(ONE_BY_ONE, &[&self.target.sink])?;
        let rows = self.client.query(&self.statements.lock_all, &[&self.target.sink])?;
        Ok(rows.iter().map(marker).collect())
    }

    fn lock(&mut self, shard: u32) -> Result<Vec<Marker>, postgres::Error> {
        self.client.batch_execute("BEGIN")?;
        let statement = match &self.lock {
            Some(statement) => statement.clone(),
            None => self.lock.insert(self.client.prepare(&self.statements.lock_one)?).clone(),
        };
        let rows = self.client.query(&statement, &[&self.target.sink, &(shard as i32)])?;
        Ok(rows.iter().map(marker).collect())
    }

    fn mark(&mut self, markers: &[Marker]) -> Result<Vec<Marker>, postgres::Error> {
        let statement = match &self.mark {
            Some(statement) => statement.clone(),
            None => self.mark.insert(self.client.prepare(&self.statements.mark)?).clone(),
        };
        for Marker { shard, generation, epoch } in markers {
            let (shard, generation, epoch) = (*shard as i32, *generation as i64, *epoch as i64);
            self.client.execute(&statement, &[&self.target.sink, &shard, &generation, &epoch])?;
        }
        Ok(Vec::new())
    }

    fn stage(&mut self) -> Result<(), Refusal> {
        if let Some(stage) = self.statements.stage.clone().filter(|_| !self.staged) {
            self.run(&stage)?;
            self.staged = true;
        }
        Ok(())
    }

    /// Sends rows for as long as `more` has some, and lets them become rows of the table.
    pub(super) fn copy(
        &mut self,
        mut more: impl FnMut() -> Result<Option<Vec<u8>>, Refusal>,
    ) -> Result<(), Refusal> {
        self.stage()?;
        let mut stream = self.client.copy_in(&self.statements.copy).map_err(|error| refusal(&error))?;
        stream.write_all(HEAD).map_err(|error| of_stream(&error))?;
        while let Some(rows) = more()? {
            stream.write_all(&rows).map_err(|error| of_stream(&error))?;
        }
        stream.write_all(TAIL).map_err(|error| of_stream(&error))?;
        stream.finish().map_err(|error| refusal(&error))?;
        match &self.statements.merge {
            Some(merge) => self.client.batch_execute(merge).map_err(|error| refusal(&error)),
            None => Ok(()),
        }
    }
}

fn marker(row: &postgres::Row) -> Marker {
    let (shard, generation, epoch): (i32, i64, i64) = (row.get(0), row.get(1), row.get(2));
    Marker { shard: shard as u32, generation: generation as u64, epoch: epoch as u64 }
}

/// The name that the server knows the sessions of a sink by; no longer than it keeps.
fn session_name(sink: &str) -> String {
    let hash = millstream_storage::hash::stable_hash(sink.as_bytes());
    let readable: String = sink.chars().filter(char::is_ascii_graphic).take(32).collect();
    format!("millstream {hash:016x} {readable}")
}
