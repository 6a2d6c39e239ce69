// SPDX-License-Identifier: GPL-2.0-only

//! From the module's parameters to an engine.

use core::ops::RangeInclusive;

use kernel::prelude::*;
use mutex_core::connection::Connection;
use mutex_core::engine::Engine;
use mutex_core::engine::Parts;
use mutex_core::fd::Fd;
use mutex_core::index::buckets_for;
use mutex_core::index::Bucket;
use mutex_core::latency::pool_for;
use mutex_core::latency::Octave;
use mutex_core::quality::Quality;
use mutex_core::state::Timeouts;

use crate::module_parameters as parameters;
use crate::sys::host;
use crate::sys::memory::KernelMemory;
use crate::sys::memory::Zeroed;
use crate::sys::percpu::PerCpu;

/// Records that a table may have.
const TABLE: RangeInclusive<u32> = 16..=1 << 24;

/// Seconds that a timeout may take: up to a year.
const TIMEOUT: RangeInclusive<u32> = 1..=31_536_000;

/// The same where 0 means at once.
const TIMEOUT_OR_NONE: RangeInclusive<u32> = 0..=31_536_000;

fn checked(name: &str, value: u32, range: RangeInclusive<u32>) -> Result<u32> {
    if range.contains(&value) {
        return Ok(value);
    }
    pr_err!("{} is {}, but has to be from {} to {}\n", name, value, range.start(), range.end());
    Err(EINVAL)
}

fn nanoseconds(name: &str, value: u32, range: RangeInclusive<u32>) -> Result<u64> {
    Ok(u64::from(checked(name, value, range)?) * 1_000_000_000)
}

fn timeouts() -> Result<Timeouts> {
    let idle = |name, value: &u32| nanoseconds(name, *value, TIMEOUT);
    let shown = |name, value: &u32| nanoseconds(name, *value, TIMEOUT_OR_NONE);
    Ok(Timeouts {
        tcp: idle("timeout_tcp", parameters::timeout_tcp.value())?,
        tcp_opening: idle("timeout_tcp_opening", parameters::timeout_tcp_opening.value())?,
        tcp_closing: idle("timeout_tcp_closing", parameters::timeout_tcp_closing.value())?,
        one_way: idle("timeout_one_way", parameters::timeout_one_way.value())?,
        two_way: idle("timeout_two_way", parameters::timeout_two_way.value())?,
        icmp: idle("timeout_icmp", parameters::timeout_icmp.value())?,
        closed: shown("timeout_closed", parameters::timeout_closed.value())?,
        fd: shown("timeout_fd", parameters::timeout_fd.value())?,
    })
}

/// An engine as the parameters want it.
pub(crate) fn engine() -> Result<Engine<KernelMemory>> {
    let connections =
        checked("max_connections", *parameters::max_connections.value(), TABLE)? as usize;
    let fds = checked("max_fds", *parameters::max_fds.value(), TABLE)? as usize;
    let timeouts = timeouts()?;

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
            cpus: PerCpu::new()?,
            random: host::random(),
            timeouts,
            now: host::now(),
        })
    };
    let parts = parts().inspect_err(|_| {
        pr_err!("no {} MiB of memory are free for the tables\n", bytes >> 20);
    })?;
    Engine::new(parts).ok_or(EINVAL)
}
