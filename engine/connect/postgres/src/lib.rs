//! Rows into PostgreSQL, exactly once.
//!
//! [`postgres()`] names a server; [`Server::append`], [`Server::upsert`] and [`Server::changes`] make sinks into its
//! tables. A record says by [`Row`] which columns it has and what is in them. The table is the user's; the sink adds one
//! of its own, `millstream_commits`, in the same schema.
//!
//! ```no_run
//! use millstream::prelude::*;
//! use millstream_postgres::{Column, Row, Type, Values, postgres};
//!
//! // CREATE TABLE squares (root bigint PRIMARY KEY, square bigint NOT NULL);
//! struct Square { root: i64 }
//!
//! impl Row for Square {
//!     const COLUMNS: &'static [Column] =
//!         &[Column::new("root", Type::Int8), Column::new("square", Type::Int8)];
//!     fn put(&self, row: &mut Values<'_>) {
//!         row.put(&self.root).put(&(self.root * self.root));
//!     }
//! }
//!
//! let server = postgres("host=/run/postgresql dbname=shop user=app").password_env("PGPASSWORD");
//! let job = Job::new("squares");
//! job.source("roots", generator(1_000_000, |n| Square { root: n as i64 }))
//!     .sink("squares", server.append("squares"));
//! job.run(Config::new().checkpoints("/var/lib/shop/squares"))?;
//! # Ok::<(), millstream::Error>(())
//! ```
//!
//! # Exactly once, and why it is done this way
//! Output becomes visible when its checkpoint is complete, and then it must: a server that is told to commit by a process
//! that dies, or whose answer is lost, must neither lose rows nor take them twice. A transaction does not outlive its
//! connection, so that output cannot simply wait in one. There are three ways out.
//!
//! - *Prepared transactions* outlive connections. But they are off by default (`max_prepared_transactions` is 0 and needs
//!   a restart to change); they keep their locks for as long as the job is down, against everybody and against the cleaning
//!   of the whole database; and when a checkpoint is given up, the next epoch meets the locks of the last on every key that
//!   both write, and waits for a commit that comes only after it: an upsert would block for ever.
//! - *A table on the server* where rows wait makes the server write each three times, and leaves there what nobody
//!   fetches.
//! - *Files beside the checkpoint*, which is what this sink does: rows are encoded once, into what the server's binary
//!   `COPY` takes, and written to a file in the background; at barrier n the file is synced, and checkpoint n names it.
//!   Once that is complete, **one transaction** takes the rows and sets the marker: which epoch of which shard is in the
//!   table. The server keeps nothing that is not committed, needs no setting, and holds locks for as long as a
//!   `COPY` takes.
//!
//! | what happens | the marker says | what becomes of it |
//! |---|---|---|
//! | killed before or in the pre-commit of n | < n | no checkpoint knows the file: it is removed, the records come again |
//! | killed after it, and checkpoint n is not complete | < n | the same |
//! | killed after checkpoint n, before or in the commit | < n | the next start commits the file |
//! | commit sent, answer lost | < n or n | the marker is looked at under its lock, for which a commit that is under way is waited for |
//! | killed after the commit | n | the next start removes the file |
//! | killed in recovery | either | recovery begins again; each commit looks at the marker first |
//! | a process wakes that was thought dead | its generation is over | it may not commit any more |
//! | the server is restored from a backup | < what the checkpoint saw | refused: rows are missing |
//! | an older checkpoint is restored | > that | refused: rows would come twice |
//!
//! A start *takes over*: it ends the sessions that go by the sink's name, locks all markers of the sink and raises their
//! generation. Every commit locks its shard's marker first, and goes no further if the generation is another. Shards that
//! no longer exist are committed and fenced like all others, so that the number of cores may change between two runs.
//!
//! A row that the server refuses (a constraint, a trigger) fails the commit, with what the server says of the row. The
//! checkpoint is complete by then, and the rows are in the file: put the table right and start the job again.
//!
//! # Speed
//! A core encodes a row into memory and is done with it. A commit is one `COPY` per shard, on a connection of its own; an
//! upsert goes through a temporary table and one `INSERT … SELECT … ON CONFLICT` that takes the last record of each key.
//! While a commit takes longer than a checkpoint's interval, the job is slowed down.
//!
//! # What it does not do
//! No TLS: use a socket, a network of your own, or a proxy beside the job. `numeric`, `date`, arrays and types of one's
//! own are not written; a column of the table may be [`Type::Text`] or [`Type::Jsonb`] instead. Rows of one shard and epoch
//! become visible at once, those of different shards one after the other.

#[cfg(feature = "client")]
mod client;
mod commit;
mod piece;
mod recover;
mod row;
pub mod session;
mod sink;
#[cfg(feature = "client")]
mod sql;
mod target;
mod value;
mod writer;

#[cfg(feature = "client")]
pub use client::{Server, postgres};
pub use row::{Column, Row, Values};
pub use sink::PostgresSink;
pub use target::{Mode, Target};
pub use value::{Json, Millis, Type, Uuid, Value};
