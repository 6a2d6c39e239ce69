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
}

impl Untracked {
    /// Every reason, in the order of its number.
    pub const ALL: [Untracked; 6] = [
        Untracked::TableFull,
        Untracked::Allocation,
        Untracked::Fragment,
        Untracked::Truncated,
        Untracked::InvalidHeader,
        Untracked::Policy,
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
            // RFC 4302: in units of four bytes, minus two.
            protocol::AH => {
                let units = *bytes.get(header + 1).ok_or(Untracked::Truncated)?;
                (usize::from(units) + 2) * 4
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
