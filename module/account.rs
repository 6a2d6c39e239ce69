// SPDX-License-Identifier: GPL-2.0-only

//! What the kernel tells the books: packets, namespaces that go, and that time passes.

use mutex_core::measure::Drop as Dropped;
use mutex_core::measure::SocketEnds;
use mutex_core::measure::StateChange;
use mutex_core::quality::Retransmission;

use crate::books::Books;
use crate::sys::host;
use crate::sys::netfilter::Hooked;
use crate::sys::netfilter::Seen;
use crate::sys::percpu::PerCpu;
use crate::sys::probes::Here;
use crate::sys::probes::Probed;
use crate::sys::work::Recurring;

/// Milliseconds between two sweeps.
const SWEEP_EVERY: u32 = 1000;

/// The same while records are scarce.
const SWEEP_EVERY_UNDER_PRESSURE: u32 = 50;

/// Records that one sweep looks at for idle connections. A million are looked at in 16 s, which is
/// less than the shortest idle timeout by default.
const LOOKED_AT: u32 = 1 << 16;

impl Hooked for Books {
    fn cpus(&self) -> &PerCpu {
        self.cpus()
    }

    #[inline]
    fn packet<const WATCHED: bool>(&self, seen: &Seen<'_>) {
        self.engine().count::<WATCHED, _>(seen, &seen.buffer(), |packet| seen.owner(packet));
    }

    fn netns_gone(&self, netns: &[u32]) {
        self.end_netns(netns);
    }
}

impl Probed for Books {
    fn cpus(&self) -> &PerCpu {
        self.cpus()
    }

    fn socket_changed(&self, here: &Here<'_>, ends: &SocketEnds, change: &StateChange) {
        self.engine().socket_changed(here, ends, change);
    }

    fn retransmitted(&self, here: &Here<'_>, ends: &SocketEnds, what: &Retransmission) {
        self.engine().retransmitted(here, ends, what);
    }

    fn dropped(&self, here: &Here<'_>, what: &Dropped<'_>) {
        self.engine().dropped(here, what);
    }

    fn socket_closed(&self, socket: u64, inode: u64) {
        self.engine().socket_closed(socket, inode);
    }
}

impl Recurring for Books {
    fn run(&self) -> u32 {
        self.engine().close_host_window(|| self.cpus().pin(), host::now());
        if self.sweep(LOOKED_AT) {
            SWEEP_EVERY_UNDER_PRESSURE
        } else {
            SWEEP_EVERY
        }
    }
}
