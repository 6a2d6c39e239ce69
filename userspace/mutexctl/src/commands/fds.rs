// SPDX-License-Identifier: MIT OR Apache-2.0

//! `mutexctl fds`.

use std::io;
use std::io::Write;

use mutex_stats::Image;
use mutex_stats::Protocol;
use mutex_stats::Uid;
use mutex_stats::command_text;
use mutex_stats::formats;
use mutex_stats::formats::Section;

use super::list;
use super::list::Listed;
use crate::cli::ListFormat;
use crate::failure::Failure;
use crate::source::Source;
use crate::table;
use crate::table::Align::Left;
use crate::table::Align::Right;
use crate::table::Column;

pub fn run(source: &Source, format: ListFormat) -> Result<(), Failure> {
    let listed = Listed { sections: &[Section::Fds], csv: formats::Table::Fds, table };
    list::run(source, format, &listed)
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

fn table(output: &mut dyn Write, mut image: Image) -> io::Result<()> {
    image.fds.sort_unstable_by_key(|fd| fd.id);
    table::write(output, &COLUMNS, &image.fds, |fd| {
        let [p50, p99, retransmitted, drops, rate_in, rate_out] = list::quality(&fd.quality);
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
            drops,
            rate_in,
            rate_out,
            fd.netns.to_string(),
        ]
    })
}
