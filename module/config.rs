// SPDX-License-Identifier: GPL-2.0-only

//! From the module's parameters to an engine.

use core::ops::RangeInclusive;

use kernel::prelude::*;
use mutex_core::config::Config;
use mutex_core::connection::Connection;
use mutex_core::engine::Engine;
use mutex_core::engine::Parts;
use mutex_core::fd::Fd;
use mutex_core::index::buckets_for;
use mutex_core::index::Bucket;
use mutex_core::latency::pool_for;
use mutex_core::latency::Octave;
use mutex_core::quality::Quality;
use mutex_core::shares;

use crate::sys::host;
use crate::sys::host::Parameters;
use crate::sys::memory::KernelMemory;
use crate::sys::memory::Zeroed;
use crate::sys::percpu::PerCpu;
use crate::watch::Watchers;

/// Records that a table may have.
const TABLE: RangeInclusive<u32> = 16..=1 << 24;

/// Alerts that may be kept.
const ALERTS: RangeInclusive<u32> = 1..=1 << 20;

fn checked(name: &str, value: u32, range: RangeInclusive<u32>) -> Result<u32> {
    if range.contains(&value) {
        return Ok(value);
    }
    pr_err!("{} is {}, but has to be from {} to {}\n", name, value, range.start(), range.end());
    Err(EINVAL)
}

/// The defaults but for what the parameters say.
fn config(parameters: &Parameters) -> Result<Config> {
    let config = Config::new();
    for (key, value) in [
        ("timeout_tcp", parameters.timeout_tcp),
        ("timeout_tcp_opening", parameters.timeout_tcp_opening),
        ("timeout_tcp_closing", parameters.timeout_tcp_closing),
        ("timeout_one_way", parameters.timeout_one_way),
        ("timeout_two_way", parameters.timeout_two_way),
        ("timeout_icmp", parameters.timeout_icmp),
        ("timeout_closed", parameters.timeout_closed),
        ("timeout_fd", parameters.timeout_fd),
    ] {
        config.set(key, u64::from(value)).map_err(|refusal| {
            pr_err!("{}\n", format_args!("{refusal}"));
            EINVAL
        })?;
    }
    Ok(config)
}

/// An engine as the parameters want it.
///
/// In a box, and not inlined: it would take much of the kernel's stack to hand it about.
#[inline(never)]
pub(crate) fn engine() -> Result<KBox<Engine<KernelMemory>>> {
    let parameters = host::parameters();
    let connections = checked("max_connections", parameters.max_connections, TABLE)? as usize;
    let fds = checked("max_fds", parameters.max_fds, TABLE)? as usize;
    let alerts = checked("max_alerts", parameters.max_alerts, ALERTS)? as usize;
    let config = config(parameters)?;

    let connection_buckets = buckets_for(connections as u32);
    let fd_buckets = buckets_for(fds as u32);
    let octaves = pool_for(connections);
    let bytes = connections * (size_of::<Connection>() + size_of::<Quality>())
        + octaves * size_of::<Octave>()
        + fds * size_of::<Fd>()
        + (connection_buckets + fd_buckets) * size_of::<Bucket>();
    let memory = host::memory();
    if bytes as u64 > memory / 2 {
        pr_err!(
            "tables for max_connections={} and max_fds={} take {} MiB, more than half of this host's \
             {} MiB; choose fewer\n",
            connections,
            fds,
            bytes >> 20,
            memory >> 20
        );
        return Err(ENOMEM);
    }
    let parts = || -> Result<Parts<KernelMemory>> {
        Ok(Parts {
            connections: Zeroed::new(connections)?,
            qualities: Zeroed::new(connections)?,
            octaves: Zeroed::new(octaves)?,
            connection_buckets: Zeroed::new(connection_buckets)?,
            fds: Zeroed::new(fds)?,
            fd_buckets: Zeroed::new(fd_buckets)?,
            shares: Zeroed::new(shares::SLOTS)?,
            first_netns: host::first_netns(),
            alerts: Zeroed::new(alerts)?,
            cpus: PerCpu::new()?,
            system: Watchers::new(),
            random: host::random(),
            config,
            now: host::now(),
        })
    };
    let parts = parts().inspect_err(|_| {
        pr_err!("no {} MiB of memory are free for the tables\n", bytes >> 20);
    })?;
    Ok(KBox::new(Engine::new(parts).ok_or(EINVAL)?, GFP_KERNEL)?)
}
