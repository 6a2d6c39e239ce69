// SPDX-License-Identifier: MIT OR Apache-2.0

//! Starting and ending the daemon: in the foreground, or from a shell that goes on.

use std::env;
use std::fs::File;
use std::io;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::process::Stdio;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyhow::Context;
use anyhow::anyhow;
use anyhow::bail;
use rustix::event::PollFd;
use rustix::event::PollFlags;
use rustix::event::Timespec;
use rustix::event::poll;
use rustix::io::Errno;
use rustix::process::PidfdFlags;
use rustix::process::Signal;
use rustix::process::pidfd_open;
use rustix::process::pidfd_send_signal;

use crate::config::Config;
use crate::daemon;
use crate::pid_file;

/// How long the daemon may take to become ready, and to end.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the daemon says to who has started it, when it is ready.
const READY: &str = "ready";

/// `mutexd run`: runs until it is told to end.
pub fn run(config: Option<&Path>, detached: bool) -> anyhow::Result<()> {
    if !detached {
        return daemon::run(config, false, || {});
    }
    // The terminal that it was started from is nothing to it any more.
    let _ = rustix::process::setsid();
    let done = daemon::run(config, true, || answer(READY));
    if let Err(error) = &done {
        // For who still waits; who does not has the log.
        answer(&crate::printable(&format!("{error:#}")));
    }
    done
}

/// Tells who has started this process, and lets go of the pipe.
fn answer(sentence: &str) {
    // Who has started it may be gone.
    let _ = writeln!(io::stdout(), "{sentence}");
    if let Ok(nothing) = File::options().write(true).open("/dev/null") {
        let _ = rustix::stdio::dup2_stdout(nothing);
    }
}

/// `mutexd start`: runs in the background.
pub fn start(config: Option<&Path>) -> anyhow::Result<()> {
    // What can be said at once is.
    Config::find(config)?;
    let program = env::current_exe().context("cannot find the program itself")?;
    let mut command = Command::new(program);
    if let Some(config) = config {
        // It starts in the root folder.
        command.arg("--config").arg(std::path::absolute(config)?);
    }
    command.args(["run", "--detached"]).current_dir("/");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().context("cannot start a process")?;
    let stdout = child.stdout.take().context("standard output is piped")?;
    let (send, answer) = mpsc::channel();
    thread::spawn(move || {
        let mut line = String::new();
        let _ = BufReader::new(stdout).read_line(&mut line);
        // Who waited may have given up.
        let _ = send.send(line);
    });
    match answer.recv_timeout(PATIENCE).as_deref().map(str::trim_end) {
        Ok(READY) => {
            writeln!(io::stdout(), "mutexd runs with the process id {}", child.id())?;
            Ok(())
        }
        Ok("") => {
            let status = child.wait()?;
            bail!("it ended without a word: {status}")
        }
        Ok(sentence) => {
            child.wait()?;
            bail!("{sentence}")
        }
        Err(_) => {
            child.kill()?;
            child.wait()?;
            bail!("it was not ready after {} s", PATIENCE.as_secs())
        }
    }
}

/// `mutexd stop`.
pub fn stop(config: Option<&Path>) -> anyhow::Result<()> {
    let folder = Config::find(config)?.state_folder;
    let Some(pid) = pid_file::running(&folder)? else {
        bail!("mutexd does not run with the state folder {}", folder.display());
    };
    let ended = |error: Errno| anyhow!("cannot end the process {pid}: {error}");
    let process = match pidfd_open(pid, PidfdFlags::empty()) {
        Err(Errno::SRCH) => return Ok(()),
        process => process.map_err(ended)?,
    };
    match pidfd_send_signal(&process, Signal::TERM) {
        Err(Errno::SRCH) => return Ok(()),
        sent => sent.map_err(ended)?,
    }
    let patience = Timespec { tv_sec: 60, tv_nsec: 0 };
    let mut end = [PollFd::new(&process, PollFlags::IN)];
    match poll(&mut end, Some(&patience)).map_err(ended)? {
        0 => bail!("the process {pid} has not ended after {} s", PATIENCE.as_secs()),
        _ => Ok(()),
    }
}

/// `mutexd reload`.
pub fn reload(config: Option<&Path>) -> anyhow::Result<()> {
    let folder = Config::find(config)?.state_folder;
    let Some(pid) = pid_file::running(&folder)? else {
        bail!("mutexd does not run with the state folder {}", folder.display());
    };
    rustix::process::kill_process(pid, Signal::HUP)
        .map_err(|error| anyhow!("cannot tell the process {pid}: {error}"))
}

/// `mutexd status`.
pub fn status(config: Option<&Path>) -> anyhow::Result<()> {
    let folder = Config::find(config)?.state_folder;
    match pid_file::running(&folder)? {
        Some(pid) => Ok(writeln!(io::stdout(), "mutexd runs with the process id {pid}")?),
        None => bail!("mutexd does not run with the state folder {}", folder.display()),
    }
}
