//! The values of a column in a row group: a batch as they come, and pages that are encoded already.

use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use parquet::basic::{SortOrder, Type as Physical};
use parquet::column::page::{CompressedPage, PageWriteSpec, PageWriter};
use parquet::column::writer::{ColumnCloseResult, ColumnWriter, get_column_writer};
use parquet::data_type::ByteArray;
use parquet::errors::Result;
use parquet::file::properties::WriterPropertiesPtr;
use parquet::file::writer::{SerializedPageWriter, TrackedWrite};
use parquet::schema::types::ColumnDescPtr;

pub(crate) struct Column {
    descr: ColumnDescPtr,
    optional: bool,
    /// Integers have no sign.
    unsigned: bool,
    /// Of the batch, without nulls.
    values: Values,
    /// Of the batch, 1 per value and 0 per null; only if there may be nulls.
    levels: Vec<i16>,
    /// Values and nulls ever.
    pub(crate) rows: u64,
    writer: ColumnWriter<'static>,
    pages: Pages,
}

enum Values {
    Bool(Vec<bool>),
    Int32(Vec<i32>),
    Int64(Vec<i64>),
    Float(Vec<f32>),
    Double(Vec<f64>),
    Bytes(Vec<ByteArray>),
}

/// Encoded pages in memory. The column writer, which owns the one that it writes to, must be one that can move.
#[derive(Clone)]
struct Pages(Arc<Mutex<TrackedWrite<Vec<u8>>>>);

impl Pages {
    fn new() -> Pages {
        Pages(Arc::new(Mutex::new(TrackedWrite::new(Vec::new()))))
    }
}

impl PageWriter for Pages {
    fn write_page(&mut self, page: CompressedPage) -> Result<PageWriteSpec> {
        // No other thread has it: a panic in here ends the core.
        let mut bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        SerializedPageWriter::new(&mut *bytes).write_page(page)
    }

    fn close(&mut self) -> Result<()> {
        Ok(self.0.lock().unwrap_or_else(PoisonError::into_inner).flush()?)
    }
}

impl Column {
    pub(crate) fn new(descr: ColumnDescPtr, properties: WriterPropertiesPtr) -> Column {
        let values = match descr.physical_type() {
            Physical::BOOLEAN => Values::Bool(Vec::new()),
            Physical::INT32 => Values::Int32(Vec::new()),
            Physical::INT64 => Values::Int64(Vec::new()),
            Physical::FLOAT => Values::Float(Vec::new()),
            Physical::DOUBLE => Values::Double(Vec::new()),
            // The schema has no other.
            _ => Values::Bytes(Vec::new()),
        };
        let pages = Pages::new();
        Column {
            optional: descr.max_def_level() > 0,
            unsigned: descr.sort_order() == SortOrder::UNSIGNED,
            values,
            levels: Vec::new(),
            rows: 0,
            writer: get_column_writer(descr.clone(), properties, Box::new(pages.clone())),
            pages,
            descr,
        }
    }

    pub(crate) fn name(&self) -> &str {
        self.descr.name()
    }

    /// A value was pushed.
    fn has_value(&mut self) {
        self.rows += 1;
        if self.optional {
            self.levels.push(1);
        }
    }

    fn refuse<T>(&self, what: &str) -> std::result::Result<T, String> {
        Err(format!("{what} is no value of its type, {}", self.descr.physical_type()))
    }

    /// These return how many bytes the value takes, or what is wrong with it.
    pub(crate) fn push_null(&mut self) -> std::result::Result<usize, String> {
        if !self.optional {
            return Err("it is required, and the record has no value for it".to_owned());
        }
        self.rows += 1;
        self.levels.push(0);
        Ok(2)
    }

    pub(crate) fn push_bool(&mut self, value: bool) -> std::result::Result<usize, String> {
        let Values::Bool(values) = &mut self.values else { return self.refuse("a truth value") };
        values.push(value);
        self.has_value();
        Ok(1)
    }

    pub(crate) fn push_int(&mut self, value: i128) -> std::result::Result<usize, String> {
        let size = match (&mut self.values, self.unsigned) {
            (Values::Int32(values), false) => i32::try_from(value).map(|n| values.push(n)).map(|()| 4),
            // Parquet keeps the bits of numbers without a sign in those with one.
            (Values::Int32(values), true) => u32::try_from(value).map(|n| values.push(n as i32)).map(|()| 4),
            (Values::Int64(values), false) => i64::try_from(value).map(|n| values.push(n)).map(|()| 8),
            (Values::Int64(values), true) => u64::try_from(value).map(|n| values.push(n as i64)).map(|()| 8),
            _ => return self.refuse("a whole number"),
        };
        let Ok(size) = size else { return Err(format!("{value} is out of its range")) };
        self.has_value();
        Ok(size)
    }

    pub(crate) fn push_f32(&mut self, value: f32) -> std::result::Result<usize, String> {
        let Values::Float(values) = &mut self.values else { return self.push_f64(value.into()) };
        values.push(value);
        self.has_value();
        Ok(4)
    }

    pub(crate) fn push_f64(&mut self, value: f64) -> std::result::Result<usize, String> {
        let Values::Double(values) = &mut self.values else { return self.refuse("a number with a fraction") };
        values.push(value);
        self.has_value();
        Ok(8)
    }

    pub(crate) fn push_bytes(&mut self, value: &[u8]) -> std::result::Result<usize, String> {
        let Values::Bytes(values) = &mut self.values else { return self.refuse("text, or bytes,") };
        values.push(value.to_vec().into());
        self.has_value();
        Ok(value.len() + 4)
    }

    /// Encodes the batch.
    pub(crate) fn encode(&mut self) -> Result<()> {
        let levels = self.optional.then_some(&self.levels[..]);
        match (&mut self.writer, &mut self.values) {
            (ColumnWriter::BoolColumnWriter(writer), Values::Bool(values)) => {
                writer.write_batch(values, levels, None)?;
                values.clear();
            }
            (ColumnWriter::Int32ColumnWriter(writer), Values::Int32(values)) => {
                writer.write_batch(values, levels, None)?;
                values.clear();
            }
            (ColumnWriter::Int64ColumnWriter(writer), Values::Int64(values)) => {
                writer.write_batch(values, levels, None)?;
                values.clear();
            }
            (ColumnWriter::FloatColumnWriter(writer), Values::Float(values)) => {
                writer.write_batch(values, levels, None)?;
                values.clear();
            }
            (ColumnWriter::DoubleColumnWriter(writer), Values::Double(values)) => {
                writer.write_batch(values, levels, None)?;
                values.clear();
            }
            (ColumnWriter::ByteArrayColumnWriter(writer), Values::Bytes(values)) => {
                writer.write_batch(values, levels, None)?;
                values.clear();
            }
            _ => unreachable!("the values were chosen by the type of the writer"),
        }
        self.levels.clear();
        Ok(())
    }

    /// Ends the column of this row group: its pages, and what the footer says of them.
    pub(crate) fn close(self) -> Result<(Bytes, ColumnCloseResult)> {
        let close = self.writer.close()?;
        let pages = Arc::into_inner(self.pages.0).expect("the writer, which had the other, is gone");
        let pages = pages.into_inner().unwrap_or_else(PoisonError::into_inner).into_inner()?;
        Ok((pages.into(), close))
    }
}
