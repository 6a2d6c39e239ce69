// SPDX-License-Identifier: MIT OR Apache-2.0

//! The kernel module's own code writes an image, and this library reads it.

use mutex_core::alarm::Unwatched;
use mutex_core::alert;
use mutex_core::config::Config;
use mutex_core::connection::Connection;
use mutex_core::cpu::Cpu;
use mutex_core::cpu::Pinned;
use mutex_core::engine::Buffer;
use mutex_core::engine::Cpus;
use mutex_core::engine::Engine;
use mutex_core::engine::Memory;
use mutex_core::engine::Ownership;
use mutex_core::engine::Parts;
use mutex_core::fd::Fd;
use mutex_core::fd::FdSums;
use mutex_core::fd::Owner;
use mutex_core::index::Bucket;
use mutex_core::index::buckets_for;
use mutex_core::latency::Octave;
use mutex_core::ledger::Ledger;
use mutex_core::parse::Family;
use mutex_core::quality::Quality;
use mutex_core::shares;
use mutex_core::snapshot;
use mutex_core::snapshot::BLOCK_BYTES;
use mutex_core::snapshot::Cursor;
use mutex_core::snapshot::Moment;
use mutex_core::snapshot::Origin;
use mutex_core::snapshot::Piece;
use mutex_stats::Audit;
use mutex_stats::Direction;
use mutex_stats::Image;
use mutex_stats::visit;

/// A host with one CPU, which nothing interrupts.
#[derive(Default)]
struct OneCpu(Cpu);

impl Cpus for OneCpu {
    fn for_each(&self, mut show: impl FnMut(&Cpu)) {
        show(&self.0);
    }

    fn bytes(&self) -> usize {
        size_of::<Cpu>()
    }
}

impl Pinned for &OneCpu {
    fn cpu(&self) -> &Cpu {
        &self.0
    }
}

struct Host;

impl Memory for Host {
    type Connections = Vec<Connection>;
    type Qualities = Vec<Quality>;
    type Octaves = Vec<Octave>;
    type Fds = Vec<Fd>;
    type Buckets = Vec<Bucket>;
    type Shares = Vec<shares::Slot>;
    type AlertSlots = Vec<alert::Slot>;
    type Cpus = OneCpu;
    type System = Unwatched;
}

fn many<T: Default>(count: usize) -> Vec<T> {
    std::iter::repeat_with(T::default).take(count).collect()
}

/// A table of 128 connections. Nothing sweeps it, so none of them ever ends.
fn engine() -> Engine<Host> {
    let parts = Parts {
        connections: many(128),
        qualities: many(128),
        octaves: many(64),
        connection_buckets: many(buckets_for(128)),
        fds: many(128),
        fd_buckets: many(buckets_for(128)),
        shares: many(shares::SLOTS),
        first_netns: 7,
        alerts: many(100),
        cpus: OneCpu::default(),
        system: Unwatched,
        random: [1, 2, 3, 4, 5, 6, 7, 8].map(|n: u64| n.wrapping_mul(0x9e37_79b9_7f4a_7c15)),
        config: Config::new(),
        now: 0,
    };
    Engine::new(parts).expect("the sizes are powers of two")
}

/// Sends a datagram of `length` bytes from port `port`.
fn send(engine: &Engine<Host>, port: u16, length: u16) {
    let mut bytes = vec![0; 28];
    bytes[0] = 0x45;
    bytes[2..4].copy_from_slice(&length.to_be_bytes());
    (bytes[8], bytes[9]) = (64, 17);
    bytes[12..20].copy_from_slice(&[192, 0, 2, 1, 192, 0, 2, 2]);
    bytes[20..22].copy_from_slice(&port.to_be_bytes());
    bytes[22..24].copy_from_slice(&53u16.to_be_bytes());
    bytes[24..26].copy_from_slice(&(length - 20).to_be_bytes());
    let buffer = Buffer {
        direction: Direction::Sent,
        family: Family::V4,
        bytes: &bytes,
        length: length.into(),
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

const MOMENT: Moment = Moment { unix: 1010, boot: 10 };

fn image(engine: &Engine<Host>, filtered: bool) -> Vec<u8> {
    let ledger = Ledger::default();
    let mut cursor = Cursor::new(many::<FdSums>(128), None, MOMENT);
    let mut image =
        snapshot::Image::new(Origin { moment: MOMENT, boot_id: [9; 16], netns: 7, filtered });
    let mut bytes = Vec::new();
    let mut block = vec![0; BLOCK_BYTES];
    loop {
        match image.next(engine, &ledger, &mut cursor, &mut block) {
            Piece::Bytes(count) => bytes.extend(&block[..count]),
            Piece::Grace => {}
            Piece::Done => return bytes,
        }
    }
}

#[test]
fn nothing_has_happened() {
    let bytes = image(&engine(), true);
    let image = Image::read(bytes.as_slice()).expect("the kernel writes whole images");
    assert!(image.connections.is_empty() && image.fds.is_empty());
    assert_eq!(image.untracked.len(), 7);
    assert_eq!(image.status.table_size, 128);
    assert_eq!((image.header.time_ns, image.header.boottime_ns), (1010, 10));
    assert!(mutex_stats::is_filtered(&image.header));
}

#[test]
fn many_connections_and_one_too_many() {
    let engine = engine();
    for port in 1..=130 {
        send(&engine, port, 100);
    }
    let bytes = image(&engine, false);
    let read = Image::read(bytes.as_slice()).expect("the kernel writes whole images");
    assert_eq!((read.connections.len(), read.fds.len()), (128, 1));
    assert_eq!((read.fds[0].inode, read.fds[0].pid), (99, 4711));
    assert_eq!((read.fds[0].active_connections, read.fds[0].sent.bytes), (128, 12_800));
    assert_eq!(read.untracked[0].totals.sent.packets, 2);
    assert_eq!(read.totals_after.sent.payload, 130 * 72);

    let mut audit = Audit::default();
    visit(bytes.as_slice(), &mut audit).expect("the kernel writes whole images");
    let report = audit.report().expect("it is the whole host");
    assert!(report.balanced() && report.at_rest(), "{report:?}");

    // What the module's writer makes of records, this library's makes too.
    let again = Image::read(crate::any::bytes(&read).as_slice()).expect("it was written so");
    assert_eq!(again, read);
}
