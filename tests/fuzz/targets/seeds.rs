// SPDX-License-Identifier: MIT OR Apache-2.0

//! Inputs to begin with: what others make of packets, and what MUTEX makes of them.

use std::fs;
use std::io;
use std::path::Path;

use etherparse::PacketBuilder;
use mutex_core::config::Config;
use mutex_core::counters::Direction;
use mutex_core::engine::Buffer;
use mutex_core::engine::Ownership;
use mutex_core::fd::Owner;
use mutex_core::ledger::Ledger;
use mutex_core::parse::Family;
use mutex_core::snapshot::Cursor;
use mutex_core::snapshot::Image;
use mutex_core::snapshot::Moment;
use mutex_core::snapshot::Origin;
use mutex_core::snapshot::Piece;
use mutex_core::snapshot::BLOCK_BYTES;

use crate::host::engine;
use crate::host::many;
use crate::host::CONNECTIONS;

/// What is behind the headers.
const PAYLOAD: &[u8] = b"payload";

fn packets() -> Vec<Vec<u8>> {
    let v4 = || PacketBuilder::ipv4([192, 0, 2, 1], [192, 0, 2, 2], 64);
    let v6 = || PacketBuilder::ipv6([0xfe; 16], [0x20; 16], 64);
    let stamped =
        || v4().tcp(1000, 80, 7, 100).ack(5).options_raw(&[8, 10, 0, 0, 0, 1, 0, 0, 0, 2, 1, 1]);
    let mut all = vec![Vec::new(); 7];
    let written = [
        v4().udp(1000, 53).write(&mut all[0], PAYLOAD),
        v6().udp(1000, 53).write(&mut all[1], PAYLOAD),
        v4().tcp(1000, 80, 7, 100).syn().write(&mut all[2], &[]),
        stamped().expect("they are few").write(&mut all[3], PAYLOAD),
        v6().tcp(1000, 80, 7, 100).fin().write(&mut all[4], PAYLOAD),
        v4().icmpv4_echo_request(1, 2).write(&mut all[5], PAYLOAD),
        v6().icmpv6_echo_reply(1, 2).write(&mut all[6], PAYLOAD),
    ];
    written.into_iter().for_each(|written| written.expect("memory takes everything"));
    // Hop-by-hop options, a routing header, a first fragment, an authentication header, and UDP.
    let mut extended = all[1][..40].to_vec();
    extended[6] = 0;
    extended.extend([43, 0, 1, 4, 0, 0, 0, 0, 44, 0, 4, 0, 0, 0, 0, 0, 51, 0, 0, 1, 0, 0, 0, 1]);
    extended.extend([17, 2, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0]);
    extended.extend(&all[1][40..]);
    let payload = extended.len() as u16 - 40;
    extended[4..6].copy_from_slice(&payload.to_be_bytes());
    // An error about the first of them, and one packet in another.
    let mut error = Vec::new();
    let icmp = v4().icmpv4_raw(3, 3, [0; 4]).write(&mut error, &all[0]);
    let mut tunnel = Vec::new();
    let ip = v4().write(&mut tunnel, 41.into(), &all[1]);
    icmp.and(ip).expect("memory takes everything");
    all.extend([extended, error, tunnel]);
    all
}

/// As the target takes them: four bytes, and the packet.
fn framed(packet: &[u8]) -> Vec<u8> {
    let v6 = u8::from(packet[0] >> 4 == 6);
    [&[v6 | 8, packet.len() as u8, 0, 0], packet].concat()
}

/// The image of a host that sent them.
fn image(packets: &[Vec<u8>]) -> Vec<u8> {
    let engine = engine();
    for packet in packets {
        let buffer = Buffer {
            direction: Direction::Sent,
            family: if packet[0] >> 4 == 4 { Family::V4 } else { Family::V6 },
            bytes: packet,
            length: packet.len() as u32,
            segments: None,
            netns: 7,
            interface: 2,
            l3mdev: 0,
            now: 5,
            has_socket: true,
            tcp: None,
            clock: || 5,
        };
        let owner = Owner { socket: 1, inode: 99, pid: 4711, ..Owner::default() };
        engine.count::<false, _>(&engine.cpus(), &buffer, |_| Ownership::Process(owner));
    }
    let moment = Moment { unix: 1010, boot: 10 };
    let origin = Origin { moment, boot_id: [9; 16], netns: 7, filtered: false };
    let (ledger, mut image) = (Ledger::default(), Image::new(origin));
    let mut cursor = Cursor::new(many(CONNECTIONS), None, moment);
    let (mut bytes, mut block) = (Vec::new(), vec![0; BLOCK_BYTES]);
    loop {
        match image.next(&engine, &ledger, &mut cursor, &mut block) {
            Piece::Bytes(count) => bytes.extend(&block[..count]),
            Piece::Grace => {}
            Piece::Done => return bytes,
        }
    }
}

/// Writes them, in a folder for each target.
pub fn write(folder: &Path) -> io::Result<()> {
    let write = |target: &str, name: &str, bytes: &[u8]| {
        fs::create_dir_all(folder.join(target))?;
        fs::write(folder.join(target).join(name), bytes)
    };
    let packets = packets();
    for (number, packet) in packets.iter().enumerate() {
        write("packet", &format!("packet-{number}"), &framed(packet))?;
    }
    write("packet", "all", &packets.iter().flat_map(|packet| framed(packet)).collect::<Vec<_>>())?;
    write("snapshot", "image", &image(&packets))?;
    let mut settings = String::new();
    Config::new().text(&mut settings).expect("a string takes everything");
    write("config", "defaults", settings.trim_start_matches("format 1\n").as_bytes())?;
    write("events", "full-and-empty", &[[1; 70], [0x80; 70], [63; 70], [0xc8; 70]].concat())
}
