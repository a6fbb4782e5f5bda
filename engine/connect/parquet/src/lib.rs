//! Files of [Parquet](https://parquet.apache.org) as a sink of Millstream jobs, exactly once.
//!
//! [`Parquet`] is a [format](millstream::sink::Format) of [`file_sink`](millstream::sink::file_sink): directories,
//! partitions, rolling and the commit with a checkpoint are those of all files, described
//! [there](millstream::sink::file_sink). A record is a struct of plain values that serde can serialize:
//!
//! ```
//! use millstream::prelude::*;
//! use millstream_parquet::Parquet;
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Clone, Serialize, Deserialize)]
//! struct Flight { day: u16, dest: String, delay: Option<i32> }
//!
//! # let dir = tempfile::tempdir()?;
//! # let out = dir.path().join("out");
//! let sink = file_sink(&out)
//!     .format(Parquet::of::<Flight>())
//!     .roll_at(128 << 20)
//!     .partition_by(|flight: &Flight| format!("day={}", flight.day));
//! let job = Job::new("doc");
//! let flights = vec![Flight { day: 1, dest: "LAX".to_owned(), delay: Some(7) }];
//! job.source("flights", from_vec(flights)).sink("out", sink);
//! job.run(Config::new().cores(1).checkpoint_at_end_only())?;
//!
//! let file = std::fs::read(out.join("day=1/0000000001-000-000000.parquet"))?;
//! assert!(file.starts_with(b"PAR1") && file.ends_with(b"PAR1"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What becomes of values
//!
//! | in the record | column | |
//! |---|---|---|
//! | `bool` | BOOLEAN | |
//! | `i8` … `i32`, `u8` … `u32` | INT32 | with the width and the sign as annotation |
//! | `i64`, `u64` | INT64 | likewise |
//! | `f32`, `f64` | FLOAT, DOUBLE | |
//! | `String`, `char`, an enum without values | BYTE_ARRAY | STRING |
//! | bytes, by `serde_bytes` | BYTE_ARRAY | |
//! | `Option` of these | the same, OPTIONAL | |
//!
//! Other columns, such as of dates and timestamps, are [declared](Parquet::with_schema) in Parquet's own words; a record
//! gives their numbers. Structs, lists and maps inside of records are refused.
//!
//! # Files
//! A file is a sequence of row groups, each with all values of a column together, compressed by Snappy; the footer that
//! describes them is the last thing in the file, and becomes durable before the checkpoint does. So a file ends with its
//! checkpoint: where these come often, files are small, and a reader of many small files is slow. Let checkpoints come
//! every few minutes, or compact the files from time to time.
//!
//! Values are encoded as they come, a thousand rows at a time, and wait in memory until their row group is
//! [large enough](Parquet::row_group_bytes), or until the files of a core together hold 64 MiB.

mod column;
mod encoder;
mod infer;
mod row;
mod schema;

use std::sync::Arc;

use millstream::sink::{Format, Ndjson};
use millstream::{Error, ErrorKind, Result};
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use serde::{Deserialize, Serialize};

pub use encoder::ParquetEncoder;
use schema::Schema;

/// The format of Parquet files: see the documentation of the [crate].
#[derive(Clone, Debug)]
pub struct Parquet {
    /// Or what is wrong with it.
    schema: std::result::Result<Arc<Schema>, String>,
    compressed: bool,
    row_group_bytes: usize,
}

impl Parquet {
    /// The columns are the fields of `T`, in their order. What the type does not tell by itself, such as a field that is
    /// deserialized by a function which asks for nothing in particular, is refused when the job starts.
    ///
    /// ```
    /// use millstream::sink::{Encoder, Format};
    /// use millstream_parquet::Parquet;
    ///
    /// #[derive(serde::Serialize, serde::Deserialize)]
    /// struct Point { x: f64, y: f64 }
    ///
    /// let mut encoder = Format::<Point>::begin(&Parquet::of::<Point>())?;
    /// let mut file = Vec::new();
    /// encoder.write(&Point { x: 1.0, y: 2.0 }, &mut file)?;
    /// assert_eq!(Encoder::<Point>::held(&encoder), 16, "two values");
    /// Encoder::<Point>::finish(encoder, &mut file)?;
    /// assert!(file.ends_with(b"PAR1"));
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn of<T: for<'de> Deserialize<'de>>() -> Parquet {
        Parquet::new(infer::infer::<T>().and_then(Schema::new))
    }

    /// The columns are declared in Parquet's own language, and found by the names of the record's fields.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// use millstream_parquet::Parquet;
    /// # let dir = tempfile::tempdir()?;
    /// # let out = dir.path().join("out");
    ///
    /// #[derive(Clone, serde::Serialize)]
    /// struct Reading { at: i64, station: &'static str, celsius: Option<f32> }
    ///
    /// let format = Parquet::with_schema(
    ///     "message reading {
    ///          required int64 at (timestamp(millis, true));
    ///          required binary station (string);
    ///          optional float celsius;
    ///      }",
    /// );
    /// let readings = vec![Reading { at: 1_357_034_400_000, station: "JFK", celsius: None }];
    /// let job = Job::new("doc");
    /// job.source("readings", from_vec(readings)).sink("out", file_sink(&out).format(format));
    /// job.run(Config::new().cores(1).checkpoint_at_end_only())?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn with_schema(message: &str) -> Parquet {
        Parquet::new(Schema::parse(message))
    }

    fn new(schema: std::result::Result<Schema, String>) -> Parquet {
        Parquet { schema: schema.map(Arc::new), compressed: true, row_group_bytes: 32 << 20 }
    }

    /// Pages are not compressed.
    ///
    /// ```
    /// use millstream_parquet::Parquet;
    ///
    /// let quick_to_write = Parquet::with_schema("message m { required int64 n; }").uncompressed();
    /// # let _ = quick_to_write;
    /// ```
    pub fn uncompressed(mut self) -> Parquet {
        self.compressed = false;
        self
    }

    /// A row group ends when its values take so many bytes before they are encoded. 32 MiB by default, at least 1.
    ///
    /// ```
    /// use millstream_parquet::Parquet;
    ///
    /// let for_small_cores = Parquet::with_schema("message m { required int64 n; }").row_group_bytes(4 << 20);
    /// # let _ = for_small_cores;
    /// ```
    pub fn row_group_bytes(mut self, bytes: usize) -> Parquet {
        self.row_group_bytes = bytes.max(1);
        self
    }
}

impl<T: Serialize> Format<T> for Parquet {
    type Encoder = ParquetEncoder;

    fn extension(&self) -> &str {
        "parquet"
    }

    fn begin(&self) -> Result<ParquetEncoder> {
        let schema = self.schema.as_ref().map_err(|wrong| {
            Error::new(ErrorKind::Config, format!("no Parquet files can be made of such records: {wrong}"))
        })?;
        let compression = if self.compressed { Compression::SNAPPY } else { Compression::UNCOMPRESSED };
        let properties = WriterProperties::builder()
            .set_compression(compression)
            .set_created_by(concat!("millstream ", env!("CARGO_PKG_VERSION")).to_owned());
        ParquetEncoder::new(schema, Arc::new(properties.build()), self.row_group_bytes)
    }

    fn show(&self, record: &T, json: &mut Vec<u8>) -> Result<bool> {
        Ndjson.show(record, json)
    }
}
