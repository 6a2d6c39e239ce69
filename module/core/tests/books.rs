// SPDX-License-Identifier: GPL-2.0-only OR MIT OR Apache-2.0

//! The books balance, whatever happens in whatever order.
//!
//! The engine runs as in the kernel, with stand-ins for what the kernel gives: being pinned to a CPU
//! is holding its lock, an RCU read side is a read lock, and a grace period takes the write lock.

use std::cell::Cell;
use std::collections::HashMap;
use std::collections::HashSet;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::RwLock;

use mutex_core::abi::*;
use mutex_core::alarm::Unwatched;
use mutex_core::alert;
use mutex_core::config::Config;
use mutex_core::connection::Connection;
use mutex_core::connection::Meta;
use mutex_core::counters::Direction;
use mutex_core::counters::Totals;
use mutex_core::counters::Traffic;
use mutex_core::cpu::Cpu;
use mutex_core::cpu::Pinned;
use mutex_core::engine::Buffer;
use mutex_core::engine::Cpus;
use mutex_core::engine::Engine;
use mutex_core::engine::Memory;
use mutex_core::engine::Ownership;
use mutex_core::engine::Parts;
use mutex_core::engine::Segments;
use mutex_core::fd::Fd;
use mutex_core::fd::FdSums;
use mutex_core::fd::Owner;
use mutex_core::index::buckets_for;
use mutex_core::index::Bucket;
use mutex_core::latency::pool_for;
use mutex_core::latency::Histogram;
use mutex_core::latency::Octave;
use mutex_core::ledger::Ledger;
use mutex_core::ledger::Readers;
use mutex_core::ledger::Settled;
use mutex_core::ledger::Sweeper;
use mutex_core::parse::Family;
use mutex_core::parse::Untracked;
use mutex_core::quality::Quality;
use mutex_core::shares;
use mutex_core::snapshot::Cursor;
use mutex_core::snapshot::Image;
use mutex_core::snapshot::Moment;
use mutex_core::snapshot::Origin;
use mutex_core::snapshot::Piece;
use mutex_core::snapshot::BLOCK_BYTES;
use mutex_core::wire::Wire;
use proptest::prelude::*;

const SECOND: u64 = 1_000_000_000;
const NETNS: u32 = 7;

const TIMEOUTS: &[u8] = b"\
    timeout_tcp_opening 5
    timeout_tcp 100
    timeout_tcp_closing 10
    timeout_one_way 5
    timeout_two_way 8
    timeout_icmp 3
    timeout_closed 2
    timeout_fd 4
";

#[derive(Default)]
struct HostCpu {
    lock: Mutex<()>,
    cpu: Cpu,
}

struct HostCpus(Vec<HostCpu>);

impl Cpus for HostCpus {
    fn for_each(&self, mut show: impl FnMut(&Cpu)) {
        self.0.iter().for_each(|cpu| show(&cpu.cpu));
    }

    fn bytes(&self) -> usize {
        self.0.len() * size_of::<Cpu>()
    }
}

struct PinnedTo<'a>(&'a Cpu, #[expect(dead_code)] MutexGuard<'a, ()>);

impl Pinned for PinnedTo<'_> {
    fn cpu(&self) -> &Cpu {
        self.0
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
    type Cpus = HostCpus;
    type System = Unwatched;
}

#[derive(Default)]
struct Shelf {
    ledger: Ledger,
    readers: ReaderList,
}

#[derive(Default)]
struct ReaderList(HashMap<u64, Cursor<Vec<FdSums>>>);

impl Readers for ReaderList {
    fn settled(&mut self, settled: &Settled) {
        self.0.values_mut().for_each(|cursor| cursor.settled(settled));
    }

    fn fd_gone(&mut self, fd: u32) {
        self.0.values_mut().for_each(|cursor| cursor.fd_gone(fd));
    }
}

/// The module around the engine.
struct Books {
    engine: Engine<Host>,
    rcu: RwLock<()>,
    sweeper: Mutex<Sweeper>,
    shelf: Mutex<Shelf>,
    last_reader: AtomicU64,
}

fn many<T: Default>(count: usize) -> Vec<T> {
    std::iter::repeat_with(T::default).take(count).collect()
}

impl Books {
    fn new(connections: u32, fds: u32, cpus: usize) -> Self {
        Books::with_fd_buckets(connections, fds, cpus, buckets_for(fds))
    }

    fn with_fd_buckets(connections: u32, fds: u32, cpus: usize, fd_buckets: usize) -> Self {
        let config = Config::new();
        config.change(TIMEOUTS).expect("all are in their ranges");
        let parts = Parts {
            connections: many(connections as usize),
            qualities: many(connections as usize),
            octaves: many(pool_for(connections as usize)),
            connection_buckets: many(buckets_for(connections)),
            fds: many(fds as usize),
            fd_buckets: many(fd_buckets),
            shares: many(shares::SLOTS),
            first_netns: NETNS,
            alerts: many(100),
            cpus: HostCpus(many(cpus)),
            system: Unwatched,
            random: [11, 22, 33, 44, 55, 66, 77, 88]
                .map(|n: u64| n.wrapping_mul(0x9e37_79b9_7f4a_7c15)),
            config,
            now: 0,
        };
        Books {
            engine: Engine::new(parts).expect("powers of two"),
            rcu: RwLock::default(),
            sweeper: Mutex::default(),
            shelf: Mutex::default(),
            last_reader: AtomicU64::new(0),
        }
    }

    fn pin(&self, cpu: usize) -> PinnedTo<'_> {
        let cpu = &self.engine.cpus().0[cpu];
        PinnedTo(&cpu.cpu, cpu.lock.lock().expect("nobody panics while pinned"))
    }

    fn count(&self, cpu: usize, packet: &TestPacket, now: u64) {
        self.count_in(packet.netns(), cpu, packet, now);
    }

    fn count_in(&self, netns: u32, cpu: usize, packet: &TestPacket, now: u64) {
        self.count_owned(netns, cpu, packet, now, packet.owner());
    }

    fn count_owned(&self, netns: u32, cpu: usize, packet: &TestPacket, now: u64, owner: Ownership) {
        let bytes = packet.bytes();
        let buffer = Buffer {
            direction: packet.direction,
            family: Family::V4,
            bytes: &bytes,
            length: packet.length(),
            segments: packet.segments,
            netns,
            interface: 3,
            l3mdev: 0,
            now,
            has_socket: packet.direction == Direction::Sent,
            tcp: None,
            clock: || 0,
        };
        let _read_side = self.rcu.read().expect("nobody panics in a read side");
        self.engine.count::<false, _>(&self.pin(cpu), &buffer, |_| owner);
    }

    fn sweep(&self, cpu: usize, records: u32, now: u64) {
        let mut sweeper = self.sweeper.lock().expect("no panic");
        let mut limbo = sweeper.collect(&self.engine, || self.pin(cpu), now, records);
        self.grace_period();
        loop {
            let shelf = &mut *self.shelf.lock().expect("no panic");
            if !shelf.ledger.settle(&self.engine, &mut limbo, &mut shelf.readers, now) {
                break;
            }
        }
        loop {
            let readers = &mut self.shelf.lock().expect("no panic").readers;
            if !sweeper.expire_fds(&self.engine, || self.pin(cpu), now, readers) {
                break;
            }
        }
    }

    fn end_netns(&self, cpu: usize, netns: &[u32], now: u64) {
        let mut sweeper = self.sweeper.lock().expect("no panic");
        sweeper.end_netns(&self.engine, || self.pin(cpu), now, netns);
    }

    /// The connections that are open, and those that are not but still have a record, by namespace.
    fn listed(&self) -> HashMap<u32, [u32; 2]> {
        let mut listed = HashMap::<u32, [u32; 2]>::new();
        for (_, one) in self.engine.connections().ever_used(0) {
            if one.meta().has(Meta::IN_USE) {
                let ended = usize::from(one.meta().has(Meta::ENDED));
                listed.entry(one.key().netns()).or_default()[ended] += 1;
            }
        }
        listed
    }

    fn grace_period(&self) {
        drop(self.rcu.write().expect("no panic"));
    }

    fn snapshot(&self) -> Snapshot<'_> {
        let id = self.last_reader.fetch_add(1, Relaxed);
        let fds = self.engine.fds().arena().ever_used_end() as usize;
        let cursor = Cursor::new(many(fds), None, Moment { unix: 0, boot: 0 });
        self.shelf.lock().expect("no panic").readers.0.insert(id, cursor);
        let origin = Origin {
            moment: Moment { unix: 0, boot: 0 },
            boot_id: [0; 16],
            netns: NETNS,
            filtered: false,
        };
        Snapshot { books: self, id, image: Image::new(origin), bytes: Vec::new() }
    }

    fn read(&self) -> Seen {
        let mut snapshot = self.snapshot();
        while snapshot.step() {}
        snapshot.seen()
    }
}

struct Snapshot<'a> {
    books: &'a Books,
    id: u64,
    image: Image,
    bytes: Vec<u8>,
}

impl Snapshot<'_> {
    fn step(&mut self) -> bool {
        let mut block = [0; BLOCK_BYTES];
        let piece = {
            let shelf = &mut *self.books.shelf.lock().expect("no panic");
            let cursor = shelf.readers.0.get_mut(&self.id).expect("the reader is listed");
            self.image.next(&self.books.engine, &shelf.ledger, cursor, &mut block)
        };
        match piece {
            Piece::Bytes(count) => self.bytes.extend_from_slice(&block[..count]),
            Piece::Grace => self.books.grace_period(),
            Piece::Done => return false,
        }
        true
    }

    fn seen(&self) -> Seen {
        Seen::new(&self.bytes)
    }
}

impl Drop for Snapshot<'_> {
    fn drop(&mut self) {
        self.books.shelf.lock().expect("no panic").readers.0.remove(&self.id);
    }
}

/// An image taken apart.
#[derive(Default)]
struct Seen {
    before: Totals,
    after: Totals,
    sum: Totals,
    connections: Vec<mutex_connection>,
    fds: Vec<mutex_fd>,
    end: mutex_end,
}

impl Seen {
    fn new(bytes: &[u8]) -> Self {
        let mut seen = Seen::default();
        let (header, mut rest) = mutex_header::take(bytes);
        assert_eq!((header.magic, header.version), (MUTEX_MAGIC, MUTEX_VERSION));
        while !rest.is_empty() {
            let (block, records) = mutex_block::take(rest);
            let (mine, others) = records.split_at((block.record_size * block.count) as usize);
            for record in mine.chunks_exact(block.record_size as usize) {
                seen.take(block.kind.into(), record);
            }
            rest = others;
        }
        assert_eq!(seen.end.bytes, bytes.len() as u64);
        assert_eq!(seen.end.connections, seen.connections.len() as u64);
        assert_eq!(seen.end.fds, seen.fds.len() as u64);
        seen
    }

    fn take(&mut self, kind: u32, record: &[u8]) {
        match kind {
            MUTEX_BLOCK_TOTALS_BEFORE => self.before = Totals::take(record).0,
            MUTEX_BLOCK_TOTALS_AFTER => self.after = Totals::take(record).0,
            MUTEX_BLOCK_CLOSED => self.sum.add(&Totals::take(record).0),
            MUTEX_BLOCK_UNTRACKED => self.sum.add(&mutex_untracked::take(record).0.totals),
            MUTEX_BLOCK_CONNECTION => {
                let connection = mutex_connection::take(record).0;
                let (sent, received) = if connection.flags & MUTEX_CONNECTION_FORWARDED != 0 {
                    (Direction::ForwardedSent, Direction::ForwardedReceived)
                } else {
                    (Direction::Sent, Direction::Received)
                };
                self.sum.of_mut(sent).add(&connection.sent);
                self.sum.of_mut(received).add(&connection.received);
                self.connections.push(connection);
            }
            MUTEX_BLOCK_FD => self.fds.push(mutex_fd::take(record).0),
            MUTEX_BLOCK_END => self.end = mutex_end::take(record).0,
            MUTEX_BLOCK_STATUS | MUTEX_BLOCK_QUALITY | MUTEX_BLOCK_LATENCY | MUTEX_BLOCK_DROP => {}
            _ => panic!("there is no block {kind}"),
        }
    }

    fn assert_bracket(&self) {
        for direction in Direction::ALL {
            let fields = |totals: &Totals| totals.of(direction).fields().map(|(_, value)| value);
            let (before, sum, after) =
                (fields(&self.before), fields(&self.sum), fields(&self.after));
            for i in 0..4 {
                assert!(
                    before[i] <= sum[i] && sum[i] <= after[i],
                    "{direction:?}: {before:?} <= {sum:?} <= {after:?}"
                );
            }
        }
        let ids: HashSet<u64> = self.connections.iter().map(|c| c.id).collect();
        assert_eq!(ids.len(), self.connections.len(), "a connection is listed once");
        for fd in &self.fds {
            let mine = self.connections.iter().filter(|c| c.fd == fd.id);
            let packets: u64 = mine.map(|c| c.sent.packets + c.received.packets).sum();
            assert!(fd.sent.packets + fd.received.packets >= packets, "fd {}", fd.id);
        }
    }

    fn assert_at_rest(&self) {
        self.assert_bracket();
        assert_eq!(self.before, self.after);
    }
}

/// A packet of one of a few connections, so that they meet again and again.
#[derive(Clone, Copy, Debug)]
struct TestPacket {
    flow: u16,
    direction: Direction,
    /// Forwarded packets: whether it comes from the far end.
    reply: bool,
    tcp_flags: Option<u8>,
    payload: u16,
    segments: Option<Segments>,
    broken: bool,
}

impl TestPacket {
    /// Half of the flows of [`any_step`] are in another namespace than the first.
    fn netns(&self) -> u32 {
        NETNS + u32::from(self.flow >= 20)
    }

    fn length(&self) -> u32 {
        20 + if self.tcp_flags.is_some() { 20 } else { 8 } + u32::from(self.payload)
    }

    fn bytes(&self) -> [u8; 40] {
        let mut bytes = [0; 40];
        bytes[0] = if self.broken { 0x44 } else { 0x45 };
        bytes[9] = if self.tcp_flags.is_some() { 6 } else { 17 };
        let (near, far) = ([10, 0, 0, 1], [10, 0, 0, 2]);
        let (near_port, far_port) = (1000 + self.flow, 80);
        let outward = match self.direction {
            Direction::Sent => true,
            Direction::Received => false,
            _ => !self.reply,
        };
        let ((source, source_port), (destination, destination_port)) = if outward {
            ((near, near_port), (far, far_port))
        } else {
            ((far, far_port), (near, near_port))
        };
        bytes[12..16].copy_from_slice(&source);
        bytes[16..20].copy_from_slice(&destination);
        bytes[20..22].copy_from_slice(&u16::to_be_bytes(source_port));
        bytes[22..24].copy_from_slice(&u16::to_be_bytes(destination_port));
        if let Some(flags) = self.tcp_flags {
            bytes[32] = 0x50;
            bytes[33] = flags;
        }
        bytes
    }

    /// UDP connections share four sockets, one of which belongs to the kernel.
    fn owner(&self) -> Ownership {
        let socket = u64::from(self.flow % 4);
        if self.tcp_flags.is_none() && socket == 3 {
            return Ownership::Kernel;
        }
        Ownership::Process(Owner {
            socket: socket + 1,
            single: self.tcp_flags.is_some(),
            inode: 100 + socket,
            pid: 1,
            ..Owner::default()
        })
    }

    /// What it must add, reckoned here once more.
    fn amount(&self) -> Traffic {
        let (length, headers) =
            (u64::from(self.length()), u64::from(self.length()) - u64::from(self.payload));
        let packets = match self.segments {
            Some(Segments { size, .. }) => u64::from(self.payload).div_ceil(size.into()).max(1),
            None => 1,
        };
        if self.broken {
            let payload = 0;
            let packets = match self.segments {
                Some(Segments { size, .. }) => length.div_ceil(size.into()).max(1),
                None => 1,
            };
            return Traffic { packets, buffers: 1, bytes: length, payload };
        }
        Traffic {
            packets,
            buffers: 1,
            bytes: length + (packets - 1) * headers,
            payload: self.payload.into(),
        }
    }
}

fn any_packet(flows: u16) -> impl Strategy<Value = TestPacket> {
    let direction = prop_oneof![
        Just(Direction::Sent),
        Just(Direction::Received),
        Just(Direction::ForwardedSent)
    ];
    let flags = prop_oneof![
        2 => Just(None),
        1 => Just(Some(0x02)),
        1 => Just(Some(0x12)),
        3 => Just(Some(0x10)),
        1 => Just(Some(0x11)),
        1 => Just(Some(0x04)),
    ];
    let segments = prop_oneof![
        4 => Just(None),
        1 => (1u32..1500).prop_map(|size| Some(Segments { size, count: 1, headers: 0, unsent: 0, fragments: false })),
    ];
    let broken = prop::bool::weighted(0.05);
    (0..flows, direction, any::<bool>(), flags, 0u16..3000, segments, broken).prop_map(
        |(flow, direction, reply, tcp_flags, payload, segments, broken)| TestPacket {
            flow,
            direction,
            reply,
            tcp_flags,
            payload,
            segments,
            broken,
        },
    )
}

#[derive(Clone, Debug)]
enum Step {
    Packet(TestPacket),
    Wait(u64),
    Sweep(u32),
    LoseNetns(u32),
    Snapshot,
    ReadOn,
}

fn any_step(flows: u16) -> impl Strategy<Value = Step> {
    prop_oneof![
        20 => any_packet(flows).prop_map(Step::Packet),
        2 => (0..4 * SECOND).prop_map(Step::Wait),
        2 => (1u32..40).prop_map(Step::Sweep),
        1 => prop_oneof![Just(NETNS), Just(NETNS + 1)].prop_map(Step::LoseNetns),
        2 => Just(Step::Snapshot),
        6 => Just(Step::ReadOn),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Tables that are much too small, so that they are full most of the time.
    #[test]
    fn every_packet_is_in_the_books_once(steps in prop::collection::vec(any_step(40), 1..600)) {
        let books = Books::new(16, 16, 1);
        let mut sum = Totals::ZERO;
        let mut now = SECOND;
        let mut snapshots = Vec::new();
        for step in steps {
            match step {
                Step::Packet(packet) => {
                    books.count(0, &packet, now);
                    let local = matches!(packet.direction, Direction::Sent | Direction::Received);
                    if local {
                        sum.of_mut(packet.direction).add(&packet.amount());
                    } else {
                        // Which of the two depends on who came first; the sum does not.
                        sum.forwarded_sent.add(&packet.amount());
                    }
                }
                Step::Wait(time) => now += time,
                Step::Sweep(records) => books.sweep(0, records, now),
                Step::LoseNetns(netns) => books.end_netns(0, &[netns], now),
                Step::Snapshot => snapshots.push(books.snapshot()),
                Step::ReadOn => snapshots.retain_mut(|snapshot| {
                    let goes_on = snapshot.step();
                    if !goes_on {
                        snapshot.seen().assert_bracket();
                    }
                    goes_on
                }),
            }
        }
        drop(snapshots);
        for _ in 0..2 {
            let seen = books.read();
            seen.assert_at_rest();
            let mut counted = seen.sum;
            let forwarded_received = counted.forwarded_received;
            counted.forwarded_sent.add(&forwarded_received);
            counted.forwarded_received = Traffic::ZERO;
            prop_assert_eq!(counted, sum);
            // In the end everything is collected, and still there.
            for _ in 0..200 {
                now += SECOND;
                books.sweep(0, 1000, now);
            }
        }
        prop_assert_eq!(books.engine.connections().used(), 0);
        prop_assert_eq!(books.engine.fds().arena().used(), 0);
        prop_assert!(books.engine.share_of(NETNS + 1).is_none_or(|(used, _)| used == 0));
        let status = books.engine.status(now);
        prop_assert_eq!(status.connections_active, 0);
        prop_assert_eq!(status.fds_active, 0);
        prop_assert_eq!(status.connections_total, status.connections_closed);
    }
}

/// A namespace that floods gets its share of the table. The rest of its packets is untracked for
/// that reason, and others, the first namespace above all, have their records.
#[test]
fn a_namespace_that_floods_has_its_share_and_no_more() {
    let books = Books::new(64, 16, 1);
    let send = |flow, now| {
        let packet = TestPacket {
            flow,
            direction: Direction::Sent,
            reply: false,
            tcp_flags: None,
            payload: 10,
            segments: None,
            broken: false,
        };
        books.count(0, &packet, now);
    };
    (20..120).for_each(|flow| send(flow, SECOND));
    let of = |netns: u32| {
        books.read().connections.iter().filter(|connection| connection.netns == netns).count()
    };
    let packets = |reason| books.engine.untracked(reason).sent.packets;
    assert_eq!((of(NETNS + 1), of(NETNS)), (32, 0), "half of the table");
    assert_eq!((packets(Untracked::Quota), packets(Untracked::TableFull)), (68, 0));
    assert_eq!(books.engine.share_of(NETNS + 1), Some((32, 32)));
    assert_eq!(books.engine.share_of(NETNS), None);
    assert!(books.engine.is_short_of_records() && !books.engine.is_under_pressure());
    (0..20).for_each(|flow| send(flow, SECOND));
    assert_eq!((of(NETNS + 1), of(NETNS)), (32, 20));
    // What it has goes on.
    (20..120).for_each(|flow| send(flow, 2 * SECOND));
    assert_eq!(packets(Untracked::Quota), 136);
    books.read().assert_at_rest();

    // Unanswered ones end after an eighth of their timeout of 5 s where records are scarce, and only
    // those of the namespace that has no more; and they are not shown for the usual 2 s.
    books.sweep(0, 1000, 3 * SECOND);
    assert_eq!((of(NETNS + 1), of(NETNS)), (0, 20));
    assert_eq!(books.engine.share_of(NETNS + 1), Some((0, 32)));
    (20..40).for_each(|flow| send(flow, 3 * SECOND));
    assert_eq!((of(NETNS + 1), packets(Untracked::Quota)), (20, 136));
    books.read().assert_at_rest();
}

/// The host's alert about its table is raised for a namespace's share, too, and names it.
#[test]
fn the_alert_about_a_share_names_its_namespace() {
    let books = Books::new(64, 16, 1);
    let packet = |flow| TestPacket {
        flow,
        direction: Direction::Sent,
        reply: false,
        tcp_flags: None,
        payload: 10,
        segments: None,
        broken: false,
    };
    books.engine.close_host_window(|| books.pin(0), SECOND);
    (20..48).for_each(|flow| books.count(0, &packet(flow), SECOND));
    books.engine.close_host_window(|| books.pin(0), 2 * SECOND);
    assert_eq!(books.engine.alerts().raised(), 0, "28 of 32 are less than 90 percent");
    (48..49).for_each(|flow| books.count(0, &packet(flow), 2 * SECOND));
    books.engine.close_host_window(|| books.pin(0), 3 * SECOND);
    let alert = books.engine.alert_from(0).expect("29 of 32 are more");
    assert_eq!((u32::from(alert.kind), alert.netns), (MUTEX_ALERT_TABLE_FILL, NETNS + 1));
    assert_eq!((u32::from(alert.scope), alert.subject, alert.value), (MUTEX_SCOPE_GLOBAL, 0, 9062));
    books.engine.close_host_window(|| books.pin(0), 4 * SECOND);
    assert_eq!(books.engine.alerts().raised(), 1);
}

/// What is left over of a connection that is gone must not be held for one that is established.
#[test]
fn a_straggler_is_forgotten_sooner_than_a_connection_that_was_adopted() {
    let books = Books::new(16, 16, 1);
    let packet = |flow, direction| TestPacket {
        flow,
        direction,
        reply: false,
        tcp_flags: Some(0x10),
        payload: 0,
        segments: None,
        broken: false,
    };
    books.count(0, &packet(1, Direction::Sent), SECOND);
    books.count(0, &packet(2, Direction::Received), SECOND);
    books.count(0, &packet(3, Direction::Sent), SECOND);
    books.count(0, &packet(3, Direction::Received), SECOND);
    let open = |now| {
        books.sweep(0, 16, now);
        let is_open =
            |one: &Connection| one.meta().has(Meta::IN_USE) && !one.meta().has(Meta::ENDED);
        books.engine.connections().ever_used(0).filter(|(_, one)| is_open(one)).count()
    };
    assert_eq!(open(SECOND + 4 * SECOND), 3);
    assert_eq!(open(SECOND + 5 * SECOND), 1, "two were heard from one end");
    assert_eq!(open(SECOND + 99 * SECOND), 1);
    assert_eq!(open(SECOND + 100 * SECOND), 0);
}

fn datagram(flow: u16) -> TestPacket {
    TestPacket {
        flow,
        direction: Direction::Sent,
        reply: false,
        tcp_flags: None,
        payload: 10,
        segments: None,
        broken: false,
    }
}

/// What goes with its namespace is collected by the next sweep, however long the rest is shown, and
/// however many namespaces went at once.
#[test]
fn namespaces_that_go_together_are_collected_by_one_sweep() {
    let books = Books::new(4096, 4096, 1);
    let now = SECOND;
    let count = |netns, packet: &TestPacket| {
        let socket = u64::from(netns) * 10 + u64::from(packet.flow);
        let single = packet.tcp_flags.is_some();
        let owner = Owner { socket, single, inode: socket, pid: 1, ..Owner::default() };
        books.count_owned(netns, 0, packet, now, Ownership::Process(owner));
    };
    for netns in 1..=500 {
        count(netns, &datagram(1));
        count(netns, &datagram(2));
        // One that has ended already.
        count(netns, &TestPacket { tcp_flags: Some(0x04), ..datagram(3) });
    }
    let of = |netns| books.listed().get(&netns).copied();
    assert_eq!((of(1), of(5)), (Some([2, 1]), Some([2, 1])));
    let gone: Vec<u32> = (1..=500).filter(|netns| netns % 5 != 0).collect();
    books.end_netns(0, &gone, now);
    assert_eq!((of(1), of(5), of(499)), (Some([0, 3]), Some([2, 1]), Some([0, 3])));
    // No other's time has come yet.
    books.sweep(0, 1, now);
    let listed = books.listed();
    assert_eq!(listed.len(), 100);
    assert!(listed.iter().all(|(netns, counts)| netns % 5 == 0 && *counts == [2, 1]));
    let mut fds = books.engine.fds().arena().ever_used(0);
    assert!(fds.all(|(_, fd)| !fd.is_in_use() || fd.netns() % 5 == 0));
    assert_eq!(books.engine.status(now).connections_closed, 400 * 3 + 100);
    // The number of one that went is given to another namespace.
    count(1, &datagram(1));
    books.sweep(0, 1, now);
    assert_eq!(of(1), Some([1, 0]));
    let later = now + 2 * SECOND;
    books.sweep(0, 1, later);
    assert_eq!((of(1), of(5)), (Some([1, 0]), Some([2, 0])));
    books.read().assert_at_rest();
}

/// A record must not be settled, and opened for another namespace, while it is being ended because its
/// own is gone.
#[test]
fn no_connection_is_ended_because_another_s_namespace_is_gone() {
    let books = Books::new(16, 16, 1);
    let (gone, other, now) = (NETNS, NETNS + 1, 9 * SECOND);
    books.count_in(gone, 0, &datagram(1), SECOND);
    let met = Cell::new(0);
    let meet = || {
        // The record has been looked at, and will be ended next. Whoever may sweep does: it was idle for
        // so long that it is ended, collected and free, and somebody else takes it.
        met.set(met.get() + 1);
        if met.get() == 1 && books.sweeper.try_lock().is_ok() {
            books.sweep(0, 100, now);
            books.sweep(0, 100, now + 2 * SECOND);
            assert_eq!(books.engine.connections().used(), 0);
            books.count_in(other, 0, &datagram(2), now);
        }
        books.pin(0)
    };
    let mut sweeper = books.sweeper.lock().expect("no panic");
    sweeper.end_netns(&books.engine, meet, now, &[gone]);
    drop(sweeper);
    assert_eq!(met.get(), 1);
    books.count_in(other, 0, &datagram(3), now);
    for (_, one) in books.engine.connections().ever_used(0) {
        let is_gone = one.meta().has(Meta::NETNS_GONE);
        assert_eq!((is_gone, one.meta().has(Meta::ENDED)), (one.key().netns() == gone, is_gone));
    }
    books.sweep(0, 100, now);
    assert_eq!(books.listed(), HashMap::from([(other, [1, 0])]));
}

/// An fd for which the index has no room lives as long as its first connection.
#[test]
fn an_fd_without_a_place_in_the_index_leaves_no_latency_to_the_next() {
    const SOCKETS: u16 = 200;
    let books = Books::with_fd_buckets(1024, 1024, 1, 1);
    let of_socket = |number: u16, direction, now| {
        let packet = TestPacket { direction, ..datagram(number) };
        let socket = u64::from(number) + 1;
        let owner = Owner { socket, inode: socket, pid: 1, ..Owner::default() };
        books.count_owned(NETNS, 0, &packet, now, Ownership::Process(owner));
    };
    for number in 0..SOCKETS {
        of_socket(number, Direction::Sent, SECOND);
        of_socket(number, Direction::Received, SECOND);
    }
    let samples = || {
        let mut sum = 0;
        let mut histogram = Histogram::default();
        for (_, fd) in books.engine.fds().arena().ever_used(0).filter(|(_, fd)| fd.is_in_use()) {
            books.engine.fd_histogram(fd, &mut histogram);
            sum += histogram.samples();
        }
        sum
    };
    assert_eq!(samples(), SOCKETS.into());
    let mut now = SECOND;
    for _ in 0..30 {
        now += SECOND;
        books.sweep(0, 2000, now);
    }
    assert_eq!((books.engine.connections().used(), books.engine.fds().arena().used()), (0, 0));
    for number in 0..SOCKETS {
        of_socket(number, Direction::Sent, now);
    }
    assert_eq!(samples(), 0, "nothing was measured of these");
}

/// Connections and fds that all misbehave at once raise no more alerts than a minute may have; those of
/// the host itself come all the same.
#[test]
fn a_minute_has_so_many_alerts_and_no_more() {
    let books = Books::new(1024, 16, 1);
    let change = |text: &[u8]| books.engine.config().change(text).expect("they are settings");
    change(b"alert_connection_bandwidth_out 1\nalert_connection_bandwidth_out_interval 0");
    change(b"alert_global_bandwidth_out 1\nalert_global_bandwidth_out_interval 0");
    let burst = |flows: std::ops::Range<u16>, minute: u64| {
        let began = minute * 60 * SECOND;
        books.engine.close_host_window(|| books.pin(0), began);
        for second in 1..=2 {
            for flow in flows.clone() {
                books.count(0, &datagram(flow), began + second * SECOND);
            }
        }
        books.engine.close_host_window(|| books.pin(0), began + 3 * SECOND);
        let status = books.engine.status(began);
        (status.alerts_raised, status.alerts_suppressed)
    };
    // One of them is the host's.
    assert_eq!(burst(0..150, 1), (100 + 1, 50));
    assert_eq!(burst(150..170, 2), (101 + 20 + 1, 50));
    change(b"alert_limit 3");
    assert_eq!(burst(170..180, 3), (122 + 3 + 1, 57));
    change(b"alert_limit 0");
    assert_eq!(burst(180..480, 4), (126 + 300 + 1, 57));
}

/// Two CPUs, a sweeper and two readers, all at once.
#[test]
fn readers_see_balanced_books_while_everything_moves() {
    const PACKETS: u64 = 150_000;
    let books = Books::new(256, 64, 2);
    let clock = AtomicU64::new(SECOND);
    let done = AtomicBool::new(false);
    let expected = Mutex::new(Totals::ZERO);
    let bracketed = AtomicU64::new(0);
    std::thread::scope(|scope| {
        let senders: Vec<_> = (0..2usize)
            .map(|cpu| {
                let (books, clock, expected) = (&books, &clock, &expected);
                scope.spawn(move || {
                    let mut random = 0x1234_5678_9abc_def1 + cpu as u64;
                    let mut mine = Totals::ZERO;
                    for _ in 0..PACKETS {
                        random ^= random << 13;
                        random ^= random >> 7;
                        random ^= random << 17;
                        let packet = TestPacket {
                            flow: (random % 400) as u16,
                            direction: if random & (1 << 20) == 0 {
                                Direction::Sent
                            } else {
                                Direction::Received
                            },
                            reply: false,
                            tcp_flags: match (random >> 24) & 7 {
                                0 | 1 => None,
                                2 => Some(0x02),
                                3 => Some(0x11),
                                4 => Some(0x04),
                                _ => Some(0x10),
                            },
                            payload: ((random >> 32) & 0x3ff) as u16,
                            segments: None,
                            broken: false,
                        };
                        books.count(cpu, &packet, clock.fetch_add(SECOND / 2000, Relaxed));
                        mine.of_mut(packet.direction).add(&packet.amount());
                    }
                    expected.lock().expect("no panic").add(&mine);
                })
            })
            .collect();
        scope.spawn(|| {
            while !done.load(Relaxed) {
                books.sweep(1, 64, clock.load(Relaxed));
            }
        });
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(Relaxed) {
                    let seen = books.read();
                    seen.assert_bracket();
                    bracketed.fetch_add(u64::from(seen.before != seen.after), Relaxed);
                }
            });
        }
        for sender in senders {
            sender.join().expect("no sender panics");
        }
        done.store(true, Relaxed);
    });
    assert!(bracketed.load(Relaxed) > 10, "snapshots were taken while packets passed");
    let seen = books.read();
    seen.assert_at_rest();
    assert_eq!(seen.sum, *expected.lock().expect("no panic"));
}

fn plain(flow: u16, direction: Direction, tcp_flags: Option<u8>) -> TestPacket {
    TestPacket {
        flow,
        direction,
        reply: false,
        tcp_flags,
        payload: 0,
        segments: None,
        broken: false,
    }
}

/// A socket that is closed has no more packets, even before the sweeper passes.
#[test]
fn a_socket_on_the_address_of_a_closed_one_has_its_own_connection() {
    let books = Books::new(16, 16, 1);
    let packet = plain(1, Direction::Sent, None);
    let Ownership::Process(owner) = packet.owner() else { panic!("it is a process's") };
    books.count(0, &packet, SECOND);
    books.count(0, &packet, SECOND);
    books.engine.socket_closed(owner.socket, owner.inode);
    books.count(0, &packet, SECOND);
    let packets = || {
        let mut seen: Vec<_> = books
            .read()
            .connections
            .iter()
            .map(|one| (one.closed_ns != 0, one.sent.packets))
            .collect();
        seen.sort_unstable();
        seen
    };
    assert_eq!(packets(), [(false, 1), (true, 2)]);
    // It is of the closed socket's fd in this test, so the sweeper ends it, too; nothing is counted again.
    books.sweep(0, 16, SECOND);
    assert_eq!(packets(), [(true, 1), (true, 2)]);
    books.read().assert_at_rest();
}

#[test]
fn a_syn_that_is_never_answered_was_dropped() {
    const SYN: Option<u8> = Some(0x02);
    let books = Books::new(16, 16, 1);
    let seen = || {
        let seen = books.read();
        let one = seen.connections[0];
        (u32::from(one.state), one.quality.drops)
    };
    books.count(0, &plain(1, Direction::Received, SYN), SECOND);
    // It may still be on its way.
    books.sweep(0, 16, SECOND + SECOND / 100);
    assert_eq!(seen(), (MUTEX_STATE_SYN_RECV, 0));
    // The second tells of the first, the sweeper of the second.
    books.count(0, &plain(1, Direction::Received, SYN), 2 * SECOND);
    assert_eq!(seen(), (MUTEX_STATE_SYN_RECV, 1));
    books.sweep(0, 16, 2 * SECOND + SECOND / 2);
    assert_eq!(seen(), (MUTEX_STATE_ONE_WAY, 2));
    books.sweep(0, 16, 3 * SECOND);
    assert_eq!(seen(), (MUTEX_STATE_ONE_WAY, 2));
    // The third is answered, and nothing more is made of it.
    books.count(0, &plain(1, Direction::Received, SYN), 3 * SECOND);
    books.count(0, &plain(1, Direction::Sent, Some(0x12)), 3 * SECOND);
    books.sweep(0, 16, 4 * SECOND);
    assert_eq!(seen(), (MUTEX_STATE_SYN_RECV, 2));
    books.count(0, &plain(1, Direction::Received, Some(0x10)), 4 * SECOND);
    assert_eq!(seen(), (MUTEX_STATE_ESTABLISHED, 2));
}
