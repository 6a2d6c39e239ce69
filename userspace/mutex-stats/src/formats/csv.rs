// SPDX-License-Identifier: MIT OR Apache-2.0

//! Four tables in CSV as RFC 4180 has it: a header line, lines that end in CR LF.

use std::fmt;
use std::fmt::Write as _;
use std::io;
use std::io::Write;

use csv::Terminator;
use csv::WriterBuilder;

use crate::Block;
use crate::Connection;
use crate::Fd;
use crate::Fields;
use crate::Header;
use crate::Part;
use crate::SCHEMA_VERSION;
use crate::Totals;
use crate::Traffic;
use crate::Value;
use crate::Visitor;
use crate::fields::columns;
use crate::records::ReasonName;
use crate::records::flag_names;

/// A table of the CSV export.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    /// `key,value`: the schema's version, when and where the image was taken, and the module's own
    /// numbers.
    Status,
    /// A line a set of totals and direction. `which` is `before`, `closed`, `untracked REASON` or
    /// `after`.
    Totals,
    /// A line a connection.
    Connections,
    /// A line an fd.
    Fds,
}

impl Table {
    /// All of them.
    pub const ALL: [Table; 4] = [Table::Status, Table::Totals, Table::Connections, Table::Fds];

    /// The table's file in an export.
    #[must_use]
    pub fn file_name(self) -> &'static str {
        match self {
            Table::Status => "status.csv",
            Table::Totals => "totals.csv",
            Table::Connections => "connections.csv",
            Table::Fds => "fds.csv",
        }
    }
}

/// Writes an image as tables, those that have an output.
///
/// Values are those of [`Json`](crate::formats::Json), but that unknown ones are empty, flags are
/// separated by `|`, and traffic takes four columns.
pub struct Csv<W: Write> {
    status: Option<Lines<W>>,
    totals: Option<Lines<W>>,
    connections: Option<Lines<W>>,
    fds: Option<Lines<W>>,
}

impl<W: Write> Csv<W> {
    /// Writes to the outputs that `output` gives for each table. They need no buffer.
    pub fn new(mut output: impl FnMut(Table) -> Option<W>) -> Self {
        let mut lines = |table| output(table).map(Lines::new);
        Csv {
            status: lines(Table::Status),
            totals: lines(Table::Totals),
            connections: lines(Table::Connections),
            fds: lines(Table::Fds),
        }
    }

    fn totals(&mut self, which: impl fmt::Display, totals: &Totals) -> io::Result<()> {
        let Some(lines) = &mut self.totals else { return Ok(()) };
        for (direction, traffic) in Totals::fields(totals) {
            lines.text(&which)?;
            lines.text(direction)?;
            lines.value(Value::Traffic(traffic))?;
            lines.end()?;
        }
        Ok(())
    }
}

impl<W: Write> Visitor for Csv<W> {
    fn header(&mut self, header: &Header, _: &[u8]) -> io::Result<()> {
        if let Some(lines) = &mut self.status {
            lines.pair("key", Value::Text(&"value"))?;
            lines.pair("schema_version", Value::Integer(SCHEMA_VERSION.into()))?;
            header.fields(|key, value| lines.pair(key, value))?;
        }
        if let Some(lines) = &mut self.totals {
            lines.text("which")?;
            lines.text("direction")?;
            columns::<Traffic>(|name| lines.text(name))?;
            lines.end()?;
        }
        if let Some(lines) = &mut self.connections {
            columns::<Connection>(|name| lines.text(name))?;
            lines.end()?;
        }
        if let Some(lines) = &mut self.fds {
            columns::<Fd>(|name| lines.text(name))?;
            lines.end()?;
        }
        Ok(())
    }

    fn block(&mut self, block: &Block<'_>) -> io::Result<()> {
        match block.part() {
            Part::Status(status) => match &mut self.status {
                Some(lines) => status.fields(|key, value| lines.pair(key, value)),
                None => Ok(()),
            },
            Part::TotalsBefore(totals) => self.totals("before", &totals),
            Part::Connections(mut records) => match &mut self.connections {
                Some(lines) => records.try_for_each(|record| lines.record(&record)),
                None => Ok(()),
            },
            Part::Fds(mut records) => match &mut self.fds {
                Some(lines) => records.try_for_each(|record| lines.record(&record)),
                None => Ok(()),
            },
            Part::Closed(totals) => self.totals("closed", &totals),
            Part::Untracked(mut records) => records.try_for_each(|record| {
                let reason = ReasonName(record.reason);
                self.totals(format_args!("untracked {reason}"), &record.totals)
            }),
            Part::TotalsAfter(totals) => self.totals("after", &totals),
            Part::End(_) | Part::Unknown(_) => Ok(()),
        }
    }

    fn finish(&mut self) -> io::Result<()> {
        let tables = [&mut self.status, &mut self.totals, &mut self.connections, &mut self.fds];
        tables.into_iter().flatten().try_for_each(|lines| lines.writer.flush())
    }
}

/// The lines of one table.
struct Lines<W: Write> {
    writer: csv::Writer<W>,
    /// The field that is being put together.
    field: String,
}

impl<W: Write> Lines<W> {
    fn new(output: W) -> Self {
        let writer = WriterBuilder::new().terminator(Terminator::CRLF).from_writer(output);
        Lines { writer, field: String::new() }
    }

    fn text(&mut self, text: impl fmt::Display) -> io::Result<()> {
        self.field.clear();
        // Fails only where a `Display` does, and none of ours does.
        let _ = write!(self.field, "{text}");
        self.writer.write_field(&self.field).map_err(io_error)
    }

    fn value(&mut self, value: Value<'_>) -> io::Result<()> {
        match value {
            Value::Integer(integer) => self.text(integer),
            Value::Text(text) => self.text(text),
            Value::Truth(truth) => self.text(truth),
            Value::Flags(flags) => {
                self.field.clear();
                for name in flag_names(flags) {
                    if !self.field.is_empty() {
                        self.field.push('|');
                    }
                    self.field.push_str(name);
                }
                self.writer.write_field(&self.field).map_err(io_error)
            }
            Value::Traffic(traffic) => {
                traffic.fields().into_iter().try_for_each(|(_, value)| self.text(value))
            }
            Value::Unknown => self.text(""),
        }
    }

    fn end(&mut self) -> io::Result<()> {
        self.writer.write_record(None::<&[u8]>).map_err(io_error)
    }

    fn pair(&mut self, key: &str, value: Value<'_>) -> io::Result<()> {
        self.text(key)?;
        self.value(value)?;
        self.end()
    }

    fn record(&mut self, record: &impl Fields) -> io::Result<()> {
        record.fields(|_, value| self.value(value))?;
        self.end()
    }
}

/// The error that the output gave, as it gave it.
fn io_error(error: csv::Error) -> io::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        kind => io::Error::other(format!("{kind:?}")),
    }
}
