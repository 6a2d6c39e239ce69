// SPDX-License-Identifier: MIT OR Apache-2.0

//! What the kernel says of WireGuard's interfaces.

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::net::SocketAddr;

use serde::Deserialize;
use serde::Serialize;

use crate::PublicKey;

/// Where readings come from.
pub trait Devices: Send + Sync + 'static {
    /// Reads all interfaces with all their peers.
    ///
    /// # Errors
    ///
    /// If the kernel does not tell. That it knows no WireGuard at all is no error: there is no interface then.
    fn read(&self) -> io::Result<Vec<InterfaceReading>>;
}

/// An interface, as the kernel has it now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InterfaceReading {
    /// Its name.
    pub name: String,
    /// Its number. Another interface of the same name has another one.
    pub index: u32,
    /// Whether it is up.
    pub up: bool,
    /// Its own key, if it has one.
    pub public_key: Option<PublicKey>,
    /// The UDP port that it listens on.
    pub listen_port: u16,
    /// What came in.
    pub received: Traffic,
    /// What went out.
    pub sent: Traffic,
    /// Its peers.
    pub peers: Vec<PeerReading>,
}

/// Traffic of an interface in one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traffic {
    /// IP bytes inside the tunnel.
    pub bytes: u64,
    /// Packets.
    pub packets: u64,
    /// Packets that were wrong.
    pub errors: u64,
    /// Packets that were dropped.
    pub dropped: u64,
}

/// A peer, as the kernel has it now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerReading {
    /// Its key.
    pub public_key: PublicKey,
    /// Where it was last heard from, or is said to be.
    pub endpoint: Option<SocketAddr>,
    /// When its last handshake was, in nanoseconds of the Unix epoch; 0 before the first one.
    pub handshake_ns: u64,
    /// Bytes of the tunnel that came from it.
    pub received_bytes: u64,
    /// Bytes of the tunnel that went to it.
    pub sent_bytes: u64,
    /// What may come from it, and goes to it.
    pub allowed_ips: Vec<AllowedIp>,
}

/// An address with a prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct AllowedIp {
    /// The address.
    pub address: IpAddr,
    /// How many of its bits count.
    pub prefix: u8,
}

impl AllowedIp {
    /// Whether it is narrower than all addresses, and this is one of them.
    pub(crate) fn names(&self, address: IpAddr) -> bool {
        let (mine, other, bits) = match (self.address, address) {
            (IpAddr::V4(mine), IpAddr::V4(other)) => {
                (mine.to_bits().into(), other.to_bits().into(), 32)
            }
            (IpAddr::V6(mine), IpAddr::V6(other)) => (mine.to_bits(), other.to_bits(), 128),
            _ => return false,
        };
        let differs: u128 = mine ^ other;
        let rest = u32::from(self.prefix).min(bits);
        self.prefix > 0 && differs.checked_shr(bits - rest).unwrap_or(0) == 0
    }
}

impl fmt::Display for AllowedIp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}
