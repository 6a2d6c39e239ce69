// SPDX-License-Identifier: MIT OR Apache-2.0

//! Apache Parquet: a table of an image in columns, for programs that analyse many of them.

use std::io;
use std::io::Write;
use std::sync::Arc;

use parquet::column::writer::ColumnWriter;
use parquet::data_type::ByteArray;
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;

use crate::Alert;
use crate::Block;
use crate::Cell;
use crate::Connection;
use crate::Fd;
use crate::Fields;
use crate::Header;
use crate::Part;
use crate::Visitor;
use crate::column::cells;
use crate::fields::columns;

/// Records in a row group: what is in memory at a time.
const GROUP: usize = 16 << 10;

/// A table that can be written as Parquet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParquetTable {
    /// A row a connection.
    Connections,
    /// A row an fd.
    Fds,
    /// A row an alert.
    Alerts,
}

impl ParquetTable {
    /// All of them.
    pub const ALL: [ParquetTable; 3] =
        [ParquetTable::Connections, ParquetTable::Fds, ParquetTable::Alerts];

    /// The table's file in an export.
    #[must_use]
    pub fn file_name(self) -> &'static str {
        match self {
            ParquetTable::Connections => "connections.parquet",
            ParquetTable::Fds => "fds.parquet",
            ParquetTable::Alerts => "alerts.parquet",
        }
    }
}

/// Writes one table of an image as Parquet. Columns are those of [`Csv`](crate::formats::Csv):
/// numbers are unsigned 64-bit integers, all else is text; what is unknown is null.
///
/// Memory: some 16 MiB, at any number of records.
pub struct Parquet<W: Write + Send> {
    table: ParquetTable,
    /// Until the image has ended.
    writer: Option<SerializedFileWriter<W>>,
    columns: Vec<Column>,
    rows: usize,
}

/// The values of a column that are to be written.
enum Column {
    Integers { values: Vec<i64>, levels: Vec<i16> },
    Texts { values: Vec<ByteArray>, levels: Vec<i16> },
}

impl Column {
    fn push(&mut self, cell: Cell) {
        match (self, cell) {
            (Column::Integers { values, levels }, Cell::Integer(integer)) => {
                values.push(integer.cast_signed());
                levels.push(1);
            }
            (Column::Texts { values, levels }, Cell::Text(text)) => {
                values.push(ByteArray::from(text.into_bytes()));
                levels.push(1);
            }
            (Column::Integers { levels, .. } | Column::Texts { levels, .. }, _) => levels.push(0),
        }
    }

    fn clear(&mut self) {
        match self {
            Column::Integers { values, levels } => {
                values.clear();
                levels.clear();
            }
            Column::Texts { values, levels } => {
                values.clear();
                levels.clear();
            }
        }
    }
}

impl<W: Write + Send> Parquet<W> {
    /// Writes `table` to `output`, which needs no buffer.
    ///
    /// # Errors
    ///
    /// Whatever `output` gives.
    pub fn new(output: W, table: ParquetTable) -> io::Result<Self> {
        match table {
            ParquetTable::Connections => Self::of::<Connection>(output, table),
            ParquetTable::Fds => Self::of::<Fd>(output, table),
            ParquetTable::Alerts => Self::of::<Alert>(output, table),
        }
    }

    fn of<T: Fields + Default>(output: W, table: ParquetTable) -> io::Result<Self> {
        let mut types = Vec::new();
        cells(&T::default(), |cell| types.push(matches!(cell, Cell::Integer(_))));
        let mut message = String::from("message mutex {\n");
        let mut each = types.iter();
        columns::<T, io::Error>(|name| {
            let line = match each.next() {
                Some(true) => format!("optional int64 {name} (INTEGER(64, false));\n"),
                _ => format!("optional binary {name} (UTF8);\n"),
            };
            message.push_str(&line);
            Ok(())
        })?;
        message.push('}');
        let schema = Arc::new(parse_message_type(&message).map_err(failed)?);
        let properties = Arc::new(WriterProperties::builder().build());
        let writer = SerializedFileWriter::new(output, schema, properties).map_err(failed)?;
        let column = |is_integer: bool| {
            if is_integer {
                Column::Integers { values: Vec::new(), levels: Vec::new() }
            } else {
                Column::Texts { values: Vec::new(), levels: Vec::new() }
            }
        };
        let columns = types.into_iter().map(column).collect();
        Ok(Parquet { table, writer: Some(writer), columns, rows: 0 })
    }

    fn records<T: Fields>(&mut self, mut records: impl Iterator<Item = T>) -> io::Result<()> {
        records.try_for_each(|record| {
            let mut columns = self.columns.iter_mut();
            cells(&record, |cell| {
                if let Some(column) = columns.next() {
                    column.push(cell);
                }
            });
            self.rows += 1;
            if self.rows == GROUP { self.group().map_err(failed) } else { Ok(()) }
        })
    }

    /// Writes the rows that there are as a group.
    fn group(&mut self) -> Result<(), ParquetError> {
        let Some(writer) = self.writer.as_mut().filter(|_| self.rows > 0) else { return Ok(()) };
        let mut group = writer.next_row_group()?;
        for column in &mut self.columns {
            let Some(mut out) = group.next_column()? else { break };
            match (out.untyped(), &*column) {
                (ColumnWriter::Int64ColumnWriter(out), Column::Integers { values, levels }) => {
                    out.write_batch(values, Some(levels), None)?;
                }
                (ColumnWriter::ByteArrayColumnWriter(out), Column::Texts { values, levels }) => {
                    out.write_batch(values, Some(levels), None)?;
                }
                _ => return Err(ParquetError::General("a column has another type".into())),
            }
            out.close()?;
            column.clear();
        }
        group.close()?;
        self.rows = 0;
        Ok(())
    }
}

fn failed(error: ParquetError) -> io::Error {
    match error {
        // What the output said, as it said it.
        ParquetError::External(error) => match error.downcast::<io::Error>() {
            Ok(error) => *error,
            Err(error) => io::Error::other(error),
        },
        error => io::Error::other(error),
    }
}

impl<W: Write + Send> Visitor for Parquet<W> {
    fn header(&mut self, _: &Header, _: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn block(&mut self, block: &Block<'_>) -> io::Result<()> {
        match (self.table, block.part()) {
            (ParquetTable::Connections, Part::Connections(records)) => self.records(records),
            (ParquetTable::Fds, Part::Fds(records)) => self.records(records),
            (ParquetTable::Alerts, Part::Alerts(records)) => self.records(records),
            _ => Ok(()),
        }
    }

    fn finish(&mut self) -> io::Result<()> {
        self.group().map_err(failed)?;
        self.writer.take().map_or(Ok(()), |writer| writer.close().map(drop).map_err(failed))
    }
}
