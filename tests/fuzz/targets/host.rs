// SPDX-License-Identifier: MIT OR Apache-2.0

//! The engine on a host with one CPU and room for four connections, so that the table is full at times.

use mutex_core::alarm::Unwatched;
use mutex_core::alert;
use mutex_core::config::Config;
use mutex_core::connection::Connection;
use mutex_core::cpu::Cpu;
use mutex_core::cpu::Pinned;
use mutex_core::engine::Cpus;
use mutex_core::engine::Engine;
use mutex_core::engine::Memory;
use mutex_core::engine::Parts;
use mutex_core::fd::Fd;
use mutex_core::index::buckets_for;
use mutex_core::index::Bucket;
use mutex_core::latency::pool_for;
use mutex_core::latency::Octave;
use mutex_core::quality::Quality;
use mutex_core::shares;

/// Connections that there is room for.
pub const CONNECTIONS: usize = 4;

#[derive(Default)]
pub struct OneCpu(pub Cpu);

impl Cpus for OneCpu {
    fn for_each(&self, mut show: impl FnMut(&Cpu)) {
        show(&self.0);
    }

    fn bytes(&self) -> usize {
        size_of::<Cpu>()
    }
}

impl Pinned for &OneCpu {
    fn cpu(&self) -> &Cpu {
        &self.0
    }
}

pub struct Host;

impl Memory for Host {
    type Connections = Vec<Connection>;
    type Qualities = Vec<Quality>;
    type Octaves = Vec<Octave>;
    type Fds = Vec<Fd>;
    type Buckets = Vec<Bucket>;
    type AlertSlots = Vec<alert::Slot>;
    type Shares = Vec<shares::Slot>;
    type Cpus = OneCpu;
    type System = Unwatched;
}

pub fn many<T: Default>(count: usize) -> Vec<T> {
    std::iter::repeat_with(T::default).take(count).collect()
}

pub fn engine() -> Engine<Host> {
    let buckets = buckets_for(CONNECTIONS as u32);
    Engine::new(Parts {
        connections: many(CONNECTIONS),
        qualities: many(CONNECTIONS),
        octaves: many(pool_for(CONNECTIONS)),
        connection_buckets: many(buckets),
        fds: many(CONNECTIONS),
        fd_buckets: many(buckets),
        alerts: many(2),
        shares: many(shares::SLOTS),
        cpus: OneCpu::default(),
        system: Unwatched,
        first_netns: 7,
        random: [11, 22, 33, 44, 55, 66, 77, 88],
        config: Config::new(),
        now: 0,
    })
    .expect("powers of two")
}
