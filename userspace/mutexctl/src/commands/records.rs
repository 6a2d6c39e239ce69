// SPDX-License-Identifier: MIT OR Apache-2.0

//! Records in the formats for programs.

use std::io;

use mutex_stats::Cell;
use mutex_stats::Column;
use mutex_stats::Fields;
use mutex_stats::Header;
#[cfg(feature = "parquet")]
use mutex_stats::formats::ParquetRows;
use mutex_stats::formats::RowFormat;
use mutex_stats::formats::RowNames;
use mutex_stats::formats::Rows;

use crate::cli::RecordFormat;
use crate::target::Output;

/// A format for programs.
#[derive(Clone, Copy)]
pub enum Format {
    Rows(RowFormat),
    #[cfg(feature = "parquet")]
    Parquet,
}

impl Format {
    /// What the command line says; nothing if that is a table for people. `csv` is the format of CSV.
    pub fn new(format: RecordFormat, csv: RowFormat) -> Option<Self> {
        match format {
            RecordFormat::Table => None,
            RecordFormat::Json => Some(Format::Rows(RowFormat::Json)),
            RecordFormat::Jsonl => Some(Format::Rows(RowFormat::JsonLines)),
            RecordFormat::Csv => Some(Format::Rows(csv)),
            #[cfg(feature = "parquet")]
            RecordFormat::Parquet => Some(Format::Parquet),
        }
    }

    /// Whether nobody can read it on a screen.
    pub fn is_binary(self) -> bool {
        match self {
            Format::Rows(_) => false,
            #[cfg(feature = "parquet")]
            Format::Parquet => true,
        }
    }
}

/// Writes records, one at a time.
pub enum Records<'a> {
    Rows(Rows<&'a mut Output>),
    #[cfg(feature = "parquet")]
    Parquet(Box<ParquetRows<'a>>),
}

impl<'a> Records<'a> {
    /// Begins records of type `T`, with these columns or with all of their fields.
    pub fn new<T: Fields + Default>(
        output: &'a mut Output,
        format: Format,
        names: RowNames,
        header: &Header,
        columns: Option<&[Column<T>]>,
    ) -> io::Result<Self> {
        match (format, columns) {
            (Format::Rows(format), None) => {
                Rows::of_records::<T>(output, format, names, Some(header)).map(Records::Rows)
            }
            (Format::Rows(format), Some(columns)) => {
                let columns = columns.iter().map(|column| column.name().to_owned()).collect();
                Rows::of_columns(output, format, names, Some(header), columns).map(Records::Rows)
            }
            #[cfg(feature = "parquet")]
            (Format::Parquet, columns) => {
                let mut rows = match columns {
                    None => ParquetRows::of_records::<T>(output),
                    Some(columns) => ParquetRows::of_columns(output, columns),
                }?;
                rows.describe(header);
                Ok(Records::Parquet(Box::new(rows)))
            }
        }
    }

    pub fn record(&mut self, record: &impl Fields) -> io::Result<()> {
        match self {
            Records::Rows(rows) => rows.record(record),
            #[cfg(feature = "parquet")]
            Records::Parquet(rows) => rows.record(record),
        }
    }

    pub fn row(&mut self, cells: impl IntoIterator<Item = Cell>) -> io::Result<()> {
        match self {
            Records::Rows(rows) => rows.row(cells),
            #[cfg(feature = "parquet")]
            Records::Parquet(rows) => rows.row(cells),
        }
    }

    pub fn finish(self) -> io::Result<()> {
        match self {
            Records::Rows(rows) => rows.finish(),
            #[cfg(feature = "parquet")]
            Records::Parquet(rows) => rows.finish(),
        }
    }
}
