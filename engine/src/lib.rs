//! Millstream: a stateful stream processor for one machine, as a library.
//!
//! A [`Job`] is a value: sources, steps, sinks. It runs on pinned cores that share nothing, each stepping
//! its own shard of every keyed step; it keeps state in a log from which a checkpoint is taken without a pause, and
//! commits its output with the checkpoints, so that a process killed at any moment goes on exactly where it was.
//! The simulator (`millstream-sim`) runs the very same job under seeded faults.
//!
//! # A record's walk
//! The modules are the rooms that a record goes through:
//! [`source`] reads splits, decodes, gives times and makes watermarks;
//! [`stream`] is how the graph is built, and its fused chains run what has no state;
//! `exchange` routes records by key to the core that owns their [key group](key_group), over rings, and aligns
//! barriers on the other side;
//! [`operator`](window) works on batches, with [`state`] in the log;
//! [`checkpoint`] makes it durable; [`sink`] commits.
//! One `shard` step moves all of this on one core; a `driver` runs it on a [`host`].
//!
//! # Example
//! ```
//! use millstream::prelude::*;
//!
//! let job = Job::new("words");
//! let (sink, counts) = collect();
//! job.source("lines", from_vec(vec![(0, "to be or"), (900, "not to be"), (5_000, "be")]))
//!     .event_time(|line| line.0, Watermarks::bounded(secs(1)))
//!     .flat_map(|line| line.1.split(' ').map(str::to_owned).collect::<Vec<_>>())
//!     .key_by(|word| word.clone())
//!     .window(Tumbling::of(secs(1)))
//!     .aggregate("count", Count)
//!     .map(|count| (count.window.start, count.key, count.value))
//!     .sink("counts", sink);
//! job.run(Config::new().cores(2))?;
//!
//! let mut counts = counts.take();
//! counts.sort();
//! assert_eq!(counts.len(), 5);
//! assert_eq!(counts[0], (0, "be".to_owned(), 2));
//!
//! #[derive(Clone)]
//! struct Count;
//! impl Aggregate for Count {
//!     type In = String;
//!     type Acc = u64;
//!     type Out = u64;
//!     fn add(&self, count: &mut u64, _: &String) {
//!         *count += 1;
//!     }
//!     fn finish(&self, count: &u64) -> u64 {
//!         *count
//!     }
//! }
//! # Ok::<(), millstream::Error>(())
//! ```

pub mod checkpoint;
pub mod error;
pub mod host;
pub mod job;
pub mod key;
pub mod key_group;
pub mod metrics;
pub mod port;
pub mod reference;
pub mod replay;
pub mod restart;
pub mod sink;
pub mod source;
pub mod state;
pub mod stream;
pub mod supervise;
pub mod testing;
pub mod time;

mod config;
mod driver;
mod exchange;
mod failure;
mod graph;
mod handle;
mod operator;
mod plan;
mod record;
mod shard;
mod stage;
mod watermark;

pub use config::Config;
pub use error::{Error, ErrorKind, Result};
pub use failure::Failure;
pub use handle::{Ended, JobControl, JobHandle, Report};
pub use job::Job;
pub use millstream_storage::topic;
pub use operator::{aggregate, async_map, process, window};

/// The kinds of joins.
pub mod join {
    pub use crate::operator::join::interval::Within;
    pub use crate::operator::join::late::{late_left, late_right};
    pub use crate::operator::join::shape::{Anti, FullOuter, Inner, LeftOuter, RightOuter, Semi, Shape};
}

/// Tables as streams of their changes.
pub mod table {
    pub use crate::stream::changelog::{
        Avg, Change, ChangeKind, Count, Max, Min, Sum, Table, TableAggregate, avg, count, max, min, sum,
    };
}

/// What most jobs need.
pub mod prelude {
    pub use crate::aggregate::{Aggregate, Merge};
    pub use crate::config::Config;
    pub use crate::error::{Error, ErrorKind, Result};
    pub use crate::handle::{JobHandle, Report};
    pub use crate::host::RuntimeKind;
    pub use crate::job::Job;
    pub use crate::key::Key;
    pub use crate::process::{Context, Declare, OutputTag, Process, Side};
    pub use crate::restart::Restart;
    pub use crate::sink::{collect, discard, file_sink, ndjson_dir, stdout_ndjson, topic_sink};
    pub use crate::source::watermarks::Watermarks;
    pub use crate::source::{Poison, files, from_vec, generator, topic};
    pub use crate::state::{Aggregating, List, Map, Migrate, Reducing, Timeline, Ttl, Value};
    pub use crate::stream::{Change, Either, Keep, Ranked, Stream, Table, Within};
    pub use crate::time::{Timestamp, hours, millis, minutes, secs};
    pub use crate::window::{Cumulative, Global, Session, Sliding, Tumbling, Window, Windowed};
}
