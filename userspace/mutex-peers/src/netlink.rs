// SPDX-License-Identifier: MIT OR Apache-2.0

//! Readings from the kernel, over netlink, in the network namespace of the process.
//!
//! The list of links says which are WireGuard's and what traffic they had; each is then asked for its
//! peers, which come in as many messages as they need. A peer whose allowed IPs do not fit into one message is
//! continued in the next, under the same key.

use std::io;
use std::io::Read;
use std::time::Duration;

use netlink_packet_core::NLM_F_DUMP;
use netlink_packet_core::NLM_F_DUMP_INTR;
use netlink_packet_core::NLM_F_REQUEST;
use netlink_packet_core::NetlinkDeserializable;
use netlink_packet_core::NetlinkMessage;
use netlink_packet_core::NetlinkPayload;
use netlink_packet_core::NetlinkSerializable;
use netlink_packet_generic::GenlMessage;
use netlink_packet_generic::ctrl::GenlCtrl;
use netlink_packet_generic::ctrl::GenlCtrlCmd;
use netlink_packet_generic::ctrl::nlas::GenlCtrlAttrs;
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::InfoKind;
use netlink_packet_route::link::LinkAttribute;
use netlink_packet_route::link::LinkFlags;
use netlink_packet_route::link::LinkInfo;
use netlink_packet_route::link::LinkMessage;
use netlink_packet_wireguard::WireguardAllowedIpAttr;
use netlink_packet_wireguard::WireguardAttribute;
use netlink_packet_wireguard::WireguardCmd;
use netlink_packet_wireguard::WireguardMessage;
use netlink_packet_wireguard::WireguardPeer;
use netlink_packet_wireguard::WireguardPeerAttribute;
use rustix::io::Errno;
use socket2::Domain;
use socket2::Protocol;
use socket2::Socket;
use socket2::Type;

use crate::AllowedIp;
use crate::Devices;
use crate::InterfaceReading;
use crate::PeerReading;
use crate::PublicKey;
use crate::Traffic;

/// As netlink's header has them; the socket crate has no names for them.
const AF_NETLINK: i32 = 16;
const NETLINK_ROUTE: i32 = 0;
const NETLINK_GENERIC: i32 = 16;
/// The kernel never makes a message of a dump larger than half of this.
const BUFFER: usize = 64 << 10;
/// The kernel answers while it is asked, so this is over only if something is very wrong.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often a dump is begun anew because something changed meanwhile.
const ATTEMPTS: usize = 20;

/// The WireGuard devices of this network namespace.
#[derive(Clone, Copy, Debug, Default)]
pub struct Netlink;

impl Devices for Netlink {
    fn read(&self) -> io::Result<Vec<InterfaceReading>> {
        let mut interfaces = links()?;
        if interfaces.is_empty() {
            return Ok(interfaces);
        }
        let mut socket = Connection::new(NETLINK_GENERIC)?;
        let Some(family) = family(&mut socket)? else {
            return Ok(Vec::new());
        };
        let mut gone = Vec::new();
        for (at, interface) in interfaces.iter_mut().enumerate() {
            match device(&mut socket, family, interface.index) {
                Ok(messages) => fill(interface, messages)?,
                Err(error) if error.raw_os_error() == Some(Errno::NODEV.raw_os_error()) => {
                    gone.push(at);
                }
                Err(error) => return Err(error),
            }
        }
        for at in gone.into_iter().rev() {
            interfaces.remove(at);
        }
        Ok(interfaces)
    }
}

/// A netlink socket.
struct Connection {
    socket: Socket,
    sequence: u32,
    buffer: Vec<u8>,
}

impl Connection {
    fn new(protocol: i32) -> io::Result<Self> {
        let socket =
            Socket::new(Domain::from(AF_NETLINK), Type::RAW, Some(Protocol::from(protocol)))?;
        socket.set_read_timeout(Some(PATIENCE))?;
        Ok(Connection { socket, sequence: 0, buffer: vec![0; BUFFER] })
    }

    /// Asks for something, and gives all that is answered.
    fn ask<T>(&mut self, request: &T, dump: bool) -> io::Result<Vec<T>>
    where
        T: NetlinkSerializable + NetlinkDeserializable + Clone,
        NetlinkPayload<T>: From<T>,
    {
        for _ in 0..ATTEMPTS {
            if let Some(answers) = self.ask_once(request.clone(), dump)? {
                return Ok(answers);
            }
        }
        Err(io::Error::other("the kernel's list changes faster than it can be read"))
    }

    /// `None` if what was asked for changed meanwhile, so that the answers do not fit together.
    fn ask_once<T>(&mut self, request: T, dump: bool) -> io::Result<Option<Vec<T>>>
    where
        T: NetlinkSerializable + NetlinkDeserializable,
        NetlinkPayload<T>: From<T>,
    {
        self.sequence += 1;
        let mut message = NetlinkMessage::from(request);
        message.header.flags = NLM_F_REQUEST | if dump { NLM_F_DUMP } else { 0 };
        message.header.sequence_number = self.sequence;
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        self.socket.send(&bytes)?;

        let mut answers = Vec::new();
        let mut whole = true;
        loop {
            let length = self.socket.read(&mut self.buffer)?;
            let mut rest = &self.buffer[..length];
            while !rest.is_empty() {
                let message = NetlinkMessage::<T>::deserialize(rest).map_err(io::Error::other)?;
                let step = (message.header.length as usize).next_multiple_of(4).min(rest.len());
                if step == 0 {
                    return Err(io::Error::other("a netlink message without a length"));
                }
                rest = &rest[step..];
                if message.header.sequence_number != self.sequence {
                    continue;
                }
                whole &= message.header.flags & NLM_F_DUMP_INTR == 0;
                match message.payload {
                    NetlinkPayload::InnerMessage(answer) => {
                        answers.push(answer);
                        if !dump {
                            return Ok(Some(answers));
                        }
                    }
                    NetlinkPayload::Error(error) => return Err(error.to_io()),
                    NetlinkPayload::Done(done) if done.code < 0 => {
                        return Err(io::Error::from_raw_os_error(-done.code));
                    }
                    NetlinkPayload::Done(_) => return Ok(whole.then_some(answers)),
                    _ => {}
                }
            }
        }
    }
}

/// The WireGuard links and their traffic, without their peers.
fn links() -> io::Result<Vec<InterfaceReading>> {
    let mut socket = Connection::new(NETLINK_ROUTE)?;
    let request = RouteNetlinkMessage::GetLink(LinkMessage::default());
    let answers = socket.ask(&request, true)?;
    Ok(answers.into_iter().filter_map(link).collect())
}

fn link(message: RouteNetlinkMessage) -> Option<InterfaceReading> {
    let RouteNetlinkMessage::NewLink(link) = message else {
        return None;
    };
    let mut is_wireguard = false;
    let mut reading = InterfaceReading {
        index: link.header.index,
        up: link.header.flags.contains(LinkFlags::Up),
        ..InterfaceReading::default()
    };
    for attribute in link.attributes {
        match attribute {
            LinkAttribute::IfName(name) => reading.name = name,
            LinkAttribute::LinkInfo(infos) => {
                is_wireguard |= infos.contains(&LinkInfo::Kind(InfoKind::Wireguard));
            }
            LinkAttribute::Stats64(stats) => {
                reading.received = Traffic {
                    bytes: stats.rx_bytes,
                    packets: stats.rx_packets,
                    errors: stats.rx_errors,
                    dropped: stats.rx_dropped,
                };
                reading.sent = Traffic {
                    bytes: stats.tx_bytes,
                    packets: stats.tx_packets,
                    errors: stats.tx_errors,
                    dropped: stats.tx_dropped,
                };
            }
            _ => {}
        }
    }
    is_wireguard.then_some(reading)
}

/// The number of WireGuard's family of messages, `None` where the kernel has no WireGuard.
fn family(socket: &mut Connection) -> io::Result<Option<u16>> {
    let request = GenlMessage::from_payload(GenlCtrl {
        cmd: GenlCtrlCmd::GetFamily,
        nlas: vec![GenlCtrlAttrs::FamilyName("wireguard".to_owned())],
    });
    match socket.ask(&request, false) {
        Ok(answers) => {
            Ok(answers.into_iter().flat_map(|answer| answer.payload.nlas).find_map(|attribute| {
                if let GenlCtrlAttrs::FamilyId(id) = attribute { Some(id) } else { None }
            }))
        }
        Err(error) if error.raw_os_error() == Some(Errno::NOENT.raw_os_error()) => Ok(None),
        Err(error) => Err(error),
    }
}

fn device(socket: &mut Connection, family: u16, index: u32) -> io::Result<Vec<WireguardMessage>> {
    let mut request = GenlMessage::from_payload(WireguardMessage {
        cmd: WireguardCmd::GetDevice,
        attributes: vec![WireguardAttribute::IfIndex(index)],
    });
    request.set_resolved_family_id(family);
    Ok(socket.ask(&request, true)?.into_iter().map(|answer| answer.payload).collect())
}

/// Puts what the messages say into the reading.
fn fill(reading: &mut InterfaceReading, messages: Vec<WireguardMessage>) -> io::Result<()> {
    for attribute in messages.into_iter().flat_map(|message| message.attributes) {
        match attribute {
            WireguardAttribute::PublicKey(key) => reading.public_key = Some(PublicKey(key)),
            WireguardAttribute::ListenPort(port) => reading.listen_port = port,
            WireguardAttribute::Peers(peers) => {
                for more in peers {
                    let more = peer(more)?;
                    match reading.peers.last_mut() {
                        Some(last) if last.public_key == more.public_key => {
                            last.allowed_ips.extend(more.allowed_ips);
                        }
                        _ => reading.peers.push(more),
                    }
                }
            }
            _ => {}
        }
    }
    Ok(())
}

fn peer(attributes: WireguardPeer) -> io::Result<PeerReading> {
    let mut reading = PeerReading {
        public_key: PublicKey([0; 32]),
        endpoint: None,
        handshake_ns: 0,
        received_bytes: 0,
        sent_bytes: 0,
        allowed_ips: Vec::new(),
    };
    let mut has_key = false;
    for attribute in attributes.0 {
        match attribute {
            WireguardPeerAttribute::PublicKey(key) => {
                reading.public_key = PublicKey(key);
                has_key = true;
            }
            WireguardPeerAttribute::Endpoint(endpoint) => reading.endpoint = Some(endpoint),
            WireguardPeerAttribute::LastHandshake(time) => {
                let seconds = u64::try_from(time.seconds).unwrap_or(0);
                let rest = u64::try_from(time.nano_seconds).unwrap_or(0);
                reading.handshake_ns = seconds.saturating_mul(1_000_000_000).saturating_add(rest);
            }
            WireguardPeerAttribute::RxBytes(bytes) => reading.received_bytes = bytes,
            WireguardPeerAttribute::TxBytes(bytes) => reading.sent_bytes = bytes,
            WireguardPeerAttribute::AllowedIps(allowed) => {
                reading.allowed_ips.extend(allowed.iter().filter_map(|one| allowed_ip(one)));
            }
            _ => {}
        }
    }
    if has_key { Ok(reading) } else { Err(io::Error::other("the kernel names a peer without key")) }
}

fn allowed_ip(attributes: &[WireguardAllowedIpAttr]) -> Option<AllowedIp> {
    let mut address = None;
    let mut prefix = None;
    for attribute in attributes {
        match attribute {
            WireguardAllowedIpAttr::IpAddr(one) => address = Some(*one),
            WireguardAllowedIpAttr::Cidr(one) => prefix = Some(*one),
            _ => {}
        }
    }
    Some(AllowedIp { address: address?, prefix: prefix? })
}

#[cfg(test)]
mod tests {
    use netlink_packet_wireguard::WireguardAllowedIp;
    use netlink_packet_wireguard::WireguardTimeSpec;

    use super::*;

    fn allowed(numbers: std::ops::Range<u8>) -> WireguardPeerAttribute {
        WireguardPeerAttribute::AllowedIps(
            numbers
                .map(|number| {
                    WireguardAllowedIp(vec![
                        WireguardAllowedIpAttr::IpAddr([10, 0, 0, number].into()),
                        WireguardAllowedIpAttr::Cidr(32),
                    ])
                })
                .collect(),
        )
    }

    fn message(peers: Vec<Vec<WireguardPeerAttribute>>) -> WireguardMessage {
        WireguardMessage {
            cmd: WireguardCmd::GetDevice,
            attributes: vec![
                WireguardAttribute::PublicKey([9; 32]),
                WireguardAttribute::ListenPort(51820),
                WireguardAttribute::Peers(peers.into_iter().map(WireguardPeer).collect()),
            ],
        }
    }

    #[test]
    fn a_peer_that_spans_messages_is_one_peer() {
        let first = vec![
            WireguardPeerAttribute::PublicKey([1; 32]),
            WireguardPeerAttribute::LastHandshake(WireguardTimeSpec {
                seconds: 1_700_000_000,
                nano_seconds: 5,
            }),
            WireguardPeerAttribute::RxBytes(7),
            WireguardPeerAttribute::TxBytes(8),
            allowed(0..100),
        ];
        let rest = vec![WireguardPeerAttribute::PublicKey([1; 32]), allowed(100..200)];
        let other = vec![WireguardPeerAttribute::PublicKey([2; 32])];
        let mut reading = InterfaceReading::default();
        fill(&mut reading, vec![message(vec![first]), message(vec![rest, other])]).unwrap();
        assert_eq!((reading.listen_port, reading.public_key), (51820, Some(PublicKey([9; 32]))));
        assert_eq!(reading.peers.len(), 2);
        let peer = &reading.peers[0];
        assert_eq!(peer.allowed_ips.len(), 200);
        assert_eq!(peer.allowed_ips[150].to_string(), "10.0.0.150/32");
        assert_eq!(
            (peer.handshake_ns, peer.received_bytes, peer.sent_bytes),
            (1_700_000_000_000_000_005, 7, 8)
        );
        assert_eq!(reading.peers[1].handshake_ns, 0);
    }

    #[test]
    fn a_peer_without_key_is_an_error() {
        let mut reading = InterfaceReading::default();
        assert!(fill(&mut reading, vec![message(vec![vec![allowed(0..1)]])]).is_err());
    }

    #[test]
    fn the_kernel_answers_whatever_it_has() {
        // Whether there are devices depends on the machine; that the kernel is understood does not.
        Netlink.read().unwrap();
        let request = RouteNetlinkMessage::GetLink(LinkMessage::default());
        let links = Connection::new(NETLINK_ROUTE).unwrap().ask(&request, true).unwrap();
        assert!(!links.is_empty());
    }
}
