// SPDX-License-Identifier: MIT OR Apache-2.0

//! Records of one kind, some of them or some of their fields, in the formats of the whole.

use std::io;
use std::io::Write;

use crate::Cell;
use crate::Fields;
use crate::Header;
use crate::SCHEMA_VERSION;
use crate::fields::columns;
use crate::formats::bytes::Bytes;
use crate::formats::csv::Lines;
use crate::formats::json::members;
use crate::formats::json::object;
use crate::formats::json::text;

/// How rows are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowFormat {
    /// One object: `schema_version`, `image` if the rows are of one, and the rows as a list.
    Json,
    /// An object a row, each on a line of its own.
    JsonLines,
    /// A header line, and a line a row.
    Csv,
    /// As [`RowFormat::Csv`], but text that a spreadsheet would take for a formula has a `'` before
    /// it, by which spreadsheets know text.
    EscapedCsv,
}

impl RowFormat {
    fn is_csv(self) -> bool {
        matches!(self, RowFormat::Csv | RowFormat::EscapedCsv)
    }
}

/// What rows are called: in JSON the list, in JSON Lines each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowNames {
    /// The key of the list.
    pub list: &'static str,
    /// What `record` says in each line.
    pub one: &'static str,
}

/// Writes rows, one at a time.
#[derive(Debug)]
pub struct Rows<W: Write> {
    lines: Lines<W>,
    format: RowFormat,
    names: RowNames,
    columns: Vec<String>,
    count: u64,
}

impl<W: Write> Rows<W> {
    /// Begins rows that are records of type `T` with all of their fields, as in an export.
    ///
    /// # Errors
    ///
    /// Whatever `output`, which needs no buffer, gives.
    pub fn of_records<T: Fields + Default>(
        output: W,
        format: RowFormat,
        names: RowNames,
        header: Option<&Header>,
    ) -> io::Result<Self> {
        let mut all = Vec::new();
        columns::<T, io::Error>(|name| {
            all.push(name.to_string());
            Ok(())
        })?;
        Self::of_columns(output, format, names, header, all)
    }

    /// Begins rows that have these columns.
    ///
    /// # Errors
    ///
    /// Whatever `output`, which needs no buffer, gives.
    pub fn of_columns(
        output: W,
        format: RowFormat,
        names: RowNames,
        header: Option<&Header>,
        columns: Vec<String>,
    ) -> io::Result<Self> {
        let lines = Lines::new(output, format == RowFormat::EscapedCsv);
        let mut rows = Rows { lines, format, names, columns, count: 0 };
        match format {
            RowFormat::Json => {
                let bytes = rows.lines.bytes();
                bytes.push(b"{\n\"schema_version\":");
                bytes.integer(SCHEMA_VERSION.into());
                if let Some(header) = header {
                    bytes.push(b",\n\"image\":");
                    object(bytes, header);
                }
                bytes.push(b",\n\"");
                bytes.push(names.list.as_bytes());
                bytes.push(b"\":[");
            }
            RowFormat::JsonLines => {}
            RowFormat::Csv | RowFormat::EscapedCsv => {
                rows.columns.iter().for_each(|column| rows.lines.text(column));
                rows.lines.end()?;
            }
        }
        Ok(rows)
    }

    /// Writes a record with all of its fields.
    ///
    /// # Errors
    ///
    /// Whatever the output gives.
    pub fn record(&mut self, record: &impl Fields) -> io::Result<()> {
        if self.format.is_csv() {
            return self.lines.record(record);
        }
        let first = self.begin();
        members(self.lines.bytes(), first, record);
        self.end()
    }

    /// Writes what stands in the columns, in their order.
    ///
    /// # Errors
    ///
    /// Whatever the output gives.
    pub fn row(&mut self, cells: impl IntoIterator<Item = Cell>) -> io::Result<()> {
        if self.format.is_csv() {
            for cell in cells {
                match cell {
                    Cell::Integer(integer) => self.lines.integer(integer),
                    Cell::Text(text) => self.lines.text(text),
                    Cell::Unknown => self.lines.text(""),
                }
            }
            return self.lines.end();
        }
        let mut separator = self.begin();
        let bytes = self.lines.bytes();
        for (name, cell) in self.columns.iter().zip(cells) {
            bytes.push_around(separator, name, *b"\":");
            value(bytes, &cell);
            separator = *b",\"";
        }
        self.end()
    }

    /// Begins an object; what stands before its next member.
    fn begin(&mut self) -> [u8; 2] {
        let bytes = self.lines.bytes();
        if self.format == RowFormat::Json {
            bytes.push(if self.count == 0 { b"\n" } else { b",\n" });
        }
        self.count += 1;
        if self.format == RowFormat::Json {
            return *b"{\"";
        }
        bytes.push(b"{\"record\":\"");
        bytes.push(self.names.one.as_bytes());
        bytes.push(b"\"");
        *b",\""
    }

    fn end(&mut self) -> io::Result<()> {
        self.lines.bytes().push(if self.format == RowFormat::Json { b"}" } else { b"}\n" });
        self.lines.write_if_many()
    }

    /// Hands on what has been written so far, for who waits for it.
    ///
    /// # Errors
    ///
    /// Whatever the output gives.
    pub fn flush(&mut self) -> io::Result<()> {
        self.lines.flush()
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

fn value(bytes: &mut Bytes, cell: &Cell) {
    match cell {
        Cell::Integer(integer) => bytes.integer(*integer),
        Cell::Text(value) => text(bytes, value),
        Cell::Unknown => bytes.push(b"null"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Dropped;

    const NAMES: RowNames = RowNames { list: "drops", one: "drop" };

    fn written(write: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) -> String {
        let mut text = Vec::new();
        write(&mut text).expect("a vector takes everything");
        String::from_utf8(text).expect("it is text")
    }

    #[test]
    fn records_and_cells_in_each_format() {
        let drop = Dropped { reason: 3, packets: 5, ..Dropped::default() };
        let records = |format| {
            written(|out| {
                let header = Header::default();
                let mut rows = Rows::of_records::<Dropped>(out, format, NAMES, Some(&header))?;
                rows.record(&drop)?;
                rows.finish()
            })
        };
        let cells = |format, count| {
            written(|out| {
                let columns = vec!["a".into(), "b".into()];
                let mut rows = Rows::of_columns(out, format, NAMES, None, columns)?;
                for _ in 0..count {
                    rows.row([Cell::Text("x,\"".into()), Cell::Unknown])?;
                }
                rows.finish()
            })
        };
        let json = records(RowFormat::Json);
        assert!(json.starts_with("{\n\"schema_version\":1,\n\"image\":{\"time_ns\":0,"), "{json}");
        let fields = "\"reason\":3,\"name\":null,\"packets\":5,\"losses\":5,\"discards\":0";
        let list = format!("\"drops\":[\n{{{fields}}}\n]\n}}\n");
        assert!(json.ends_with(&list), "{json}");
        assert_eq!(records(RowFormat::JsonLines), format!("{{\"record\":\"drop\",{fields}}}\n"));
        assert_eq!(records(RowFormat::Csv), "reason,name,packets,losses,discards\r\n3,,5,5,0\r\n");
        assert_eq!(cells(RowFormat::Json, 0), "{\n\"schema_version\":1,\n\"drops\":[]\n}\n");
        let line = "{\"record\":\"drop\",\"a\":\"x,\\\"\",\"b\":null}\n";
        assert_eq!(cells(RowFormat::JsonLines, 2), [line, line].concat());
        assert_eq!(cells(RowFormat::Csv, 1), "a,b\r\n\"x,\"\"\",\r\n");
    }

    #[test]
    fn formulas_are_escaped_for_spreadsheets_only() {
        let shown = |format, text: &str| {
            written(|out| {
                let mut rows = Rows::of_columns(out, format, NAMES, None, vec!["a".into()])?;
                rows.row([Cell::Text(text.into())])?;
                rows.finish()
            })
        };
        for formula in ["=1+1", "+x", "-x", "@SUM(A1)", "\tx", "-", "-1+2", "=", "-inf", "＝1"] {
            assert_eq!(shown(RowFormat::EscapedCsv, formula), format!("a\r\n'{formula}\r\n"));
            assert_eq!(shown(RowFormat::Csv, formula), format!("a\r\n{formula}\r\n"));
        }
        // What has to be quoted is quoted, too.
        assert_eq!(shown(RowFormat::EscapedCsv, "\r=1"), "a\r\n\"'\r=1\"\r\n");
        assert_eq!(
            shown(RowFormat::EscapedCsv, "=HYPERLINK(\"x\",1)"),
            "a\r\n\"'=HYPERLINK(\"\"x\"\",1)\"\r\n"
        );
        // Numbers stay numbers, and other text what it is.
        for text in ["-5", "+5", "-1.5e-3", "", "x=1", "a-b", "'x", "::1"] {
            assert_eq!(shown(RowFormat::EscapedCsv, text), format!("a\r\n{text}\r\n"));
        }
    }
}
