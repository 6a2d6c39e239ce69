// SPDX-License-Identifier: MIT OR Apache-2.0

//! What is known of a peer and of an interface.

use std::net::SocketAddr;

use serde::Deserialize;
use serde::Serialize;

use crate::AllowedIp;
use crate::Counter;
use crate::Facts;
use crate::InterfaceReading;
use crate::PeerId;
use crate::PeerReading;
use crate::PeerSettings;
use crate::Pings;
use crate::PublicKey;
use crate::Session;
use crate::Target;
use crate::Traffic;

/// Whose numbers the kernel's are: those of another boot, or of another interface, began at zero.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Origin {
    pub boot: String,
    pub index: u32,
}

/// A peer of an interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peer {
    /// Which one.
    pub id: PeerId,
    /// What is said of it.
    #[serde(skip)]
    pub settings: PeerSettings,
    /// When that was said, in nanoseconds of the Unix epoch; 0 if it is of the settings, or nobody said anything.
    #[serde(skip)]
    pub said_ns: u64,
    /// Whether that was said at another node, which may not choose any address to ping.
    #[serde(skip)]
    pub(crate) said_elsewhere: bool,
    /// Where it was last heard from.
    #[serde(default)]
    pub endpoint: Option<SocketAddr>,
    /// What may come from it.
    #[serde(default)]
    pub allowed_ips: Vec<AllowedIp>,
    /// Bytes of the tunnel that came from it, over all its sessions.
    #[serde(default)]
    pub received_bytes: Counter,
    /// Bytes of the tunnel that went to it, over all its sessions.
    #[serde(default)]
    pub sent_bytes: Counter,
    /// Its sessions.
    #[serde(default)]
    pub session: Session,
    /// Its pings.
    #[serde(default)]
    pub pings: Pings,
    /// Whether it is connected: it has a session, or its last check was answered.
    #[serde(default)]
    pub connected: bool,
    /// Whether its last check since this process began was answered.
    #[serde(skip)]
    pub reachable: bool,
    #[serde(default)]
    pub(crate) origin: Origin,
    /// When it was announced, by the clock that nobody sets, if the kernel does not know it yet.
    #[serde(skip)]
    pub(crate) announced_ns: Option<u64>,
}

impl Peer {
    pub(crate) fn new(id: PeerId) -> Self {
        Peer {
            id,
            settings: PeerSettings::default(),
            said_ns: 0,
            said_elsewhere: false,
            endpoint: None,
            allowed_ips: Vec::new(),
            received_bytes: Counter::default(),
            sent_bytes: Counter::default(),
            session: Session::default(),
            pings: Pings::default(),
            connected: false,
            reachable: false,
            origin: Origin::default(),
            announced_ns: None,
        }
    }

    /// What to ping, if anything.
    #[must_use]
    pub fn target(&self) -> Option<Target> {
        let (check, allowed_ips) = (self.settings.check_alive_address, &self.allowed_ips);
        Target::of(check, self.said_elsewhere, allowed_ips, &self.id.interface)
    }

    /// The address that metrics show: none before it has answered for the first time.
    #[must_use]
    pub fn shown_address(&self) -> String {
        match self.target() {
            Some(target) if self.pings.ever_succeeded() => target.address.to_string(),
            _ => String::new(),
        }
    }

    /// What others can know.
    #[must_use]
    pub fn facts(&self) -> Facts {
        Facts {
            settings: self.settings.clone(),
            said_ns: self.said_ns,
            endpoint: self.endpoint,
            allowed_ips: self.allowed_ips.clone(),
            allowed_ips_left_out: 0,
        }
    }

    /// Takes over what the kernel says of where it is; tells whether that is something new.
    pub(crate) fn place(&mut self, reading: &PeerReading) -> bool {
        let is_new = self.endpoint != reading.endpoint || self.allowed_ips != reading.allowed_ips;
        if is_new {
            self.endpoint = reading.endpoint;
            self.allowed_ips.clone_from(&reading.allowed_ips);
        }
        is_new
    }

    /// Adds what was known before this process saw the peer.
    pub(crate) fn add_earlier(
        &mut self,
        earlier: &Peer,
        newest: impl DoubleEndedIterator<Item = (u64, Option<u64>)>,
        kept: usize,
    ) {
        let same = self.origin == earlier.origin;
        self.received_bytes.add_earlier(&earlier.received_bytes, same);
        self.sent_bytes.add_earlier(&earlier.sent_bytes, same);
        self.session.add_earlier(&earlier.session);
        self.pings.add_earlier(&earlier.pings, newest, kept);
    }
}

/// An interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// Whether it is up.
    #[serde(skip)]
    pub up: bool,
    /// Its own key.
    #[serde(skip)]
    pub public_key: Option<PublicKey>,
    /// The UDP port that it listens on.
    #[serde(skip)]
    pub listen_port: u16,
    /// What came in, over all interfaces of this name.
    #[serde(default)]
    pub received: TrafficCounters,
    /// What went out, over all interfaces of this name.
    #[serde(default)]
    pub sent: TrafficCounters,
    #[serde(default)]
    pub(crate) origin: Origin,
}

/// Traffic in one direction, of which nothing is forgotten.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrafficCounters {
    /// IP bytes inside the tunnel.
    pub bytes: Counter,
    /// Packets.
    pub packets: Counter,
    /// Packets that were wrong.
    pub errors: Counter,
    /// Packets that were dropped.
    pub dropped: Counter,
}

impl TrafficCounters {
    fn see(&mut self, now: Traffic, anew: bool) {
        self.bytes.see(now.bytes, anew);
        self.packets.see(now.packets, anew);
        self.errors.see(now.errors, anew);
        self.dropped.see(now.dropped, anew);
    }

    fn add_earlier(&mut self, earlier: &TrafficCounters, same: bool) {
        self.bytes.add_earlier(&earlier.bytes, same);
        self.packets.add_earlier(&earlier.packets, same);
        self.errors.add_earlier(&earlier.errors, same);
        self.dropped.add_earlier(&earlier.dropped, same);
    }
}

impl Interface {
    pub(crate) fn new(name: &str, origin: Origin) -> Self {
        Interface {
            name: name.to_owned(),
            up: false,
            public_key: None,
            listen_port: 0,
            received: TrafficCounters::default(),
            sent: TrafficCounters::default(),
            origin,
        }
    }

    /// Sees what the kernel says now.
    pub(crate) fn see(&mut self, reading: &InterfaceReading, origin: &Origin, traffic: bool) {
        self.up = reading.up;
        self.public_key = reading.public_key;
        self.listen_port = reading.listen_port;
        let anew = self.origin != *origin;
        self.origin = origin.clone();
        if traffic {
            self.received.see(reading.received, anew);
            self.sent.see(reading.sent, anew);
        }
    }

    /// Adds what was known before this process saw the interface.
    pub(crate) fn add_earlier(&mut self, earlier: &Interface) {
        let same = self.origin == earlier.origin;
        self.received.add_earlier(&earlier.received, same);
        self.sent.add_earlier(&earlier.sent, same);
    }
}
