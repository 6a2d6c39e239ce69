// SPDX-License-Identifier: MIT OR Apache-2.0

//! `mutexctl diff`.

use std::cmp::Reverse;
use std::path::Path;

use anyhow::anyhow;
use mutex_stats::Address;
use mutex_stats::Cell;
use mutex_stats::Diff;
use mutex_stats::Direction;
use mutex_stats::Filter;
use mutex_stats::Filtered;
use mutex_stats::Image;
use mutex_stats::Protocol;
use mutex_stats::Totals;
use mutex_stats::Traffic;
use mutex_stats::formats::RowNames;

use crate::cells::Cells;
use crate::cli::DiffArgs;
use crate::failure::Failure;
use crate::source::Sink;
use crate::source::Source;
use crate::target::Target;

const COLUMNS: [&str; 16] = [
    "of",
    "id",
    "protocol",
    "local_address",
    "local_port",
    "remote_address",
    "remote_port",
    "sent_packets",
    "sent_bytes",
    "received_packets",
    "received_bytes",
    "retransmitted_packets",
    "drops",
    "sent_bytes_per_second",
    "received_bytes_per_second",
    "losses",
];

pub fn run(proc: &Path, args: &DiffArgs) -> Result<(), Failure> {
    let filter = Filter::parse(&args.filter.join(" "), Filtered::Connections);
    let filter = filter.map_err(Failure::usage)?;
    if filter.asks_for_owner() {
        return Err(Failure::Usage("diff has no owners to filter by".into()));
    }
    let before = Source::new(proc, Some(&args.before)).at(args.at)?;
    let after = Source::new(proc, args.after.as_deref()).at(args.to)?;
    let read = |source: &Source| {
        let mut image = Image { untracked: Vec::new(), ..Image::default() };
        source.visit(&mut image, Sink::Memory).map(|_| image)
    };
    let diff = Diff::between(&read(&before)?, &read(&after)?).map_err(|error| anyhow!(error))?;
    let mut rows = changes(&diff, &filter, args.top);
    if filter.is_empty() {
        for (of, totals) in
            [("closed", &diff.closed), ("untracked", &diff.untracked), ("total", &diff.totals)]
        {
            rows.extend(totals_rows(&diff, of, totals));
        }
    }
    let cells = Cells {
        names: RowNames { list: "changes", one: "change" },
        columns: COLUMNS.map(String::from).to_vec(),
        rows,
    };
    cells.write(args.format, &Target::new(args.output.output.as_deref()))
}

/// Connections that have moved something, the one with the most bytes first.
fn changes(diff: &Diff, filter: &Filter, top: Option<usize>) -> Vec<Vec<Cell>> {
    let mut changes: Vec<_> = diff
        .connections
        .iter()
        .filter(|change| {
            let has_moved = change.sent != Traffic::ZERO || change.received != Traffic::ZERO;
            (has_moved || change.is_new || change.drops > 0)
                && filter.connection(&change.connection, None)
        })
        .collect();
    changes.sort_by_key(|change| {
        let bytes = change.sent.bytes.saturating_add(change.received.bytes);
        (Reverse(bytes), change.connection.id)
    });
    changes.truncate(top.unwrap_or(usize::MAX));
    let row = |change: &&mutex_stats::Change| {
        let c = &change.connection;
        let address = |address| Address { family: c.family, address }.to_string();
        let mut cells = vec![
            Cell::Text(if change.is_new { "new" } else { "connection" }.into()),
            Cell::Integer(c.id),
            Cell::Text(Protocol(c.protocol).to_string()),
            Cell::Text(address(c.local_address)),
            Cell::Integer(c.local_port.into()),
            Cell::Text(address(c.remote_address)),
            Cell::Integer(c.remote_port.into()),
        ];
        cells.extend(traffic(&change.sent, &change.received));
        cells.extend([change.retransmitted_packets, change.drops].map(Cell::Integer));
        cells.extend(rates(diff, &change.sent, &change.received));
        cells.push(Cell::Integer(change.losses));
        cells
    };
    changes.iter().map(row).collect()
}

/// A row for the host's own traffic and, if there was any, one for what it forwarded.
fn totals_rows(diff: &Diff, of: &str, totals: &Totals) -> Vec<Vec<Cell>> {
    let row = |of: String, sent, received| {
        let (sent, received) = (totals.of(sent), totals.of(received));
        let mut cells = vec![Cell::Text(of)];
        cells.resize(7, Cell::Unknown);
        cells.extend(traffic(sent, received));
        cells.resize(13, Cell::Unknown);
        cells.extend(rates(diff, sent, received));
        cells.push(Cell::Unknown);
        cells
    };
    let mut rows = vec![row(of.into(), Direction::Sent, Direction::Received)];
    let forwarded = [Direction::ForwardedSent, Direction::ForwardedReceived];
    if forwarded.iter().any(|&direction| *totals.of(direction) != Traffic::ZERO) {
        let [sent, received] = forwarded;
        rows.push(row(format!("{of} forwarded"), sent, received));
    }
    rows
}

fn traffic(sent: &Traffic, received: &Traffic) -> [Cell; 4] {
    [sent.packets, sent.bytes, received.packets, received.bytes].map(Cell::Integer)
}

fn rates(diff: &Diff, sent: &Traffic, received: &Traffic) -> [Cell; 2] {
    [sent.bytes, received.bytes].map(|bytes| Cell::Integer(diff.rate(bytes)))
}
