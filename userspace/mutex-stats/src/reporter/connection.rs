// SPDX-License-Identifier: MIT OR Apache-2.0

//! What callbacks are about.

use std::fmt;
use std::net::IpAddr;
use std::net::Ipv6Addr;
use std::net::SocketAddr;
use std::net::SocketAddrV6;

use crate::Connection;
use crate::Packet;
use crate::Protocol;
use crate::has_ports;

/// One end of a connection, as one network namespace sees it.
///
/// A source is the local end, or the initiator of what is forwarded; a destination is the other one.
/// Shown as `192.0.2.1:53` or `[fe80::1%2]:53`; the namespace is not shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoint {
    /// Address and port. The port is 0 where a protocol has none, and the identifier of ICMP echo
    /// on the side that asks. Link-local addresses of IPv6 have the interface as their scope.
    pub address: SocketAddr,
    /// Inode number of the network namespace. Hosts can have one address in many.
    /// 0, which no namespace has, stands for any, where metadata is set.
    pub netns: u32,
}

/// In any network namespace.
impl From<SocketAddr> for Endpoint {
    fn from(address: SocketAddr) -> Self {
        Endpoint { address, netns: 0 }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt(f)
    }
}

/// Which connection: protocol and both ends. Shown as the normalised id
/// `source->destination/protocol`, such as `192.0.2.1:40000->192.0.2.2:53/udp`; a protocol without
/// ports shows addresses only.
///
/// ```
/// use std::net::SocketAddr;
///
/// use mutex_stats::Protocol;
/// use mutex_stats::reporter::ConnectionId;
///
/// let end = |text: &str| text.parse::<SocketAddr>().unwrap().into();
/// let id = ConnectionId::new(Protocol(17), end("192.0.2.1:40000"), end("[2001:db8::1]:53"));
/// assert_eq!(id.to_string(), "192.0.2.1:40000->[2001:db8::1]:53/udp");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId {
    /// As in the IP header.
    pub protocol: Protocol,
    /// The local end or the initiator.
    pub source: Endpoint,
    /// The other end.
    pub destination: Endpoint,
}

impl ConnectionId {
    /// The connection between those ends.
    #[must_use]
    pub fn new(protocol: Protocol, source: Endpoint, destination: Endpoint) -> Self {
        ConnectionId { protocol, source, destination }
    }

    /// The same in any network namespace.
    #[must_use]
    pub fn in_any_netns(self) -> Self {
        let any = |end: Endpoint| Endpoint { netns: 0, ..end };
        ConnectionId { source: any(self.source), destination: any(self.destination), ..self }
    }

    /// That of a record.
    #[must_use]
    pub fn of_connection(c: &Connection) -> Self {
        let end = |address, port| endpoint(c.family, address, port, c.scope, c.netns);
        ConnectionId {
            protocol: Protocol(c.protocol),
            source: end(c.local_address, c.local_port),
            destination: end(c.remote_address, c.remote_port),
        }
    }

    /// That of a packet's connection.
    #[must_use]
    pub fn of_packet(p: &Packet) -> Self {
        let is_link_local =
            |address: [u8; 16]| p.family == 6 && Ipv6Addr::from(address).is_unicast_link_local();
        let is_scoped = is_link_local(p.local_address) || is_link_local(p.remote_address);
        let scope = if is_scoped { p.interface } else { 0 };
        let end = |address, port| endpoint(p.family, address, port, scope, p.netns);
        ConnectionId {
            protocol: Protocol(p.protocol),
            source: end(p.local_address, p.local_port),
            destination: end(p.remote_address, p.remote_port),
        }
    }
}

fn endpoint(family: u8, address: [u8; 16], port: u16, scope: u32, netns: u32) -> Endpoint {
    let six = Ipv6Addr::from(address);
    let address = if let Some(four) = six.to_ipv4_mapped().filter(|_| family == 4) {
        SocketAddr::new(IpAddr::V4(four), port)
    } else {
        let scope = if six.is_unicast_link_local() { scope } else { 0 };
        SocketAddr::V6(SocketAddrV6::new(six, port, 0, scope))
    };
    Endpoint { address, netns }
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ConnectionId { protocol, source, destination } = self;
        if has_ports(protocol.0) {
            write!(f, "{source}->{destination}/{protocol}")
        } else {
            write!(f, "{}->{}/{protocol}", source.address.ip(), destination.address.ip())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v4(last: u8) -> [u8; 16] {
        let mut address = [0; 16];
        address[10..].copy_from_slice(&[0xff, 0xff, 192, 0, 2, last]);
        address
    }

    fn v6(first: u8, second: u8, last: u8) -> [u8; 16] {
        let mut address = [0; 16];
        (address[0], address[1], address[15]) = (first, second, last);
        address
    }

    #[test]
    fn ids_are_normalised() {
        let packet = |protocol, family, local_address, remote_address| Packet {
            protocol,
            family,
            local_address,
            remote_address,
            local_port: 40_000,
            remote_port: 53,
            interface: 2,
            netns: 7,
            ..Packet::default()
        };
        for (packet, text) in [
            (packet(17, 4, v4(1), v4(2)), "192.0.2.1:40000->192.0.2.2:53/udp"),
            (packet(6, 6, v6(0x20, 1, 1), v6(0x20, 1, 2)), "[2001::1]:40000->[2001::2]:53/tcp"),
            // What IPv6 carries of IPv4 is not IPv4.
            (packet(17, 6, v4(1), v4(2)), "[::ffff:192.0.2.1]:40000->[::ffff:192.0.2.2]:53/udp"),
            (packet(47, 4, v4(1), v4(2)), "192.0.2.1->192.0.2.2/gre"),
            (packet(200, 4, v4(1), v4(2)), "192.0.2.1->192.0.2.2/200"),
            (
                packet(17, 6, v6(0xfe, 0x80, 1), v6(0xff, 2, 0xfb)),
                "[fe80::1%2]:40000->[ff02::fb]:53/udp",
            ),
        ] {
            assert_eq!(ConnectionId::of_packet(&packet).to_string(), text);
        }
    }

    #[test]
    fn a_packet_and_its_connection_have_one_id() {
        for (family, local, remote, scope) in [
            (4, v4(1), v4(2), 0),
            (6, v6(0x20, 1, 1), v6(0x20, 1, 2), 0),
            (6, v6(0xfe, 0x80, 1), v6(0xfe, 0x80, 2), 5),
        ] {
            let connection = Connection {
                family,
                local_address: local,
                remote_address: remote,
                scope,
                netns: 9,
                protocol: 17,
                local_port: 1,
                remote_port: 2,
                ..Connection::default()
            };
            let packet = Packet {
                family,
                local_address: local,
                remote_address: remote,
                interface: 5,
                netns: 9,
                protocol: 17,
                local_port: 1,
                remote_port: 2,
                ..Packet::default()
            };
            let id = ConnectionId::of_connection(&connection);
            assert_eq!(id, ConnectionId::of_packet(&packet));
            assert_eq!((id.source.netns, id.in_any_netns().source.netns), (9, 0));
            let elsewhere = Packet { netns: 10, ..packet };
            assert_ne!(id, ConnectionId::of_packet(&elsewhere));
        }
    }
}
