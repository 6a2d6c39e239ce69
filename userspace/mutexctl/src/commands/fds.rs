// SPDX-License-Identifier: MIT OR Apache-2.0

//! `mutexctl fds`.

use std::io;
use std::io::Write;

use mutex_stats::Block;
use mutex_stats::Fd;
use mutex_stats::Filter;
use mutex_stats::Filtered;
use mutex_stats::Header;
use mutex_stats::HeldFd;
use mutex_stats::Part;
use mutex_stats::Protocol;
use mutex_stats::Selection;
use mutex_stats::Uid;
use mutex_stats::command_text;
use mutex_stats::formats::RowNames;

use super::list;
use super::list::Listed;
use super::list::Query;
use crate::failure::Failure;
use crate::source::Sink;
use crate::source::Source;
use crate::table;
use crate::table::Align::Left;
use crate::table::Align::Right;
use crate::table::Column;

/// The sockets.
pub struct Fds;

impl Listed for Fds {
    type Record = Fd;
    type Row = HeldFd;

    const FILTERED: Filtered = Filtered::Fds;
    const NAMES: RowNames = RowNames { list: "fds", one: "fd" };

    fn records(block: &Block<'_>) -> Option<impl Iterator<Item = Fd>> {
        match block.part() {
            Part::Fds(records) => Some(records),
            _ => None,
        }
    }

    fn is_wanted(filter: &Filter, record: &Fd) -> bool {
        filter.fd(record)
    }

    fn record(row: &HeldFd) -> &Fd {
        &row.fd
    }

    fn select(source: &Source, query: &Query<Self>) -> Result<(Header, Vec<HeldFd>), Failure> {
        let mut selection = Selection::fds(query.filter.clone(), list::holders(source));
        let header = source.visit(&mut selection, Sink::Memory)?;
        Ok((header, selection.into_fds(query.sort.as_ref(), query.top)))
    }

    fn table(output: &mut dyn Write, rows: &[HeldFd]) -> io::Result<()> {
        table(output, rows)
    }
}

const COLUMNS: [Column; 17] = [
    ("id", Right),
    ("protocol", Left),
    ("inode", Right),
    ("pid", Right),
    ("command", Left),
    ("uid", Right),
    ("active", Right),
    ("total", Right),
    ("sent_bytes", Right),
    ("received_bytes", Right),
    list::QUALITY[0],
    list::QUALITY[1],
    list::QUALITY[2],
    list::QUALITY[3],
    list::QUALITY[4],
    list::QUALITY[5],
    ("netns", Right),
];

fn table(output: &mut dyn Write, rows: &[HeldFd]) -> io::Result<()> {
    table::write(output, &COLUMNS, rows, |HeldFd { fd, .. }| {
        let [p50, p99, retransmitted, losses, rate_in, rate_out] =
            list::quality(&fd.quality, fd.losses());
        vec![
            fd.id.to_string(),
            Protocol(fd.protocol).to_string(),
            fd.inode.to_string(),
            list::known(fd.pid),
            list::text(command_text(&fd.command)),
            Uid(fd.uid).to_string(),
            fd.active_connections.to_string(),
            fd.total_connections.to_string(),
            fd.sent.bytes.to_string(),
            fd.received.bytes.to_string(),
            p50,
            p99,
            retransmitted,
            losses,
            rate_in,
            rate_out,
            fd.netns.to_string(),
        ]
    })
}
