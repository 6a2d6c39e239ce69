// SPDX-License-Identifier: GPL-2.0-only OR MIT OR Apache-2.0

//! From the bytes of a packet's headers to what accounting needs of them.

use crate::key::Address;
use crate::key::Endpoint;

/// IP version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// 4 or 6.
    #[inline]
    pub const fn number(self) -> u8 {
        match self {
            Family::V4 => 4,
            Family::V6 => 6,
        }
    }
}

/// Why a packet belongs to no connection; the numbers are those of `MUTEX_UNTRACKED_*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Untracked {
    /// No record was free.
    TableFull = 0,
    /// Memory for it could not be had.
    Allocation = 1,
    /// A fragment other than the first: it carries no ports.
    Fragment = 2,
    /// The packet ends inside its headers.
    Truncated = 3,
    /// A header contradicts itself.
    InvalidHeader = 4,
    /// The configuration leaves it out.
    Policy = 5,
    /// Its network namespace has used its share of the table.
    Quota = 6,
}

impl Untracked {
    /// Every reason, in the order of its number.
    pub const ALL: [Untracked; 7] = [
        Untracked::TableFull,
        Untracked::Allocation,
        Untracked::Fragment,
        Untracked::Truncated,
        Untracked::InvalidHeader,
        Untracked::Policy,
        Untracked::Quota,
    ];
}

/// Protocol numbers (IANA) that accounting treats in ways of their own.
pub mod protocol {
    #![allow(missing_docs)]
    pub const HOP_BY_HOP: u8 = 0;
    pub const ICMP: u8 = 1;
    pub const TCP: u8 = 6;
    pub const UDP: u8 = 17;
    pub const DCCP: u8 = 33;
    pub const ROUTING: u8 = 43;
    pub const FRAGMENT: u8 = 44;
    pub const AH: u8 = 51;
    pub const ICMPV6: u8 = 58;
    pub const DESTINATION_OPTIONS: u8 = 60;
    pub const SCTP: u8 = 132;
    pub const UDPLITE: u8 = 136;
}

/// Bits of the TCP header's flags byte.
pub mod tcp_flag {
    #![allow(missing_docs)]
    pub const FIN: u8 = 0x01;
    pub const SYN: u8 = 0x02;
    pub const RST: u8 = 0x04;
    pub const ACK: u8 = 0x10;
}

/// What a connection's state follows in a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// TCP: flags, the sequence number after the packet's last byte, and the acknowledgement.
    Tcp {
        /// See [`tcp_flag`].
        flags: u8,
        /// The sequence number that follows this packet, SYN and FIN counted.
        end: u32,
        /// The acknowledgement number; of no meaning without [`tcp_flag::ACK`].
        ack: u32,
    },
    /// The packet ends its connection at once: an SCTP ABORT or SHUTDOWN COMPLETE.
    End {
        /// Whether it does so in disorder.
        abort: bool,
    },
    /// Nothing beyond the packet's being there.
    None,
}

/// A packet's headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet {
    /// IPv4 or IPv6.
    pub family: Family,
    /// The last protocol of the header chain.
    pub protocol: u8,
    /// Source.
    pub source: Endpoint,
    /// Destination.
    pub destination: Endpoint,
    /// Whether an address is link-local (`fe80::/10`), so that its interface belongs to it.
    pub link_local: bool,
    /// Bytes of the IP header with all extension headers.
    pub network_header: u32,
    /// Bytes of the transport header, 0 where the protocol is not known.
    pub transport_header: u32,
    /// What the state follows.
    pub signal: Signal,
}

impl Packet {
    /// Bytes of all headers.
    #[inline]
    pub fn headers(&self) -> u32 {
        self.network_header + self.transport_header
    }
}

/// IPv6 header chains longer than this are refused; RFC 8200 has no use for more.
const EXTENSION_HEADERS_MAX: usize = 8;

#[inline(always)]
fn be16(bytes: &[u8], at: usize) -> Option<u16> {
    match bytes.get(at..at + 2) {
        Some(&[a, b]) => Some(u16::from_be_bytes([a, b])),
        _ => None,
    }
}

#[inline(always)]
fn be32(bytes: &[u8], at: usize) -> Option<u32> {
    match bytes.get(at..at + 4) {
        Some(&[a, b, c, d]) => Some(u32::from_be_bytes([a, b, c, d])),
        _ => None,
    }
}

#[inline(always)]
fn address_v4(bytes: &[u8], at: usize) -> Option<Address> {
    Some(Address::v4(bytes.get(at..at + 4)?.try_into().ok()?))
}

#[inline(always)]
fn address_v6(bytes: &[u8], at: usize) -> Option<Address> {
    Some(Address::v6(bytes.get(at..at + 16)?.try_into().ok()?))
}

impl Packet {
    /// What [`Packet::read`] writes to.
    #[inline(always)]
    pub fn unread(family: Family) -> Self {
        let end = Endpoint { address: Address([0; 2]), port: 0 };
        Packet {
            family,
            protocol: 0,
            source: end,
            destination: end,
            link_local: false,
            network_header: 0,
            transport_header: 0,
            signal: Signal::None,
        }
    }

    /// Parses the headers at the start of `bytes`, a packet of `length` bytes in all. After an error what
    /// has been written means nothing.
    ///
    /// `bytes` may be a window that ends before the packet does. Arbitrary input is fine.
    // Written in place: a packet that is handed on in a `Result` is moved in pieces that overlap its
    // fields, for which the processor waits longer than all of the parsing takes.
    #[inline(always)]
    pub fn read(&mut self, bytes: &[u8], length: u32) -> Result<(), Untracked> {
        match self.family {
            Family::V4 => self.read_v4(bytes, length)?,
            Family::V6 => self.read_v6(bytes)?,
        }
        self.read_transport(bytes, length)
    }

    #[inline(always)]
    fn read_v4(&mut self, bytes: &[u8], length: u32) -> Result<(), Untracked> {
        let first = *bytes.first().ok_or(Untracked::Truncated)?;
        let header = u32::from(first & 0x0f) * 4;
        if first >> 4 != 4 || header < 20 {
            return Err(Untracked::InvalidHeader);
        }
        if length < header || bytes.len() < header as usize {
            return Err(Untracked::Truncated);
        }
        let fragment = be16(bytes, 6).ok_or(Untracked::Truncated)?;
        if fragment & 0x1fff != 0 {
            return Err(Untracked::Fragment);
        }
        self.protocol = *bytes.get(9).ok_or(Untracked::Truncated)?;
        self.source.address = address_v4(bytes, 12).ok_or(Untracked::Truncated)?;
        self.destination.address = address_v4(bytes, 16).ok_or(Untracked::Truncated)?;
        self.link_local = false;
        self.network_header = header;
        Ok(())
    }

    #[inline(always)]
    fn read_v6(&mut self, bytes: &[u8]) -> Result<(), Untracked> {
        let first = *bytes.first().ok_or(Untracked::Truncated)?;
        if first >> 4 != 6 {
            return Err(Untracked::InvalidHeader);
        }
        let protocol = *bytes.get(6).ok_or(Untracked::Truncated)?;
        let source = address_v6(bytes, 8).ok_or(Untracked::Truncated)?;
        let destination = address_v6(bytes, 24).ok_or(Untracked::Truncated)?;
        let (protocol, header) = skip_extensions(protocol, bytes)?;
        self.protocol = protocol;
        self.link_local = source.is_link_local() || destination.is_link_local();
        self.source.address = source;
        self.destination.address = destination;
        self.network_header = header;
        Ok(())
    }

    #[inline(always)]
    fn read_transport(&mut self, bytes: &[u8], length: u32) -> Result<(), Untracked> {
        let at = self.network_header as usize;
        let mut ports = (0, 0);
        let mut signal = Signal::None;
        let ports_at = |at| be16(bytes, at).zip(be16(bytes, at + 2)).ok_or(Untracked::Truncated);
        let header = match self.protocol {
            protocol::TCP => {
                ports = ports_at(at)?;
                let sequence = be32(bytes, at + 4).ok_or(Untracked::Truncated)?;
                let ack = be32(bytes, at + 8).ok_or(Untracked::Truncated)?;
                let offset = be16(bytes, at + 12).ok_or(Untracked::Truncated)?;
                let header = u32::from(offset >> 12) * 4;
                if header < 20 {
                    return Err(Untracked::InvalidHeader);
                }
                let flags = offset as u8;
                let payload = length.saturating_sub(self.network_header + header);
                let counted =
                    u32::from(flags & tcp_flag::SYN != 0) + u32::from(flags & tcp_flag::FIN != 0);
                signal = Signal::Tcp {
                    flags,
                    end: sequence.wrapping_add(payload).wrapping_add(counted),
                    ack,
                };
                header
            }
            protocol::UDP | protocol::UDPLITE => {
                ports = ports_at(at)?;
                8
            }
            protocol::SCTP => {
                ports = ports_at(at)?;
                // RFC 9260: 6 is ABORT, 14 is SHUTDOWN COMPLETE, which come first unless an ABORT
                // is bundled behind other chunks; the idle timeout ends those.
                signal = match bytes.get(at + 12) {
                    Some(6) => Signal::End { abort: true },
                    Some(14) => Signal::End { abort: false },
                    _ => Signal::None,
                };
                12
            }
            protocol::DCCP => {
                ports = ports_at(at)?;
                let offset = *bytes.get(at + 4).ok_or(Untracked::Truncated)?;
                let header = u32::from(offset) * 4;
                if header < 12 {
                    return Err(Untracked::InvalidHeader);
                }
                // RFC 4340, section 5.1: type 7 is Reset.
                if bytes.get(at + 8).is_some_and(|byte| (byte >> 1) & 0x0f == 7) {
                    signal = Signal::End { abort: true };
                }
                header
            }
            protocol::ICMP | protocol::ICMPV6 => {
                let kind = *bytes.get(at).ok_or(Untracked::Truncated)?;
                if let Some(asks) = icmp_asks(self.family, kind) {
                    let identifier = be16(bytes, at + 4).ok_or(Untracked::Truncated)?;
                    ports = if asks { (identifier, 0) } else { (0, identifier) };
                }
                8
            }
            _ => 0,
        };
        if length < self.network_header + header {
            return Err(Untracked::Truncated);
        }
        self.source.port = ports.0;
        self.destination.port = ports.1;
        self.transport_header = header;
        self.signal = signal;
        Ok(())
    }
}

/// The last protocol of an IPv6 header chain, and the bytes of all its headers.
///
/// An authentication header (RFC 4302) ends the chain, as one of ESP does: IPsec passes a packet
/// through the hooks with it and without it, which are two connections.
#[inline(always)]
fn skip_extensions(first: u8, bytes: &[u8]) -> Result<(u8, u32), Untracked> {
    let mut protocol = first;
    let mut header = 40usize;
    let mut extensions = 0;
    loop {
        let size = match protocol {
            protocol::HOP_BY_HOP | protocol::ROUTING | protocol::DESTINATION_OPTIONS => {
                let units = *bytes.get(header + 1).ok_or(Untracked::Truncated)?;
                (usize::from(units) + 1) * 8
            }
            protocol::FRAGMENT => {
                let offset = be16(bytes, header + 2).ok_or(Untracked::Truncated)?;
                if offset & 0xfff8 != 0 {
                    return Err(Untracked::Fragment);
                }
                8
            }
            _ => break,
        };
        extensions += 1;
        if extensions > EXTENSION_HEADERS_MAX {
            return Err(Untracked::InvalidHeader);
        }
        protocol = *bytes.get(header).ok_or(Untracked::Truncated)?;
        header += size;
    }
    Ok((protocol, header as u32))
}

/// Parses the headers of a packet, see [`Packet::read`].
pub fn parse(family: Family, bytes: &[u8], length: u32) -> Result<Packet, Untracked> {
    let mut packet = Packet::unread(family);
    packet.read(bytes, length)?;
    Ok(packet)
}

/// The timestamp and the echo of one that a TCP packet carries (RFC 7323, section 3), the echo only
/// with an ACK.
pub fn tcp_timestamps(packet: &Packet, bytes: &[u8]) -> Option<(u32, Option<u32>)> {
    let Signal::Tcp { flags, .. } = packet.signal else {
        return None;
    };
    let start = packet.network_header as usize;
    let mut options = bytes.get(start + 20..start + packet.transport_header as usize)?;
    // 40 bytes of options at the most, each of one at least.
    for _ in 0..40 {
        options = match options {
            [] | [0, ..] => return None,
            [1, rest @ ..] => rest,
            [8, 10, v0, v1, v2, v3, e0, e1, e2, e3, ..] => {
                let echo = u32::from_be_bytes([*e0, *e1, *e2, *e3]);
                let value = u32::from_be_bytes([*v0, *v1, *v2, *v3]);
                return Some((value, (flags & tcp_flag::ACK != 0).then_some(echo)));
            }
            [_, length, ..] => options.get(usize::from((*length).max(2))..)?,
            [_] => return None,
        };
    }
    None
}

/// The sequence number of an ICMP packet that asks or answers.
pub fn icmp_sequence(packet: &Packet, bytes: &[u8]) -> u16 {
    be16(bytes, packet.network_header as usize + 6).unwrap_or_default()
}

/// The packet that an ICMP error is about: its protocol and its ends, as it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quoted {
    /// IPv4 or IPv6.
    pub family: Family,
    /// Protocol number as in the IP header.
    pub protocol: u8,
    /// Source.
    pub source: Endpoint,
    /// Destination.
    pub destination: Endpoint,
    /// Whether an address is link-local.
    pub link_local: bool,
}

/// What an ICMP error packet quotes, `None` if it is none or quotes too little.
pub fn icmp_quoted(packet: &Packet, bytes: &[u8]) -> Option<Quoted> {
    let at = packet.network_header as usize;
    let kind = *bytes.get(at)?;
    let is_error = match (packet.family, packet.protocol) {
        // Unreachable, source quench, time exceeded, parameter problem (RFC 792).
        (Family::V4, protocol::ICMP) => matches!(kind, 3 | 4 | 11 | 12),
        // RFC 4443, section 2.1: errors have numbers below 128.
        (Family::V6, protocol::ICMPV6) => kind < 128,
        _ => false,
    };
    if !is_error {
        return None;
    }
    quoted(packet.family, bytes.get(at + 8..)?)
}

/// The ends that the start of a packet names, of which no more is needed than its ports; extension
/// headers are not looked behind.
pub fn quoted(family: Family, bytes: &[u8]) -> Option<Quoted> {
    let (protocol, source, destination, at) = match family {
        Family::V4 => {
            let header = usize::from(*bytes.first()? & 0x0f) * 4;
            if be16(bytes, 6)? & 0x1fff != 0 {
                return None;
            }
            (*bytes.get(9)?, address_v4(bytes, 12)?, address_v4(bytes, 16)?, header)
        }
        Family::V6 => (*bytes.get(6)?, address_v6(bytes, 8)?, address_v6(bytes, 24)?, 40),
    };
    let ports = match protocol {
        protocol::TCP | protocol::UDP | protocol::UDPLITE | protocol::SCTP | protocol::DCCP => {
            (be16(bytes, at)?, be16(bytes, at + 2)?)
        }
        protocol::ICMP | protocol::ICMPV6 => match icmp_asks(family, *bytes.get(at)?) {
            Some(true) => (be16(bytes, at + 4)?, 0),
            Some(false) => (0, be16(bytes, at + 4)?),
            None => (0, 0),
        },
        _ => (0, 0),
    };
    Some(Quoted {
        family,
        protocol,
        source: Endpoint { address: source, port: ports.0 },
        destination: Endpoint { address: destination, port: ports.1 },
        link_local: family == Family::V6 && (source.is_link_local() || destination.is_link_local()),
    })
}

/// ICMP types that ask or answer and carry an identifier: whether `kind` asks.
#[inline]
fn icmp_asks(family: Family, kind: u8) -> Option<bool> {
    match (family, kind) {
        // Echo, timestamp, information and address mask (RFC 792, RFC 950).
        (Family::V4, 8 | 13 | 15 | 17) | (Family::V6, 128) => Some(true),
        (Family::V4, 0 | 14 | 16 | 18) | (Family::V6, 129) => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::prelude::v1::*;

    /// Packets as Linux sent them over its loopback interface.
    const TCP_SYN: &str =
        "4500003c520c40004006eaad7f0000017f000001c294962ba9d441ab00000000a002ffd7\
        fe3000000204ffd70402080a4dd8e344000000000103030a";
    const TCP_DATA: &str =
        "4500003f520e40004006eaa87f0000017f000001c294962ba9d441acb586c7038018004\
        0fe3300000101080a4dd8e3447044afc368656c6c6f206d75746578";
    const TCP6_FIN: &str =
        "60044feb0020064000000000000000000000000000000001000000000000000000000000\
        00000001bb8abe6b4ce301d75307c62980110040002800000101080a6725a4b891674958";
    const UDP: &str = "450000223280400040110a497f0000017f000001810b0009000efe216e6f626f6479";
    /// A record route of two places, one of them filled.
    const UDP_WITH_OPTIONS: &str =
        "4800002f32e840004011f6497f0000017f000001070b087f0000010000000000a0d50009000ffe226f7074696f6e73";
    /// Hop-by-hop and destination options.
    const UDP6_WITH_EXTENSIONS: &str =
        "600847c3002000400000000000000000000000000000000100000000000000\
        0000000000000000013c000104000000001100010400000000ad5b00090010a4c1657874656e646564";
    /// An IPv4 packet, with 13 bytes of UDP, in another.
    const IP_IN_IP: &str =
        "45000035789d40004004c4257f0000017f00000145000021000040004011000a7f000001\
        7f00000103e807d0000d0000696e6e6572";
    const ECHO: &str = "45000024439540004001f9417f0000017f0000010800280212340001\
        70696e67706f6e67";
    const ECHO6_REPLY: &str =
        "6000790c00103a4000000000000000000000000000000001000000000000000000000000\
        000000018100aed61234000170696e67706f6e67";
    /// What came back for [`UDP`]: nobody is there.
    const UNREACHABLE: &str =
        "45c0003e429f00004001395e7f0000017f0000010303486000000000450000223280400040\
        110a497f0000017f000001810b0009000efe216e6f626f6479";
    const UNREACHABLE6: &str = "6008b28f003e3a400000000000000000000000000000000100000000000000000000000000\
        0000010104866d00000000600b3e91000e114000000000000000000000000000000001000000000000000000000000000000\
        0192970009000e00216e6f626f6479";

    fn loopback(family: Family) -> Address {
        match family {
            Family::V4 => Address::v4([127, 0, 0, 1]),
            Family::V6 => Address::v6([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]),
        }
    }

    fn bytes(hex: &str) -> Vec<u8> {
        let digits: Vec<u8> =
            hex.chars().map(|digit| digit.to_digit(16).expect("hexadecimal") as u8).collect();
        digits.chunks(2).map(|pair| (pair[0] << 4) | pair[1]).collect()
    }

    fn family(bytes: &[u8]) -> Family {
        if bytes[0] >> 4 == 4 {
            Family::V4
        } else {
            Family::V6
        }
    }

    fn read(bytes: &[u8]) -> Result<Packet, Untracked> {
        parse(family(bytes), bytes, bytes.len() as u32)
    }

    /// Protocol, ports, and the bytes of both headers.
    fn outline(hex: &str) -> (u8, u16, u16, u32, u32) {
        let packet = read(&bytes(hex)).expect("a packet");
        for end in [packet.source, packet.destination] {
            assert_eq!(end.address, loopback(packet.family));
        }
        assert!(!packet.link_local);
        let Packet { protocol, source, destination, network_header, transport_header, .. } = packet;
        (protocol, source.port, destination.port, network_header, transport_header)
    }

    #[test]
    fn packets_of_this_world() {
        assert_eq!(outline(TCP_SYN), (6, 49812, 38443, 20, 40));
        assert_eq!(outline(TCP_DATA), (6, 49812, 38443, 20, 32));
        assert_eq!(outline(TCP6_FIN), (6, 48010, 48747, 40, 32));
        assert_eq!(outline(UDP), (17, 33035, 9, 20, 8));
        assert_eq!(outline(UDP_WITH_OPTIONS), (17, 41173, 9, 32, 8));
        assert_eq!(outline(UDP6_WITH_EXTENSIONS), (17, 44379, 9, 56, 8));
    }

    #[test]
    fn a_tcp_packet_says_which_byte_comes_next() {
        let signal = |hex| read(&bytes(hex)).expect("a packet").signal;
        let (syn, fin) = (tcp_flag::SYN, tcp_flag::FIN | tcp_flag::ACK);
        assert_eq!(signal(TCP_SYN), Signal::Tcp { flags: syn, end: 0xa9d4_41ac, ack: 0 });
        let data = Signal::Tcp { flags: 0x18, end: 0xa9d4_41ac + 11, ack: 0xb586_c703 };
        assert_eq!(signal(TCP_DATA), data);
        let last = Signal::Tcp { flags: fin, end: 0x4ce3_01d8, ack: 0x5307_c629 };
        assert_eq!(signal(TCP6_FIN), last);
    }

    #[test]
    fn timestamps_are_found_behind_other_options() {
        let stamps = |hex| {
            let bytes = bytes(hex);
            tcp_timestamps(&read(&bytes).expect("a packet"), &bytes)
        };
        assert_eq!(stamps(TCP_SYN), Some((0x4dd8_e344, None)));
        assert_eq!(stamps(TCP_DATA), Some((0x4dd8_e344, Some(0x7044_afc3))));
        assert_eq!(stamps(UDP), None);
        let with_options = |options: &[u8]| {
            let mut bytes = bytes(TCP_DATA);
            bytes[40..52].fill(0);
            bytes[40..40 + options.len()].copy_from_slice(options);
            tcp_timestamps(&read(&bytes).expect("a packet"), &bytes)
        };
        let stamp = [8, 10, 0, 0, 0, 1, 0, 0, 0, 2];
        assert_eq!(with_options(&stamp), Some((1, Some(2))));
        assert_eq!(with_options(&[&[3, 2][..], &stamp].concat()), Some((1, Some(2))));
        // The end of the list, an option without a length, one that is longer than its list.
        for options in [&[&[0, 1][..], &stamp].concat(), &vec![1; 12], &vec![3, 40, 1, 1]] {
            assert_eq!(with_options(options), None, "{options:?}");
        }
        // A length that is too short to be one leads on all the same.
        assert_eq!(with_options(&[&[5, 0][..], &stamp].concat()), Some((1, Some(2))));
    }

    #[test]
    fn echoes_have_their_identifier_on_the_side_that_asks() {
        assert_eq!(outline(ECHO), (1, 0x1234, 0, 20, 8));
        assert_eq!(outline(ECHO6_REPLY), (58, 0, 0x1234, 40, 8));
        let bytes = bytes(ECHO);
        assert_eq!(icmp_sequence(&read(&bytes).expect("a packet"), &bytes), 1);
    }

    #[test]
    fn an_error_names_what_it_is_about() {
        for (hex, protocol, port) in
            [(UNREACHABLE, protocol::ICMP, 33035), (UNREACHABLE6, protocol::ICMPV6, 37527)]
        {
            let mut bytes = bytes(hex);
            let packet = read(&bytes).expect("a packet");
            assert_eq!(
                (packet.protocol, packet.source.port, packet.destination.port),
                (protocol, 0, 0)
            );
            let quoted = Quoted {
                family: packet.family,
                protocol: protocol::UDP,
                source: Endpoint { address: loopback(packet.family), port },
                destination: Endpoint { address: loopback(packet.family), port: 9 },
                link_local: false,
            };
            assert_eq!(icmp_quoted(&packet, &bytes), Some(quoted));
            // As much as the ports is enough (RFC 792), anything less is not.
            let ports = packet.network_header as usize + 8 + packet.network_header as usize + 4;
            assert_eq!(icmp_quoted(&packet, &bytes[..ports]), Some(quoted));
            assert_eq!(icmp_quoted(&packet, &bytes[..ports - 1]), None);
            // An echo is about nothing.
            bytes[packet.network_header as usize] =
                if packet.family == Family::V4 { 8 } else { 128 };
            assert_eq!(icmp_quoted(&packet, &bytes), None);
        }
        let udp = bytes(UDP);
        assert_eq!(icmp_quoted(&read(&udp).expect("a packet"), &udp), None);
    }

    #[test]
    fn a_later_fragment_quotes_no_ports() {
        let mut bytes = bytes(UNREACHABLE);
        bytes[28 + 7] = 1;
        assert_eq!(icmp_quoted(&read(&bytes).expect("a packet"), &bytes), None);
    }

    #[test]
    fn each_layer_of_a_tunnel_is_a_packet() {
        assert_eq!(outline(IP_IN_IP), (4, 0, 0, 20, 0));
        let inner = &bytes(IP_IN_IP)[20..];
        let packet = read(inner).expect("a packet");
        assert_eq!(
            (packet.protocol, packet.source.port, packet.destination.port),
            (17, 1000, 2000)
        );
    }

    #[test]
    fn only_the_first_fragment_has_ports() {
        let first = |fragment: u16| {
            let mut bytes = bytes(UDP);
            bytes[6..8].copy_from_slice(&fragment.to_be_bytes());
            read(&bytes).map(|packet| packet.source.port)
        };
        // Alone and not to be divided; the first of several; the next; the last.
        assert_eq!(first(0x4000), Ok(33035));
        assert_eq!(first(0x2000), Ok(33035));
        assert_eq!(first(0x2001), Err(Untracked::Fragment));
        assert_eq!(first(0x1fff), Err(Untracked::Fragment));
        assert_eq!(first(0x1000), Err(Untracked::Fragment));
    }

    /// The IPv6 packet with other headers in front of its UDP.
    fn extended(first: u8, headers: &[u8]) -> Vec<u8> {
        let plain = bytes(UDP6_WITH_EXTENSIONS);
        let mut bytes = [&plain[..40], headers, &plain[56..]].concat();
        bytes[6] = first;
        bytes
    }

    #[test]
    fn fragments_of_ipv6() {
        let fragment = |offset: u16| {
            let [high, low] = offset.to_be_bytes();
            let bytes = extended(protocol::FRAGMENT, &[17, 0, high, low, 1, 2, 3, 4]);
            read(&bytes).map(|packet| (packet.source.port, packet.network_header))
        };
        // The first of several, one alone (RFC 8200 forbids neither), the second, and bits that mean nothing.
        assert_eq!(fragment(1), Ok((44379, 48)));
        assert_eq!(fragment(0), Ok((44379, 48)));
        assert_eq!(fragment(8), Err(Untracked::Fragment));
        assert_eq!(fragment(6), Ok((44379, 48)));
    }

    #[test]
    fn chains_of_headers() {
        let chain = |first, headers: &[u8]| {
            let packet = read(&extended(first, headers))?;
            Ok((packet.protocol, packet.source.port, packet.network_header))
        };
        // Routing, of 24 bytes. Authentication is a protocol of its own, as it is with IPv4.
        let routing = [&[17, 2, 4, 0][..], &[0; 20]].concat();
        assert_eq!(chain(protocol::ROUTING, &routing), Ok((17, 44379, 64)));
        let authentication = [&[17, 4, 0, 0][..], &[0; 20]].concat();
        assert_eq!(chain(protocol::AH, &authentication), Ok((protocol::AH, 0, 40)));
        // What cannot be looked into is a protocol of its own, "no next header" too.
        assert_eq!(chain(50, &[]), Ok((50, 0, 40)));
        assert_eq!(chain(59, &[]), Ok((59, 0, 40)));
        // As long as is allowed, and longer.
        let options = [protocol::DESTINATION_OPTIONS, 0, 1, 4, 0, 0, 0, 0];
        let mut headers = options.repeat(EXTENSION_HEADERS_MAX);
        let last = headers.len() - 8;
        headers[last] = 17;
        assert_eq!(chain(protocol::DESTINATION_OPTIONS, &headers), Ok((17, 44379, 104)));
        let longer = [&options[..], &headers].concat();
        assert_eq!(chain(protocol::DESTINATION_OPTIONS, &longer), Err(Untracked::InvalidHeader));
        // One that ends behind the packet.
        assert_eq!(chain(protocol::HOP_BY_HOP, &[17, 255, 0, 0]), Err(Untracked::Truncated));
    }

    #[test]
    fn addresses_of_a_link_are_known() {
        for at in [8, 24] {
            let mut bytes = bytes(TCP6_FIN);
            assert!(!read(&bytes).expect("a packet").link_local);
            bytes[at..at + 2].copy_from_slice(&[0xfe, 0xbf]);
            assert!(read(&bytes).expect("a packet").link_local);
            bytes[at + 1] = 0xc0;
            assert!(!read(&bytes).expect("a packet").link_local);
        }
    }

    #[test]
    fn headers_that_contradict_themselves() {
        let with = |hex: &str, at: usize, byte: u8| {
            let mut bytes = bytes(hex);
            let family = family(&bytes);
            bytes[at] = byte;
            parse(family, &bytes, bytes.len() as u32).map(|packet| packet.headers())
        };
        assert_eq!(with(UDP, 0, 0x65), Err(Untracked::InvalidHeader));
        assert_eq!(with(UDP, 0, 0x44), Err(Untracked::InvalidHeader));
        assert_eq!(with(UDP, 0, 0x4f), Err(Untracked::Truncated));
        assert_eq!(with(TCP6_FIN, 0, 0x45), Err(Untracked::InvalidHeader));
        assert_eq!(with(TCP_SYN, 32, 0x40), Err(Untracked::InvalidHeader));
        assert_eq!(with(TCP_SYN, 32, 0xf0), Err(Untracked::Truncated));
    }

    #[test]
    fn protocols_with_headers_of_their_own() {
        let carrying = |protocol: u8, payload: &[u8]| {
            let mut bytes = [&bytes(UDP)[..20], payload].concat();
            bytes[9] = protocol;
            read(&bytes).map(|packet| (packet.source.port, packet.transport_header, packet.signal))
        };
        let ports = [1, 2, 3, 4];
        let sctp = |chunk| [&ports[..], &[0; 8], &[chunk, 0, 0, 4]].concat();
        let end = |abort| Signal::End { abort };
        assert_eq!(carrying(protocol::SCTP, &sctp(0)), Ok((258, 12, Signal::None)));
        assert_eq!(carrying(protocol::SCTP, &sctp(6)), Ok((258, 12, end(true))));
        assert_eq!(carrying(protocol::SCTP, &sctp(14)), Ok((258, 12, end(false))));
        // A header without a chunk is all there.
        assert_eq!(carrying(protocol::SCTP, &sctp(6)[..12]), Ok((258, 12, Signal::None)));
        let dccp = |words, kind: u8| {
            [&ports[..], &[words, 0, 0, 0, kind << 1, 0, 0, 0], &[0; 12]].concat()
        };
        assert_eq!(carrying(protocol::DCCP, &dccp(4, 2)), Ok((258, 16, Signal::None)));
        assert_eq!(carrying(protocol::DCCP, &dccp(6, 7)), Ok((258, 24, end(true))));
        assert_eq!(carrying(protocol::DCCP, &dccp(2, 2)), Err(Untracked::InvalidHeader));
        assert_eq!(carrying(protocol::DCCP, &dccp(7, 2)), Err(Untracked::Truncated));
        assert_eq!(
            carrying(protocol::UDPLITE, &[1, 2, 3, 4, 0, 0, 0, 0]),
            Ok((258, 8, Signal::None))
        );
        assert_eq!(carrying(47, &[]), Ok((0, 0, Signal::None)));
    }

    /// Where each packet may end at the earliest and still be known.
    const ALL: [(&str, usize); 11] = [
        (TCP_SYN, 34),
        (TCP_DATA, 34),
        (TCP6_FIN, 54),
        (UDP, 24),
        (UDP_WITH_OPTIONS, 36),
        (UDP6_WITH_EXTENSIONS, 60),
        (IP_IN_IP, 20),
        (ECHO, 26),
        (ECHO6_REPLY, 46),
        (UNREACHABLE, 21),
        (UNREACHABLE6, 41),
    ];

    #[test]
    fn a_packet_that_ends_inside_its_headers_is_truncated() {
        for (hex, _) in ALL {
            let bytes = bytes(hex);
            let whole = read(&bytes).expect("a packet");
            for end in 0..whole.headers() as usize {
                let cut = parse(whole.family, &bytes[..end], end as u32);
                assert_eq!(cut, Err(Untracked::Truncated), "{hex} ends at {end}");
            }
        }
    }

    #[test]
    fn a_window_may_end_behind_what_is_needed() {
        for (hex, least) in ALL {
            let bytes = bytes(hex);
            let whole = read(&bytes);
            let window = |end| parse(family(&bytes), &bytes[..end], bytes.len() as u32);
            for end in least..bytes.len() {
                assert_eq!(window(end), whole, "{hex} is seen up to {end}");
            }
            assert_eq!(window(least - 1), Err(Untracked::Truncated), "{hex}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_are_fine(
            bytes in proptest::collection::vec(any::<u8>(), 0..160), v4: bool, more in 0u32..3000,
        ) {
            let family = if v4 { Family::V4 } else { Family::V6 };
            let length = bytes.len() as u32 + more;
            if let Ok(packet) = parse(family, &bytes, length) {
                prop_assert!(packet.headers() <= length);
                let _ = (tcp_timestamps(&packet, &bytes), icmp_quoted(&packet, &bytes));
            }
        }
    }
}
