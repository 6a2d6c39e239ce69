// SPDX-License-Identifier: MIT OR Apache-2.0

//! Tables for people: columns as wide as what is in them, in columns of the terminal. Nothing is ever
//! cut off.

use std::io;
use std::io::Write;

use mutex_stats::printable;
use unicode_width::UnicodeWidthStr;

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
    let names: Vec<String> =
        columns.iter().map(|(name, _)| printable(name.as_ref()).into_owned()).collect();
    let mut widths: Vec<usize> = names.iter().map(|name| name.width()).collect();
    for record in records {
        for (width, cell) in widths.iter_mut().zip(cells(record)) {
            *width = printable(&cell).width().max(*width);
        }
    }
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
        let cell = printable(&cell);
        let padding = " ".repeat(width.saturating_sub(cell.width()));
        let painted = style(&cell).map(|style| style.paint(&cell));
        let shown = painted.as_deref().unwrap_or(&cell);
        match align {
            Align::Left => text.extend([shown, &padding]),
            Align::Right => text.extend([&padding, shown]),
        }
        text.push_str("  ");
    }
    writeln!(output, "{}", text.trim_end())
}

/// The text, or as much of it as fits into so many columns, and a sign that there is more.
pub fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut cut = String::new();
    for character in text.chars() {
        let next = format!("{cut}{character}");
        if next.width() >= width {
            break;
        }
        cut = next;
    }
    cut + "…"
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

    #[test]
    fn what_is_too_long_says_so() {
        assert_eq!(cut("192.0.2.1", 9), "192.0.2.1");
        assert_eq!(cut("192.0.2.1", 8), "192.0.2…");
        assert_eq!(cut("漢字漢字", 6), "漢字…");
    }

    fn shown(names: &[&str]) -> String {
        let mut text = Vec::new();
        write(&mut text, &[("name", Align::Left), ("n", Align::Right)], names, |name| {
            vec![(*name).to_owned(), "1".to_owned()]
        })
        .expect("a vector takes everything");
        String::from_utf8(text).expect("it was text")
    }

    #[test]
    fn widths_are_those_of_a_terminal() {
        // A wide character takes two columns, a combining mark none.
        assert_eq!(
            shown(&["漢字サーバ", "cafe\u{301}", "plain"]),
            "name        n\n漢字サーバ  1\ncafe\u{301}        1\nplain       1\n"
        );
    }

    #[test]
    fn what_is_invisible_is_escaped_and_has_its_width() {
        assert_eq!(
            shown(&["\u{202e}a\u{200b}", "b"]),
            "name               n\n\\u{202e}a\\u{200b}  1\nb                  1\n"
        );
    }
}
