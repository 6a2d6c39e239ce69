// SPDX-License-Identifier: MIT OR Apache-2.0

//! Time, which tests replace.

use std::time::Duration;
use std::time::SystemTime;

use rustix::time::ClockId;
use rustix::time::clock_gettime;

/// A moment, by two clocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moment {
    /// Nanoseconds of the Unix epoch, by the clock that people set.
    pub time_ns: u64,
    /// Nanoseconds since boot, by the clock that nobody sets and that goes on in suspend.
    pub uptime_ns: u64,
}

/// Where moments come from.
pub trait Clock: Send + Sync + 'static {
    /// This moment.
    fn now(&self) -> Moment;
    /// What tells this boot of the machine from others.
    fn boot(&self) -> String;
}

/// The machine's clocks.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Moment {
        let up = clock_gettime(ClockId::Boottime);
        let uptime = Duration::new(
            u64::try_from(up.tv_sec).unwrap_or(0),
            u32::try_from(up.tv_nsec).unwrap_or(0),
        );
        let time = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Moment { time_ns: nanoseconds(time), uptime_ns: nanoseconds(uptime) }
    }

    fn boot(&self) -> String {
        std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
            .map(|text| text.trim().to_owned())
            .unwrap_or_default()
    }
}

/// Nanoseconds, as many as fit.
pub(crate) fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
