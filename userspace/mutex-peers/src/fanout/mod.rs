// SPDX-License-Identifier: MIT OR Apache-2.0

//! Telling other nodes what happens here, and hearing what happens there.
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

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::Serialize;

use crate::Event;

pub(crate) use nats::run;
pub(crate) use protocol::Protocol;
pub use remote::RemoteNode;

/// Events in one message, at the most: a server takes a megabyte.
const CHUNK: usize = 200;

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
}
