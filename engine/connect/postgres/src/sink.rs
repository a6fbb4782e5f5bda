//! The sink: what is written where, and the promise that it is written once.

use std::fmt;
use std::marker::PhantomData;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use millstream::host::LocalFuture;
use millstream::sink::{Prepared, Sink, SinkContext, Writer};
use millstream::table::Change;
use millstream::{Error, ErrorKind, Result};

use crate::commit::Line;
use crate::piece::{SPOOL, directory};
use crate::recover::{Taken, recover};
use crate::row::{Column, Row};
use crate::session::Connect;
use crate::target::{Mode, Target, encode};
use crate::writer::RowWriter;

/// Appends a record of a number as a tuple.
pub(crate) type Encode<T> = Arc<dyn Fn(&T, u64, &mut Vec<u8>) -> Result<(), String> + Send + Sync>;

/// How long a server that cannot be reached is tried, by default.
const PATIENCE: Duration = Duration::from_secs(15);

/// A sink into a table. Made by [`Server`](crate::Server), or over a [`Connect`] of one's own.
///
/// ```
/// use std::time::Duration;
/// use millstream_postgres::{Column, PostgresSink, Row, Type, Values, postgres};
///
/// # struct Total { key: i64, sum: i64 }
/// # impl Row for Total {
/// #     const COLUMNS: &'static [Column] = &[Column::new("key", Type::Int8), Column::new("sum", Type::Int8)];
/// #     fn put(&self, row: &mut Values<'_>) {
/// #         row.put(&self.key).put(&self.sum);
/// #     }
/// # }
/// let server = postgres("host=db.internal dbname=shop user=app").password_file("/run/secrets/shop");
/// let totals: PostgresSink<Total> = server
///     .upsert("totals", &["key"])
///     .schema("reports")
///     .name("totals of the new job")
///     .spool("/var/lib/shop/spool")
///     .patience(Duration::from_secs(60));
/// ```
pub struct PostgresSink<T> {
    connect: Arc<dyn Connect>,
    table: String,
    schema: String,
    name: Option<String>,
    columns: &'static [Column],
    mode: Result<Mode, String>,
    make_encode: fn(Arc<Target>) -> Encode<T>,
    spool: Option<PathBuf>,
    patience: Duration,
    /// What [`Sink::recover`] has found, for the shards.
    taken: Arc<Mutex<Taken>>,
    records: PhantomData<fn(T)>,
}

impl<T: Row + 'static> PostgresSink<T> {
    /// Each record becomes a row.
    ///
    /// ```no_run
    /// # use millstream_postgres::*;
    /// # fn doc<T: Row + 'static>(server: Server) {
    /// let rows: PostgresSink<T> = PostgresSink::append(server, "events");
    /// # }
    /// ```
    pub fn append(connect: impl Connect, table: &str) -> PostgresSink<T> {
        PostgresSink::new(connect, table, T::COLUMNS, Ok(Mode::Append), encode_row)
    }

    /// The last record of each key becomes the row of that key. The table has a unique index on the key's columns, and the
    /// stream is keyed by it: records of one key must come from one shard.
    ///
    /// ```no_run
    /// # use millstream_postgres::*;
    /// # fn doc<T: Row + 'static>(server: Server) {
    /// let totals: PostgresSink<T> = PostgresSink::upsert(server, "totals", &["key"]);
    /// # }
    /// ```
    pub fn upsert(connect: impl Connect, table: &str, key: &[&str]) -> PostgresSink<T> {
        let mode = Target::places(T::COLUMNS, key).map(|key| Mode::Upsert { key, removes: false });
        PostgresSink::new(connect, table, T::COLUMNS, mode, encode_row)
    }
}

impl<R: Row + 'static> PostgresSink<Change<R>> {
    /// The table of a changelog: rows come, change and go. As [`upsert`](PostgresSink::upsert), the key tells rows apart.
    ///
    /// ```no_run
    /// # use millstream_postgres::*;
    /// # fn doc<R: Row + 'static>(server: Server) {
    /// use millstream::table::Change;
    /// let totals: PostgresSink<Change<R>> = PostgresSink::changes(server, "totals", &["key"]);
    /// # }
    /// ```
    pub fn changes(connect: impl Connect, table: &str, key: &[&str]) -> PostgresSink<Change<R>> {
        let mode = Target::places(R::COLUMNS, key).map(|key| Mode::Upsert { key, removes: true });
        PostgresSink::new(connect, table, R::COLUMNS, mode, encode_change)
    }
}

fn encode_row<R: Row + 'static>(target: Arc<Target>) -> Encode<R> {
    let key = target.never_null();
    Arc::new(move |row, number, out| encode(row, (&target.mode, &key), (number, true), out))
}

fn encode_change<R: Row + 'static>(target: Arc<Target>) -> Encode<Change<R>> {
    let key = target.never_null();
    Arc::new(move |change, number, out| {
        encode(&change.row, (&target.mode, &key), (number, change.is_addition()), out)
    })
}

impl<T> PostgresSink<T> {
    fn new(
        connect: impl Connect,
        table: &str,
        columns: &'static [Column],
        mode: Result<Mode, String>,
        make_encode: fn(Arc<Target>) -> Encode<T>,
    ) -> PostgresSink<T> {
        PostgresSink {
            connect: Arc::new(connect),
            table: table.to_owned(),
            schema: "public".to_owned(),
            name: None,
            columns,
            mode,
            make_encode,
            spool: None,
            patience: PATIENCE,
            taken: Arc::default(),
            records: PhantomData,
        }
    }

    /// The schema of the table. `public` by default.
    pub fn schema(mut self, schema: &str) -> PostgresSink<T> {
        self.schema = schema.to_owned();
        self
    }

    /// The name under which its commits are counted in `millstream_commits`: `schema.table` by default. Sinks that write
    /// to one table each need their own, and keep it for as long as their checkpoints are to be gone on from.
    pub fn name(mut self, name: &str) -> PostgresSink<T> {
        self.name = Some(name.to_owned());
        self
    }

    /// Where output waits for its commit: a directory that survives what the checkpoints survive. In the directory of
    /// the checkpoints by default; a job without one must name another, that no other job has: what a sink of the same
    /// [name](PostgresSink::name) left there is removed at the start.
    pub fn spool(mut self, directory: impl Into<PathBuf>) -> PostgresSink<T> {
        self.spool = Some(directory.into());
        self
    }

    /// How long a server that cannot be reached is tried before the job fails. 15 seconds by default. Nothing is lost
    /// then: what was not committed is when the job is started again.
    pub fn patience(mut self, patience: Duration) -> PostgresSink<T> {
        self.patience = patience;
        self
    }

    fn target(&self) -> Result<Arc<Target>> {
        let (schema, table) = (self.schema.clone(), self.table.clone());
        let wrong = |why: String| Error::new(ErrorKind::Config, format!("table {schema}.{table}: {why}"));
        let target = Target {
            sink: self.name.clone().unwrap_or_else(|| format!("{schema}.{table}")),
            schema: schema.clone(),
            table: table.clone(),
            columns: self.columns,
            mode: self.mode.clone().map_err(wrong)?,
        };
        target.check().map_err(wrong)?;
        Ok(Arc::new(target))
    }

    fn line(&self, cx: &SinkContext) -> Result<Line> {
        let target = self.target()?;
        let parent = self.spool.clone().or_else(|| Some(cx.checkpoints.as_ref()?.join(SPOOL)));
        let parent = parent.ok_or_else(|| {
            let message = "output into PostgreSQL waits for its commit in a directory: set one with \
                           `Config::checkpoints` for the job, or with `spool` for the sink";
            Error::new(ErrorKind::Config, message)
        })?;
        Ok(Line {
            connect: self.connect.clone(),
            dir: directory(&parent, &target.sink),
            target,
            host: cx.host.clone(),
            patience: self.patience,
            session: None,
        })
    }
}

// Not derived: that would ask `T` to be `Clone`.
impl<T> Clone for PostgresSink<T> {
    fn clone(&self) -> PostgresSink<T> {
        PostgresSink {
            connect: self.connect.clone(),
            table: self.table.clone(),
            schema: self.schema.clone(),
            name: self.name.clone(),
            columns: self.columns,
            mode: self.mode.clone(),
            make_encode: self.make_encode,
            spool: self.spool.clone(),
            patience: self.patience,
            taken: self.taken.clone(),
            records: PhantomData,
        }
    }
}

impl<T> fmt::Debug for PostgresSink<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PostgresSink({}.{} of {})", self.schema, self.table, self.connect.describe())
    }
}

impl<T: 'static> Sink<T> for PostgresSink<T> {
    /// Not the server: that may move.
    fn describe(&self) -> String {
        let manner = self.target().map_or_else(|_| "of no use".to_owned(), |target| target.manner());
        format!("table {}.{} of PostgreSQL, {manner}", self.schema, self.table)
    }

    fn recover(self, cx: SinkContext, prepared: Vec<Prepared>) -> LocalFuture<Result<()>> {
        Box::pin(async move {
            let taken = recover(&cx, &mut self.line(&cx)?, prepared).await?;
            *self.taken.lock().unwrap_or_else(PoisonError::into_inner) = taken;
            Ok(())
        })
    }

    fn open(self, cx: SinkContext) -> LocalFuture<Result<Box<dyn Writer<T>>>> {
        Box::pin(async move {
            let line = self.line(&cx)?;
            let encode = (self.make_encode)(line.target.clone());
            let taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner).clone();
            Ok(Box::new(RowWriter::new(cx, encode, line, &taken)) as Box<dyn Writer<T>>)
        })
    }
}
