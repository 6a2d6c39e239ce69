// SPDX-License-Identifier: MIT OR Apache-2.0

//! The totals: the rows, what is not among them, and that nothing is missing.

use mutex_stats::Totals;
use ratatui::style::Style;
use unicode_width::UnicodeWidthStr;

use super::draw::Canvas;
use super::state::State;
use super::theme::Role;
use super::unit::Unit;

/// Lines that they take.
pub const LINES: u16 = 4;

/// Columns of a number.
const WIDTH: usize = 14;

/// Draws a line a direction: the parts, and what they are together.
pub fn draw(canvas: &mut Canvas<'_>, state: &State) {
    let listing = &state.listing;
    let is_balanced = state.sample.is_balanced(&listing.sum);
    let total = match is_balanced {
        Some(true) => "total = host",
        Some(false) => "total ≠ host",
        None => "total",
    };
    let parts: [(&str, &Totals); 5] = [
        ("listed", &listing.listed),
        ("other", &listing.other),
        ("closed", &state.sample.image.closed),
        ("untracked", &listing.untracked),
        (total, &listing.sum),
    ];
    let title = canvas.style(Role::Title);
    let width = usize::from(canvas.area.width).saturating_sub(10) / parts.len();
    let width = width.min(2 * WIDTH);
    let names = parts.map(|(name, _)| format!("{name:>width$}"));
    canvas.write(0, 0, &format!("{:<10}{}", state.unit.name(), names.concat()), title);
    let forwarded = |totals: &Totals| {
        totals.forwarded_sent.bytes.saturating_add(totals.forwarded_received.bytes)
    };
    let lines = [
        ("received", parts.map(|(_, totals)| totals.received.bytes)),
        ("sent", parts.map(|(_, totals)| totals.sent.bytes)),
        ("forwarded", parts.map(|(_, totals)| forwarded(totals))),
    ];
    for (line, (name, numbers)) in (1..).zip(lines) {
        let cells = cells(numbers, state.unit, width);
        canvas.write(0, line, &format!("{name:<10}{}", cells.concat()), Style::new());
    }
    let end = 10 + width * parts.len();
    if let (Some(at), Some(is_balanced)) = (end.checked_sub(total.width()), is_balanced) {
        let style = canvas.style(if is_balanced { Role::Good } else { Role::Bad });
        canvas.write(u16::try_from(at).unwrap_or(u16::MAX), 0, total, style);
    }
}

/// Exact numbers, so that who adds them up gets the last one; if one has no room, all are rounded.
fn cells(numbers: [u64; 5], unit: Unit, width: usize) -> [String; 5] {
    let exact = numbers.map(|number| unit.exact(number));
    let has_room = exact.iter().all(|cell| cell.len() < width);
    let cells = if has_room { exact } else { numbers.map(|number| unit.short(number)) };
    cells.map(|cell| format!("{cell:>width$}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_exact_while_there_is_room() {
        let numbers = [1, 20, 300, 4_000, 4_321];
        assert_eq!(cells(numbers, Unit::Bytes, 6).concat(), "     1    20   300  4000  4321");
        let numbers = [1, 0, 0, 1 << 40, (1 << 40) + 1];
        assert_eq!(
            cells(numbers, Unit::Bytes, 10).concat(),
            "        1B        0B        0B    1.0TiB    1.0TiB"
        );
    }
}
