// SPDX-License-Identifier: GPL-2.0-only

//! What the kernel tells of its sockets and of packets that it drops.

use kernel::error::to_result;
use kernel::prelude::*;
use kernel::sync::Arc;
use mutex_core::cpu::Cpu;
use mutex_core::cpu::Pinned;
use mutex_core::key::Address;
use mutex_core::key::Endpoint;
use mutex_core::measure::Drop as Dropped;
use mutex_core::measure::SocketEnds;
use mutex_core::measure::StateChange;
use mutex_core::parse::Family;
use mutex_core::quality::Retransmission;
use mutex_core::state::State;
use mutex_core::timing::TcpSocket;

use super::bindings;
use super::percpu::PerCpu;

/// Who is told. All calls are inside an RCU read side. No sleeping.
pub(crate) trait Probed: Send + Sync {
    /// The CPUs' own parts, of which [`Here`] gives this CPU's.
    fn cpus(&self) -> &PerCpu;

    /// A TCP socket changed its state.
    fn socket_changed(&self, here: &Here<'_>, ends: &SocketEnds, change: &StateChange);

    /// TCP sent something again, or failed to.
    fn retransmitted(&self, here: &Here<'_>, ends: &SocketEnds, what: &Retransmission);

    /// A packet was dropped.
    fn dropped(&self, here: &Here<'_>, what: &Dropped<'_>);

    /// A socket other than TCP's was closed; not pinned to a CPU.
    fn socket_closed(&self, socket: u64, inode: u64);
}

/// The CPU that a probe runs on.
pub(crate) struct Here<'a>(&'a Cpu);

impl Pinned for Here<'_> {
    #[inline]
    fn cpu(&self) -> &Cpu {
        self.0
    }
}

/// The probes; they go when this is dropped.
///
/// # Invariants
///
/// The kernel calls with a pointer to what `_probed` keeps alive.
pub(crate) struct Probes<T: Probed> {
    _probed: Arc<T>,
}

impl<T: Probed> Probes<T> {
    const CALLS: bindings::mutex_probe_calls = bindings::mutex_probe_calls {
        state: Some(state::<T>),
        retransmit: Some(retransmit::<T>),
        drop: Some(drop_packet::<T>),
        release: Some(release::<T>),
    };

    /// Attaches to the kernel's tracepoints. There is one such value at a time.
    pub(crate) fn register(probed: Arc<T>) -> Result<Self> {
        let context = Arc::as_ptr(&probed);
        // SAFETY: The table is static, and `context` stays valid until the probes are gone, because
        // the value that is made keeps it alive and removes them first.
        to_result(unsafe {
            bindings::mutex_probes_register(&Self::CALLS, context as *mut c_void)
        })?;
        // INVARIANT: `context` points into `probed`.
        Ok(Probes { _probed: probed })
    }
}

impl<T: Probed> Drop for Probes<T> {
    fn drop(&mut self) {
        // SAFETY: Registered when this was made.
        unsafe { bindings::mutex_probes_unregister() };
    }
}

/// # Safety
///
/// `context` is what `Probes` registered, and the caller is pinned while it uses what it gets.
unsafe fn here<'a, T: Probed>(context: *mut c_void) -> (&'a T, Here<'a>) {
    // SAFETY: By the invariant of `Probes` this points to a living `T`.
    let probed = unsafe { &*context.cast::<T>() };
    // SAFETY: The caller is pinned.
    (probed, Here(unsafe { probed.cpus().this() }))
}

fn family(number: u8) -> Family {
    if number == 4 {
        Family::V4
    } else {
        Family::V6
    }
}

fn ends(ends: &bindings::mutex_ends) -> SocketEnds {
    SocketEnds {
        netns: ends.netns,
        interface: ends.interface,
        l3mdev: ends.l3mdev,
        family: family(ends.family),
        protocol: ends.protocol,
        local: Endpoint { address: Address::v6(ends.local), port: ends.local_port },
        remote: Endpoint { address: Address::v6(ends.remote), port: ends.remote_port },
    }
}

/// # Safety
///
/// Called by the probes, pinned, with the context that `Probes` registered.
unsafe extern "C" fn state<T: Probed>(
    context: *mut c_void,
    change: *const bindings::mutex_state_change,
) {
    // SAFETY: By the contract of this function.
    let (probed, here) = unsafe { here::<T>(context) };
    // SAFETY: The probe passes a valid change.
    let change = unsafe { &*change };
    let what = StateChange {
        before: State::from_number(change.before),
        after: State::from_number(change.after),
        reset: change.reset != 0,
        failed: change.failed != 0,
        tcp: tcp(&change.tcp),
        now: change.now,
    };
    probed.socket_changed(&here, &ends(&change.ends), &what);
}

/// What a socket says of its round trips.
#[inline]
pub(super) fn tcp(tcp: &bindings::mutex_tcp) -> TcpSocket {
    let bindings::mutex_tcp { sample, rtt, srtt, deviation } = *tcp;
    TcpSocket { sample, rtt, srtt, deviation }
}

/// # Safety
///
/// Called by the probes, pinned, with the context that `Probes` registered.
unsafe extern "C" fn retransmit<T: Probed>(
    context: *mut c_void,
    of: *const bindings::mutex_ends,
    packets: u32,
    bytes: u32,
    failed: bool,
) {
    // SAFETY: By the contract of this function.
    let (probed, here) = unsafe { here::<T>(context) };
    // SAFETY: The probe passes valid ends.
    let of = unsafe { &*of };
    probed.retransmitted(&here, &ends(of), &Retransmission { packets, bytes, failed });
}

/// # Safety
///
/// Called by the probes, pinned, with the context that `Probes` registered.
unsafe extern "C" fn drop_packet<T: Probed>(
    context: *mut c_void,
    dropped: *const bindings::mutex_dropped,
) {
    // SAFETY: By the contract of this function.
    let (probed, here) = unsafe { here::<T>(context) };
    // SAFETY: The probe passes a valid record.
    let dropped = unsafe { &*dropped };
    let bytes = match dropped.available {
        0 => &[],
        // SAFETY: The probe shows `available` readable bytes, which are not freed before it returns.
        available => unsafe { core::slice::from_raw_parts(dropped.bytes, available as usize) },
    };
    let what = Dropped {
        netns: dropped.netns,
        family: family(dropped.family),
        bytes,
        interface: dropped.interface,
        l3mdev: dropped.l3mdev,
        reason: dropped.reason,
        bad_checksum: dropped.bad_checksum != 0,
        packets: dropped.packets,
    };
    probed.dropped(&here, &what);
}

/// # Safety
///
/// Called by the probes, with the context that `Probes` registered.
unsafe extern "C" fn release<T: Probed>(context: *mut c_void, socket: u64, inode: u64) {
    // SAFETY: By the invariant of `Probes` this points to a living `T`.
    unsafe { &*context.cast::<T>() }.socket_closed(socket, inode);
}

/// What is not counted, or less exactly, because this kernel cannot tell, and whether that is so:
/// `MUTEX_LACKS_*` in `wrappers.h`. Known once there are [`Probes`].
pub(crate) fn kernel_lacks() -> impl Iterator<Item = (&'static str, bool)> {
    // SAFETY: May be called anywhere.
    let lacks = unsafe { bindings::mutex_kernel_lacks() };
    [
        ("tcp_states", bindings::MUTEX_LACKS_STATES),
        ("retransmissions", bindings::MUTEX_LACKS_RETRANSMISSIONS),
        ("synack_retransmissions", bindings::MUTEX_LACKS_SYNACK_RETRANSMISSIONS),
        ("drops", bindings::MUTEX_LACKS_DROPS),
        ("retransmission_errors", bindings::MUTEX_LACKS_RETRANSMISSION_ERRORS),
        ("drop_sockets", bindings::MUTEX_LACKS_DROP_SOCKETS),
        ("socket_close", bindings::MUTEX_LACKS_SOCKET_CLOSE),
    ]
    .into_iter()
    .map(move |(name, bit)| (name, lacks & bit != 0))
}

/// The drop reason of a SYN for which the accept queue had no room.
pub(crate) fn listen_overflow() -> u32 {
    // SAFETY: Reads a constant; may be called anywhere.
    unsafe { bindings::mutex_listen_overflow() }
}

/// The kernel's name of a drop reason, zero-terminated, if it has one.
pub(crate) fn drop_name<const N: usize>(reason: u32) -> Option<[u8; N]> {
    let mut name = [0; N];
    // SAFETY: The size is that of the room.
    let known = unsafe { bindings::mutex_drop_name(reason, name.as_mut_ptr(), N as u32) };
    known.then_some(name)
}
