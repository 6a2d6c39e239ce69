// SPDX-License-Identifier: MIT OR Apache-2.0

//! Readings from the kernel, over netlink, in the network namespace of the process.
//!
//! The list of links says which are WireGuard's and what traffic they had; each is then asked for its
//! peers, which come in as many messages as they need. A peer whose allowed IPs do not fit into one message is
//! continued in the next, under the same key.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::io;
use std::io::Read;
use std::time::Duration;

use netlink_packet_core::Emitable;
use netlink_packet_core::NLM_F_DUMP;
use netlink_packet_core::NLM_F_DUMP_INTR;
use netlink_packet_core::NLM_F_REQUEST;
use netlink_packet_core::NetlinkDeserializable;
use netlink_packet_core::NetlinkHeader;
use netlink_packet_core::NetlinkMessage;
use netlink_packet_core::NetlinkPayload;
use netlink_packet_core::NetlinkSerializable;
use netlink_packet_core::NlaBuffer;
use netlink_packet_core::NlasIterator;
use netlink_packet_core::Parseable;
use netlink_packet_generic::GenlFamily;
use netlink_packet_generic::GenlMessage;
use netlink_packet_generic::ctrl::GenlCtrl;
use netlink_packet_generic::ctrl::GenlCtrlCmd;
use netlink_packet_generic::ctrl::nlas::GenlCtrlAttrs;
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
/// As the kernel's headers have them: messages, flags and attributes of links.
const RTM_NEWLINK: u16 = 16;
const RTM_GETLINK: u16 = 18;
const IFF_UP: u32 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_LINKINFO: u16 = 18;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_STATS64: u16 = 23;
const WGDEVICE_A_IFNAME: u16 = 2;
/// Bytes of `struct ifinfomsg` and of `struct genlmsghdr`.
const LINK_HEADER: usize = 16;
const GENERIC_HEADER: usize = 4;
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
                Ok(messages) => fill(interface, &messages)?,
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

/// A message that is not decoded yet. Only the attributes that are needed are, so that the text of others, which the
/// kernel does not require to be UTF-8 (the alias of any interface), cannot stop what is needed.
#[derive(Clone, Debug)]
struct RawMessage {
    kind: u16,
    payload: Vec<u8>,
}

impl NetlinkSerializable for RawMessage {
    fn message_type(&self) -> u16 {
        self.kind
    }

    fn buffer_len(&self) -> usize {
        self.payload.len()
    }

    fn serialize(&self, buffer: &mut [u8]) {
        buffer.copy_from_slice(&self.payload);
    }
}

impl NetlinkDeserializable for RawMessage {
    type Error = Infallible;

    fn deserialize(header: &NetlinkHeader, payload: &[u8]) -> Result<Self, Infallible> {
        Ok(RawMessage { kind: header.message_type, payload: payload.to_vec() })
    }
}

impl From<RawMessage> for NetlinkPayload<RawMessage> {
    fn from(message: RawMessage) -> Self {
        NetlinkPayload::InnerMessage(message)
    }
}

/// The attributes after a header of that length, as far as their lengths are right.
fn attributes(payload: &[u8], header: usize) -> impl Iterator<Item = NlaBuffer<&[u8]>> {
    NlasIterator::new(payload.get(header..).unwrap_or_default()).map_while(Result::ok)
}

/// The WireGuard links and their traffic, without their peers.
fn links() -> io::Result<Vec<InterfaceReading>> {
    let mut socket = Connection::new(NETLINK_ROUTE)?;
    let request = RawMessage { kind: RTM_GETLINK, payload: vec![0; LINK_HEADER] };
    let answers = socket.ask(&request, true)?;
    Ok(answers.iter().filter(|answer| answer.kind == RTM_NEWLINK).filter_map(link).collect())
}

/// The link of a message (`struct ifinfomsg` and attributes), if it is WireGuard's.
fn link(message: &RawMessage) -> Option<InterfaceReading> {
    let payload = message.payload.as_slice();
    let mut is_wireguard = false;
    let mut reading = InterfaceReading {
        index: word(payload, 4)?,
        up: word(payload, 8)? & IFF_UP != 0,
        ..InterfaceReading::default()
    };
    for attribute in attributes(payload, LINK_HEADER) {
        match attribute.kind() {
            IFLA_IFNAME => reading.name = text(attribute.value()),
            IFLA_LINKINFO => {
                is_wireguard |= attributes(attribute.value(), 0)
                    .any(|info| info.kind() == IFLA_INFO_KIND && text(info.value()) == "wireguard");
            }
            IFLA_STATS64 => {
                let stats = attribute.value();
                // `struct rtnl_link_stats64`: a pair of received and sent of each.
                let traffic = |direction| Traffic {
                    packets: long(stats, direction),
                    bytes: long(stats, 2 + direction),
                    errors: long(stats, 4 + direction),
                    dropped: long(stats, 6 + direction),
                };
                reading.received = traffic(0);
                reading.sent = traffic(1);
            }
            _ => {}
        }
    }
    is_wireguard.then_some(reading)
}

/// The 32 bits at an offset.
fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|bytes| u32::from_ne_bytes(*bytes))
}

/// The 64 bits of that number, 0 if the kernel does not have so many.
fn long(bytes: &[u8], number: usize) -> u64 {
    let bytes = bytes.get(8 * number..).and_then(<[u8]>::first_chunk);
    bytes.map_or(0, |bytes| u64::from_ne_bytes(*bytes))
}

/// A name up to its final NUL. A byte that is not UTF-8 is written as `\xff`, so that different names stay different.
fn text(bytes: &[u8]) -> String {
    let name = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    name.utf8_chunks().fold(String::new(), |mut text, chunk| {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            // Writing to a string cannot fail.
            let _ = write!(text, "\\x{byte:02x}");
        }
        text
    })
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

/// All that the kernel tells of a device, but for its name, which is known already and need not be UTF-8.
fn device(socket: &mut Connection, family: u16, index: u32) -> io::Result<Vec<RawMessage>> {
    let request = WireguardMessage {
        cmd: WireguardCmd::GetDevice,
        attributes: vec![WireguardAttribute::IfIndex(index)],
    };
    let mut payload = vec![0; GENERIC_HEADER + request.buffer_len()];
    payload[..2].copy_from_slice(&[request.command(), request.version()]);
    request.emit(&mut payload[GENERIC_HEADER..]);
    socket.ask(&RawMessage { kind: family, payload }, true)
}

/// Puts what the messages say into the reading.
fn fill(reading: &mut InterfaceReading, messages: &[RawMessage]) -> io::Result<()> {
    let all = messages.iter().flat_map(|message| attributes(&message.payload, GENERIC_HEADER));
    for attribute in all.filter(|attribute| attribute.kind() != WGDEVICE_A_IFNAME) {
        match WireguardAttribute::parse(&attribute).map_err(io::Error::other)? {
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

    /// An attribute with its padding.
    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let length = u16::try_from(4 + value.len()).unwrap();
        let mut bytes = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
        bytes.extend(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn message(peers: Vec<Vec<WireguardPeerAttribute>>) -> RawMessage {
        let attributes = [
            WireguardAttribute::PublicKey([9; 32]),
            WireguardAttribute::ListenPort(51820),
            WireguardAttribute::Peers(peers.into_iter().map(WireguardPeer).collect()),
        ];
        let message =
            WireguardMessage { cmd: WireguardCmd::GetDevice, attributes: attributes.into() };
        let mut rest = vec![0; message.buffer_len()];
        message.emit(&mut rest);
        let name = attribute(WGDEVICE_A_IFNAME, b"wg\xff\0");
        RawMessage { kind: 30, payload: [vec![0; GENERIC_HEADER], name, rest].concat() }
    }

    /// A link with these attributes, that is up.
    fn link_with(attributes: &[(u16, &[u8])]) -> RawMessage {
        let mut payload = vec![0; LINK_HEADER];
        payload[4..8].copy_from_slice(&7_u32.to_ne_bytes());
        payload[8..12].copy_from_slice(&IFF_UP.to_ne_bytes());
        for (kind, value) in attributes {
            payload.extend(attribute(*kind, value));
        }
        RawMessage { kind: RTM_NEWLINK, payload }
    }

    #[test]
    fn names_and_aliases_need_not_be_utf_8() {
        let alias: (u16, &[u8]) = (20, b"B\xfcro\0");
        let info = attribute(IFLA_INFO_KIND, b"wireguard\0");
        let numbers: Vec<u8> = (1..=24_u64).flat_map(u64::to_ne_bytes).collect();
        let mine = link_with(&[
            (IFLA_IFNAME, b"wg\xff\0"),
            alias,
            (IFLA_STATS64, &numbers),
            (IFLA_LINKINFO, &info),
        ]);
        let reading = link(&mine).unwrap();
        assert_eq!((reading.name.as_str(), reading.index, reading.up), ("wg\\xff", 7, true));
        let traffic = |packets, bytes, errors, dropped| Traffic { bytes, packets, errors, dropped };
        assert_eq!((reading.received, reading.sent), (traffic(1, 3, 5, 7), traffic(2, 4, 6, 8)));
        let other = link_with(&[(IFLA_IFNAME, b"office\0"), alias]);
        assert_eq!(link(&other), None);
        // What is cut off says nothing.
        let short = RawMessage { kind: RTM_NEWLINK, payload: mine.payload[..11].to_vec() };
        assert_eq!(link(&short), None);
    }

    #[test]
    fn different_names_stay_different() {
        let names: [&[u8]; 4] = [b"wg0\0", b"b\xc3\xbcro\0\0", b"wg\xfe", b"wg\xff\0"];
        assert_eq!(names.map(text), ["wg0", "b\u{fc}ro", "wg\\xfe", "wg\\xff"]);
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
        fill(&mut reading, &[message(vec![first]), message(vec![rest, other])]).unwrap();
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
        assert!(fill(&mut reading, &[message(vec![vec![allowed(0..1)]])]).is_err());
    }

    #[test]
    fn the_kernel_answers_whatever_it_has() {
        // Whether there are devices depends on the machine; that the kernel is understood does not.
        Netlink.read().unwrap();
        let request = RawMessage { kind: RTM_GETLINK, payload: vec![0; LINK_HEADER] };
        let links = Connection::new(NETLINK_ROUTE).unwrap().ask(&request, true).unwrap();
        assert!(
            links.iter().any(|link| link.kind == RTM_NEWLINK && link.payload.len() > LINK_HEADER)
        );
    }
}
