// SPDX-License-Identifier: MIT OR Apache-2.0

//! A host to look at: an image with a bit of everything, and the kernel's files made of it.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Output;
use std::process::Stdio;

use mutex_core::text;
use mutex_stats::Alert;
use mutex_stats::Connection;
use mutex_stats::Direction;
use mutex_stats::DropCount;
use mutex_stats::Dropped;
use mutex_stats::Fd;
use mutex_stats::Header;
use mutex_stats::HostQuality;
use mutex_stats::Image;
use mutex_stats::Latency;
use mutex_stats::LatencyBuckets;
use mutex_stats::Quality;
use mutex_stats::Status;
use mutex_stats::Totals;
use mutex_stats::Traffic;
use tempfile::TempDir;

/// Beyond what a double holds exactly: whoever reads numbers as one gets this wrong.
pub const LARGE: u64 = (1 << 53) + 1;

fn v4(last: u8) -> [u8; 16] {
    let mut address = [0; 16];
    address[10..].copy_from_slice(&[0xff, 0xff, 192, 0, 2, last]);
    address
}

fn v6(first: [u8; 2], last: u8) -> [u8; 16] {
    let mut address = [0; 16];
    address[..2].copy_from_slice(&first);
    address[15] = last;
    address
}

fn traffic(packets: u64, bytes: u64) -> Traffic {
    Traffic { packets, buffers: packets - packets / 3, bytes, payload: bytes - packets * 40 }
}

fn command(text: &[u8]) -> [u8; 16] {
    let mut command = [0; 16];
    command[..text.len()].copy_from_slice(text);
    command
}

/// Not in the order of their ids: that is not promised.
fn connections(header: &Header) -> Vec<Connection> {
    let tcp = Connection {
        id: 1,
        fd: 7,
        cgroup: 42,
        first_seen_ns: header.loaded_ns + 1,
        last_seen_ns: header.time_ns - 1,
        local_address: v4(1),
        remote_address: v4(2),
        local_port: 51234,
        remote_port: 443,
        netns: header.netns,
        uid: 1000,
        out_interface: 2,
        in_interface: 2,
        family: 4,
        protocol: 6,
        state: 1,
        sent: traffic(10, 1_000),
        received: traffic(30, LARGE),
        ..Connection::default()
    };
    let dns = Connection {
        id: 2,
        fd: 8,
        local_address: v6([0xfe, 0x80], 1),
        remote_address: v6([0xfe, 0x80], 0x53),
        local_port: 5353,
        remote_port: 53,
        scope: 3,
        family: 6,
        protocol: 17,
        state: 17,
        uid: 0,
        sent: traffic(2, 140),
        received: traffic(2, 320),
        ..tcp
    };
    let routed = Connection {
        id: 3,
        fd: 0,
        uid: u32::MAX,
        flags: 0b11,
        sent: traffic(4, 6_000),
        received: traffic(8, 400),
        ..tcp
    };
    let gre = Connection {
        id: 5,
        fd: 0,
        uid: u32::MAX,
        protocol: 47,
        state: 16,
        local_port: 0,
        remote_port: 0,
        sent: traffic(1, 90),
        received: Traffic::ZERO,
        ..tcp
    };
    let strange = Connection { id: 4, protocol: 200, closed_ns: header.time_ns, state: 7, ..gre };
    let drop_reasons = [(17, 2), (5, 1), (0, 0)];
    let tcp = Connection {
        quality: quality(),
        drop_reasons: drop_reasons.map(|(reason, packets)| DropCount { reason, packets }),
        ..tcp
    };
    vec![dns, tcp, routed, strange, gre]
}

/// Of the first connection, its fd, and the host: nothing else has trouble.
fn quality() -> Quality {
    Quality {
        latency: Latency {
            samples: 8,
            last_ns: 1_000_123,
            average_ns: 1_200_456,
            min_ns: 900_789,
            max_ns: 35_000_000,
            p50_ns: 1_062_500,
            p95_ns: 34_816_000,
            p99_ns: 34_816_001,
        },
        retransmitted_packets: 2,
        retransmitted_bytes: 2_896,
        drops: 3,
        rate_in: 1_500_000,
        rate_out: 999,
        peak_in: LARGE,
        peak_out: 1_000,
        ..Quality::default()
    }
}

/// The samples of [`quality`], for the connection, its fd and the host.
fn latency() -> Vec<LatencyBuckets> {
    let octave = |id, scope, octave, samples| LatencyBuckets { id, scope, octave, samples };
    let of = |id, scope| {
        [
            octave(id, scope, 9, [0, 0, 0, 0, 0, 0, 1, 0]),
            octave(id, scope, 10, [5, 1, 0, 0, 0, 0, 0, 0]),
            octave(id, scope, 15, [1, 0, 0, 0, 0, 0, 0, 0]),
        ]
    };
    [of(1, 0), of(7, 1), of(0, 2)].concat()
}

fn drops() -> Vec<Dropped> {
    let drop = |reason, packets, text: &[u8]| {
        let mut name = [0; 32];
        name[..text.len()].copy_from_slice(text);
        Dropped { reason, packets, name, ..Dropped::default() }
    };
    let purged = Dropped { discards: 1, ..drop(3, 1, b"QUEUE_PURGE") };
    vec![purged, drop(5, 1, b"TCP_CSUM"), drop(17, 2, b"")]
}

/// An alert a scope. The second one was overwritten before them.
fn alerts(header: &Header) -> Vec<Alert> {
    let of_connection = Alert {
        number: 3,
        time_ns: header.time_ns - 2_000_000_000,
        subject: 1,
        threshold: 20_000_000,
        value: 35_000_000,
        local_address: v4(1),
        remote_address: v4(2),
        local_port: 51234,
        remote_port: 443,
        netns: header.netns,
        pid: 4711,
        kind: 0,
        severity: 1,
        scope: 0,
        family: 4,
        protocol: 6,
        command: command(b"Web \"Content\", 1"),
        ..Alert::default()
    };
    let of_fd = Alert {
        number: 4,
        subject: 7,
        threshold: 500,
        value: 2_000,
        local_address: [0; 16],
        remote_address: [0; 16],
        local_port: 0,
        remote_port: 0,
        kind: 2,
        severity: 2,
        scope: 1,
        ..of_connection
    };
    let of_host = Alert {
        number: 5,
        time_ns: header.time_ns,
        threshold: 1_000_000,
        value: 1_500_000,
        kind: 4,
        severity: 3,
        scope: 2,
        ..Alert::default()
    };
    vec![of_connection, of_fd, of_host]
}

/// What owns the first two connections.
fn fds(header: &Header) -> Vec<Fd> {
    let browser = Fd {
        id: 7,
        inode: 123_456,
        cgroup: 42,
        first_seen_ns: header.loaded_ns + 1,
        pid: 4711,
        uid: 1000,
        netns: header.netns,
        family: 4,
        protocol: 6,
        command: command(b"Web \"Content\", 1"),
        active_connections: 1,
        total_connections: 1,
        sent: traffic(10, 1_000),
        received: traffic(30, LARGE),
        quality: quality(),
        ..Fd::default()
    };
    let resolver = Fd {
        id: 8,
        inode: 0,
        pid: 0,
        uid: u32::MAX,
        family: 6,
        protocol: 17,
        command: command(b""),
        total_connections: 2,
        sent: traffic(3, 210),
        received: traffic(3, 480),
        quality: Quality::default(),
        ..browser
    };
    vec![resolver, browser]
}

/// A small host's image. Its books balance, at rest.
pub fn image() -> Image {
    let header = Header {
        netns: 4_026_531_840,
        time_ns: 1_790_000_000_123_456_789,
        boottime_ns: 7_200_000_000_000,
        loaded_ns: 1_789_996_400_000_000_000,
        boot_id: *b"0123456789abcdef",
        ..Header::default()
    };
    let status = Status {
        uptime_ns: 3_600_123_456_789,
        connections_active: 4,
        connections_total: 9,
        connections_closed: 5,
        fds_active: 2,
        fds_total: 2,
        table_size: 65536,
        table_used: 5,
        table_high_water: 7,
        memory_bytes: 29_360_128,
        connection_bytes: 448,
        alerts_raised: 5,
        alerts_overwritten: 2,
        ..Status::default()
    };
    let mut image = Image {
        header,
        status,
        connections: connections(&header),
        fds: fds(&header),
        latency: latency(),
        quality: HostQuality { quality: Quality { drops: 4, ..quality() }, discards: 1 },
        drops: drops(),
        alerts: alerts(&header),
        closed: Totals { sent: traffic(5, 777), ..Totals::ZERO },
        ..Image::default()
    };
    *image.untracked[2].totals.of_mut(Direction::Received) = traffic(6, 9_000);
    *image.untracked[5].totals.of_mut(Direction::ForwardedSent) = traffic(1, 60);
    image.totals_before = image.sum();
    image.totals_after = image.sum();
    image
}

/// The image's bytes.
pub fn bytes(image: &Image) -> Vec<u8> {
    let mut bytes = Vec::new();
    image.write(&mut bytes).expect("a vector takes everything");
    bytes
}

/// The kernel's text of `stats`.
pub fn stats_text(image: &Image) -> String {
    let mut stats = String::new();
    let untracked = |reason| image.untracked[reason as usize].totals;
    text::stats(
        &mut stats,
        &image.status,
        &image.totals_after,
        &image.closed,
        untracked,
        &image.quality,
        image.drops.iter().copied(),
    )
    .expect("a string takes everything");
    stats
}

/// A folder of its own with the kernel's files in `proc` and the same image in `image.bin`. The
/// tool runs in it, so that whatever it leaves is found there.
pub struct Host {
    folder: TempDir,
}

/// What the tool said, and how it ended.
#[derive(Debug, PartialEq, Eq)]
pub struct Ran {
    pub status: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Host {
    pub fn new() -> Self {
        Self::with(&image())
    }

    pub fn with(image: &Image) -> Self {
        let host = Host { folder: tempfile::tempdir().expect("there is room") };
        fs::create_dir(host.path("proc")).expect("there is room");
        host.write("proc/stats", stats_text(image));
        host.write("proc/snapshot", bytes(image));
        host.write("image.bin", bytes(image));
        host
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.path(name), content).expect("there is room");
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).expect("it is there")
    }

    /// Everything in the folder but what was in it from the beginning, with what is in folders.
    pub fn left(&self) -> Vec<String> {
        fn collect(folder: &Path, prefix: &str, names: &mut Vec<String>) {
            for entry in folder.read_dir().expect("it can be read") {
                let entry = entry.expect("it can be read");
                let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
                if entry.path().is_dir() {
                    collect(&entry.path(), &format!("{name}/"), names);
                }
                names.push(name);
            }
        }
        let mut names = Vec::new();
        collect(self.folder.path(), "", &mut names);
        names.retain(|name| !name.starts_with("proc") && name != "image.bin");
        names.sort();
        names
    }

    /// The tool in the folder, before it is run.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mutexctl"));
        command.current_dir(self.folder.path()).args(["--proc", "proc"]).args(args);
        command.stdin(Stdio::null());
        command
    }

    pub fn run(&self, args: &[&str]) -> Ran {
        ran(self.command(args).output().expect("the tool starts"))
    }

    /// Runs the tool with `input` on standard input.
    pub fn run_with(&self, args: &[&str], input: &[u8]) -> Ran {
        let mut command = self.command(args);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the tool starts");
        let mut stdin = child.stdin.take().expect("it is piped");
        std::thread::scope(|scope| {
            scope.spawn(move || {
                // The tool may have had enough before it is all written.
                let _ = stdin.write_all(input);
            });
            ran(child.wait_with_output().expect("the tool ends"))
        })
    }

    /// Runs the tool, which is to succeed without a word on standard error.
    pub fn output(&self, args: &[&str]) -> String {
        let ran = self.run(args);
        assert_eq!((ran.status, ran.stderr.as_str()), (Some(0), ""), "{args:?}");
        ran.stdout
    }

    /// Runs the tool, which is to fail with this sentence and no output.
    pub fn fails(&self, args: &[&str], sentence: &str) {
        assert_eq!(self.run(args), failed(1, sentence), "{args:?}");
    }
}

/// How the tool ends when it has nothing but a sentence to say.
pub fn failed(status: i32, sentence: &str) -> Ran {
    Ran { status: Some(status), stdout: String::new(), stderr: format!("mutexctl: {sentence}\n") }
}

pub fn ran(output: Output) -> Ran {
    let text = |bytes| String::from_utf8(bytes).expect("it is text");
    Ran { status: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}
