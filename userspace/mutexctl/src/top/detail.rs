// SPDX-License-Identifier: MIT OR Apache-2.0

//! The pane with everything that is known of a row, and its histogram of latency.

use mutex_stats::Alert;
use mutex_stats::Connection;
use mutex_stats::Fd;
use mutex_stats::Protocol;
use mutex_stats::Quality;
use mutex_stats::Traffic;
use mutex_stats::Uid;
use mutex_stats::alert_message;
use mutex_stats::command_text;
use mutex_stats::flag_names;
use mutex_stats::state_name;
use ratatui::style::Style;
use unicode_width::UnicodeWidthStr;

use super::draw::Canvas;
use super::history::sparkline;
use super::row::Row;
use super::state::State;
use super::theme::Role;
use super::unit::Unit;
use super::view::Column;
use crate::commands::endpoint;
use crate::histogram::Histogram;
use crate::human;

/// Lines that it takes at the most.
pub const LINES: u16 = 14;

/// Draws the details of the row that the cursor is on.
pub fn draw(canvas: &mut Canvas<'_>, state: &State) {
    let title = canvas.style(Role::Title);
    let rule = "─".repeat(usize::from(canvas.area.width));
    canvas.write(0, 0, &rule, Style::new());
    let Some(row) = state.row() else {
        canvas.write(2, 0, " nothing is chosen ", title);
        return;
    };
    canvas.write(2, 0, &format!(" {} ", name(&row, state)), title);
    let lines = lines(&row, state);
    let histogram = histogram(&row, state);
    // Beside each other if both have room.
    let is_wide = canvas.area.width >= 76 && !histogram.is_empty();
    let width = if is_wide { canvas.area.width - BARS - 2 } else { canvas.area.width };
    let height = canvas.area.height.saturating_sub(1);
    let wrapped: Vec<String> =
        lines.iter().flat_map(|line| wrap(line, usize::from(width))).collect();
    for (line, text) in (1..=height).zip(&wrapped) {
        canvas.write(0, line, text, Style::new());
    }
    if is_wide {
        draw_histogram(canvas, width + 2, 1, &histogram);
    } else if let Ok(used) = u16::try_from(wrapped.len()) {
        draw_histogram(canvas, 0, used + 1, &histogram);
    }
}

/// Columns of the histogram.
const BARS: u16 = 34;

fn draw_histogram(canvas: &mut Canvas<'_>, column: u16, line: u16, histogram: &Histogram) {
    let lines = usize::from(canvas.area.height.saturating_sub(line + 1));
    if histogram.is_empty() || lines == 0 {
        return;
    }
    let style = canvas.style(Role::Bars);
    let samples = format!("latency of {} samples", histogram.samples());
    canvas.write(column, line, &samples, Style::new());
    let bars = histogram.bars(lines);
    let most = bars.iter().map(|bar| bar.samples).max().unwrap_or(1).max(1);
    for (line, bar) in (line + 1..).zip(bars) {
        let from = format!("{:>8} ", human::short_duration(bar.from_ns));
        let at = canvas.write(column, line, &from, Style::new());
        // In eighths of a column.
        let eighths = (u128::from(bar.samples) * 12 * 8).div_ceil(u128::from(most));
        let blocks = usize::try_from(eighths / 8).unwrap_or(0);
        let last = usize::try_from(eighths % 8).ok().filter(|&part| part > 0);
        let mut text = "█".repeat(blocks);
        text.extend(last.and_then(|part| ['▏', '▎', '▍', '▌', '▋', '▊', '▉'].get(part - 1)));
        let at = canvas.write(at, line, &text, style);
        canvas.write(at, line, &format!(" {}", bar.samples), Style::new());
    }
}

/// The histogram of a row: that of a group is of all of its connections that are listed.
fn histogram(row: &Row<'_>, state: &State) -> Histogram {
    let State { sample, listing, .. } = state;
    let latency = &sample.image.latency;
    match row {
        Row::Connection(connection, _) => Histogram::of_connection(latency, connection.id),
        Row::Fd(fd) => Histogram::of_fd(latency, fd.id),
        Row::Process(group) | Row::Remote(group) => {
            Histogram::of_connections(latency, &listing.ids(sample, group))
        }
        Row::Alert(_) => Histogram::default(),
    }
}

fn name(row: &Row<'_>, state: &State) -> String {
    match row {
        Row::Connection(connection, _) => format!("connection {}", connection.id),
        Row::Fd(fd) => format!("fd {}", fd.id),
        Row::Process(_) => {
            let manner = state.manner();
            format!(
                "process {} {}",
                row.cell(Column::Pid, manner),
                row.cell(Column::Command, manner)
            )
        }
        Row::Remote(_) => format!("remote {}", row.cell(Column::Remote, state.manner())),
        Row::Alert(alert) => format!("alert {}", alert.number),
    }
}

/// What is known of a row, what is asked for most first: there may not be room for all.
fn lines(row: &Row<'_>, state: &State) -> Vec<String> {
    let unit = state.unit;
    match row {
        Row::Connection(connection, owner) => {
            let mut lines = connection_head(connection, *owner);
            lines.extend(rates(row, state));
            lines.extend(traffic([&connection.received, &connection.sent], unit));
            lines.extend(quality(&connection.quality, connection.discards, unit));
            let Connection { uid, cgroup, netns, .. } = **connection;
            lines.push(format!("uid {}, cgroup {cgroup}, netns {netns}", Uid(uid)));
            lines.push(times(connection.first_seen_ns, connection.closed_ns));
            lines
        }
        Row::Fd(fd) => {
            let mut lines = vec![process(fd)];
            lines.extend(rates(row, state));
            let (active, total) = (fd.active_connections, fd.total_connections);
            lines.push(format!("{active} connections, {total} in all"));
            lines.extend(traffic([&fd.received, &fd.sent], unit));
            lines.extend(quality(&fd.quality, fd.discards, unit));
            lines.push(format!("uid {}, cgroup {}, netns {}", Uid(fd.uid), fd.cgroup, fd.netns));
            lines.push(times(fd.first_seen_ns, fd.closed_ns));
            lines
        }
        Row::Process(group) | Row::Remote(group) => {
            let mut lines = vec![format!("{} connections", group.connections)];
            lines.extend(rates(row, state));
            lines.push(format!("received {} {}", unit.exact(group.received), unit.name()));
            lines.push(format!("sent     {} {}", unit.exact(group.sent), unit.name()));
            lines.push(format!("retransmitted {}, lost {}", group.retransmitted, group.losses));
            lines
        }
        Row::Alert(alert) => alert_lines(alert),
    }
}

fn rates(row: &Row<'_>, state: &State) -> Vec<String> {
    let Some(history) = state.histories.of(state.view, row.id()) else { return Vec::new() };
    let line = |name, rates: Vec<u64>| {
        let last = state.unit.short(rates.last().copied().unwrap_or(0));
        format!("{name} {last:>9}/s {}", sparkline(&rates, 24))
    };
    vec![line("in ", history.inward()), line("out", history.outward())]
}

fn connection_head(c: &Connection, owner: Option<&Fd>) -> Vec<String> {
    let local = endpoint(c, c.local_address, c.local_port);
    let remote = endpoint(c, c.remote_address, c.remote_port);
    let mut state = format!("{} {}", Protocol(c.protocol), state_name(c.state));
    for flag in flag_names(c.flags) {
        state = format!("{state}, {flag}");
    }
    let mut lines = vec![format!("{local} - {remote}"), state];
    lines.extend(owner.map(process));
    lines
}

fn times(first_seen_ns: u64, closed_ns: u64) -> String {
    let since = human::moment(first_seen_ns);
    match closed_ns {
        0 => format!("since {since}"),
        closed => format!("from {since} to {}", human::moment(closed)),
    }
}

fn alert_lines(alert: &Alert) -> Vec<String> {
    vec![human::moment_ms(alert.time_ns), alert_message(alert)]
}

fn process(fd: &Fd) -> String {
    let command = command_text(&fd.command).unwrap_or_else(|| "-".into());
    format!("{} {command}, pid {}, inode {}", Protocol(fd.protocol), fd.pid, fd.inode)
}

fn traffic(of: [&Traffic; 2], unit: Unit) -> [String; 2] {
    let [received, sent] = of.map(|Traffic { bytes, packets, .. }| {
        format!("{} {}, {packets} packets", unit.exact(*bytes), unit.name())
    });
    [format!("received {received}"), format!("sent     {sent}")]
}

fn quality(quality: &Quality, discards: u64, unit: Unit) -> Vec<String> {
    let mut lines = Vec::new();
    let latency = &quality.latency;
    if latency.samples > 0 {
        let short = human::short_duration;
        lines.push(format!(
            "latency p50 {} p95 {} p99 {}",
            short(latency.p50_ns),
            short(latency.p95_ns),
            short(latency.p99_ns)
        ));
        lines.push(format!(
            "last {} min {} max {}",
            short(latency.last_ns),
            short(latency.min_ns),
            short(latency.max_ns)
        ));
    }
    lines.push(format!(
        "retransmitted {}, lost {}, resets {}",
        quality.retransmitted_packets,
        quality.drops.saturating_sub(discards),
        quality.resets
    ));
    if discards > 0 {
        lines.push(format!("discarded {discards}"));
    }
    lines.push(format!(
        "errors: ICMP {}, checksum {}, connect {}",
        quality.icmp_errors, quality.checksum_errors, quality.failed_connects
    ));
    lines.push(format!(
        "peak in {}/s, out {}/s",
        unit.short(quality.peak_in),
        unit.short(quality.peak_out)
    ));
    lines
}

/// Lines of at most `width` columns, broken between words.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let length = lines.last().map_or(0, |line| line.width());
        if length > 0 && length + 1 + word.width() > width {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            // Spaces in a row are there on purpose.
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_broken_by_their_columns() {
        assert_eq!(wrap("ab cd ef", 5), ["ab cd", "ef"]);
        assert_eq!(wrap("漢字 漢字", 5), ["漢字", "漢字"]);
        assert_eq!(wrap("e\u{301}e\u{301} ab", 5), ["e\u{301}e\u{301} ab"]);
    }
}
