// SPDX-License-Identifier: MIT OR Apache-2.0

//! What can be looked at, and the columns that each view has.

use clap::ValueEnum;
use mutex_stats::Filtered;

use crate::table::Align;

/// What the rows are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, ValueEnum)]
pub enum View {
    #[default]
    Connections,
    Fds,
    Processes,
    Remotes,
    Alerts,
}

impl View {
    pub const ALL: [View; 5] =
        [View::Connections, View::Fds, View::Processes, View::Remotes, View::Alerts];

    pub fn name(self) -> &'static str {
        match self {
            View::Connections => "connections",
            View::Fds => "fds",
            View::Processes => "processes",
            View::Remotes => "remotes",
            View::Alerts => "alerts",
        }
    }

    /// What a filter chooses among: processes and remotes are made of connections.
    pub fn filtered(self) -> Filtered {
        match self {
            View::Connections | View::Processes | View::Remotes => Filtered::Connections,
            View::Fds => Filtered::Fds,
            View::Alerts => Filtered::Alerts,
        }
    }

    /// The columns from left to right.
    pub fn columns(self) -> &'static [Column] {
        match self {
            View::Connections => &[
                Column::Protocol,
                Column::Local,
                Column::Remote,
                Column::State,
                Column::RateIn,
                Column::RateOut,
                Column::Trend,
                Column::Received,
                Column::Sent,
                Column::P50,
                Column::P99,
                Column::Retransmitted,
                Column::Losses,
                Column::Pid,
                Column::Command,
                Column::Uid,
                Column::Age,
            ],
            View::Fds => &[
                Column::Protocol,
                Column::Inode,
                Column::Pid,
                Column::Command,
                Column::RateIn,
                Column::RateOut,
                Column::Trend,
                Column::Received,
                Column::Sent,
                Column::Active,
                Column::Total,
                Column::P50,
                Column::P99,
                Column::Retransmitted,
                Column::Losses,
                Column::Uid,
                Column::Age,
            ],
            View::Processes => &[
                Column::Pid,
                Column::Command,
                Column::RateIn,
                Column::RateOut,
                Column::Trend,
                Column::Received,
                Column::Sent,
                Column::Connections,
                Column::Latency,
                Column::Retransmitted,
                Column::Losses,
                Column::Uid,
            ],
            View::Remotes => &[
                Column::Remote,
                Column::RateIn,
                Column::RateOut,
                Column::Trend,
                Column::Received,
                Column::Sent,
                Column::Connections,
                Column::Latency,
                Column::Retransmitted,
                Column::Losses,
            ],
            View::Alerts => &[
                Column::Number,
                Column::Age,
                Column::Severity,
                Column::Kind,
                Column::Value,
                Column::Threshold,
                Column::Subject,
                Column::Pid,
                Column::Command,
            ],
        }
    }

    /// The column that it is ordered by at first.
    pub fn first_order(self) -> Column {
        match self {
            View::Alerts => Column::Number,
            _ => Column::RateIn,
        }
    }
}

/// What stands in a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column {
    Protocol,
    Local,
    Remote,
    State,
    RateIn,
    RateOut,
    Trend,
    Received,
    Sent,
    /// Both together.
    Traffic,
    P50,
    P99,
    Latency,
    Retransmitted,
    Losses,
    Pid,
    Command,
    Uid,
    Age,
    Inode,
    Active,
    Total,
    Connections,
    Number,
    Severity,
    Kind,
    Value,
    Threshold,
    Subject,
}

impl Column {
    /// What stands above it.
    pub fn title(self) -> &'static str {
        match self {
            Column::Protocol => "proto",
            Column::Local => "local",
            Column::Remote => "remote",
            Column::State => "state",
            Column::RateIn => "in/s",
            Column::RateOut => "out/s",
            Column::Trend => "trend",
            Column::Received => "received",
            Column::Sent => "sent",
            Column::Traffic => "traffic",
            Column::P50 => "p50",
            Column::P99 => "p99",
            Column::Latency => "latency",
            Column::Retransmitted => "retrans",
            Column::Losses => "losses",
            Column::Pid => "pid",
            Column::Command => "command",
            Column::Uid => "uid",
            Column::Age => "age",
            Column::Inode => "inode",
            Column::Active => "active",
            Column::Total => "total",
            Column::Connections => "conns",
            Column::Number => "number",
            Column::Severity => "severity",
            Column::Kind => "kind",
            Column::Value => "value",
            Column::Threshold => "threshold",
            Column::Subject => "about",
        }
    }

    /// How wide it is at the least.
    pub fn width(self) -> usize {
        match self {
            Column::Losses | Column::Connections | Column::Active | Column::Total => 6,
            Column::P50
            | Column::P99
            | Column::Latency
            | Column::Retransmitted
            | Column::Protocol
            | Column::Pid
            | Column::Uid
            | Column::Number => 7,
            Column::Trend | Column::Age | Column::Severity | Column::Inode => 8,
            Column::RateIn
            | Column::RateOut
            | Column::Received
            | Column::Sent
            | Column::Traffic => 9,
            Column::Command => 10,
            Column::State | Column::Value | Column::Threshold => 11,
            Column::Kind => 14,
            Column::Subject => 16,
            Column::Local | Column::Remote => 21,
        }
    }

    /// Whether it takes more room if it needs it.
    pub fn is_flexible(self) -> bool {
        matches!(self, Column::Local | Column::Remote | Column::Command | Column::Subject)
    }

    pub fn align(self) -> Align {
        match self {
            Column::Protocol
            | Column::Local
            | Column::Remote
            | Column::State
            | Column::Trend
            | Column::Command
            | Column::Severity
            | Column::Kind
            | Column::Subject => Align::Left,
            _ => Align::Right,
        }
    }

    /// Which columns stay where there is no room for all: the smallest first.
    pub fn rank(self) -> u8 {
        match self {
            Column::RateIn
            | Column::RateOut
            | Column::Remote
            | Column::Number
            | Column::Severity
            | Column::Kind
            | Column::Value => 0,
            Column::Command | Column::Subject => 1,
            Column::Received
            | Column::Sent
            | Column::Traffic
            | Column::Connections
            | Column::Active => 2,
            Column::Protocol | Column::Pid => 3,
            Column::Trend | Column::Threshold => 4,
            Column::P50 | Column::Latency | Column::State => 5,
            Column::Local => 6,
            Column::Retransmitted | Column::Losses => 7,
            Column::P99 | Column::Age | Column::Inode | Column::Total | Column::Uid => 8,
        }
    }

    /// Whether rows can be put in its order.
    pub fn is_order(self) -> bool {
        self != Column::Trend
    }

    /// Whether the largest come first: quantities do, names do not.
    pub fn is_quantity(self) -> bool {
        !matches!(
            self,
            Column::Protocol
                | Column::Local
                | Column::Remote
                | Column::State
                | Column::Pid
                | Column::Command
                | Column::Uid
                | Column::Kind
                | Column::Subject
                | Column::Inode
        )
    }
}
