// SPDX-License-Identifier: MIT OR Apache-2.0

//! Tables for people: columns as wide as what is in them. Nothing is ever cut off.

use std::io;
use std::io::Write;

use crate::color;
use crate::color::Style;

/// A column: its name, and the side that its cells keep to.
pub type Column<N = &'static str> = (N, Align);

/// Which side of its column a cell keeps to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    Left,
    Right,
}

/// Writes a line of names and a line a record. No line ends in spaces.
///
/// `cells` is called twice for each record, to measure and to write, so that a million records need
/// not be in memory as text.
pub fn write<R, N: AsRef<str>>(
    output: &mut (impl Write + ?Sized),
    columns: &[Column<N>],
    records: &[R],
    cells: impl Fn(&R) -> Vec<String>,
) -> io::Result<()> {
    let mut widths: Vec<usize> =
        columns.iter().map(|(name, _)| name.as_ref().chars().count()).collect();
    for record in records {
        for (width, cell) in widths.iter_mut().zip(cells(record)) {
            *width = cell.chars().count().max(*width);
        }
    }
    let names = columns.iter().map(|(name, _)| name.as_ref().to_owned()).collect();
    line(output, columns, &widths, names, |_| Some(color::HEADER))?;
    let each = |record| line(output, columns, &widths, cells(record), Style::of_word);
    records.iter().try_for_each(each)
}

fn line<N>(
    output: &mut (impl Write + ?Sized),
    columns: &[Column<N>],
    widths: &[usize],
    cells: Vec<String>,
    style: impl Fn(&str) -> Option<Style>,
) -> io::Result<()> {
    let mut text = String::new();
    for ((cell, width), (_, align)) in cells.into_iter().zip(widths).zip(columns) {
        let painted = style(&cell).map(|style| style.paint(&cell));
        let padding = " ".repeat(width.saturating_sub(cell.chars().count()));
        match align {
            Align::Left => text.extend([painted.unwrap_or(cell), padding]),
            Align::Right => text.extend([padding, painted.unwrap_or(cell)]),
        }
        text.push_str("  ");
    }
    writeln!(output, "{}", text.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_what_is_in_them() {
        let mut text = Vec::new();
        let records = [("a", "1234567"), ("ümläut", "")];
        write(&mut text, &[("name", Align::Left), ("bytes", Align::Right)], &records, |record| {
            vec![record.0.to_owned(), record.1.to_owned()]
        })
        .expect("a vector takes everything");
        let text = String::from_utf8(text).expect("it was text");
        assert_eq!(text, "name      bytes\na       1234567\nümläut\n");
    }
}
