// SPDX-License-Identifier: MIT OR Apache-2.0

//! The file by which a daemon is found, and by which there is only one. Its locks, not its being there, say that the
//! daemon lives: the kernel lets go of a lock however its process ends.
//!
//! There are two. `flock` keeps a second daemon away. Whether it is held can only be found out by taking it, and then a
//! daemon that starts at this moment would find it taken. So a daemon also holds a lock of `fcntl`, which can be asked for
//! without taking it, and which says whose it is.

use std::fs;
use std::fs::File;
use std::io;
use std::io::Read;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;

use anyhow::Context;
use anyhow::anyhow;
use anyhow::bail;
use rustix::fs::FlockOperation;
use rustix::fs::fcntl_lock;
use rustix::fs::flock;
use rustix::io::Errno;
use rustix::process::Flock;
use rustix::process::FlockType;
use rustix::process::Pid;
use rustix::process::fcntl_getlk;

use crate::reason;

/// The file of a daemon that runs: this one.
pub struct PidFile {
    path: PathBuf,
    file: File,
}

fn path(state_folder: &Path) -> PathBuf {
    state_folder.join("mutexd.pid")
}

impl PidFile {
    /// Takes it for this process.
    ///
    /// # Errors
    ///
    /// Another daemon has it, or the folder cannot be written.
    pub fn take(state_folder: &Path) -> anyhow::Result<Self> {
        let path = path(state_folder);
        let cannot = |error: io::Error| {
            anyhow!(
                "cannot write {}: {}; set state_folder to a folder that mutexd may write",
                path.display(),
                reason(&error)
            )
        };
        fs::create_dir_all(state_folder).map_err(cannot)?;
        let open = File::options().read(true).write(true).create(true).truncate(false).open(&path);
        let mut file = open.map_err(cannot)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => {
                let mut pid = String::new();
                // Who has just begun may not have written it yet.
                let _ = file.read_to_string(&mut pid);
                bail!(
                    "mutexd runs already, with the state folder {} and the process id {}; end it \
                     with `mutexd stop`",
                    state_folder.display(),
                    if pid.trim().is_empty() { "of its file" } else { pid.trim() }
                );
            }
            Err(error) => return Err(cannot(error.into())),
        }
        fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive)
            .map_err(|error| cannot(error.into()))?;
        // On a full disk the lock is worth more than the number in it.
        let written = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
        if let Err(error) = written {
            tracing::warn!("cannot write {}: {}", path.display(), reason(&error));
        }
        Ok(PidFile { path, file })
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        // Without its content nobody takes it for a daemon's.
        let _ = self.file.set_len(0);
        let _ = fs::remove_file(&self.path);
    }
}

/// The daemon that runs with that folder, if one does.
///
/// # Errors
///
/// The file is there and cannot be read.
pub fn running(state_folder: &Path) -> anyhow::Result<Option<Pid>> {
    let path = path(state_folder);
    let mut file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => bail!("cannot read {}: {}", path.display(), reason(&error)),
    };
    let wanted = Flock::from(FlockType::WriteLock);
    let held = fcntl_getlk(&file, &wanted)
        .map_err(|error| anyhow!("cannot ask for the lock of {}: {error}", path.display()))?;
    let Some(held) = held else { return Ok(None) };
    // Of a process in another PID namespace the number in the file is all that there is.
    if held.pid.is_some() {
        return Ok(held.pid);
    }
    let mut text = String::new();
    file.read_to_string(&mut text).with_context(|| format!("cannot read {}", path.display()))?;
    let pid = text.trim().parse().ok().and_then(Pid::from_raw);
    pid.map(Some).ok_or_else(|| anyhow!("{} has no process id", path.display()))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;
    use std::sync::atomic::Ordering::Relaxed;
    use std::thread;

    use super::*;

    #[test]
    fn who_asks_whether_a_daemon_runs_keeps_none_from_starting() {
        let folder = tempfile::tempdir().expect("there is room");
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            let asking = scope.spawn(|| {
                let mut asked = 0;
                while !is_over.load(Relaxed) {
                    running(folder.path()).expect("it can be asked for");
                    asked += 1;
                }
                asked
            });
            let mut failed = Vec::new();
            for _ in 0..2000 {
                match PidFile::take(folder.path()) {
                    Ok(taken) => drop(taken),
                    Err(error) => failed.push(error.to_string()),
                }
            }
            is_over.store(true, Relaxed);
            assert!(asking.join().expect("it has ended") > 100);
            assert_eq!(failed, [""; 0]);
        });
    }
}
