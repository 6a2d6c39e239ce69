// SPDX-License-Identifier: MIT OR Apache-2.0

//! Who holds a socket right now: every process that has it among its file descriptors.

use std::collections::HashMap;
use std::fmt;
use std::fs;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::OnceLock;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use rustix::param::clock_ticks_per_second;

use crate::Fd;

/// A process's file descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Holder {
    /// The process.
    pub pid: u32,
    /// The number of its file descriptor.
    pub number: u32,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.pid, self.number)
    }
}

/// The holders of all sockets, by inode. What one may not look at is missing: other users'
/// processes, unless one is root.
#[derive(Debug)]
pub struct Holders {
    folder: PathBuf,
    /// Read as a whole, when it is first needed.
    sockets: OnceLock<HashMap<u64, Vec<Holder>>>,
    /// Each process that was asked for, `None` if there is none.
    processes: Mutex<HashMap<u32, Option<Process>>>,
    /// Whether pids in `folder` are those that the kernel module tells.
    has_host_pids: bool,
    /// Since boot, and the same moment in Unix time.
    now: Option<(Duration, Duration)>,
}

/// A process, as far as everybody may see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Process {
    command: [u8; 16],
    /// Since boot. It stays the same when the process executes another program.
    started: Option<Duration>,
}

impl Holders {
    /// Where processes are.
    pub const FOLDER: &str = "/proc";

    /// The inode number of the first PID namespace (`PROC_PID_INIT_INO` of the kernel).
    const HOST_PIDS: &str = "pid:[4026531836]";

    /// How coarse the times of /proc are.
    const TICK: Duration = Duration::from_millis(50);

    /// Looks at every process below `folder`, which is `/proc` or looks like it. Processes that go
    /// meanwhile are left out, and so is everything that cannot be read.
    #[must_use]
    pub fn scan(folder: &Path) -> Self {
        let holders = Holders::when_needed(folder);
        holders.sockets();
        holders
    }

    /// As [`Holders::scan`], but all file descriptors are looked at only when they are first asked for: when there is a
    /// socket whose process the kernel does not know. What is known once is not looked at again.
    #[must_use]
    pub fn when_needed(folder: &Path) -> Self {
        let of_reader = folder.join("self/ns/pid").read_link();
        let uptime = fs::read_to_string(folder.join("uptime")).unwrap_or_default();
        let uptime = uptime.split(' ').next().and_then(|text| text.parse().ok());
        let uptime = uptime.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        Holders {
            folder: folder.to_owned(),
            sockets: OnceLock::new(),
            processes: Mutex::default(),
            has_host_pids: of_reader.is_ok_and(|link| link == Path::new(Self::HOST_PIDS)),
            now: uptime.zip(SystemTime::now().duration_since(UNIX_EPOCH).ok()),
        }
    }

    fn sockets(&self) -> &HashMap<u64, Vec<Holder>> {
        self.sockets.get_or_init(|| {
            let mut sockets: HashMap<u64, Vec<Holder>> = HashMap::new();
            for process in self.folder.read_dir().into_iter().flatten().flatten() {
                let name = process.file_name();
                let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
                for (number, inode) in self.sockets_of(pid).into_iter().flatten() {
                    sockets.entry(inode).or_default().push(Holder { pid, number });
                }
            }
            for holders in sockets.values_mut() {
                holders.sort_unstable();
            }
            sockets
        })
    }

    /// The numbers and inodes of the sockets of a process.
    ///
    /// # Errors
    ///
    /// One may not look at them. The directory alone can be open to a process that has the same user and fewer
    /// capabilities: what its entries lead to is not.
    fn sockets_of(&self, pid: u32) -> io::Result<Vec<(u32, u64)>> {
        let mut sockets = Vec::new();
        for entry in self.folder.join(pid.to_string()).join("fd").read_dir()?.flatten() {
            let link = match fs::read_link(entry.path()) {
                Ok(link) => link,
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Err(error),
                // It is closed by now.
                Err(_) => continue,
            };
            let number = entry.file_name().to_str().and_then(|name| name.parse().ok());
            sockets.extend(number.zip(socket(&link)));
        }
        Ok(sockets)
    }

    fn process(&self, pid: u32) -> Option<Process> {
        let mut known = self.processes.lock().unwrap_or_else(PoisonError::into_inner);
        *known.entry(pid).or_insert_with(|| Process::read(&self.folder.join(pid.to_string())))
    }

    /// Who holds the socket with that inode, in the order of their pids.
    #[must_use]
    pub fn of(&self, inode: u64) -> &[Holder] {
        self.sockets().get(&inode).map_or(&[], Vec::as_slice)
    }

    /// Corrects what the kernel says of an fd's process: where it knows none, it is the one with the lowest
    /// pid of those that hold the socket; and the command is the present one, for the kernel has that of the moment when
    /// the process was first seen, before it has executed another program.
    pub fn complete(&self, fd: &mut Fd) {
        if fd.inode == 0 {
            return;
        }
        if fd.pid == 0 {
            let Some(holder) = self.of(fd.inode).first() else { return };
            fd.pid = holder.pid;
            fd.command = self.process(holder.pid).map_or([0; 16], |process| process.command);
        } else if let Some(process) = self.process(fd.pid) {
            if process.command != fd.command && self.is_owner(process, fd) {
                fd.command = process.command;
            }
        }
    }

    /// Whether the process with the fd's pid is the one that the kernel means. It is if it holds the socket. Where one may
    /// not look at that, its pid has to be the kernel's, and it has to be as old as the fd, which has to be open: else it
    /// may be another process with a pid that was free again, or have let go of the socket.
    fn is_owner(&self, process: Process, fd: &Fd) -> bool {
        if let Ok(sockets) = self.sockets_of(fd.pid) {
            return sockets.iter().any(|(_, inode)| *inode == fd.inode);
        }
        let (Some((uptime, now)), Some(started)) = (self.now, process.started) else {
            return false;
        };
        let age = now.saturating_sub(Duration::from_nanos(fd.first_seen_ns));
        self.has_host_pids
            && fd.closed_ns == 0
            && uptime.saturating_sub(started) + Self::TICK >= age
    }
}

impl Process {
    fn read(folder: &Path) -> Option<Self> {
        let text = fs::read(folder.join("comm")).ok()?;
        let mut command = [0; 16];
        let name = text.strip_suffix(b"\n").unwrap_or(&text);
        // The last one stays zero.
        for (byte, &read) in command.iter_mut().take(15).zip(name) {
            *byte = read;
        }
        // A command may have anything in it, but for the last parenthesis; the start is the 22nd field, and what follows
        // the parenthesis is the third.
        let stat = fs::read_to_string(folder.join("stat")).ok();
        let ticks = stat
            .as_ref()
            .and_then(|stat| stat.rsplit_once(") ")?.1.split(' ').nth(19)?.parse::<u64>().ok());
        let started = ticks.map(|ticks| {
            let ns = u128::from(ticks) * 1_000_000_000 / u128::from(clock_ticks_per_second());
            Duration::from_nanos(u64::try_from(ns).unwrap_or(u64::MAX))
        });
        Some(Process { command, started })
    }
}

/// The inode of what a link such as `socket:[12345]` leads to.
fn socket(link: &Path) -> Option<u64> {
    link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn processes_are_found_by_what_they_hold() {
        let folder = tempfile::tempdir().expect("there is room");
        let add = |pid: &str, comm: &str, links: &[(&str, &str)]| {
            let process = folder.path().join(pid);
            fs::create_dir_all(process.join("fd")).expect("there is room");
            fs::write(process.join("comm"), comm).expect("there is room");
            for (number, link) in links {
                symlink(link, process.join("fd").join(number)).expect("there is room");
            }
        };
        add("20", "worker\n", &[("3", "socket:[77]"), ("4", "pipe:[77]"), ("5", "/dev/null")]);
        add("7", "a name that is too long\n", &[("12", "socket:[77]"), ("13", "socket:[78]")]);
        add("self", "nobody\n", &[("1", "socket:[79]")]);
        fs::create_dir(folder.path().join("21")).expect("there is room");

        let holders = Holders::scan(folder.path());
        let shown = |inode| holders.of(inode).iter().map(Holder::to_string).collect::<Vec<_>>();
        assert_eq!(shown(77), ["7/12", "20/3"]);
        assert_eq!(shown(78), ["7/13"]);
        assert!(shown(79).is_empty() && shown(0).is_empty());

        let completed = |fd: Fd| {
            let mut fd = fd;
            holders.complete(&mut fd);
            (fd.pid, text(&fd.command))
        };
        let open = Fd { inode: 77, ..Fd::default() };
        assert_eq!(completed(open), (7, "a name that is ".into()));
        // The kernel knows the command of the moment when it first saw the process.
        let old = Fd { pid: 20, command: command("sh"), ..open };
        assert_eq!(completed(old), (20, "worker".into()));
        // A process that does not hold the socket is another one with the same pid, or has handed the socket on.
        assert_eq!(completed(Fd { inode: 78, ..old }), (20, "sh".into()));
        assert_eq!(completed(Fd { pid: 99, ..old }), (99, "sh".into()));
        assert!(Holders::scan(&folder.path().join("none")).sockets().is_empty());
    }

    #[test]
    fn a_command_is_corrected_where_file_descriptors_cannot_be_seen() {
        // Since boot 1000 s have passed, and process 20 runs for 100 of them. There is nothing to see of its files.
        let host = |pids: &str| {
            let folder = tempfile::tempdir().expect("there is room");
            let process = folder.path().join("20");
            fs::create_dir(&process).expect("there is room");
            fs::create_dir_all(folder.path().join("self/ns")).expect("there is room");
            symlink(pids, folder.path().join("self/ns/pid")).expect("there is room");
            fs::write(folder.path().join("uptime"), "1000.00 1.00\n").expect("there is room");
            let started = 900 * clock_ticks_per_second();
            let zeros = "0 ".repeat(18);
            let stat = format!("20 (a) b) S {zeros}{started} 0 0\n");
            fs::write(process.join("stat"), stat).expect("there is room");
            fs::write(process.join("comm"), "worker\n").expect("there is room");
            folder
        };
        let completed = |pids: &str, age: u64, closed_ns: u64| {
            let folder = host(pids);
            let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later");
            let first_seen = now.saturating_sub(Duration::from_secs(age));
            let first_seen_ns = u64::try_from(first_seen.as_nanos()).expect("it is not so late");
            let fd = Fd { inode: 77, pid: 20, first_seen_ns, closed_ns, ..Fd::default() };
            let mut fd = Fd { command: command("sh"), ..fd };
            Holders::when_needed(folder.path()).complete(&mut fd);
            text(&fd.command)
        };
        assert_eq!(completed(Holders::HOST_PIDS, 90, 0), "worker");
        assert_eq!(completed(Holders::HOST_PIDS, 90, 1), "sh");
        // It is younger than the socket, so that it is not who the kernel has seen.
        assert_eq!(completed(Holders::HOST_PIDS, 110, 0), "sh");
        // In a container its pid may be somebody else's.
        assert_eq!(completed("pid:[4026532000]", 90, 0), "sh");
    }

    fn command(text: &str) -> [u8; 16] {
        let mut command = [0; 16];
        command[..text.len()].copy_from_slice(text.as_bytes());
        command
    }

    fn text(command: &[u8; 16]) -> String {
        crate::records::command_text(command).unwrap_or_default()
    }
}
