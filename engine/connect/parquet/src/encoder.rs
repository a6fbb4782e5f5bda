//! Encodes a file: rows into columns, columns into row groups, and the footer.

use std::mem;

use millstream::sink::Encoder;
use millstream::{Error, ErrorKind, Result};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterPropertiesPtr;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::SchemaDescPtr;
use serde::Serialize;

use crate::column::Column;
use crate::row::{Row, Rows};
use crate::schema::Schema;

/// Rows whose values are encoded at once.
const BATCH_ROWS: u64 = 1024;

/// Encodes a file of Parquet. Made by the [format](crate::Parquet).
pub struct ParquetEncoder {
    file: SerializedFileWriter<Vec<u8>>,
    schema: SchemaDescPtr,
    properties: WriterPropertiesPtr,
    /// Of the current row group.
    columns: Vec<Column>,
    /// In it.
    rows: u64,
    /// What its values take before they are encoded.
    bytes: usize,
    row_group_bytes: usize,
}

/// Nothing that is written to memory fails, and the values were checked: it would be a bug.
fn failed(error: ParquetError) -> Error {
    Error::new(ErrorKind::Sink, "cannot encode a row group of Parquet").caused_by(error)
}

fn columns(schema: &SchemaDescPtr, properties: &WriterPropertiesPtr) -> Vec<Column> {
    schema.columns().iter().map(|descr| Column::new(descr.clone(), properties.clone())).collect()
}

impl ParquetEncoder {
    pub(crate) fn new(
        schema: &Schema,
        properties: WriterPropertiesPtr,
        row_group_bytes: usize,
    ) -> Result<ParquetEncoder> {
        let file = SerializedFileWriter::new(Vec::new(), schema.root.clone(), properties.clone());
        let schema = schema.columns.clone();
        let columns = columns(&schema, &properties);
        let file = file.map_err(failed)?;
        Ok(ParquetEncoder { file, schema, properties, columns, rows: 0, bytes: 0, row_group_bytes })
    }

    /// Ends the row group, if there is a row in it.
    fn end_row_group(&mut self) -> std::result::Result<(), ParquetError> {
        if self.rows == 0 {
            return Ok(());
        }
        let columns = mem::replace(&mut self.columns, columns(&self.schema, &self.properties));
        (self.rows, self.bytes) = (0, 0);
        let mut row_group = self.file.next_row_group()?;
        for mut column in columns {
            column.encode()?;
            let (pages, close) = column.close()?;
            row_group.append_column(&pages, close)?;
        }
        row_group.close()?;
        self.file.flush()?;
        Ok(())
    }
}

impl<T: Serialize> Encoder<T> for ParquetEncoder {
    fn write(&mut self, record: &T, out: &mut Vec<u8>) -> Result<()> {
        let bytes = record.serialize(Rows(Row::new(&mut self.columns, self.rows)));
        self.bytes += bytes.map_err(|wrong| {
            Error::new(ErrorKind::Sink, format!("cannot represent a record as a row of Parquet: {wrong}"))
        })?;
        self.rows += 1;
        if self.bytes >= self.row_group_bytes {
            return Encoder::<T>::release(self, out);
        }
        if self.rows.is_multiple_of(BATCH_ROWS) {
            self.columns.iter_mut().try_for_each(Column::encode).map_err(failed)?;
        }
        Ok(())
    }

    fn held(&self) -> usize {
        self.bytes
    }

    fn release(&mut self, out: &mut Vec<u8>) -> Result<()> {
        self.end_row_group().map_err(failed)?;
        // The writer counts what it was given, and does not miss what is taken from its buffer.
        out.append(self.file.inner_mut());
        Ok(())
    }

    fn finish(mut self, out: &mut Vec<u8>) -> Result<()> {
        self.end_row_group().map_err(failed)?;
        out.append(&mut self.file.into_inner().map_err(failed)?);
        Ok(())
    }
}
