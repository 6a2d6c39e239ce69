// SPDX-License-Identifier: MIT OR Apache-2.0

//! `mutexctl connections`.

use std::io;
use std::io::Write;
use std::net::Ipv6Addr;

use mutex_stats::Address;
use mutex_stats::Block;
use mutex_stats::Connection;
use mutex_stats::Filter;
use mutex_stats::Filtered;
use mutex_stats::Header;
use mutex_stats::OwnedConnection;
use mutex_stats::Part;
use mutex_stats::Protocol;
use mutex_stats::Selection;
use mutex_stats::Uid;
use mutex_stats::command_text;
use mutex_stats::flag_names;
use mutex_stats::formats::RowNames;
use mutex_stats::has_ports;
use mutex_stats::state_name;

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

/// The connections.
pub struct Connections;

impl Listed for Connections {
    type Record = Connection;
    type Row = OwnedConnection;

    const FILTERED: Filtered = Filtered::Connections;
    const NAMES: RowNames = RowNames { list: "connections", one: "connection" };

    fn records(block: &Block<'_>) -> Option<impl Iterator<Item = Connection>> {
        match block.part() {
            Part::Connections(records) => Some(records),
            _ => None,
        }
    }

    fn is_wanted(filter: &Filter, record: &Connection) -> bool {
        filter.connection(record, None)
    }

    fn record(row: &OwnedConnection) -> &Connection {
        &row.connection
    }

    fn select(
        source: &Source,
        query: &Query<Self>,
    ) -> Result<(Header, Vec<OwnedConnection>), Failure> {
        let holders = list::holders(source);
        let mut selection = Selection::connections(query.filter.clone(), holders)
            .first(query.sort.as_ref(), query.top);
        let header = source.visit(&mut selection, Sink::Memory)?;
        Ok((header, selection.into_connections(query.sort.as_ref(), query.top)))
    }

    fn table(output: &mut dyn Write, rows: &[OwnedConnection]) -> io::Result<()> {
        table(output, rows)
    }
}

const COLUMNS: [Column; 18] = [
    ("id", Right),
    ("protocol", Left),
    ("state", Left),
    ("local", Left),
    ("remote", Left),
    ("sent_bytes", Right),
    ("received_bytes", Right),
    list::QUALITY[0],
    list::QUALITY[1],
    list::QUALITY[2],
    list::QUALITY[3],
    list::QUALITY[4],
    list::QUALITY[5],
    ("pid", Right),
    ("command", Left),
    ("uid", Right),
    ("netns", Right),
    ("flags", Left),
];

fn table(output: &mut dyn Write, rows: &[OwnedConnection]) -> io::Result<()> {
    table::write(output, &COLUMNS, rows, |row| {
        let (c, owner) = (&row.connection, row.owner.as_ref());
        let [p50, p99, retransmitted, losses, rate_in, rate_out] =
            list::quality(&c.quality, c.losses());
        let flags: Vec<_> = flag_names(c.flags).collect();
        vec![
            c.id.to_string(),
            Protocol(c.protocol).to_string(),
            state_name(c.state).to_owned(),
            endpoint(c, c.local_address, c.local_port),
            endpoint(c, c.remote_address, c.remote_port),
            c.sent.bytes.to_string(),
            c.received.bytes.to_string(),
            p50,
            p99,
            retransmitted,
            losses,
            rate_in,
            rate_out,
            list::known(owner.map_or(0, |owner| owner.pid)),
            list::text(owner.and_then(|owner| command_text(&owner.command))),
            Uid(c.uid).to_string(),
            c.netns.to_string(),
            list::text((!flags.is_empty()).then(|| flags.join(","))),
        ]
    })
}

/// One end of a connection: `192.0.2.1:80`, `[2001:db8::1]:80`, `fe80::1%2` where there are no
/// ports.
pub fn endpoint(connection: &Connection, address: [u8; 16], port: u16) -> String {
    let Connection { family, scope, protocol, .. } = *connection;
    let mut text = Address { family, address }.to_string();
    if scope != 0 && family == 6 && is_link_local(Ipv6Addr::from(address)) {
        text = format!("{text}%{scope}");
    }
    match (has_ports(protocol), family) {
        (false, _) => text,
        (true, 6) => format!("[{text}]:{port}"),
        (true, _) => format!("{text}:{port}"),
    }
}

/// Whether the address means something on one interface only.
fn is_link_local(address: Ipv6Addr) -> bool {
    let [first, ..] = address.octets();
    let multicast_on_link = first == 0xff && address.octets()[1] & 0xf == 2;
    address.is_unicast_link_local() || multicast_on_link
}
