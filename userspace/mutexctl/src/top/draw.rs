// SPDX-License-Identifier: MIT OR Apache-2.0

//! The screen: what is where.

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::Position;
use ratatui::layout::Rect;
use ratatui::style::Style;
use unicode_width::UnicodeWidthStr;

use super::detail;
use super::history::sparkline;
use super::input::HELP;
use super::rows;
use super::state::State;
use super::theme::Role;
use super::theme::Theme;
use super::totals;
use super::view::View;
use crate::human;

/// Less than this shows nothing of use.
const SMALLEST: (u16, u16) = (40, 10);

/// A part of the screen that lines are written to.
pub struct Canvas<'a> {
    pub buffer: &'a mut Buffer,
    pub area: Rect,
    pub theme: Theme,
}

impl Canvas<'_> {
    /// Writes to a line of the part; what has no room is left out. Returns where it ends.
    pub fn write(&mut self, column: u16, line: u16, text: &str, style: Style) -> u16 {
        let Rect { x, y, width, height } = self.area;
        if line >= height || column >= width {
            return column;
        }
        let room = usize::from(width - column);
        let (end, _) = self.buffer.set_stringn(x + column, y + line, text, room, style);
        end - x
    }

    /// Writes so that it ends with the part's last column.
    pub fn write_right(&mut self, line: u16, text: &str, style: Style) {
        let width = u16::try_from(text.width()).unwrap_or(u16::MAX);
        self.write(self.area.width.saturating_sub(width), line, text, style);
    }

    pub fn style(&self, role: Role) -> Style {
        self.theme.style(role)
    }

    /// A part of this one.
    pub fn part(&mut self, from: u16, height: u16) -> Canvas<'_> {
        let Rect { x, y, width, height: all } = self.area;
        let from = from.min(all);
        let area = Rect { x, y: y + from, width, height: height.min(all - from) };
        Canvas { buffer: self.buffer, area, theme: self.theme }
    }
}

/// Draws everything, and remembers how many rows there is room for.
pub fn draw(frame: &mut Frame<'_>, state: &mut State, theme: Theme) {
    let area = frame.area();
    let mut canvas = Canvas { buffer: frame.buffer_mut(), area, theme };
    if area.width < SMALLEST.0 || area.height < SMALLEST.1 {
        let text = format!("{}x{} is too small: q quits", area.width, area.height);
        canvas.write(0, 0, &text, Style::new());
        return;
    }
    head(&mut canvas, state);
    let mut top = 2 + filter(&mut canvas.part(2, 2), state);
    let cursor = state.look().filter.is_edited.then(|| {
        let column = FILTER.width() + state.look().filter.cursor_column();
        let column = u16::try_from(column).unwrap_or(u16::MAX);
        Position { x: area.x + column.min(area.width - 1), y: area.y + 2 }
    });
    let bottom = area.height - totals::LINES - 1;
    let mut end = bottom;
    if state.shows_detail {
        // Some rows stay above it.
        end -= (bottom - top).saturating_sub(5).min(detail::LINES);
    }
    // One line is for the names of the columns.
    state.page = usize::from((end - top).saturating_sub(1)).max(1);
    state.keep_in_sight();
    rows::draw(&mut canvas.part(top, end - top), state);
    top = end;
    if state.shows_detail {
        detail::draw(&mut canvas.part(top, bottom - top), state);
    }
    totals::draw(&mut canvas.part(bottom, totals::LINES), state);
    status(&mut canvas.part(area.height - 1, 1), state);
    if state.shows_help {
        help(&mut canvas);
    }
    if let Some(cursor) = cursor {
        frame.set_cursor_position(cursor);
    }
}

/// The host's rates, and the views.
fn head(canvas: &mut Canvas<'_>, state: &State) {
    let image = &state.sample.image;
    let (title, bars) = (canvas.style(Role::Title), canvas.style(Role::Bars));
    let (unit, host) = (state.unit, &state.histories.host);
    let mut at = canvas.write(0, 0, "in ", Style::new());
    for (rate, rates, next) in [
        (image.quality.rate_in, host.inward(), "  out "),
        (image.quality.rate_out, host.outward(), "  "),
    ] {
        let rate = format!("{:>9}/s ", unit.short(rate));
        at = canvas.write(at, 0, &rate, title);
        at = canvas.write(at, 0, &sparkline(&rates, 10), bars);
        at = canvas.write(at, 0, next, Style::new());
    }
    let right =
        format!("{} conns, {} fds", image.status.connections_active, image.status.fds_active);
    if usize::from(canvas.area.width.saturating_sub(at)) >= right.width() {
        canvas.write_right(0, &right, Style::new());
    }

    let mut at = 0;
    for (number, view) in (1..).zip(View::ALL) {
        let is_chosen = view == state.view;
        let style = canvas.style(if is_chosen { Role::Chosen } else { Role::Plain });
        let name = if is_chosen {
            format!("[{number} {}]", view.name())
        } else {
            format!(" {number} {} ", view.name())
        };
        at = canvas.write(at, 1, &name, style);
    }
    let order = state.look().order;
    let is_descending = order.column.is_quantity() != order.is_reversed;
    let arrow = if is_descending { '▼' } else { '▲' };
    let order = format!("by {} {arrow}", order.column.title());
    if usize::from(canvas.area.width.saturating_sub(at)) > order.width() {
        canvas.write_right(1, &order, Style::new());
    }
}

const FILTER: &str = "filter: ";

/// The filter, if there is one, and what is wrong with it. Returns the lines that it takes.
fn filter(canvas: &mut Canvas<'_>, state: &State) -> u16 {
    let line = &state.look().filter;
    if !line.is_edited && line.text.is_empty() {
        return 0;
    }
    let (title, bad) = (canvas.style(Role::Title), canvas.style(Role::Bad));
    let at = canvas.write(0, 0, FILTER, title);
    canvas.write(at, 0, &line.text, Style::new());
    let Some(error) = &line.error else { return 1 };
    canvas.write(0, 1, error, bad);
    2
}

/// The last line: what is wrong, or what can be done.
fn status(canvas: &mut Canvas<'_>, state: &State) {
    let (warning, bad) = (canvas.style(Role::Warning), canvas.style(Role::Bad));
    if let Some(trouble) = &state.trouble {
        canvas.write(0, 0, trouble, bad);
        return;
    }
    let mut at = 0;
    if state.is_paused {
        at = canvas.write(at, 0, "PAUSED ", warning);
    }
    match state.sample.is_balanced(&state.listing.sum) {
        Some(true) => {}
        Some(false) => at = canvas.write(at, 0, "NOT BALANCED: see `mutexctl audit`  ", bad),
        None => at = canvas.write(at, 0, "this namespace's connections only  ", warning),
    }
    if state.shows_closed {
        at = canvas.write(at, 0, "with closed ", warning);
    }
    let what = match state.recorded {
        Some((number, count)) => format!(
            "{} image {} of {count}  ",
            human::moment_ms(state.sample.image.header.time_ns),
            number + 1
        ),
        None if state.is_live => format!("every {:?}  ", state.interval),
        None => format!("{}  ", human::moment_ms(state.sample.image.header.time_ns)),
    };
    at = canvas.write(at, 0, &what, Style::new());
    let keys = "? help  / filter  Enter details  c closed  b bits  p pause  q quit";
    canvas.write(at, 0, keys, Style::new());
}

/// The keys, over everything else.
fn help(canvas: &mut Canvas<'_>) {
    let width = canvas.area.width.min(80);
    let lines = u16::try_from(HELP.len()).unwrap_or(u16::MAX) + 2;
    let height = canvas.area.height.min(lines);
    let area = Rect {
        x: canvas.area.x + (canvas.area.width - width) / 2,
        y: canvas.area.y + (canvas.area.height - height) / 2,
        width,
        height,
    };
    let title = canvas.style(Role::Title);
    let mut part = Canvas { buffer: canvas.buffer, area, theme: canvas.theme };
    let empty = " ".repeat(usize::from(width));
    (0..height).for_each(|line| {
        part.write(0, line, &empty, Style::reset());
    });
    let rule = "─".repeat(usize::from(width));
    part.write(0, 0, &rule, Style::new());
    part.write(2, 0, " keys: any key goes back ", title);
    for (line, (key, what)) in (1..).zip(HELP) {
        part.write(1, line, key, title);
        part.write(16, line, what, Style::new());
    }
    part.write(0, height - 1, &rule, Style::new());
}
