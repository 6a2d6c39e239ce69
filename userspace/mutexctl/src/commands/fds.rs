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

const COLUMNS: [Column; 13] = [
    ("id", Right),
    ("protocol", Left),
    ("inode", Right),
    ("pid", Right),
    ("command", Left),
    ("uid", Right),
    ("active", Right),
    ("total", Right),
    ("sent_packets", Right),
    ("sent_bytes", Right),
    ("received_packets", Right),
    ("received_bytes", Right),
    ("netns", Right),
];

fn table(output: &mut dyn Write, mut image: Image) -> io::Result<()> {
    image.fds.sort_unstable_by_key(|fd| fd.id);
    table::write(output, &COLUMNS, &image.fds, |fd| {
        let [sent_packets, sent_bytes] = list::counters(&fd.sent);
        let [received_packets, received_bytes] = list::counters(&fd.received);
        vec![
            fd.id.to_string(),
            Protocol(fd.protocol).to_string(),
            fd.inode.to_string(),
            list::known(fd.pid),
            list::text(command_text(&fd.command)),
            Uid(fd.uid).to_string(),
            fd.active_connections.to_string(),
            fd.total_connections.to_string(),
            sent_packets,
            sent_bytes,
            received_packets,
            received_bytes,
            fd.netns.to_string(),
        ]
    })
}
