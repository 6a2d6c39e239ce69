// SPDX-License-Identifier: MIT OR Apache-2.0

//! A row: what stands in its columns, and where it belongs in their order.

use mutex_stats::Address;
use mutex_stats::Alert;
use mutex_stats::Connection;
use mutex_stats::Fd;
use mutex_stats::Latency;
use mutex_stats::Protocol;
use mutex_stats::Quality;
use mutex_stats::Uid;
use mutex_stats::alert_kind_name;
use mutex_stats::command_text;
use mutex_stats::severity_name;
use mutex_stats::state_name;

use super::listing::Group;
use super::unit::Unit;
use super::view::Column;
use crate::commands::endpoint;
use crate::commands::quantity;
use crate::commands::subject;
use crate::human;

/// A row of one of the views.
#[derive(Clone, Copy)]
pub enum Row<'a> {
    Connection(&'a Connection, Option<&'a Fd>),
    Fd(&'a Fd),
    Process(&'a Group),
    Remote(&'a Group),
    Alert(&'a Alert),
}

/// What is needed to write a cell besides its row.
#[derive(Clone, Copy)]
pub struct Manner {
    pub unit: Unit,
    /// The image's, in nanoseconds of Unix time.
    pub now_ns: u64,
}

impl Row<'_> {
    /// What it is known by in its view, from one image to the next.
    pub fn id(&self) -> u128 {
        match self {
            Row::Connection(connection, _) => connection.id.into(),
            Row::Fd(fd) => fd.id.into(),
            Row::Process(group) | Row::Remote(group) => group.id,
            Row::Alert(alert) => alert.number.into(),
        }
    }

    fn quality(&self) -> Option<&Quality> {
        match self {
            Row::Connection(connection, _) => Some(&connection.quality),
            Row::Fd(fd) => Some(&fd.quality),
            _ => None,
        }
    }

    /// Bytes a second in and out, where it has them.
    pub fn rates(&self) -> Option<[u64; 2]> {
        match self {
            Row::Process(group) | Row::Remote(group) => Some([group.rate_in, group.rate_out]),
            _ => self.quality().map(|quality| [quality.rate_in, quality.rate_out]),
        }
    }

    fn command(&self) -> &[u8] {
        match self {
            Row::Connection(_, owner) => owner.map_or(&[], |fd| &fd.command),
            Row::Fd(fd) => &fd.command,
            Row::Process(group) | Row::Remote(group) => &group.command,
            Row::Alert(alert) => &alert.command,
        }
    }

    fn uid(&self) -> u32 {
        match self {
            Row::Connection(connection, _) => connection.uid,
            Row::Fd(fd) => fd.uid,
            Row::Process(group) | Row::Remote(group) => group.uid,
            Row::Alert(_) => u32::MAX,
        }
    }

    /// The number in a column that holds one.
    pub fn number(&self, column: Column) -> Option<u64> {
        let latency = |of: fn(&Latency) -> u64| {
            let latency = &self.quality()?.latency;
            (latency.samples > 0).then(|| of(latency))
        };
        let known = |pid: u32| (pid != 0).then_some(u64::from(pid));
        match (column, *self) {
            (Column::RateIn, _) => self.rates().map(|[rate, _]| rate),
            (Column::RateOut, _) => self.rates().map(|[_, rate]| rate),
            (Column::Received, Row::Connection(connection, _)) => Some(connection.received.bytes),
            (Column::Received, Row::Fd(fd)) => Some(fd.received.bytes),
            (Column::Received, Row::Process(group) | Row::Remote(group)) => Some(group.received),
            (Column::Sent, Row::Connection(connection, _)) => Some(connection.sent.bytes),
            (Column::Sent, Row::Fd(fd)) => Some(fd.sent.bytes),
            (Column::Sent, Row::Process(group) | Row::Remote(group)) => Some(group.sent),
            (Column::Traffic, _) => {
                let received = self.number(Column::Received)?;
                Some(received.saturating_add(self.number(Column::Sent)?))
            }
            (Column::P50, _) => latency(|latency| latency.p50_ns),
            (Column::P99, _) => latency(|latency| latency.p99_ns),
            (Column::Latency, Row::Process(group) | Row::Remote(group)) => group.latency_ns(),
            (Column::Retransmitted, Row::Process(group) | Row::Remote(group)) => {
                Some(group.retransmitted)
            }
            (Column::Retransmitted, _) => {
                self.quality().map(|quality| quality.retransmitted_packets)
            }
            (Column::Losses, Row::Process(group) | Row::Remote(group)) => Some(group.losses),
            (Column::Losses, Row::Connection(connection, _)) => Some(connection.losses()),
            (Column::Losses, Row::Fd(fd)) => Some(fd.losses()),
            (Column::Pid, Row::Connection(_, owner)) => known(owner.map_or(0, |fd| fd.pid)),
            (Column::Pid, Row::Fd(fd)) => known(fd.pid),
            (Column::Pid, Row::Process(group)) => u64::try_from(group.id).ok().filter(|&p| p != 0),
            (Column::Pid, Row::Alert(alert)) => known(alert.pid),
            (Column::Inode, Row::Fd(fd)) => Some(fd.inode),
            (Column::Active, Row::Fd(fd)) => Some(fd.active_connections),
            (Column::Total, Row::Fd(fd)) => Some(fd.total_connections),
            (Column::Connections, Row::Process(group) | Row::Remote(group)) => {
                Some(group.connections)
            }
            (Column::Number, Row::Alert(alert)) => Some(alert.number),
            (Column::Value, Row::Alert(alert)) => Some(alert.value),
            (Column::Threshold, Row::Alert(alert)) => Some(alert.threshold),
            _ => None,
        }
    }

    /// When it began, in nanoseconds of Unix time.
    fn began_ns(&self) -> Option<u64> {
        match self {
            Row::Connection(connection, _) => Some(connection.first_seen_ns),
            Row::Fd(fd) => Some(fd.first_seen_ns),
            Row::Alert(alert) => Some(alert.time_ns),
            _ => None,
        }
    }

    /// Where it belongs in the order of a column, from the smallest on.
    pub fn key(&self, column: Column) -> u128 {
        match (column, *self) {
            (Column::Command, _) => {
                let mut command = [0; 16];
                command.iter_mut().zip(self.command()).for_each(|(to, from)| *to = *from);
                u128::from_be_bytes(command)
            }
            (Column::Uid, _) => self.uid().into(),
            (Column::Protocol, Row::Connection(connection, _)) => connection.protocol.into(),
            (Column::Protocol, Row::Fd(fd)) => fd.protocol.into(),
            (Column::State, Row::Connection(connection, _)) => connection.state.into(),
            (Column::Local, Row::Connection(connection, _)) => {
                u128::from_be_bytes(connection.local_address)
            }
            (Column::Remote, Row::Connection(connection, _)) => {
                u128::from_be_bytes(connection.remote_address)
            }
            (Column::Remote, Row::Remote(group)) => group.id,
            // The oldest have the largest age.
            (Column::Age, _) => u128::from(u64::MAX - self.began_ns().unwrap_or(u64::MAX)),
            (Column::Severity, Row::Alert(alert)) => alert.severity.into(),
            (Column::Kind, Row::Alert(alert)) => alert.kind.into(),
            (Column::Subject, Row::Alert(alert)) => {
                (u128::from(alert.scope) << 64) | u128::from(alert.subject)
            }
            // What is unknown comes last where the largest come first.
            _ => self.number(column).map_or(0, |number| u128::from(number) + 1),
        }
    }

    /// What stands in a column.
    pub fn cell(&self, column: Column, manner: Manner) -> String {
        let text = match (column, *self) {
            (Column::Protocol, Row::Connection(connection, _)) => {
                Some(Protocol(connection.protocol).to_string())
            }
            (Column::Protocol, Row::Fd(fd)) => Some(Protocol(fd.protocol).to_string()),
            (Column::State, Row::Connection(connection, _)) if connection.closed_ns != 0 => {
                Some("closed".into())
            }
            (Column::State, Row::Connection(connection, _)) => {
                Some(state_name(connection.state).into())
            }
            (Column::Local, Row::Connection(connection, _)) => {
                Some(endpoint(connection, connection.local_address, connection.local_port))
            }
            (Column::Remote, Row::Connection(connection, _)) => {
                Some(endpoint(connection, connection.remote_address, connection.remote_port))
            }
            (Column::Remote, Row::Remote(group)) => {
                let address = group.id.to_be_bytes();
                Some(Address { family: group.family, address }.to_string())
            }
            (Column::Command, _) => command_text(self.command()),
            (Column::Uid, _) => Some(Uid(self.uid()).to_string()),
            (Column::Severity, Row::Alert(alert)) => Some(severity_name(alert.severity).into()),
            (Column::Kind, Row::Alert(alert)) => Some(alert_kind_name(alert.kind).into()),
            (Column::Value, Row::Alert(alert)) => Some(quantity(alert.kind, alert.value)),
            (Column::Threshold, Row::Alert(alert)) => Some(quantity(alert.kind, alert.threshold)),
            (Column::Subject, Row::Alert(alert)) => Some(subject(alert)),
            (Column::Age, _) => {
                self.began_ns().map(|began| age(manner.now_ns.saturating_sub(began)))
            }
            (Column::P50 | Column::P99 | Column::Latency, _) => {
                self.number(column).map(human::short_duration)
            }
            (Column::RateIn | Column::RateOut | Column::Received | Column::Sent, _) => {
                self.number(column).map(|bytes| manner.unit.short(bytes))
            }
            _ => self.number(column).map(|number| number.to_string()),
        };
        text.unwrap_or_else(|| "-".into())
    }
}

/// A time in its two largest units, as one word: `2d3h`.
fn age(ns: u64) -> String {
    let ns = if ns < 1_000_000_000 { 0 } else { ns };
    human::duration(ns).replace("min", "m").replace(' ', "")
}
