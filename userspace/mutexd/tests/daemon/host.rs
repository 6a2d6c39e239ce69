// SPDX-License-Identifier: MIT OR Apache-2.0

//! A host to look at: a folder with the kernel's files, and a daemon that reads them.

use std::fs;
use std::io::Read;
use std::io::Write;
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Output;
use std::process::Stdio;
use std::thread::sleep;
use std::time::Duration;
use std::time::Instant;

use mutex_stats::Alert;
use mutex_stats::Connection;
use mutex_stats::Fd;
use mutex_stats::Image;
use mutex_stats::Status;
use mutex_stats::Totals;
use mutex_stats::Traffic;
use rustix::process::Pid;
use rustix::process::Signal;
use rustix::process::kill_process;
use tempfile::TempDir;

/// How long anything may take on a machine that has something else to do.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// Waits until something is so.
pub fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < PATIENCE, "not so after {PATIENCE:?}: {what}");
        sleep(Duration::from_millis(20));
    }
}

fn traffic(packets: u64, bytes: u64) -> Traffic {
    Traffic { packets, buffers: packets, bytes, payload: bytes - 20 * packets }
}

fn command(text: &str) -> [u8; 16] {
    let mut command = [0; 16];
    command[..text.len()].copy_from_slice(text.as_bytes());
    command
}

/// Three connections of two sockets, and one that is forwarded. The books balance.
pub fn image() -> Image {
    let mut image = Image::default();
    image.header.time_ns = 1_790_000_000_000_000_000;
    let mut address = [0; 16];
    address[10..].copy_from_slice(&[0xff, 0xff, 192, 0, 2, 1]);
    let connection = |id, fd, sent, received| Connection {
        id,
        fd,
        family: 4,
        protocol: 6,
        state: 1,
        local_address: address,
        remote_address: address,
        local_port: 1000,
        remote_port: 443,
        uid: 1000,
        sent: traffic(2, sent),
        received: traffic(2, received),
        ..Connection::default()
    };
    image.connections = vec![
        connection(1, 7, 1_000, 2_000),
        connection(2, 7, 500, 90_000),
        connection(3, 8, 30_000, 100),
        Connection { flags: 1, uid: u32::MAX, ..connection(4, 0, 600, 700) },
    ];
    let fd = |id, pid, name, sent, received| Fd {
        id,
        inode: 100 + id,
        pid,
        command: command(name),
        family: 4,
        protocol: 6,
        uid: 1000,
        active_connections: 1,
        total_connections: 1,
        sent: traffic(4, sent),
        received: traffic(4, received),
        ..Fd::default()
    };
    image.fds = vec![fd(7, 70, "curl", 1_500, 92_000), fd(8, 80, "a \"b\" <i>", 30_000, 100)];
    image.alerts = vec![
        Alert { number: 1, severity: 1, scope: 2, value: 5, threshold: 4, ..Alert::default() },
        Alert { number: 2, severity: 3, scope: 2, value: 9, threshold: 4, ..Alert::default() },
    ];
    image.closed = Totals { sent: traffic(1, 77), ..Totals::ZERO };
    image.status = Status {
        uptime_ns: 5_000_000_000,
        connections_active: 4,
        connections_total: 5,
        connections_closed: 1,
        fds_active: 2,
        fds_total: 2,
        table_size: 65536,
        table_used: 4,
        alerts_raised: 2,
        ..Status::default()
    };
    image.totals_before = image.sum();
    image.totals_after = image.sum();
    image
}

/// The kernel's text of `stats`.
pub fn stats_text(image: &Image) -> String {
    let mut text = String::new();
    let untracked = |reason| image.untracked[reason as usize].totals;
    let drops = image.drops.iter().copied();
    let (status, quality) = (&image.status, &image.quality);
    let (totals, closed) = (&image.totals_after, &image.closed);
    mutex_core::text::stats(&mut text, status, totals, closed, untracked, quality, drops)
        .expect("a string takes everything");
    text
}

/// A folder of its own.
pub struct Host {
    folder: TempDir,
}

impl Host {
    /// With the module, and the shipped settings but for those that a test cannot do with.
    pub fn new() -> Self {
        let host = Host { folder: tempfile::tempdir().expect("there is room") };
        host.load(&image());
        host.configure("");
        host
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.path(name), content).expect("there is room");
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// Puts the kernel's files there.
    pub fn load(&self, image: &Image) {
        fs::create_dir_all(self.path("loading")).expect("there is room");
        let mut bytes = Vec::new();
        image.write(&mut bytes).expect("a vector takes everything");
        self.write("loading/stats", stats_text(image));
        self.write("loading/snapshot", bytes);
        self.unload();
        fs::rename(self.path("loading"), self.path("proc")).expect("there is none");
    }

    /// Takes them away.
    pub fn unload(&self) {
        if self.path("proc").exists() {
            fs::rename(self.path("proc"), self.path("unloaded")).expect("there is none");
            fs::remove_dir_all(self.path("unloaded")).expect("it is ours");
        }
    }

    /// Writes the configuration; `more` are whole sections, or members of `[http]` before the first one.
    pub fn configure(&self, more: &str) {
        let folder = self.folder.path().display();
        self.write(
            "mutexd.toml",
            format!(
                "proc = \"{folder}/proc\"\nstate_folder = \"{folder}/state\"\n\
                 log = {{ level = \"debug\", file = \"{folder}/log\" }}\n\
                 network = {{ interval = \"100ms\" }}\n\
                 [http]\nlistening_address = \"127.0.0.1:0\"\n\
                 socket = \"{folder}/http.sock\"\n{more}"
            ),
        );
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mutexd"));
        command.arg("--config").arg(self.path("mutexd.toml")).args(args).stdin(Stdio::null());
        command
    }

    /// Runs it to its end: status, standard output and error.
    pub fn run(&self, args: &[&str]) -> (Option<i32>, String, String) {
        let Output { status, stdout, stderr } =
            self.command(args).output().expect("the program starts");
        let text = |bytes| String::from_utf8(bytes).expect("it is text");
        (status.code(), text(stdout), text(stderr))
    }

    /// Starts it in the foreground, and waits until it answers.
    pub fn start(&self) -> Daemon {
        let child = self.command(&["run"]).stdout(Stdio::null()).spawn().expect("it starts");
        Daemon::wait(self.path("log"), self.path("http.sock"), child)
    }
}

/// A daemon that runs; killed when it is dropped.
pub struct Daemon {
    child: Child,
    log: PathBuf,
    pub socket: PathBuf,
    pub address: String,
}

/// The last address that the log says it listens on.
pub fn address_in(log: &Path) -> Option<String> {
    let text = fs::read_to_string(log).ok()?;
    let line = text.lines().rfind(|line| line.contains("listens on "))?;
    let rest = line.split("listens on ").nth(1)?;
    Some(rest.split([',', ' ', '"']).next()?.to_owned())
}

impl Daemon {
    fn wait(log: PathBuf, socket: PathBuf, mut child: Child) -> Self {
        let mut address = None;
        until("it listens", || {
            let ended = child.try_wait().expect("it is ours");
            assert_eq!(ended, None, "{}", fs::read_to_string(&log).unwrap_or_default());
            address = address_in(&log);
            address.is_some()
        });
        Daemon { child, log, socket, address: address.expect("it listens") }
    }

    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).expect("it runs");
    }

    /// Sends a signal that ends it, and gives its exit status.
    pub fn end(mut self, signal: Signal) -> Option<i32> {
        self.signal(signal);
        self.child.wait().expect("it is ours").code()
    }

    /// Tells it to read its configuration, and waits until it has.
    pub fn reload(&mut self) {
        let told = |log: &Path| {
            let text = fs::read_to_string(log).unwrap_or_default();
            text.matches("the configuration ").count()
        };
        let before = told(&self.log);
        self.signal(Signal::HUP);
        until("the configuration was read again", || told(&self.log) > before);
    }

    /// Over the local socket, where this user may ask everything.
    pub fn connect(&self) -> UnixStream {
        let stream = UnixStream::connect(&self.socket).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("it is not zero");
        stream
    }

    /// To its address, where everybody may ask something.
    pub fn connect_by_address(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("it is not zero");
        stream
    }

    pub fn get(&self, path: &str) -> Answer {
        self.ask(path, &[])
    }

    pub fn ask(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.say(&Self::request(path, headers))
    }

    /// The same at its address.
    pub fn ask_by_address(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        let request = Self::request(path, headers);
        Answer::read(exchange(self.connect_by_address(), request.as_bytes()))
    }

    fn request(path: &str, headers: &[(&str, &str)]) -> String {
        let mut head = format!("GET {path} HTTP/1.1\r\nconnection: close\r\n");
        if !headers.iter().any(|(name, _)| *name == "host") {
            head.push_str("host: localhost\r\n");
        }
        for (name, value) in headers {
            head = format!("{head}{name}: {value}\r\n");
        }
        format!("{head}\r\n")
    }

    /// Says something, and reads until it hangs up.
    pub fn say(&self, text: &str) -> Answer {
        Answer::read(exchange(self.connect(), text.as_bytes()))
    }
}

/// What comes back until the other end hangs up. It may do so before it has heard everything.
pub fn exchange(mut stream: impl Read + Write, bytes: &[u8]) -> Vec<u8> {
    let _ = stream.write_all(bytes);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    answer
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An answer of HTTP.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    pub fn read(bytes: Vec<u8>) -> Self {
        let text = String::from_utf8(bytes).expect("it is text");
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status = head.get(9..12).and_then(|status| status.parse().ok()).unwrap_or(0);
        let body =
            if head.contains("transfer-encoding: chunked") { whole(body) } else { body.into() };
        Answer { status, head: head.into(), body }
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub fn header(&self, name: &str) -> &str {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.into_iter().find(|(key, _)| *key == name).map_or("", |(_, value)| value)
    }
}

/// What chunks hold.
fn whole(mut chunks: &str) -> String {
    let mut body = String::new();
    while let Some((size, rest)) = chunks.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).expect("it is the size of a chunk");
        body.push_str(&rest[..size]);
        chunks = rest.get(size + 2..).unwrap_or_default();
    }
    body
}
