// SPDX-License-Identifier: MIT OR Apache-2.0

//! Records of one kind, some of them or some of their fields, in the formats of the whole.

use std::io;
use std::io::Write;

use crate::Cell;
use crate::Column;
use crate::Fields;
use crate::Header;
use crate::SCHEMA_VERSION;
use crate::fields::columns;
use crate::formats::bytes::Bytes;
use crate::formats::csv::Lines;
use crate::formats::json::object;
use crate::formats::json::text;

/// How rows are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowFormat {
    /// One object, with the rows as a list.
    Json,
    /// An object a row, each on a line of its own.
    JsonLines,
    /// A header line, and a line a row.
    Csv,
}

/// What a row is made of.
#[derive(Clone, Debug)]
pub enum Shape<T> {
    /// All fields, as in an export.
    Whole,
    /// These columns, each by its name.
    Columns(Vec<Column<T>>),
}

/// Writes records as rows.
#[derive(Debug)]
pub struct Rows<W: Write, T> {
    lines: Lines<W>,
    format: RowFormat,
    shape: Shape<T>,
    count: u64,
}

impl<W: Write, T: Fields + Default> Rows<W, T> {
    /// Begins with what comes before the first row. `key` names the list in JSON.
    ///
    /// # Errors
    ///
    /// Whatever `output` gives.
    pub fn new(
        output: W,
        format: RowFormat,
        key: &str,
        header: Option<&Header>,
        shape: Shape<T>,
    ) -> io::Result<Self> {
        let mut rows = Rows { lines: Lines::new(output), format, shape, count: 0 };
        match (format, &rows.shape) {
            (RowFormat::Json, _) => {
                let bytes = rows.lines.bytes();
                bytes.push(b"{\n\"schema_version\":");
                bytes.integer(SCHEMA_VERSION.into());
                if let Some(header) = header {
                    bytes.push(b",\n\"image\":");
                    object(bytes, header);
                }
                bytes.push(b",\n\"");
                bytes.push(key.as_bytes());
                bytes.push(b"\":[");
            }
            (RowFormat::JsonLines, _) => {}
            (RowFormat::Csv, Shape::Whole) => {
                columns::<T, io::Error>(|name| {
                    rows.lines.text(name);
                    Ok(())
                })?;
                rows.lines.end()?;
            }
            (RowFormat::Csv, Shape::Columns(columns)) => {
                columns.iter().for_each(|column| rows.lines.text(column.name()));
                rows.lines.end()?;
            }
        }
        Ok(rows)
    }

    /// Writes a row.
    ///
    /// # Errors
    ///
    /// Whatever the output gives.
    pub fn row(&mut self, record: &T) -> io::Result<()> {
        if self.format == RowFormat::Csv {
            let Shape::Columns(columns) = &self.shape else { return self.lines.record(record) };
            for column in columns {
                match column.cell(record) {
                    Cell::Integer(integer) => self.lines.integer(integer),
                    Cell::Text(text) => self.lines.text(text),
                    Cell::Unknown => self.lines.text(""),
                }
            }
            return self.lines.end();
        }
        let bytes = self.lines.bytes();
        if self.format == RowFormat::Json {
            bytes.push(if self.count == 0 { b"\n" } else { b",\n" });
        }
        self.count += 1;
        match &self.shape {
            Shape::Whole => object(bytes, record),
            Shape::Columns(columns) => {
                let mut separator: &[u8] = b"{\"";
                for column in columns {
                    bytes.push(separator);
                    bytes.push(column.name().as_bytes());
                    bytes.push(b"\":");
                    cell(bytes, &column.cell(record));
                    separator = b",\"";
                }
                bytes.push(b"}");
            }
        }
        if self.format == RowFormat::JsonLines {
            bytes.push(b"\n");
        }
        self.lines.write_if_many()
    }

    /// Writes what comes after the last row.
    ///
    /// # Errors
    ///
    /// Whatever the output gives.
    pub fn finish(mut self) -> io::Result<()> {
        if self.format == RowFormat::Json {
            self.lines.bytes().push(if self.count == 0 { b"]\n}\n" } else { b"\n]\n}\n" });
        }
        self.lines.flush()
    }
}

fn cell(bytes: &mut Bytes, cell: &Cell) {
    match cell {
        Cell::Integer(integer) => bytes.integer(*integer),
        Cell::Text(value) => text(bytes, value),
        Cell::Unknown => bytes.push(b"null"),
    }
}
