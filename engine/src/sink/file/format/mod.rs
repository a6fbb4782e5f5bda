//! How records become the bytes of a file.

mod csv;
mod ndjson;

use crate::error::Result;
use crate::sink::show_bytes;

pub use csv::Csv;
pub use ndjson::Ndjson;
pub(in crate::sink) use ndjson::encode;

/// A format of files of records of type `T`.
///
/// A file is begun with its first record, and finished when it is full, or with the checkpoint its records belong to.
/// What an [`Encoder`] appends goes to the disk in the background; a format neither sees the disk nor waits for it.
///
/// A format of records of fixed size that ends a file with their number, so that one that was cut short shows:
///
/// ```
/// # use millstream::prelude::*;
/// use millstream::sink::{Encoder, Format, file_sink};
/// # let dir = tempfile::tempdir().unwrap();
/// # let out = dir.path().join("out");
///
/// #[derive(Clone)]
/// struct Counted;
///
/// impl Format<u64> for Counted {
///     type Encoder = Count;
///     fn extension(&self) -> &str {
///         "counted"
///     }
///     fn begin(&self) -> Result<Count> {
///         Ok(Count(0))
///     }
/// }
///
/// struct Count(u64);
///
/// impl Encoder<u64> for Count {
///     fn write(&mut self, record: &u64, out: &mut Vec<u8>) -> Result<()> {
///         out.extend(record.to_le_bytes());
///         self.0 += 1;
///         Ok(())
///     }
///     fn held(&self) -> usize {
///         0
///     }
///     fn release(&mut self, _: &mut Vec<u8>) -> Result<()> {
///         Ok(())
///     }
///     fn finish(self, out: &mut Vec<u8>) -> Result<()> {
///         out.extend(self.0.to_le_bytes());
///         Ok(())
///     }
/// }
///
/// let job = Job::new("doc");
/// job.source("numbers", from_vec(vec![7, 9])).sink("out", file_sink(&out).format(Counted));
/// job.run(Config::new().cores(1).checkpoint_at_end_only())?;
/// assert_eq!(std::fs::read(out.join("0000000001-000.counted"))?, [7u64, 9, 2].map(u64::to_le_bytes).concat());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Format<T>: Clone + Send + 'static {
    /// What encodes one file.
    type Encoder: Encoder<T> + 'static;
    /// What the names of files end with, without the dot: letters, digits, and dots between them.
    fn extension(&self) -> &str;
    /// Begins a file. Also called once before there is any record, to see whether it can be done.
    ///
    /// # Errors
    /// If records of this type cannot be written in this format.
    fn begin(&self) -> Result<Self::Encoder>;
    /// How a [replay](crate::replay) shows a record, as one JSON value: unless the format says how, as the file that would hold
    /// it alone. Returns whether it can.
    ///
    /// ```
    /// use millstream::sink::{Csv, Format};
    ///
    /// let mut json = Vec::new();
    /// assert!(Csv::new().show(&("LAX", 7), &mut json)?);
    /// assert_eq!(json, br#"["LAX",7]"#);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    ///
    /// # Errors
    /// If the record cannot be represented.
    fn show(&self, record: &T, json: &mut Vec<u8>) -> Result<bool> {
        let (mut encoder, mut file) = (self.begin()?, Vec::new());
        encoder.write(record, &mut file)?;
        encoder.finish(&mut file)?;
        show_bytes(&file, json);
        Ok(true)
    }
}

/// Encodes the records of one file. See [`Format`].
pub trait Encoder<T> {
    /// Takes a record, and appends to `out` what is known now of the file's next bytes: with a first record also the
    /// header, if there is one. An encoder may hold records back, but see [`release`](Encoder::release).
    ///
    /// # Errors
    /// If the record cannot be represented. The job ends then.
    fn write(&mut self, record: &T, out: &mut Vec<u8>) -> Result<()>;
    /// The memory that records take which it holds back, in bytes, roughly.
    fn held(&self) -> usize;
    /// Appends what it holds back, as the files of a core together hold back too much.
    ///
    /// # Errors
    /// If it cannot be encoded.
    fn release(&mut self, out: &mut Vec<u8>) -> Result<()>;
    /// Appends what it holds back, and the footer, if there is one.
    ///
    /// # Errors
    /// If it cannot be encoded.
    fn finish(self, out: &mut Vec<u8>) -> Result<()>;
}

/// A format whose files are whole after every record: nothing is held back, and there is no footer. Only such a file
/// can go on [across checkpoints](crate::sink::FileSink::across_checkpoints), as after a crash it is cut where the
/// checkpoint saw it end.
///
/// ```
/// use millstream::sink::{Appendable, Csv, Ndjson};
///
/// fn is_whole_after_every_record<F: Appendable>(_: &F) -> bool {
///     true
/// }
/// assert!(is_whole_after_every_record(&Ndjson) && is_whole_after_every_record(&Csv::new()));
/// ```
pub trait Appendable {}
