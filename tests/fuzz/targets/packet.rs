// SPDX-License-Identifier: MIT OR Apache-2.0

//! Whatever a packet's bytes are, it is counted once, and the books balance. Where another decoder
//! understands it, this one sees the same in it.

#![no_main]

mod host;

use etherparse::Ipv6ExtensionSlice;
use etherparse::Ipv6ExtensionsSlice;
use etherparse::NetSlice;
use etherparse::SlicedPacket;
use etherparse::TransportSlice;
use host::engine;
use libfuzzer_sys::fuzz_target;
use mutex_core::counters::Direction;
use mutex_core::counters::Totals;
use mutex_core::engine::Buffer;
use mutex_core::engine::Ownership;
use mutex_core::engine::Segments;
use mutex_core::key::Address;
use mutex_core::parse::icmp_quoted;
use mutex_core::parse::parse;
use mutex_core::parse::protocol;
use mutex_core::parse::tcp_timestamps;
use mutex_core::parse::Family;
use mutex_core::parse::Packet;
use mutex_core::parse::Signal;
use mutex_core::parse::Untracked;

fn is_consistent(family: Family, bytes: &[u8], length: u32) {
    match parse(family, bytes, length) {
        Ok(packet) => {
            let least = if family == Family::V4 { 20 } else { 40 };
            assert!(packet.network_header >= least && packet.headers() <= length);
            assert_eq!(packet.family, family);
            if let Some((_, echo)) = tcp_timestamps(&packet, bytes) {
                assert!(packet.transport_header >= 32 || echo.is_none());
            }
            let _ = icmp_quoted(&packet, bytes);
            agrees(&packet, bytes);
        }
        Err(reason) => {
            assert!(!matches!(reason, Untracked::TableFull | Untracked::Allocation));
            assert!(!has_ports(family, bytes), "refused: {reason:?}");
        }
    }
}

/// Whether etherparse finds ports in it, behind no more extension headers than are looked behind.
fn has_ports(family: Family, bytes: &[u8]) -> bool {
    let Ok(other) = SlicedPacket::from_ip(bytes) else {
        return false;
    };
    let is_of_family = match other.net {
        Some(NetSlice::Ipv4(_)) => family == Family::V4,
        // Eight of the shortest.
        Some(NetSlice::Ipv6(ip)) => family == Family::V6 && ip.extensions().slice().len() <= 64,
        _ => false,
    };
    is_of_family && matches!(other.transport, Some(TransportSlice::Tcp(_) | TransportSlice::Udp(_)))
}

/// Bytes of the extension headers before the authentication header, if there is one.
fn before_ah(extensions: Ipv6ExtensionsSlice<'_>) -> Option<usize> {
    let mut length = 0;
    for extension in extensions {
        length += match extension {
            Ipv6ExtensionSlice::HopByHop(header)
            | Ipv6ExtensionSlice::Routing(header)
            | Ipv6ExtensionSlice::DestinationOptions(header) => header.slice().len(),
            Ipv6ExtensionSlice::Fragment(header) => header.slice().len(),
            Ipv6ExtensionSlice::Authentication(_) => return Some(length),
        };
    }
    None
}

/// What etherparse says of the same bytes, if it takes them for a packet that has all of its headers. It
/// looks behind an authentication header, which is a protocol of its own here.
fn agrees(packet: &Packet, bytes: &[u8]) {
    let Ok(other) = SlicedPacket::from_ip(bytes) else {
        return;
    };
    let (addresses, network_header, protocol) = match other.net {
        Some(NetSlice::Ipv4(ip)) => {
            let header = ip.header();
            let addresses = [header.source(), header.destination()].map(Address::v4);
            (addresses, header.slice().len(), header.protocol().0)
        }
        Some(NetSlice::Ipv6(ip)) => {
            let header = ip.header();
            let addresses = [header.source(), header.destination()].map(Address::v6);
            let extensions = ip.extensions().slice().len();
            match before_ah(ip.extensions().clone()) {
                None => (addresses, 40 + extensions, ip.payload().ip_number.0),
                Some(length) => (addresses, 40 + length, protocol::AH),
            }
        }
        _ => return,
    };
    assert_eq!([packet.source.address, packet.destination.address], addresses);
    assert_eq!((packet.network_header as usize, packet.protocol), (network_header, protocol));
    if protocol == protocol::AH {
        return;
    }
    let ports = [packet.source.port, packet.destination.port];
    match other.transport {
        Some(TransportSlice::Tcp(tcp)) => {
            assert_eq!(ports, [tcp.source_port(), tcp.destination_port()]);
            assert_eq!(packet.transport_header as usize, tcp.header_len());
            let Signal::Tcp { flags, ack, .. } = packet.signal else {
                panic!("TCP without a signal");
            };
            assert_eq!((flags & 2 != 0, ack), (tcp.syn(), tcp.acknowledgment_number()));
            let stamp =
                tcp.options_iterator().map_while(Result::ok).find_map(|option| match option {
                    etherparse::TcpOptionElement::Timestamp(value, echo) => {
                        Some((value, tcp.ack().then_some(echo)))
                    }
                    _ => None,
                });
            // It ends at an option whose length it does not like, and that is all.
            assert!(stamp.is_none() || tcp_timestamps(packet, bytes) == stamp);
        }
        Some(TransportSlice::Udp(udp)) => {
            assert_eq!(ports, [udp.source_port(), udp.destination_port()]);
            assert_eq!(packet.transport_header, 8);
        }
        _ => {}
    }
}

// An input is packets, each behind four bytes: family and hook, how many bytes follow, how many of
// them are out of sight, and the segment size.
fuzz_target!(|input: &[u8]| {
    let engine = engine();
    let mut rest = input;
    let mut now = 1_000_000_000;
    let mut buffers = 0;
    while let [how, size, hidden, segment, after @ ..] = rest {
        let (packet, others) = after.split_at(after.len().min(usize::from(*size)));
        rest = others;
        let family = if how & 1 == 0 { Family::V4 } else { Family::V6 };
        let length = packet.len() as u32 + u32::from(*hidden) * 8;
        is_consistent(family, packet, length);
        let segments = (*segment != 0).then_some(Segments {
            size: u32::from(*segment) * 16,
            count: 1 + u32::from(*how >> 4),
            headers: 0,
            unsent: 0,
            fragments: false,
        });
        let buffer = Buffer {
            direction: Direction::ALL[usize::from((how >> 1) & 3).min(2)],
            family,
            bytes: packet,
            length,
            segments,
            netns: 7,
            interface: 1,
            l3mdev: 0,
            now,
            has_socket: false,
            tcp: None,
            clock: || 1_000_000_000,
        };
        engine.count::<false, _>(&engine.cpus(), &buffer, |_| Ownership::Unknown);
        now += u64::from(how & 8) * 100_000_000;
        buffers += 1;
    }
    let mut sum = Totals::ZERO;
    for (_, connection) in engine.connections().ever_used(0) {
        sum.add(&connection.totals());
    }
    let cpu = &engine.cpus().0;
    for reason in Untracked::ALL {
        sum.add(&cpu.untracked.get(reason));
    }
    let totals = cpu.totals.get();
    assert_eq!(totals, sum, "the books do not balance");
    let counted: u64 = Direction::ALL.into_iter().map(|one| totals.of(one).buffers).sum();
    assert_eq!(counted, buffers);
});
