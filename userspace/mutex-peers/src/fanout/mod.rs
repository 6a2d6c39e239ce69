// SPDX-License-Identifier: MIT OR Apache-2.0

//! Telling other nodes what happens here, and hearing what happens there.
//!
//! A node publishes below a subject of its own, `SUBJECT.NODE.all` to all and `SUBJECT.NODE.to.OTHER` to one, so that the
//! server can make sure who speaks (docs/FLEET.md). What comes on a subject is taken only if it speaks for that node.
//! How much is kept of others is bounded.
//!
//! Every node numbers its events and publishes them in order. It gets its own back, and knows by that what the server
//! has. What the server has not said it has is published again after a reconnect; whoever sees a number again
//! ignores it. A node that misses numbers, because it or the server was away, says what it has (`Hello`) and is told
//! the rest by the one that it misses them of (`Replay`), or how things are there if the rest is not kept any more
//! (`Snapshot`). So nothing is lost as long as it fits, without the server keeping anything.

mod inbox;
mod nats;
mod outbox;
mod protocol;
mod remote;
mod subject;

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::Serialize;

use crate::Event;

pub(crate) use nats::run;
pub(crate) use protocol::Protocol;
pub use remote::RemoteNode;
pub(crate) use subject::Subject;

/// Events in one message, at the most.
const CHUNK: usize = 200;
/// Bytes of a message, at the most. It is what a server takes by default.
pub(crate) const MOST_BYTES: usize = 1 << 20;
/// Bytes that a server has to take, so that every event fits.
const LEAST_BYTES: usize = 4096;
/// Bytes of a message beside its events.
const ENVELOPE: usize = 1024;

/// What nodes say to each other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "message", rename_all = "snake_case")]
pub(crate) enum Message {
    /// Something happened, to all.
    Event { from: Position, event: Box<Event> },
    /// A node is there, and has this much of others; to all.
    Hello { from: Position, have: BTreeMap<String, (u64, u64)> },
    /// What came after a number, to one; the position is that of the last event.
    Replay { from: Position, events: Vec<Event> },
    /// How things are, in parts, to one; the position is that of the last event that it includes.
    Snapshot { from: Position, events: Vec<Event>, first: bool, last: bool },
}

/// A place in what a node has said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Position {
    /// The node's name.
    pub node: String,
    /// Which of its lives: its numbers begin anew with each.
    pub epoch: u64,
    /// The number of the event.
    pub number: u64,
}

/// How the fan-out fares.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FanoutHealth {
    /// Whether there is a server.
    pub connected: bool,
    /// Events that the server has not confirmed yet.
    pub waiting: usize,
    /// Events of this node.
    pub published: u64,
    /// Events of this node that found no room to wait for the server.
    pub lost: u64,
    /// Events of other nodes.
    pub received: u64,
    /// How often something was missed of another node, and asked for.
    pub gaps: u64,
    /// How often there was a server again after there was none.
    pub reconnects: u64,
    /// Messages that the server does not take.
    pub unsent: u64,
    /// How often a peer of another node found no room.
    pub left_out: u64,
    /// Messages that were refused.
    pub refused: RefusedMessages,
    /// What other nodes said of peers and is too far ahead of this host's clock.
    pub statements_ahead: u64,
    /// What other nodes said of peers that are not here, and found no room.
    pub statements_no_room: u64,
    /// What the server refuses, if anything.
    pub trouble: Option<String>,
}

/// Messages that were refused, by the reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RefusedMessages {
    /// It spoke for another node than the one that its subject names.
    pub other_node: u64,
    /// It is no message, or not within the bounds.
    pub malformed: u64,
    /// It is of a node that there is no room for.
    pub node_limit: u64,
    /// It asks for what is missing, more often than is answered.
    pub answer_limit: u64,
}
