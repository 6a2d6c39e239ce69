// SPDX-License-Identifier: MIT OR Apache-2.0

//! Who holds a socket right now: every process that has it among its file descriptors.

use std::collections::HashMap;
use std::fmt;
use std::fs;
use std::path::Path;

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
#[derive(Clone, Debug, Default)]
pub struct Holders {
    sockets: HashMap<u64, Vec<Holder>>,
    commands: HashMap<u32, [u8; 16]>,
}

impl Holders {
    /// Where processes are.
    pub const FOLDER: &str = "/proc";

    /// Looks at every process below `folder`, which is `/proc` or looks like it. Processes that go
    /// meanwhile are left out, and so is everything that cannot be read.
    #[must_use]
    pub fn scan(folder: &Path) -> Self {
        let mut holders = Holders::default();
        for process in folder.read_dir().into_iter().flatten().flatten() {
            let name = process.file_name();
            if let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) {
                holders.process(pid, &process.path());
            }
        }
        holders.sockets.values_mut().for_each(|holders| holders.sort_unstable());
        holders
    }

    fn process(&mut self, pid: u32, folder: &Path) {
        for entry in folder.join("fd").read_dir().into_iter().flatten().flatten() {
            let Some(number) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            let Some(inode) = fs::read_link(entry.path()).ok().as_deref().and_then(socket) else {
                continue;
            };
            self.sockets.entry(inode).or_default().push(Holder { pid, number });
            self.commands.entry(pid).or_insert_with(|| {
                let text = fs::read(folder.join("comm")).unwrap_or_default();
                let mut command = [0; 16];
                let name = text.strip_suffix(b"\n").unwrap_or(&text);
                // The last one stays zero.
                for (byte, &read) in command.iter_mut().take(15).zip(name) {
                    *byte = read;
                }
                command
            });
        }
    }

    /// Who holds the socket with that inode, in the order of their pids.
    #[must_use]
    pub fn of(&self, inode: u64) -> &[Holder] {
        self.sockets.get(&inode).map_or(&[], Vec::as_slice)
    }

    /// Fills in the process of an fd of which the kernel knows none: the one with the lowest pid.
    pub fn complete(&self, fd: &mut Fd) {
        let Some(holder) = self.of(fd.inode).first() else { return };
        if fd.pid == 0 {
            fd.pid = holder.pid;
            fd.command = self.commands.get(&holder.pid).copied().unwrap_or_default();
        }
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

        let mut fd = Fd { inode: 77, ..Fd::default() };
        holders.complete(&mut fd);
        assert_eq!((fd.pid, &fd.command), (7, b"a name that is \0"));
        let mut known = Fd { inode: 77, pid: 20, ..Fd::default() };
        holders.complete(&mut known);
        assert_eq!((known.pid, known.command), (20, [0; 16]));
        assert!(Holders::scan(&folder.path().join("none")).sockets.is_empty());
    }
}
