// SPDX-License-Identifier: MIT OR Apache-2.0

//! Seven tables in CSV as RFC 4180 has it: a header line, lines that end in CR LF.

use std::convert::Infallible;
use std::fmt;
use std::io;
use std::io::Write;

use mutex_core::wire::Wire;

use crate::Alert;
use crate::Block;
use crate::Connection;
use crate::Dropped;
use crate::Fd;
use crate::Fields;
use crate::Header;
use crate::HostQuality;
use crate::LatencyBuckets;
use crate::Part;
use crate::Records;
use crate::SCHEMA_VERSION;
use crate::Totals;
use crate::Traffic;
use crate::Value;
use crate::Visitor;
use crate::fields::columns;
use crate::formats::bytes::Bytes;
use crate::records::ReasonName;
use crate::records::drop_counts;
use crate::records::flag_names;

/// A table of the CSV export.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    /// `key,value`: the schema's version, when and where the image was taken, the module's own
    /// numbers, and how well the whole host fares.
    Status,
    /// A line a set of totals and direction. `which` is `before`, `closed`, `untracked REASON` or
    /// `after`.
    Totals,
    /// A line a connection.
    Connections,
    /// A line an fd.
    Fds,
    /// A line an octave of a histogram.
    Latency,
    /// A line a reason why the kernel dropped packets.
    Drops,
    /// A line an alert, the oldest first.
    Alerts,
}

impl Table {
    /// All of them.
    pub const ALL: [Table; 7] = [
        Table::Status,
        Table::Totals,
        Table::Connections,
        Table::Fds,
        Table::Latency,
        Table::Drops,
        Table::Alerts,
    ];

    /// The table's file in an export.
    #[must_use]
    pub fn file_name(self) -> &'static str {
        match self {
            Table::Status => "status.csv",
            Table::Totals => "totals.csv",
            Table::Connections => "connections.csv",
            Table::Fds => "fds.csv",
            Table::Latency => "latency.csv",
            Table::Drops => "drops.csv",
            Table::Alerts => "alerts.csv",
        }
    }
}

/// Writes an image as tables, those that have an output.
///
/// Values are those of [`Json`](crate::formats::Json), but that unknown ones are empty, flags are
/// separated by `|`, traffic takes four columns, quality and samples one a number, and reasons of
/// drops are `reason:packets`, separated by `|`.
pub struct Csv<W: Write> {
    status: Option<Lines<W>>,
    totals: Option<Lines<W>>,
    connections: Option<Lines<W>>,
    fds: Option<Lines<W>>,
    latency: Option<Lines<W>>,
    drops: Option<Lines<W>>,
    alerts: Option<Lines<W>>,
    /// The whole host's, zeros if the image has none.
    quality: HostQuality,
}

impl<W: Write> Csv<W> {
    /// Writes to the outputs that `output` gives for each table. They need no buffer.
    pub fn new(output: impl FnMut(Table) -> Option<W>) -> Self {
        Self::escaped(output, false)
    }

    /// As [`Csv::new`]; if `escapes`, text that a spreadsheet would take for a formula has a `'`
    /// before it, by which spreadsheets know text.
    pub fn escaped(mut output: impl FnMut(Table) -> Option<W>, escapes: bool) -> Self {
        let mut lines = |table| output(table).map(|output| Lines::new(output, escapes));
        Csv {
            status: lines(Table::Status),
            totals: lines(Table::Totals),
            connections: lines(Table::Connections),
            fds: lines(Table::Fds),
            latency: lines(Table::Latency),
            drops: lines(Table::Drops),
            alerts: lines(Table::Alerts),
            quality: HostQuality::default(),
        }
    }

    /// The end of the status: all that an image may say of it has come.
    fn end_of_status(&mut self) -> io::Result<()> {
        let Some(lines) = &mut self.status else { return Ok(()) };
        self.quality.columns(|key, value| lines.pair(key, Value::Integer(value)))
    }

    fn totals(&mut self, which: impl fmt::Display, totals: &Totals) -> io::Result<()> {
        let Some(lines) = &mut self.totals else { return Ok(()) };
        for (direction, traffic) in Totals::fields(totals) {
            lines.text(&which);
            lines.text(direction);
            lines.value(Value::Traffic(traffic));
            lines.end()?;
        }
        Ok(())
    }
}

impl<'a> Csv<Box<dyn Write + 'a>> {
    /// As [`Csv::escaped`], for outputs of any type; its code is compiled once, with this crate.
    pub fn boxed(
        output: &mut dyn FnMut(Table) -> Option<Box<dyn Write + 'a>>,
        escapes: bool,
    ) -> Box<dyn Visitor + 'a> {
        Box::new(Csv::escaped(output, escapes))
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
            lines.text("which");
            lines.text("direction");
            columns::<Traffic, io::Error>(|name| {
                lines.text(name);
                Ok(())
            })?;
            lines.end()?;
        }
        header_of::<Connection, _>(&mut self.connections)?;
        header_of::<Fd, _>(&mut self.fds)?;
        header_of::<LatencyBuckets, _>(&mut self.latency)?;
        header_of::<Dropped, _>(&mut self.drops)?;
        header_of::<Alert, _>(&mut self.alerts)
    }

    fn block(&mut self, block: &Block<'_>) -> io::Result<()> {
        match block.part() {
            Part::Status(status) => match &mut self.status {
                Some(lines) => status.fields(|key, value| lines.pair(key, value)),
                None => Ok(()),
            },
            Part::TotalsBefore(totals) => self.totals("before", &totals),
            Part::Connections(records) => records_of(&mut self.connections, records),
            Part::Fds(records) => records_of(&mut self.fds, records),
            Part::Latency(records) => records_of(&mut self.latency, records),
            Part::Quality(quality) => {
                self.quality = quality;
                Ok(())
            }
            Part::Drops(records) => records_of(&mut self.drops, records),
            Part::Alerts(records) => records_of(&mut self.alerts, records),
            Part::Closed(totals) => {
                self.end_of_status()?;
                self.totals("closed", &totals)
            }
            Part::Untracked(mut records) => records.try_for_each(|record| {
                let reason = ReasonName(record.reason);
                self.totals(format_args!("untracked {reason}"), &record.totals)
            }),
            Part::TotalsAfter(totals) => self.totals("after", &totals),
            Part::End(_) | Part::Unknown(_) => Ok(()),
        }
    }

    fn finish(&mut self) -> io::Result<()> {
        let tables = [
            &mut self.status,
            &mut self.totals,
            &mut self.connections,
            &mut self.fds,
            &mut self.latency,
            &mut self.drops,
            &mut self.alerts,
        ];
        tables.into_iter().flatten().try_for_each(Lines::flush)
    }
}

fn header_of<T: Fields + Default, W: Write>(lines: &mut Option<Lines<W>>) -> io::Result<()> {
    let Some(lines) = lines else { return Ok(()) };
    columns::<T, io::Error>(|name| {
        lines.text(name);
        Ok(())
    })?;
    lines.end()
}

fn records_of<T: Fields + Wire, W: Write>(
    lines: &mut Option<Lines<W>>,
    mut records: Records<'_, T>,
) -> io::Result<()> {
    let Some(lines) = lines else { return Ok(()) };
    records.try_for_each(|record| lines.record(&record))
}

/// Whether a spreadsheet would take text for a formula: it begins like one, be it by a sign of full
/// width, and is no number.
fn is_formula(text: &[u8]) -> bool {
    const BEGINNINGS: [&str; 4] = ["＝", "＋", "－", "＠"];

    let begins = match text.first() {
        Some(b'=' | b'+' | b'-' | b'@' | b'\t' | b'\r' | b'\n') => true,
        Some(0xef) => BEGINNINGS.iter().any(|sign| text.starts_with(sign.as_bytes())),
        _ => false,
    };
    begins && !is_number(text)
}

fn is_number(text: &[u8]) -> bool {
    let is_of_number = |byte: &u8| byte.is_ascii_digit() || b"+-.eE".contains(byte);
    // Not `-inf` and the like, which Rust takes for numbers, too.
    text.iter().all(is_of_number)
        && std::str::from_utf8(text).is_ok_and(|text| text.parse::<f64>().is_ok())
}

/// The lines of one table.
#[derive(Debug)]
pub(super) struct Lines<W: Write> {
    output: W,
    bytes: Bytes,
    /// Whether the line has a field.
    has_field: bool,
    /// Whether formulas are escaped.
    escapes: bool,
}

impl<W: Write> Lines<W> {
    pub(super) fn new(output: W, escapes: bool) -> Self {
        Lines { output, bytes: Bytes::default(), has_field: false, escapes }
    }

    /// What is on its way to the output.
    pub(super) fn bytes(&mut self) -> &mut Bytes {
        &mut self.bytes
    }

    pub(super) fn write_if_many(&mut self) -> io::Result<()> {
        self.bytes.write_if_many(&mut self.output)
    }

    /// Begins a field.
    #[inline]
    fn next(&mut self) {
        if self.has_field {
            self.bytes.push(b",");
        }
        self.has_field = true;
    }

    #[inline]
    pub(super) fn integer(&mut self, integer: u64) {
        self.next();
        self.bytes.integer(integer);
    }

    pub(super) fn text(&mut self, text: impl fmt::Display) {
        self.next();
        let text = self.bytes.text(&text);
        let is_quoted = text.iter().any(|byte| matches!(byte, b',' | b'"' | b'\r' | b'\n'));
        let is_escaped = self.escapes && is_formula(text);
        if is_quoted || is_escaped {
            let plain = String::from_utf8_lossy(text).into_owned();
            self.bytes.take_back(plain.len());
            let quote: &[u8] = if is_quoted { b"\"" } else { b"" };
            self.bytes.push(quote);
            self.bytes.push(if is_escaped { b"'" } else { b"" });
            self.bytes.push(plain.replace('"', "\"\"").as_bytes());
            self.bytes.push(quote);
        }
    }

    #[inline] // Most of it goes where the kind of value is known.
    fn value(&mut self, value: Value<'_>) {
        match value {
            Value::Integer(integer) => self.integer(integer),
            Value::Name(name) => {
                self.next();
                self.bytes.push(name.as_bytes());
            }
            Value::Address(address) => {
                self.next();
                self.bytes.address(&address);
            }
            Value::Text(text) => self.text(text),
            Value::Truth(truth) => self.text(truth),
            Value::Flags(flags) => {
                self.next();
                for (number, name) in flag_names(flags).enumerate() {
                    if number > 0 {
                        self.bytes.push(b"|");
                    }
                    self.bytes.push(name.as_bytes());
                }
            }
            Value::Traffic(traffic) => {
                traffic.fields().into_iter().for_each(|(_, value)| self.integer(value));
            }
            Value::Quality(quality) => {
                quality.latency.fields().into_iter().for_each(|(_, value)| self.integer(value));
                quality.fields().into_iter().for_each(|(_, value)| self.integer(value));
            }
            Value::Latency(latency) => {
                latency.fields().into_iter().for_each(|(_, value)| self.integer(value));
            }
            Value::DropCounts(reasons) => {
                self.next();
                for (number, drop) in drop_counts(reasons).enumerate() {
                    if number > 0 {
                        self.bytes.push(b"|");
                    }
                    self.bytes.integer(drop.reason.into());
                    self.bytes.push(b":");
                    self.bytes.integer(drop.packets.into());
                }
            }
            Value::Samples(samples) => samples.iter().for_each(|&value| self.integer(value)),
            Value::Unknown => self.next(),
        }
    }

    pub(super) fn end(&mut self) -> io::Result<()> {
        self.bytes.push(b"\r\n");
        self.has_field = false;
        self.bytes.write_if_many(&mut self.output)
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.bytes.write(&mut self.output)?;
        self.output.flush()
    }

    fn pair(&mut self, key: impl fmt::Display, value: Value<'_>) -> io::Result<()> {
        self.text(key);
        self.value(value);
        self.end()
    }

    pub(super) fn record(&mut self, record: &impl Fields) -> io::Result<()> {
        let Ok(()) = record.fields(|_, value| {
            self.value(value);
            Ok::<_, Infallible>(())
        });
        self.end()
    }
}
