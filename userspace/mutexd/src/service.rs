// SPDX-License-Identifier: MIT OR Apache-2.0

//! What systemd is told, if it is who started the daemon.

use std::time::Duration;

use rustix::time::ClockId;
use rustix::time::clock_gettime;
use sd_notify::NotifyState;

/// Tells it; says in the log if that fails.
fn tell(states: &[NotifyState]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!("cannot tell the service manager: {error}");
    }
}

/// The daemon is ready, for the first time or again.
pub fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// The configuration is being read again.
pub fn reloading() {
    let now = clock_gettime(ClockId::Monotonic);
    let microseconds = i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec) / 1000;
    tell(&[NotifyState::Reloading, NotifyState::MonotonicUsec(microseconds)]);
}

/// The daemon is about to end.
pub fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// The daemon lives.
pub fn alive() {
    tell(&[NotifyState::Watchdog]);
}

/// How often it wants to be told that.
pub fn watchdog() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|limit| limit / 3)
}
