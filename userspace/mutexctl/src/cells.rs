// SPDX-License-Identifier: MIT OR Apache-2.0

//! Rows of cells whose columns are known at run time only, in every format.

use std::io;
use std::io::Write;

use mutex_stats::Cell;
use mutex_stats::formats::RowFormat;
use mutex_stats::formats::RowNames;
use mutex_stats::formats::Rows;

use crate::cli::ListFormat;
use crate::csv;
use crate::failure::Failure;
use crate::table;
use crate::table::Align;
use crate::target::Target;

/// Rows with their columns.
pub struct Cells {
    /// What they are called in JSON.
    pub names: RowNames,
    pub columns: Vec<String>,
    pub rows: Vec<Vec<Cell>>,
}

impl Cells {
    /// Writes them.
    pub fn write(&self, format: ListFormat, target: &Target) -> Result<(), Failure> {
        let format = match format {
            ListFormat::Table => return self.table(target),
            ListFormat::Json => RowFormat::Json,
            ListFormat::Jsonl => RowFormat::JsonLines,
            ListFormat::Csv => csv::rows(target),
        };
        target.write(|output| {
            Rows::of_columns(output, format, self.names, None, self.columns.clone())
                .and_then(|mut rows| {
                    self.rows.iter().try_for_each(|cells| rows.row(cells.iter().cloned()))?;
                    rows.finish()
                })
                .map_err(|error| Failure::writing(target, &error))
        })
    }

    fn table(&self, target: &Target) -> Result<(), Failure> {
        target.write(|output| {
            self.write_table(output).map_err(|error| Failure::writing(target, &error))
        })
    }

    /// Writes them as a table.
    pub fn write_table(&self, output: &mut impl Write) -> io::Result<()> {
        let cells = |place: usize| self.rows.iter().filter_map(move |row| row.get(place));
        // Most hosts forward nothing.
        let is_shown = |place: usize, name: &str| {
            !name.starts_with("forwarded_") || cells(place).any(|cell| *cell != Cell::Integer(0))
        };
        let places =
            || self.columns.iter().enumerate().filter(|(place, name)| is_shown(*place, name));
        let column = |(place, name): (usize, &String)| {
            let is_number = cells(place).all(|cell| !matches!(cell, Cell::Text(_)));
            (name.clone(), if is_number { Align::Right } else { Align::Left })
        };
        let columns: Vec<_> = places().map(column).collect();
        let places: Vec<usize> = places().map(|(place, _)| place).collect();
        table::write(output, &columns, &self.rows, |row| {
            places.iter().filter_map(|&place| row.get(place)).map(Cell::to_string).collect()
        })
    }
}
