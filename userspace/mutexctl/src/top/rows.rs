// SPDX-License-Identifier: MIT OR Apache-2.0

//! The table: as many columns as there is room for.

use ratatui::style::Style;
use unicode_width::UnicodeWidthStr;

use super::draw::Canvas;
use super::history::History;
use super::history::sparkline;
use super::row::Row;
use super::state::State;
use super::theme::Role;
use super::view::Column;
use crate::table::Align;
use crate::table::cut;

/// The columns for which `width` suffices, from left to right, each with its own.
///
/// `needed` says how wide what is in a flexible column is.
fn fit(columns: &[Column], width: usize, needed: impl Fn(Column) -> usize) -> Vec<(Column, usize)> {
    let mut ranked: Vec<_> = columns.iter().copied().enumerate().collect();
    ranked.sort_by_key(|&(position, column)| (column.rank(), position));
    let mut left = width + 1;
    let mut chosen = Vec::new();
    for (position, column) in ranked {
        let Some(rest) = left.checked_sub(column.width() + 1) else { break };
        left = rest;
        chosen.push((position, column, column.width()));
    }
    chosen.sort_by_key(|&(position, ..)| position);
    for (_, column, width) in chosen.iter_mut().filter(|(_, column, _)| column.is_flexible()) {
        let more = needed(*column).saturating_sub(*width).min(left);
        *width += more;
        left -= more;
    }
    chosen.into_iter().map(|(_, column, width)| (column, width)).collect()
}

/// Draws the names of the columns and the rows.
pub fn draw(canvas: &mut Canvas<'_>, state: &State) {
    let first = state.look().top;
    let rows: Vec<Row<'_>> = (first..first + state.page)
        .map_while(|number| state.listing.row(&state.sample, state.view, number))
        .collect();
    let manner = state.manner();
    let needed =
        |column: Column| rows.iter().map(|row| row.cell(column, manner).width()).max().unwrap_or(0);
    let columns = fit(state.view.columns(), usize::from(canvas.area.width), needed);
    names(canvas, state, &columns);
    for (line, row) in (1..).zip(&rows) {
        let is_cursor = usize::from(line) - 1 + first == state.look().cursor;
        draw_row(canvas, state, line, row, &columns, is_cursor);
    }
    if rows.is_empty() {
        let what = match (state.look().filter.filter.is_empty(), state.listing.len()) {
            (false, _) => "nothing fits the filter",
            _ => "nothing yet",
        };
        canvas.write(0, 1, what, Style::new());
    }
}

fn names(canvas: &mut Canvas<'_>, state: &State, columns: &[(Column, usize)]) {
    let mut at = 0;
    for &(column, width) in columns {
        let is_chosen = column == state.look().order.column;
        let style = canvas.style(if is_chosen { Role::Chosen } else { Role::Title });
        let title = padded(column.title(), width, column.align());
        canvas.write(at, 0, &title, style);
        at += u16::try_from(width + 1).unwrap_or(u16::MAX);
    }
}

fn draw_row(
    canvas: &mut Canvas<'_>,
    state: &State,
    line: u16,
    row: &Row<'_>,
    columns: &[(Column, usize)],
    is_cursor: bool,
) {
    let is_over = match row {
        Row::Connection(connection, _) => connection.closed_ns != 0,
        Row::Fd(fd) => fd.closed_ns != 0,
        _ => false,
    };
    let base = canvas.style(match (is_cursor, is_over) {
        (true, _) => Role::Cursor,
        (false, true) => Role::Over,
        (false, false) => Role::Plain,
    });
    let mut at = 0;
    for &(column, width) in columns {
        let (text, style) = match column {
            Column::Trend => {
                let history = state.histories.of(state.view, row.id());
                let bars = sparkline(&history.map(History::both).unwrap_or_default(), width);
                (bars, if is_cursor { base } else { canvas.style(Role::Bars) })
            }
            Column::Severity => {
                let word = row.cell(column, state.manner());
                let style = canvas.theme.severity(&word);
                (word, if is_cursor { base } else { style })
            }
            _ => (row.cell(column, state.manner()), base),
        };
        // The space after it belongs to it, so that the cursor is one bar.
        let text = padded(&cut(&text, width), width, column.align()) + " ";
        canvas.write(at, line, &text, style);
        at += u16::try_from(width + 1).unwrap_or(u16::MAX);
    }
    if is_cursor {
        let rest = " ".repeat(usize::from(canvas.area.width.saturating_sub(at)));
        canvas.write(at, line, &rest, base);
    }
}

fn padded(text: &str, width: usize, align: Align) -> String {
    let padding = " ".repeat(width.saturating_sub(text.width()));
    match align {
        Align::Left => format!("{text}{padding}"),
        Align::Right => format!("{padding}{text}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::top::view::View;

    #[test]
    fn columns_have_the_room_that_there_is() {
        for view in View::ALL {
            for width in 40..300 {
                for needed in [0, 20, 60] {
                    let columns = fit(view.columns(), width, |_| needed);
                    let sum: usize = columns.iter().map(|(_, width)| width + 1).sum();
                    assert!(sum <= width + 1 && !columns.is_empty(), "{view:?} {width}");
                    assert!(columns.iter().all(|(column, width)| *width >= column.width()));
                }
            }
            assert_eq!(fit(view.columns(), 500, |_| 0).len(), view.columns().len());
        }
    }

    #[test]
    fn padding_is_in_columns() {
        assert_eq!(padded("漢", 4, Align::Right), "  漢");
    }
}
