// SPDX-License-Identifier: MIT OR Apache-2.0

//! Takes events from other programs over a local socket.

use std::io;
use std::io::Read;
use std::io::Write;
use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::os::unix::net::UnixListener;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::thread::JoinHandle;

use rustix::event::PollFd;
use rustix::event::PollFlags;
use rustix::event::Timespec;
use rustix::event::poll;
use rustix::net::sockopt::socket_peercred;

use super::Recorder;
use super::Source;
use super::protocol::MAX_REQUEST;
use super::protocol::Outcome;
use super::protocol::Request;
use super::protocol::refusal;
use crate::local_socket::SocketFile;

/// Who may come, and how many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerSettings {
    /// The socket's mode: who may write to it may connect.
    pub mode: u32,
    /// The group that the socket is given to, by its id; it stays that of this process if there is none.
    pub group: Option<u32>,
    /// The most programs that are connected at a time.
    pub max_clients: usize,
}

impl Default for ListenerSettings {
    fn default() -> Self {
        ListenerSettings { mode: 0o660, group: None, max_clients: 64 }
    }
}

/// What came over a socket.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListenerStatistics {
    /// Programs that are connected.
    pub clients: u64,
    /// All that have ever been.
    pub total_clients: u64,
    /// Those that were turned away, for there were enough.
    pub turned_away: u64,
    /// Events that were recorded.
    pub recorded: u64,
    /// Questions that were answered.
    pub answered: u64,
    /// Lines that were no request.
    pub malformed: u64,
    /// Requests that came to nothing.
    pub refused: u64,
}

#[derive(Debug, Default)]
struct Tally {
    clients: AtomicU64,
    total_clients: AtomicU64,
    turned_away: AtomicU64,
    recorded: AtomicU64,
    answered: AtomicU64,
    malformed: AtomicU64,
    refused: AtomicU64,
}

impl Tally {
    fn count(&self, outcome: Outcome) {
        let counter = match outcome {
            Outcome::Recorded => &self.recorded,
            Outcome::Answered => &self.answered,
            Outcome::Malformed => &self.malformed,
            Outcome::Refused => &self.refused,
        };
        counter.fetch_add(1, Relaxed);
    }
}

/// A local socket that programs hand events over, served by a thread of its own until this is dropped.
///
/// Whatever comes is answered and counted; nothing that comes ends it. A program that does not read
/// its answers is not listened to until it does, and nobody else waits for it.
#[derive(Debug)]
pub struct Listener {
    file: Option<SocketFile>,
    tally: Arc<Tally>,
    stop: UnixStream,
    thread: Option<JoinHandle<()>>,
}

impl Listener {
    /// Listens at `path`, and records what comes. A socket that nobody listens at any more is
    /// replaced.
    ///
    /// # Errors
    ///
    /// The system's; [`io::ErrorKind::AddrInUse`] if somebody listens there, or if it is no socket.
    pub fn start(
        path: impl AsRef<Path>,
        settings: &ListenerSettings,
        recorder: Arc<Recorder>,
    ) -> io::Result<Self> {
        let (socket, file) = SocketFile::listen(path.as_ref(), settings.mode, settings.group)?;
        let mut listener = Listener::start_on(socket, settings, recorder)?;
        listener.file = Some(file);
        Ok(listener)
    }

    /// As [`Listener::start`], on a socket that there is already: from whoever started this program.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn start_on(
        socket: UnixListener,
        settings: &ListenerSettings,
        recorder: Arc<Recorder>,
    ) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        let (stop, stopped) = UnixStream::pair()?;
        let tally = Arc::new(Tally::default());
        let server = Server {
            socket,
            stopped,
            recorder,
            tally: tally.clone(),
            max_clients: settings.max_clients,
            clients: Vec::new(),
            own_uid: rustix::process::geteuid().as_raw(),
        };
        let name = String::from("diagnostics");
        let thread = thread::Builder::new().name(name).spawn(move || server.run())?;
        Ok(Listener { file: None, tally, stop, thread: Some(thread) })
    }

    /// What has come so far.
    #[must_use]
    pub fn statistics(&self) -> ListenerStatistics {
        let Tally { clients, total_clients, turned_away, recorded, answered, malformed, refused } =
            &*self.tally;
        let read = |counter: &AtomicU64| counter.load(Relaxed);
        ListenerStatistics {
            clients: read(clients),
            total_clients: read(total_clients),
            turned_away: read(turned_away),
            recorded: read(recorded),
            answered: read(answered),
            malformed: read(malformed),
            refused: read(refused),
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.file = None;
        // Its other end sees that this one is gone.
        let _ = self.stop.shutdown(std::net::Shutdown::Both);
        if let Some(thread) = self.thread.take() {
            // What it died of has been said by the thread itself.
            let _ = thread.join();
        }
    }
}

/// The thread that serves.
struct Server {
    socket: UnixListener,
    stopped: UnixStream,
    recorder: Arc<Recorder>,
    tally: Arc<Tally>,
    max_clients: usize,
    clients: Vec<Connected>,
    own_uid: u32,
}

impl Server {
    fn run(mut self) {
        // For when the system has nothing left for one more.
        let mut may_accept = true;
        loop {
            let mut files = vec![PollFd::new(&self.stopped, PollFlags::IN)];
            files.push(PollFd::from_borrowed_fd(
                self.socket.as_fd(),
                if may_accept { PollFlags::IN } else { PollFlags::empty() },
            ));
            files.extend(self.clients.iter().map(Connected::poll_fd));
            let pause = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
            match poll(&mut files, (!may_accept).then_some(&pause)) {
                Ok(_) => {}
                Err(rustix::io::Errno::INTR) => continue,
                // It can only be memory that is missing, which can come back.
                Err(_) => thread::sleep(std::time::Duration::from_millis(100)),
            }
            let ready: Vec<_> = files.iter().map(PollFd::revents).collect();
            drop(files);
            if !ready[0].is_empty() {
                return;
            }
            let mut ready_clients = ready.iter().skip(2);
            let (recorder, tally) = (&self.recorder, &self.tally);
            self.clients.retain_mut(|client| {
                let is_ready = ready_clients.next().is_some_and(|flags| !flags.is_empty());
                !is_ready || client.serve(recorder, tally).is_ok_and(|goes_on| goes_on)
            });
            may_accept = !ready[1].contains(PollFlags::IN) || self.accept();
            self.tally.clients.store(self.clients.len() as u64, Relaxed);
        }
    }

    /// Takes one more program; whether the next one can be taken at once.
    fn accept(&mut self) -> bool {
        use io::ErrorKind::{ConnectionAborted, Interrupted, WouldBlock};
        let stream = match self.socket.accept() {
            Ok((stream, _)) => stream,
            Err(error) => {
                return matches!(error.kind(), WouldBlock | Interrupted | ConnectionAborted);
            }
        };
        if self.clients.len() >= self.max_clients {
            self.tally.turned_away.fetch_add(1, Relaxed);
            let line = format!("{}\n", refusal("too many programs are connected"));
            // Its buffer is empty, so that this does not wait.
            let _ = stream.set_nonblocking(true);
            let _ = (&stream).write(line.as_bytes());
            return true;
        }
        if let Ok(client) = Connected::new(stream, self.own_uid) {
            self.tally.total_clients.fetch_add(1, Relaxed);
            self.clients.push(client);
        }
        true
    }
}

/// A program that is connected.
struct Connected {
    stream: UnixStream,
    source: Source,
    /// Whether it may see what others said.
    may_ask: bool,
    input: Vec<u8>,
    /// Whether the rest of a line that is too long is still to come.
    is_skipping: bool,
    output: Vec<u8>,
    has_ended: bool,
}

impl Connected {
    /// Bytes that are read at a time.
    const READ: usize = 16 << 10;

    /// With so many bytes of answers that it has not taken, it is not listened to.
    const BACKLOG: usize = 64 << 10;

    fn new(stream: UnixStream, own_uid: u32) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        let peer = socket_peercred(&stream)?;
        let uid = peer.uid.as_raw();
        let pid = u32::try_from(peer.pid.as_raw_nonzero().get()).unwrap_or(0);
        Ok(Connected {
            stream,
            source: Source::Program { pid, uid },
            may_ask: uid == 0 || uid == own_uid,
            input: Vec::new(),
            is_skipping: false,
            output: Vec::new(),
            has_ended: false,
        })
    }

    fn is_listened_to(&self) -> bool {
        !self.has_ended && self.output.len() < Self::BACKLOG
    }

    fn poll_fd(&self) -> PollFd<'_> {
        let mut flags = PollFlags::empty();
        if self.is_listened_to() {
            flags |= PollFlags::IN;
        }
        if !self.output.is_empty() {
            flags |= PollFlags::OUT;
        }
        let file: BorrowedFd<'_> = self.stream.as_fd();
        PollFd::from_borrowed_fd(file, flags)
    }

    /// Reads once, answers, writes; whether it goes on.
    fn serve(&mut self, recorder: &Recorder, tally: &Tally) -> io::Result<bool> {
        if self.is_listened_to() {
            let mut bytes = [0; Self::READ];
            match (&self.stream).read(&mut bytes) {
                Ok(0) => self.has_ended = true,
                Ok(count) => self.input.extend_from_slice(bytes.get(..count).unwrap_or_default()),
                Err(error) if is_for_later(&error) => {}
                Err(error) => return Err(error),
            }
        }
        loop {
            self.take_lines(recorder, tally);
            let before = self.output.len();
            self.write()?;
            // What has gone out has made room for what was left of the input.
            let is_blocked = before >= Self::BACKLOG && self.output.len() < Self::BACKLOG;
            if !is_blocked {
                break;
            }
        }
        Ok(!(self.has_ended && self.output.is_empty()))
    }

    /// Answers the lines that there are, as long as there is room for answers.
    fn take_lines(&mut self, recorder: &Recorder, tally: &Tally) {
        let mut input = std::mem::take(&mut self.input);
        let mut taken = 0;
        while self.output.len() < Self::BACKLOG {
            let rest = input.get(taken..).unwrap_or_default();
            let Some(length) = rest.iter().position(|&byte| byte == b'\n') else { break };
            let line = rest.get(..length).unwrap_or_default();
            if !std::mem::take(&mut self.is_skipping) {
                self.answer(line, recorder, tally);
            }
            taken += length + 1;
        }
        input.drain(..taken);
        if self.output.len() < Self::BACKLOG {
            if self.has_ended && !input.is_empty() {
                // The last line needs no end: one that was cut off is no JSON.
                if !self.is_skipping {
                    self.answer(&input, recorder, tally);
                }
                input.clear();
            } else if input.len() > MAX_REQUEST {
                if !self.is_skipping {
                    self.answer(&input, recorder, tally);
                }
                self.is_skipping = true;
                input.clear();
            }
        }
        self.input = input;
    }

    fn answer(&mut self, line: &[u8], recorder: &Recorder, tally: &Tally) {
        let (outcome, answer) = self.outcome(line, recorder);
        tally.count(outcome);
        if outcome == Outcome::Malformed {
            recorder.refuse();
        }
        self.output.extend_from_slice(answer.to_string().as_bytes());
        self.output.push(b'\n');
    }

    fn outcome(&self, line: &[u8], recorder: &Recorder) -> (Outcome, serde_json::Value) {
        if line.len() > MAX_REQUEST {
            let why = format!("a request has at most {MAX_REQUEST} bytes");
            return (Outcome::Malformed, refusal(&why));
        }
        let request = match Request::parse(line) {
            Ok(request) => request,
            Err(why) => return (Outcome::Malformed, refusal(&why)),
        };
        let is_record = matches!(request, Request::Record(_));
        if !is_record && !self.may_ask {
            let why = "only the daemon's own user and root may ask";
            return (Outcome::Refused, refusal(why));
        }
        match request.answer(recorder, self.source) {
            Ok(answer) if is_record => (Outcome::Recorded, answer),
            Ok(answer) => (Outcome::Answered, answer),
            Err(error) => (Outcome::Refused, refusal(&error.to_string())),
        }
    }

    fn write(&mut self) -> io::Result<()> {
        let mut written = 0;
        let result = loop {
            let rest = self.output.get(written..).unwrap_or_default();
            if rest.is_empty() {
                break Ok(());
            }
            match (&self.stream).write(rest) {
                Ok(count) => written += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if is_for_later(&error) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        self.output.drain(..written);
        result
    }
}

fn is_for_later(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}
