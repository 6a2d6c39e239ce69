// SPDX-License-Identifier: MIT OR Apache-2.0

//! The file by which a daemon is found, and by which there is only one. Its locks, not its being there, say that the
//! daemon lives: the kernel lets go of a lock however its process ends.
//!
//! There are two. That of `flock` keeps a second daemon away, and is let go of last when a process is killed, after its
//! sockets. Whether it is held can only be found out by taking it, and a daemon that starts at this moment would find it
//! taken. So there is one of `fcntl` besides, which can be asked for without taking it, and which says whose it is. A process
//! loses it when it closes any of its descriptors of the file, so that a daemon opens it once.

use std::fs;
use std::fs::File;
use std::fs::Metadata;
use std::io;
use std::io::Read;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::Duration;
use std::time::Instant;

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

/// How long a daemon that was killed may take to be gone, and how often that is looked at.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(20);

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
        let began = Instant::now();
        while let Err(error) = flock(&file, FlockOperation::NonBlockingLockExclusive) {
            if error != Errno::WOULDBLOCK {
                return Err(cannot(error.into()));
            }
            // Without the other lock it is a daemon that was killed and is not quite gone, or one that has just begun.
            if holder(&file).map_err(|error| cannot(error.into()))?.is_none()
                && began.elapsed() < PATIENCE
            {
                sleep(PAUSE);
                continue;
            }
            let mut pid = String::new();
            // Who has just begun may not have written it yet.
            let _ = file.read_to_string(&mut pid);
            bail!(
                "mutexd runs already, with the state folder {} and the process id {}; end it with \
                 `mutexd stop`",
                state_folder.display(),
                if pid.trim().is_empty() { "of its file" } else { pid.trim() }
            );
        }
        let id = |metadata: Metadata| (metadata.dev(), metadata.ino());
        let is_there = path.metadata().map(id).ok() == file.metadata().map(id).ok();
        if !is_there {
            // A daemon that has ended meanwhile has removed it: who comes next would make another one.
            return PidFile::take(state_folder);
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

/// The lock of `fcntl` that another process has, if one has.
fn holder(file: &File) -> rustix::io::Result<Option<Flock>> {
    fcntl_getlk(file, &Flock::from(FlockType::WriteLock))
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
    let held = holder(&file)
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
    use std::env;
    use std::io::BufRead;
    use std::io::BufReader;
    use std::process::Command;
    use std::process::Stdio;

    use super::*;

    /// By which the test below tells another process what to ask for.
    const FOLDER: &str = "MUTEXD_TEST_STATE_FOLDER";

    /// What another process does in the test below.
    #[test]
    fn asks_again_and_again() {
        let Some(folder) = env::var_os(FOLDER) else { return };
        for asked in 0u64.. {
            let found = running(Path::new(&folder)).expect("it can be asked for");
            assert!(found.is_none_or(|pid| pid.as_raw_nonzero().get() > 1), "{found:?}");
            if asked == 100 {
                println!("\nit asks");
            }
            if Path::new(&folder).join("enough").exists() {
                return;
            }
        }
    }

    #[test]
    fn who_asks_whether_a_daemon_runs_keeps_none_from_starting() {
        let folder = tempfile::tempdir().expect("there is room");
        // Also one that is not empty is no daemon's.
        fs::write(path(folder.path()), "1\n").expect("there is room");
        let mut command = Command::new(env::current_exe().expect("it is there"));
        command.args(["--exact", "--nocapture", "pid_file::tests::asks_again_and_again"]);
        command.env(FOLDER, folder.path()).stdout(Stdio::piped());
        let mut asking = command.spawn().expect("it starts");
        let mut lines = BufReader::new(asking.stdout.take().expect("it is piped")).lines();
        assert!(lines.any(|line| line.is_ok_and(|line| line == "it asks")));
        let failed: Vec<String> = (0..5000)
            .filter_map(|_| PidFile::take(folder.path()).err())
            .map(|error| error.to_string())
            .collect();
        fs::write(folder.path().join("enough"), "").expect("there is room");
        assert!(lines.all(|line| line.is_ok()) && asking.wait().expect("it is ours").success());
        assert_eq!(failed, [""; 0]);
    }
}
