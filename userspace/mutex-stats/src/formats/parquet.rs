// SPDX-License-Identifier: MIT OR Apache-2.0

//! Apache Parquet: a table of an image in columns, for programs that analyse many of them.

use std::fmt;
use std::io;
use std::io::Write;
use std::sync::Arc;

use parquet::column::writer::ColumnWriter;
use parquet::data_type::ByteArray;
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;

use crate::Alert;
use crate::Block;
use crate::Cell;
use crate::Column;
use crate::Connection;
use crate::Fd;
use crate::Fields;
use crate::Header;
use crate::Part;
use crate::SCHEMA_VERSION;
use crate::Totals;
use crate::Traffic;
use crate::Visitor;
use crate::column::cells;
use crate::fields::columns;
use crate::records::ReasonName;

/// Records in a row group: what is in memory at a time.
const GROUP: usize = 16 << 10;

/// A table that can be written as Parquet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParquetTable {
    /// A row a set of totals and direction, as in CSV.
    Totals,
    /// A row a connection.
    Connections,
    /// A row an fd.
    Fds,
    /// A row an alert.
    Alerts,
}

impl ParquetTable {
    /// All of them.
    pub const ALL: [ParquetTable; 4] =
        [ParquetTable::Totals, ParquetTable::Connections, ParquetTable::Fds, ParquetTable::Alerts];

    /// The table's file in an export.
    #[must_use]
    pub fn file_name(self) -> &'static str {
        match self {
            ParquetTable::Totals => "totals.parquet",
            ParquetTable::Connections => "connections.parquet",
            ParquetTable::Fds => "fds.parquet",
            ParquetTable::Alerts => "alerts.parquet",
        }
    }
}

/// Writes one table of an image as Parquet. Columns are those of [`Csv`](crate::formats::Csv):
/// numbers are unsigned 64-bit integers, all else is text; what is unknown is null. The file's key-value
/// metadata say `schema_version`, and when and where the image was taken.
///
/// Memory: some 16 MiB, at any number of records.
pub struct Parquet<'a> {
    table: ParquetTable,
    /// Until the image has ended.
    rows: Option<ParquetRows<'a>>,
}

impl<'a> Parquet<'a> {
    /// Writes `table` to `output`, which needs no buffer.
    ///
    /// # Errors
    ///
    /// Whatever `output` gives.
    pub fn new(output: impl Write + Send + 'a, table: ParquetTable) -> io::Result<Self> {
        let rows = match table {
            ParquetTable::Totals => {
                let mut named = vec![("which".into(), false), ("direction".into(), false)];
                columns::<Traffic, io::Error>(|name| {
                    named.push((name.to_string(), true));
                    Ok(())
                })?;
                ParquetRows::new(Box::new(output), &named)
            }
            ParquetTable::Connections => ParquetRows::of_records::<Connection>(output),
            ParquetTable::Fds => ParquetRows::of_records::<Fd>(output),
            ParquetTable::Alerts => ParquetRows::of_records::<Alert>(output),
        };
        Ok(Parquet { table, rows: Some(rows?) })
    }

    fn totals(&mut self, which: impl fmt::Display, totals: &Totals) -> io::Result<()> {
        let Some(rows) = &mut self.rows else { return Ok(()) };
        for (direction, traffic) in Totals::fields(totals) {
            let words = [which.to_string(), direction.to_owned()].map(Cell::Text);
            let numbers = traffic.fields().map(|(_, value)| Cell::Integer(value));
            rows.row(words.into_iter().chain(numbers))?;
        }
        Ok(())
    }
}

impl Visitor for Parquet<'_> {
    fn header(&mut self, header: &Header, _: &[u8]) -> io::Result<()> {
        if let Some(rows) = &mut self.rows {
            rows.describe(header);
        }
        Ok(())
    }

    fn block(&mut self, block: &Block<'_>) -> io::Result<()> {
        if self.table == ParquetTable::Totals {
            return match block.part() {
                Part::TotalsBefore(totals) => self.totals("before", &totals),
                Part::Closed(totals) => self.totals("closed", &totals),
                Part::Untracked(mut records) => records.try_for_each(|record| {
                    let reason = ReasonName(record.reason);
                    self.totals(format_args!("untracked {reason}"), &record.totals)
                }),
                Part::TotalsAfter(totals) => self.totals("after", &totals),
                _ => Ok(()),
            };
        }
        let Some(rows) = &mut self.rows else { return Ok(()) };
        match (self.table, block.part()) {
            (ParquetTable::Connections, Part::Connections(mut records)) => {
                records.try_for_each(|record| rows.record(&record))
            }
            (ParquetTable::Fds, Part::Fds(mut records)) => {
                records.try_for_each(|record| rows.record(&record))
            }
            (ParquetTable::Alerts, Part::Alerts(mut records)) => {
                records.try_for_each(|record| rows.record(&record))
            }
            _ => Ok(()),
        }
    }

    fn finish(&mut self) -> io::Result<()> {
        self.rows.take().map_or(Ok(()), ParquetRows::finish)
    }
}

/// Writes rows as Parquet, one at a time, of which [`Parquet`] makes tables of an image: records that
/// were selected, or some of their columns.
///
/// Memory: some 16 MiB, at any number of rows.
pub struct ParquetRows<'a> {
    // Boxed: the Parquet writer would be compiled once more for each type of output.
    writer: SerializedFileWriter<Box<dyn Write + Send + 'a>>,
    columns: Vec<Values>,
    rows: usize,
}

/// The values of a column that are to be written.
enum Values {
    Integers { values: Vec<i64>, levels: Vec<i16> },
    Texts { values: Vec<ByteArray>, levels: Vec<i16> },
}

impl Values {
    fn new(is_integer: bool) -> Self {
        if is_integer {
            Values::Integers { values: Vec::new(), levels: Vec::new() }
        } else {
            Values::Texts { values: Vec::new(), levels: Vec::new() }
        }
    }

    fn push(&mut self, cell: Cell) {
        match (self, cell) {
            (Values::Integers { values, levels }, Cell::Integer(integer)) => {
                // The column is declared unsigned.
                values.push(i64::from_ne_bytes(integer.to_ne_bytes()));
                levels.push(1);
            }
            (Values::Texts { values, levels }, Cell::Text(text)) => {
                values.push(ByteArray::from(text.into_bytes()));
                levels.push(1);
            }
            (Values::Integers { levels, .. } | Values::Texts { levels, .. }, _) => levels.push(0),
        }
    }

    fn clear(&mut self) {
        match self {
            Values::Integers { values, levels } => {
                values.clear();
                levels.clear();
            }
            Values::Texts { values, levels } => {
                values.clear();
                levels.clear();
            }
        }
    }
}

impl<'a> ParquetRows<'a> {
    /// Begins rows that are records of type `T` with all of their fields, as in an export.
    ///
    /// # Errors
    ///
    /// Whatever `output`, which needs no buffer, gives.
    pub fn of_records<T: Fields + Default>(output: impl Write + Send + 'a) -> io::Result<Self> {
        Self::of_columns(output, &Column::<T>::all())
    }

    /// Begins rows that have these columns.
    ///
    /// # Errors
    ///
    /// Whatever `output`, which needs no buffer, gives; [`io::ErrorKind::InvalidInput`] if a column is
    /// there twice.
    pub fn of_columns<T: Fields + Default>(
        output: impl Write + Send + 'a,
        columns: &[Column<T>],
    ) -> io::Result<Self> {
        let nothing = T::default();
        let is_integer = |column: &Column<T>| matches!(column.cell(&nothing), Cell::Integer(_));
        let named = columns.iter().map(|column| (column.name().to_owned(), is_integer(column)));
        Self::new(Box::new(output), &named.collect::<Vec<_>>())
    }

    /// Begins rows of columns by their names, each with whether it is of integers.
    fn new(output: Box<dyn Write + Send + 'a>, columns: &[(String, bool)]) -> io::Result<Self> {
        let mut message = String::from("message mutex {\n");
        for (place, (name, is_integer)) in columns.iter().enumerate() {
            if columns[..place].iter().any(|(before, _)| before == name) {
                let sentence = format!("a Parquet file has no two columns `{name}`");
                return Err(io::Error::new(io::ErrorKind::InvalidInput, sentence));
            }
            let line = if *is_integer {
                format!("optional int64 {name} (INTEGER(64, false));\n")
            } else {
                format!("optional binary {name} (UTF8);\n")
            };
            message.push_str(&line);
        }
        message.push('}');
        let schema = Arc::new(parse_message_type(&message).map_err(failed)?);
        let properties = Arc::new(WriterProperties::builder().build());
        let writer = SerializedFileWriter::new(output, schema, properties).map_err(failed)?;
        let columns = columns.iter().map(|(_, is_integer)| Values::new(*is_integer)).collect();
        Ok(ParquetRows { writer, columns, rows: 0 })
    }

    /// Says in the file's metadata which image the rows are of.
    pub fn describe(&mut self, header: &Header) {
        let version = Cell::Integer(SCHEMA_VERSION.into());
        let columns = Column::<Header>::all();
        let fields = columns.iter().map(|column| (column.name(), column.cell(header)));
        for (name, cell) in [("schema_version", version)].into_iter().chain(fields) {
            let pair = KeyValue::new(name.to_owned(), cell.to_string());
            self.writer.append_key_value_metadata(pair);
        }
    }

    /// Writes a record with all of its fields.
    ///
    /// # Errors
    ///
    /// Whatever the output gives.
    pub fn record(&mut self, record: &impl Fields) -> io::Result<()> {
        let mut columns = self.columns.iter_mut();
        cells(record, |cell| {
            if let Some(column) = columns.next() {
                column.push(cell);
            }
        });
        self.end()
    }

    /// Writes what stands in the columns, in their order.
    ///
    /// # Errors
    ///
    /// Whatever the output gives.
    pub fn row(&mut self, cells: impl IntoIterator<Item = Cell>) -> io::Result<()> {
        let mut cells = cells.into_iter();
        for column in &mut self.columns {
            column.push(cells.next().unwrap_or(Cell::Unknown));
        }
        self.end()
    }

    fn end(&mut self) -> io::Result<()> {
        self.rows += 1;
        if self.rows == GROUP { self.group().map_err(failed) } else { Ok(()) }
    }

    /// Writes the rows that there are as a group.
    fn group(&mut self) -> Result<(), ParquetError> {
        if self.rows == 0 {
            return Ok(());
        }
        let mut group = self.writer.next_row_group()?;
        for column in &mut self.columns {
            let Some(mut out) = group.next_column()? else { break };
            match (out.untyped(), &*column) {
                (ColumnWriter::Int64ColumnWriter(out), Values::Integers { values, levels }) => {
                    out.write_batch(values, Some(levels), None)?;
                }
                (ColumnWriter::ByteArrayColumnWriter(out), Values::Texts { values, levels }) => {
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

    /// Writes what comes after the last row.
    ///
    /// # Errors
    ///
    /// Whatever the output gives.
    pub fn finish(mut self) -> io::Result<()> {
        self.group().map_err(failed)?;
        self.writer.close().map(drop).map_err(failed)
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
