// SPDX-License-Identifier: MIT OR Apache-2.0

//! The page: what is on it, in which order.

use mutex_stats::Alert;
use mutex_stats::Direction;
use mutex_stats::Dropped;
use mutex_stats::Filter;
use mutex_stats::Totals;
use mutex_stats::Traffic;
use mutex_stats::alert_kind_name;
use mutex_stats::alert_message;
use mutex_stats::drop_name;
use mutex_stats::severity_name;

use super::html::paragraph;
use super::html::section;
use super::html::table;
use super::html::tile;
use super::plot;
use super::plot::Bar;
use super::plot::Line;
use super::timeline::Timeline;
use crate::histogram::Histogram;
use crate::human;
use crate::table::Align;
use crate::table::Align::Left;
use crate::table::Align::Right;
use crate::top::Column;
use crate::top::Listing;
use crate::top::Manner;
use crate::top::Query;
use crate::top::Row;
use crate::top::Sample;
use crate::top::Unit;
use crate::top::View;

/// All of it. Nothing on it comes from elsewhere, and nothing runs.
pub fn page(sample: &Sample, timeline: Option<&Timeline>, top: usize) -> String {
    let image = &sample.image;
    let time = human::moment(image.header.time_ns);
    let mut html = format!(
        "<!DOCTYPE html>\n<html lang=\"en\" xmlns=\"http://www.w3.org/1999/xhtml\">\n<head>\n\
         <meta charset=\"utf-8\"/>\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n\
         <meta http-equiv=\"Content-Security-Policy\" \
         content=\"default-src 'none'; style-src 'unsafe-inline'\"/>\n\
         <title>MUTEX report of {time}</title>\n<style>\n{}</style>\n</head>\n<body>\n",
        include_str!("style.css")
    );
    let remotes = listing(sample, View::Remotes, Column::Received);
    html.extend([format!(
        "<header>\n<h1>MUTEX report</h1>\n{}",
        paragraph(&what(sample, timeline))
    )]);
    html += match sample.is_balanced(&remotes.sum) {
        Some(true) => "<p class=\"good\">The books balance: nothing is missing.</p>\n",
        Some(false) => "<p class=\"bad\">The books do NOT balance: see mutexctl audit.</p>\n",
        None => "<p class=\"bad\">This network namespace's connections only.</p>\n",
    };
    html += "</header>\n<main>\n";
    html += &tiles(sample);
    if let Some(timeline) = timeline {
        html += &section("Timeline", &over_time(timeline));
    }
    html += &section("Totals", &totals(sample, &remotes));
    for (heading, view) in [
        ("Processes", View::Processes),
        ("Remotes", View::Remotes),
        ("Connections", View::Connections),
    ] {
        let heading = format!("Top talkers: {}", heading.to_lowercase());
        html += &section(&heading, &talkers(sample, view, top));
    }
    html += &section("Latency", &latency(sample));
    html += &section("Retransmissions and losses", &trouble(sample, top));
    html += &section("Alerts", &alerts(&image.alerts, top));
    html += "</main>\n<footer>\n";
    html += &paragraph(
        "Bytes are IP bytes on the wire, all headers included; payload is what the transport \
         carried, retransmissions included. Counters are exact, sizes and times beside them rounded; \
         percentiles of latency are within 6 %. Rates are those of the last whole second.",
    );
    html + "</footer>\n</body>\n</html>\n"
}

fn what(sample: &Sample, timeline: Option<&Timeline>) -> String {
    let image = &sample.image;
    let now = human::moment(image.header.time_ns);
    let up = human::duration(image.status.uptime_ns);
    match timeline.and_then(|timeline| timeline.times.first()) {
        Some(&first) => format!("From {} to {now}; counted for {up}.", human::moment(first)),
        None => format!("Of {now}; counted for {up}."),
    }
}

fn tiles(sample: &Sample) -> String {
    let (image, total) = (&sample.image, &sample.image.totals_after);
    let (status, quality) = (&image.status, &image.quality);
    let rate = |rate| format!("{}/s now", human::size(rate));
    let latency = |ns| {
        if quality.latency.samples == 0 { "-".to_owned() } else { human::duration(ns) }
    };
    let forwarded = total.forwarded_sent.bytes.saturating_add(total.forwarded_received.bytes);
    let tiles = [
        tile("received", &human::size(total.received.bytes), &rate(quality.rate_in)),
        tile("sent", &human::size(total.sent.bytes), &rate(quality.rate_out)),
        tile("forwarded", &human::size(forwarded), "both ways"),
        tile(
            "connections",
            &status.connections_active.to_string(),
            &format!("{} opened", status.connections_total),
        ),
        tile("sockets", &status.fds_active.to_string(), &format!("{} seen", status.fds_total)),
        tile(
            "latency, median",
            &latency(quality.latency.p50_ns),
            &format!("p99 {}", latency(quality.latency.p99_ns)),
        ),
        tile(
            "retransmitted",
            &quality.retransmitted_packets.to_string(),
            &human::size(quality.retransmitted_bytes),
        ),
        tile(
            "lost",
            &quality.losses().to_string(),
            &format!("packets; {} discarded", quality.discards),
        ),
        tile(
            "alerts",
            &status.alerts_raised.to_string(),
            &format!("{} no longer kept", status.alerts_overwritten),
        ),
    ];
    format!("<div class=\"tiles\">\n{}</div>\n", tiles.concat())
}

fn over_time(timeline: &Timeline) -> String {
    let Timeline { times, received, sent, retransmitted, losses, .. } = timeline;
    let gaps = timeline.gaps();
    let (Some(&first), Some(&last)) = (times.first(), times.last()) else {
        return paragraph("There is one image only: nothing to compare it with.");
    };
    let (first, last) = (human::moment(first), human::moment(last));
    let line = |name, values: &[u64]| Line { name, values: values.to_vec() };
    let rates = [line("received", received), line("sent", sent)];
    let trouble = [line("retransmitted", retransmitted), line("lost", losses)];
    let rate = |rate| format!("{}/s", human::size(rate));
    let count = |packets| format!("{packets} packets between two moments");
    plot::lines("received and sent over time", times, &gaps, [&first, &last], &rates, rate)
        + &plot::lines("retransmitted and lost", times, &gaps, [&first, &last], &trouble, count)
}

fn totals(sample: &Sample, all: &Listing) -> String {
    const COLUMNS: [(&str, Align); 6] = [
        ("direction", Left),
        ("of", Left),
        ("packets", Right),
        ("buffers", Right),
        ("bytes", Right),
        ("payload", Right),
    ];
    let mut live = all.listed;
    live.add(&all.other);
    let parts: [(&str, &Totals); 4] = [
        ("connections", &live),
        ("closed", &sample.image.closed),
        ("untracked", &all.untracked),
        ("total", &all.sum),
    ];
    let mut rows = Vec::new();
    for (direction, (name, _)) in Direction::ALL.into_iter().zip(Totals::ZERO.fields()) {
        // Most hosts forward nothing.
        if name.starts_with("forwarded") && *all.sum.of(direction) == Traffic::ZERO {
            continue;
        }
        for (of, totals) in parts {
            let Traffic { packets, buffers, bytes, payload } = *totals.of(direction);
            let mut row = vec![name.replace('_', " "), of.to_owned()];
            row.extend([packets, buffers, bytes, payload].map(|number| number.to_string()));
            rows.push(row);
        }
    }
    table(&COLUMNS, &rows)
}

/// All rows of a view, closed ones included: the report is about what was moved.
fn listing(sample: &Sample, view: View, column: Column) -> Listing {
    let filter = Filter::default();
    let query = Query { view, filter, column, is_reversed: false, shows_closed: true };
    let mut listing = Listing::default();
    listing.arrange(sample, &query);
    listing
}

/// Who moved most, and all others, so that it adds up.
fn talkers(sample: &Sample, view: View, top: usize) -> String {
    let listing = listing(sample, view, Column::Traffic);
    let columns: &[Column] = match view {
        View::Connections => &[
            Column::Protocol,
            Column::Local,
            Column::Remote,
            Column::State,
            Column::Pid,
            Column::Command,
            Column::Received,
            Column::Sent,
            Column::P50,
            Column::Retransmitted,
            Column::Losses,
        ],
        View::Remotes => &[
            Column::Remote,
            Column::Connections,
            Column::Received,
            Column::Sent,
            Column::Latency,
            Column::Retransmitted,
            Column::Losses,
        ],
        _ => &[
            Column::Pid,
            Column::Command,
            Column::Connections,
            Column::Received,
            Column::Sent,
            Column::Latency,
            Column::Retransmitted,
            Column::Losses,
        ],
    };
    let manner = manner(sample);
    let shown: Vec<Row<'_>> =
        (0..top).map_while(|number| listing.row(sample, view, number)).collect();
    let cell = |row: &Row<'_>, column| match column {
        Column::Received | Column::Sent => {
            row.number(column).map_or_else(|| "-".to_owned(), |bytes| bytes.to_string())
        }
        _ => row.cell(column, manner),
    };
    let mut rows: Vec<Vec<String>> =
        shown.iter().map(|row| columns.iter().map(|&column| cell(row, column)).collect()).collect();
    if listing.len() > shown.len() {
        let sum = |column: Column, rows: &mut dyn Iterator<Item = Row<'_>>| {
            rows.filter_map(|row| row.number(column)).fold(0, u64::saturating_add)
        };
        let all = || (shown.len()..listing.len()).filter_map(|n| listing.row(sample, view, n));
        let other = columns.iter().enumerate().map(|(position, &column)| match column {
            _ if position == 0 => format!("{} others", listing.len() - shown.len()),
            Column::Received | Column::Sent | Column::Connections => {
                sum(column, &mut all()).to_string()
            }
            Column::Retransmitted | Column::Losses => sum(column, &mut all()).to_string(),
            _ => String::new(),
        });
        rows.push(other.collect());
    }
    let bars: Vec<Bar> = shown
        .iter()
        .take(10)
        .map(|row| {
            let value = row.number(Column::Traffic).unwrap_or(0);
            Bar { name: name(row, manner), value, label: human::size(value) }
        })
        .collect();
    let named: Vec<_> = columns.iter().map(|column| (column.title(), column.align())).collect();
    let plot = plot::bars("bytes received and sent", &bars);
    if rows.is_empty() { paragraph("Nobody.") } else { plot + &table(&named, &rows) }
}

fn name(row: &Row<'_>, manner: Manner) -> String {
    match row {
        Row::Process(_) => {
            let [command, pid] = [Column::Command, Column::Pid].map(|c| row.cell(c, manner));
            if pid == "-" { "unknown".into() } else { format!("{command} ({pid})") }
        }
        _ => row.cell(Column::Remote, manner),
    }
}

fn manner(sample: &Sample) -> Manner {
    Manner { unit: Unit::Bytes, now_ns: sample.image.header.time_ns }
}

fn latency(sample: &Sample) -> String {
    let histogram = Histogram::of_host(&sample.image.latency);
    let latency = &sample.image.quality.latency;
    if latency.samples == 0 {
        return paragraph("No sample yet.");
    }
    let of = human::duration;
    let percentiles = paragraph(&format!(
        "{} samples of the whole host: minimum {}, p50 {}, p95 {}, p99 {}, maximum {}.",
        latency.samples,
        of(latency.min_ns),
        of(latency.p50_ns),
        of(latency.p95_ns),
        of(latency.p99_ns),
        of(latency.max_ns)
    ));
    let bars = histogram.bars(30).into_iter().map(|bar| Bar {
        name: format!("from {}", human::duration(bar.from_ns)),
        value: bar.samples,
        label: bar.samples.to_string(),
    });
    let bars: Vec<Bar> = bars.collect();
    percentiles + &plot::bars("distribution of latency", &bars)
}

fn trouble(sample: &Sample, top: usize) -> String {
    let view = View::Connections;
    let listing = listing(sample, view, Column::Retransmitted);
    let columns = [
        Column::Remote,
        Column::Local,
        Column::Command,
        Column::Retransmitted,
        Column::Losses,
        Column::P99,
    ];
    let manner = manner(sample);
    let rows: Vec<Vec<String>> = (0..listing.len())
        .map_while(|number| listing.row(sample, view, number))
        .take_while(|row| row.number(Column::Retransmitted).is_some_and(|number| number > 0))
        .take(top)
        .map(|row| columns.map(|column| row.cell(column, manner)).to_vec())
        .collect();
    let mut html = if rows.is_empty() {
        paragraph("No connection that is listed has sent anything again.")
    } else {
        table(&columns.map(|column| (column.title(), column.align())), &rows)
    };
    let losses = by_reason(&sample.image.drops, Dropped::losses);
    html += &if losses.is_empty() {
        paragraph("No packet was lost.")
    } else {
        plot::bars("packets lost, by the kernel's reason", &losses)
    };
    let discards = by_reason(&sample.image.drops, |dropped| dropped.discards);
    if !discards.is_empty() {
        html += &plot::bars("packets discarded that no receiver misses", &discards);
    }
    html
}

/// The kernel's reasons for drops, the one with the most packets first.
fn by_reason(drops: &[Dropped], packets: fn(&Dropped) -> u64) -> Vec<Bar> {
    let bar = |dropped: &Dropped| Bar {
        name: drop_name(dropped).unwrap_or_else(|| format!("reason {}", dropped.reason)),
        value: packets(dropped),
        label: packets(dropped).to_string(),
    };
    let mut bars: Vec<Bar> = drops.iter().map(bar).filter(|bar| bar.value > 0).collect();
    bars.sort_by_key(|bar| std::cmp::Reverse(bar.value));
    bars
}

fn alerts(alerts: &[Alert], top: usize) -> String {
    const COLUMNS: [(&str, Align); 5] =
        [("number", Right), ("time", Left), ("severity", Left), ("kind", Left), ("what", Left)];

    if alerts.is_empty() {
        return paragraph("None.");
    }
    let row = |alert: &Alert| {
        vec![
            alert.number.to_string(),
            human::moment(alert.time_ns),
            severity_name(alert.severity).to_owned(),
            alert_kind_name(alert.kind).to_owned(),
            alert_message(alert),
        ]
    };
    let rows: Vec<_> = alerts.iter().rev().take(top).map(row).collect();
    let all =
        paragraph(&format!("{} of {} that are kept, the newest first.", rows.len(), alerts.len()));
    all + &table(&COLUMNS, &rows)
}
