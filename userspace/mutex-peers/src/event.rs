// SPDX-License-Identifier: MIT OR Apache-2.0

//! What happens to interfaces and peers, told to whoever subscribes.

use std::net::SocketAddr;

use serde::Deserialize;
use serde::Serialize;

use crate::AllowedIp;
use crate::PeerSettings;
use crate::PublicKey;
use crate::SessionChange;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// The node that it happened at.
    pub node: String,
    /// When, in nanoseconds of the Unix epoch.
    pub time_ns: u64,
    /// The interface that it happened to, or to a peer of which; empty if it is about a peer that this node has not.
    pub interface: String,
    /// What.
    #[serde(flatten)]
    pub happening: Happening,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Happening {
    /// An interface is there that was not.
    InterfaceAppeared,
    /// An interface is gone, with its peers.
    InterfaceVanished,
    /// A peer is there that was not.
    PeerCreated {
        /// Its key.
        public_key: PublicKey,
        /// What is known of it.
        #[serde(flatten)]
        facts: Facts,
    },
    /// What is known of a peer has changed.
    PeerUpdated {
        /// Its key.
        public_key: PublicKey,
        /// What is known of it now.
        #[serde(flatten)]
        facts: Facts,
    },
    /// A peer has another key; it is the same peer, with all that is known of it.
    PeerReidentified {
        /// The key that it had.
        before: PublicKey,
        /// The key that it has.
        public_key: PublicKey,
        /// What is known of it.
        #[serde(flatten)]
        facts: Facts,
    },
    /// A peer is gone.
    PeerRemoved {
        /// Its key.
        public_key: PublicKey,
    },
    /// A peer is connected now, or not any more.
    ConnectionChanged {
        /// Its key.
        public_key: PublicKey,
        /// Whether it is.
        connected: bool,
    },
    /// A session has started, started again or ended.
    SessionChanged {
        /// The peer's key.
        public_key: PublicKey,
        /// Which of that.
        change: SessionChange,
    },
}

/// What others can know of a peer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Facts {
    /// What is said of it.
    #[serde(flatten)]
    pub settings: PeerSettings,
    /// When that was said, in nanoseconds of the Unix epoch; 0 if nobody said anything.
    pub said_ns: u64,
    /// Where it was last heard from.
    pub endpoint: Option<SocketAddr>,
    /// What may come from it.
    pub allowed_ips: Vec<AllowedIp>,
}

/// What somebody who configures peers says; it shows at once, before the kernel is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Announcement {
    /// A peer was or is just being added to an interface.
    Created {
        /// Its key.
        public_key: PublicKey,
        /// Its interface.
        interface: String,
        /// What is said of it.
        #[serde(flatten)]
        settings: PeerSettings,
    },
    /// Something else is said of a peer from now on, at all interfaces.
    Updated {
        /// Its key.
        public_key: PublicKey,
        /// What is said of it.
        #[serde(flatten)]
        settings: PeerSettings,
    },
    /// A peer gets another key.
    Reidentified {
        /// The key that it had.
        before: PublicKey,
        /// The key that it has.
        public_key: PublicKey,
        /// Its interface.
        interface: String,
    },
    /// A peer was removed, and what was said of it is forgotten.
    Removed {
        /// Its key.
        public_key: PublicKey,
        /// Its interface.
        interface: String,
    },
}
