// SPDX-License-Identifier: GPL-2.0-only OR MIT OR Apache-2.0

//! Known answers, which are computed anew before anything is counted.
//!
//! A compiler that was told something wrong of its target, or a processor that is broken, computes
//! wrong numbers without any fault: a build that used SSE registers in the kernel had checksums that
//! differed from run to run. So a module first shows that it can do what all of its books rest on. The
//! inputs are hidden from the optimizer, which would otherwise compute the answers where it is right.

use core::hint::black_box;

use crate::abi::MUTEX_EVENT_PACKET;
use crate::crc::crc32;
use crate::filter::Filter;
use crate::filter::Subject;
use crate::key::Address;
use crate::key::Endpoint;
use crate::key::Secret;
use crate::latency::Histogram;
use crate::latency::Octave;
use crate::latency::Place;
use crate::latency::Pool;
use crate::latency::Span;
use crate::parse::parse;
use crate::parse::protocol;
use crate::parse::Family;
use crate::parse::Signal;
use crate::sync::atomic::AtomicU32;

/// Bytes that are checksummed: enough for each way that a checksum is computed in.
pub const ROOM: usize = 7300;

/// What is tested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// CRC-32.
    Checksum,
    /// The hash of the tables' keys.
    KeyHash,
    /// Reading a filter, and asking it.
    Filter,
    /// Histograms of latency.
    Histogram,
    /// Parsing packets.
    Parser,
}

impl Part {
    /// What to call it in a sentence.
    pub const fn name(self) -> &'static str {
        match self {
            Part::Checksum => "the checksum",
            Part::KeyHash => "the hash of keys",
            Part::Filter => "the filter of events",
            Part::Histogram => "the histogram of latency",
            Part::Parser => "the parser of packets",
        }
    }
}

/// The answers.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Answers {
    /// Of the first bytes, as many as [`LENGTHS`] say.
    checksums: [u32; LENGTHS.len()],
    /// Of two words and of six.
    hashes: [u64; 2],
    /// Whether it matches a packet from each of the [`PORTS`].
    filter: [bool; PORTS.len()],
    /// Samples, and the nanoseconds that 1, 50, 95 and 100 percent of them do not exceed.
    histogram: [u64; 5],
    /// Of each of the [`PACKETS`].
    packets: [Parsed; PACKETS.len()],
}

const KNOWN: Answers = Answers {
    checksums: [0x9cb0_76cc, 0x0dbe_06c3, 0x77b6_fa33, 0x5484_50a1],
    hashes: [0x9a3a_7e73_79ba_b525, 0xad67_8b06_aed3_1b53],
    filter: [false, true, false, false, true, false],
    histogram: [83_000, 10_476, 83_809, 5_363_809, 85_820_952],
    packets: [
        [0x1800_1406, 0xc001_01bb, 0xa00_c001_0207, 0x89ab_cdf0_0000_0010],
        [0x800_1811, 0x3039_0035, 0xac10_0d0c_0404, 0],
        [0x1400_3006, 0x16_ea60, 0x1_0002, 0x7_1122_33cc],
        [0x800_1401, 0x1234_0000, 0x7f00_7f01_0009, 0],
        [0x100_0c00_2884, 0xb59_0b5a, 0x5_0006, 2],
        [2, !0, !0, !0],
    ],
};

/// Computes all answers; the first part that has a wrong one, if there is one. `room` has [`ROOM`] bytes.
pub fn run(room: &mut [u8]) -> Result<(), Part> {
    let found = Answers {
        checksums: checksums(room),
        hashes: hashes(),
        filter: filter(),
        histogram: histogram(),
        packets: packets(),
    };
    // The deliberate mistake of a test build, which must not be loaded.
    #[cfg(mutex_wrong_answer)]
    let found = Answers { hashes: found.hashes.map(|hash| hash ^ 1 << 40), ..found };
    compare(&found, &KNOWN)
}

fn compare(found: &Answers, known: &Answers) -> Result<(), Part> {
    let parts = [
        (found.checksums == known.checksums, Part::Checksum),
        (found.hashes == known.hashes, Part::KeyHash),
        (found.filter == known.filter, Part::Filter),
        (found.histogram == known.histogram, Part::Histogram),
        (found.packets == known.packets, Part::Parser),
    ];
    match parts.into_iter().find(|(is_right, _)| !is_right) {
        Some((_, wrong)) => Err(wrong),
        None => Ok(()),
    }
}

const LENGTHS: [usize; 4] = [9, 70, 1000, ROOM];

#[inline(never)]
fn checksums(room: &mut [u8]) -> [u32; LENGTHS.len()] {
    for (byte, i) in room.iter_mut().zip(0u32..) {
        *byte = (black_box(i).wrapping_mul(2_654_435_761) >> 24) as u8;
    }
    LENGTHS.map(|length| crc32(room.get(..black_box(length)).unwrap_or_default()))
}

#[inline(never)]
fn hashes() -> [u64; 2] {
    // The fractional part of pi.
    let secret = Secret::new(black_box([
        0x243f_6a88_85a3_08d3,
        0x1319_8a2e_0370_7344,
        0xa409_3822_299f_31d0,
        0x082e_fa98_ec4e_6c89,
        0x4528_21e6_38d0_1377,
        0xbe54_66cf_34e9_0c6c,
        0xc0ac_29b7_c97c_50dd,
        0x3f84_d5b5_b547_0917,
    ]));
    let socket = [0xffff_8881_2345_6780, 0];
    let key = [0, 0x0100_000a_ffff_0000, 0, 0x0200_000a_ffff_0000, 0xf000_0098_01bb_c001, 0x406];
    [secret.hash(&black_box(socket)), secret.hash(&black_box(key))]
}

/// Of a packet's source.
const PORTS: [u16; 6] = [442, 443, 444, 7999, 8050, 8101];

#[inline(never)]
fn filter() -> [bool; PORTS.len()] {
    let text = "kind=packet protocol=tcp local_port=443,8000-8100 address=10.0.0.0/8 uid!=1000";
    let Ok(filter) = Filter::parse(black_box(text)) else {
        return [false; PORTS.len()];
    };
    let end = |address, port| Some(Endpoint { address: Address::v4(address), port });
    PORTS.map(|port| {
        filter.matches(&black_box(Subject {
            family: Some(Family::V4),
            protocol: Some(protocol::TCP),
            local: end([10, 1, 2, 3], port),
            remote: end([192, 0, 2, 1], 50_000),
            uid: 1001,
            ..Subject::new(MUTEX_EVENT_PACKET)
        }))
    })
}

#[inline(never)]
fn histogram() -> [u64; 5] {
    let octaves: [Octave; 16] = core::array::from_fn(|_| Octave::default());
    let pool = Pool::new(&octaves[..]);
    let head = AtomicU32::new(0);
    // From 10 us to 100 ms, and one of them so often that 16 bits do not hold it.
    let mut nanoseconds = 10_000u64;
    while nanoseconds < 100_000_000 {
        let times = if nanoseconds == 80_000 { 70_000 } else { 1000 };
        pool.count(&head, Place::of(Span::from_nanoseconds(black_box(nanoseconds))), times);
        nanoseconds *= 2;
    }
    let mut histogram = Histogram::default();
    pool.gather(&head, &mut histogram);
    let [least, middle, most, all] = histogram.percentiles(black_box([1, 50, 95, 100]));
    [histogram.samples(), least, middle, most, all]
}

/// What is asked of a packet: protocol and lengths of its headers, ports, the last words of its
/// addresses added up, and what its state follows. Of one that is refused the reason and ones.
type Parsed = [u64; 4];

/// Packets as they begin, with their length.
const PACKETS: [(Family, &[u8], u32); 6] = [
    // IPv4, TCP: a SYN with options.
    (
        Family::V4,
        &[
            0x45, 0, 0, 44, 0x12, 0x34, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 192, 0, 2, 7, //
            0xc0, 1, 1, 0xbb, 0x89, 0xab, 0xcd, 0xef, 0, 0, 0, 0, 0x60, 2, 0xff, 0xff, 0, 0, 0, 0,
            2, 4, 5, 0xb4,
        ],
        44,
    ),
    // IPv4 with options, UDP.
    (
        Family::V4,
        &[
            0x46, 0, 0, 60, 0, 0, 0, 0, 1, 17, 0, 0, 172, 16, 5, 4, 8, 8, 4, 4, 0x94, 4, 0,
            0, //
            0x30, 0x39, 0, 53, 0, 36, 0, 0, 0xde, 0xad, 1, 0,
        ],
        60,
    ),
    // IPv6, a hop-by-hop header, TCP: a FIN with payload.
    (
        Family::V6,
        &[
            0x60, 0, 0, 0, 0, 38, 0, 64, 0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
            1, //
            0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, //
            6, 0, 1, 4, 0, 0, 0, 0, //
            0, 22, 0xea, 0x60, 0xff, 0xff, 0xff, 0xfc, 0x11, 0x22, 0x33, 0x44, 0x50, 0x11, 1,
            0, //
            0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10,
        ],
        78,
    ),
    // IPv4, ICMP: an echo request.
    (
        Family::V4,
        &[
            0x45, 0, 0, 84, 0, 0, 0x40, 0, 64, 1, 0, 0, 127, 0, 0, 1, 127, 0, 0, 9, //
            8, 0, 0xf7, 0xff, 0x12, 0x34, 0, 1,
        ],
        84,
    ),
    // IPv6, SCTP: an ABORT.
    (
        Family::V6,
        &[
            0x60, 0, 0, 0, 0, 16, 132, 64, 0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
            5, //
            0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 6, //
            0xb, 0x59, 0xb, 0x5a, 1, 2, 3, 4, 0, 0, 0, 0, 6, 0, 0, 4,
        ],
        56,
    ),
    // IPv4: a later fragment.
    (
        Family::V4,
        &[0x45, 0, 0, 40, 0, 9, 0, 185, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, 1, 2, 3, 4],
        40,
    ),
];

#[inline(never)]
fn packets() -> [Parsed; PACKETS.len()] {
    black_box(PACKETS).map(|(family, bytes, length)| {
        let packet = match parse(family, bytes, length) {
            Ok(packet) => packet,
            Err(reason) => return [reason as u64, !0, !0, !0],
        };
        let last = |end: Endpoint| match end.address.octets() {
            [.., a, b, c, d] => u64::from(u32::from_be_bytes([a, b, c, d])),
        };
        let signal = match packet.signal {
            Signal::None => 0,
            Signal::End { abort } => 1 + u64::from(abort),
            Signal::Tcp { flags, end, ack } => {
                ((u64::from(end) << 32) | (u64::from(flags) << 3)) ^ u64::from(ack)
            }
        };
        [
            u64::from(packet.protocol)
                | (u64::from(packet.network_header) << 8)
                | (u64::from(packet.transport_header) << 24)
                | (u64::from(packet.link_local) << 40),
            (u64::from(packet.source.port) << 16) | u64::from(packet.destination.port),
            (last(packet.source) << 16) ^ last(packet.destination),
            signal,
        ]
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::prelude::v1::*;

    #[test]
    fn all_answers_are_right() {
        assert_eq!(run(&mut [0; ROOM]), Ok(()));
    }

    #[test]
    fn the_checksums_are_as_everybody_takes_them() {
        let mut room = [0; ROOM];
        let found = checksums(&mut room);
        assert_eq!(found, LENGTHS.map(|length| crc32fast::hash(&room[..length])));
    }

    /// One answer that is wrong.
    fn spoilt(spoil: impl FnOnce(&mut Answers)) -> Result<(), Part> {
        let mut found = KNOWN;
        spoil(&mut found);
        compare(&found, &KNOWN)
    }

    #[test]
    fn each_wrong_answer_is_told_with_its_part() {
        assert_eq!(spoilt(|_| ()), Ok(()));
        for i in 0..LENGTHS.len() {
            assert_eq!(spoilt(|found| found.checksums[i] ^= 1), Err(Part::Checksum));
        }
        for i in 0..2 {
            assert_eq!(spoilt(|found| found.hashes[i] ^= 1 << 63), Err(Part::KeyHash));
        }
        for i in 0..PORTS.len() {
            assert_eq!(spoilt(|found| found.filter[i] = !found.filter[i]), Err(Part::Filter));
        }
        for i in 0..5 {
            assert_eq!(spoilt(|found| found.histogram[i] += 1), Err(Part::Histogram));
        }
        for (packet, word) in (0..PACKETS.len()).flat_map(|packet| (0..4).map(move |w| (packet, w)))
        {
            assert_eq!(spoilt(|found| found.packets[packet][word] ^= 1), Err(Part::Parser));
        }
    }

    /// Nothing that is asked is trivial: every answer differs from that of nothing.
    #[test]
    fn each_part_has_something_to_say() {
        assert!(KNOWN.checksums.iter().all(|crc| *crc != 0));
        assert!(KNOWN.hashes.iter().all(|hash| *hash != 0));
        assert_eq!(KNOWN.filter, [false, true, false, false, true, false]);
        assert!(KNOWN.histogram.windows(2).skip(1).all(|pair| pair[0] <= pair[1]));
        assert_eq!(KNOWN.packets.iter().filter(|parsed| parsed[1] == !0).count(), 1);
    }
}
