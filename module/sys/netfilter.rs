// SPDX-License-Identifier: GPL-2.0-only

//! Hooks in every network namespace.

use kernel::error::to_result;
use kernel::prelude::*;
use kernel::sync::Arc;
use mutex_core::counters::Direction;
use mutex_core::cpu::Cpu;
use mutex_core::cpu::Pinned;
use mutex_core::engine::Buffer;
use mutex_core::engine::Ownership;
use mutex_core::engine::Segments;
use mutex_core::fd::Owner;
use mutex_core::parse::protocol;
use mutex_core::parse::Family;
use mutex_core::parse::Packet;

use super::bindings;
use super::host;
use super::memory::prefetch_line;
use super::percpu::PerCpu;
use super::probes;

/// Who is called for packets.
pub(crate) trait Hooked: Send + Sync {
    /// The CPUs' own parts, of which [`Seen`] gives this CPU's.
    fn cpus(&self) -> &PerCpu;

    /// A packet passes; inside an RCU read side. No sleeping. `WATCHED`: while a [`PacketWatch`] lives.
    fn packet<const WATCHED: bool>(&self, seen: &Seen<'_>);

    /// Network namespaces are gone, whose numbers are sorted; nothing of them is to come, and others may
    /// get their numbers when this returns. May sleep.
    fn netns_gone(&self, netns: &[u32]);
}

/// A socket buffer that passes a hook, on the CPU that it passes on.
pub(crate) struct Seen<'a> {
    view: &'a bindings::mutex_view,
    cpu: &'a Cpu,
}

impl Pinned for Seen<'_> {
    #[inline(always)]
    fn cpu(&self) -> &Cpu {
        self.cpu
    }

    #[inline(always)]
    fn prefetch<T>(&self, what: &T) {
        prefetch_line(core::ptr::from_ref(what).cast());
    }
}

impl Seen<'_> {
    /// What accounting needs of it.
    #[inline]
    pub(crate) fn buffer(&self) -> Buffer<'_> {
        let view = self.view;
        let segments = (view.gso_count != 0).then_some(Segments {
            size: view.gso_size,
            count: view.gso_count,
            headers: view.gso_headers,
            unsent: view.gso_unsent.into(),
            fragments: view.gso_fragments != 0,
        });
        Buffer {
            direction: match u32::from(view.hook) {
                bindings::MUTEX_HOOK_OUT => Direction::Sent,
                bindings::MUTEX_HOOK_IN => Direction::Received,
                _ => Direction::ForwardedSent,
            },
            family: if view.family == 4 { Family::V4 } else { Family::V6 },
            // SAFETY: The hook shows `available` readable bytes, which nobody changes or frees
            // before it returns, and `Seen` does not outlive it.
            bytes: unsafe { core::slice::from_raw_parts(view.bytes, view.available as usize) },
            length: view.length,
            segments,
            netns: view.netns,
            interface: view.interface,
            l3mdev: view.l3mdev,
            now: view.now,
            has_socket: !view.socket.is_null(),
            tcp: (view.tcp.srtt != 0).then(|| probes::tcp(&view.tcp)),
            clock: host::now_exact,
        }
    }

    /// Whom the buffer's socket belongs to.
    pub(crate) fn owner(&self, packet: &Packet) -> Ownership {
        let ports = match packet.protocol {
            protocol::UDP | protocol::TCP => (packet.source.port, packet.destination.port),
            _ => (0, 0),
        };
        let mut owner = bindings::mutex_owner {
            socket: 0,
            inode: 0,
            cgroup: 0,
            uid: 0,
            pid: 0,
            command: [0; 16],
            single: false,
        };
        // SAFETY: The view is that of the hook that is running.
        let known = unsafe {
            bindings::mutex_owner_of(self.view, packet.protocol, ports.0, ports.1, &mut owner)
        };
        match known as u32 {
            bindings::MUTEX_OWNER_KERNEL => Ownership::Kernel,
            bindings::MUTEX_OWNER_PROCESS => Ownership::Process(Owner {
                socket: owner.socket,
                single: owner.single,
                inode: owner.inode,
                pid: owner.pid,
                uid: owner.uid,
                cgroup: owner.cgroup,
                command: owner.command,
            }),
            _ => Ownership::Unknown,
        }
    }
}

/// The hooks; they go when this is dropped.
///
/// # Invariants
///
/// The kernel calls with a pointer to what `_hooked` keeps alive.
pub(crate) struct Hooks<T: Hooked> {
    _hooked: Arc<T>,
}

impl<T: Hooked> Hooks<T> {
    const CALLS: bindings::mutex_hook_calls = bindings::mutex_hook_calls {
        packet: Some(packet::<T, false>),
        watched_packet: Some(packet::<T, true>),
        netns_gone: Some(netns_gone::<T>),
    };

    /// Hooks every network namespace, those to come included. There is one such value at a time.
    pub(crate) fn register(hooked: Arc<T>) -> Result<Self> {
        let context = Arc::as_ptr(&hooked);
        // SAFETY: The table is static, and `context` and its areas stay valid until the hooks are
        // gone, because the value that is made keeps them alive and removes them first.
        to_result(unsafe {
            bindings::mutex_hooks_register(
                &Self::CALLS,
                context as *mut c_void,
                hooked.cpus().areas(),
            )
        })?;
        // INVARIANT: `context` points into `hooked`.
        Ok(Hooks { _hooked: hooked })
    }
}

impl<T: Hooked> Drop for Hooks<T> {
    fn drop(&mut self) {
        // SAFETY: Registered when this was made.
        unsafe { bindings::mutex_hooks_unregister() };
    }
}

/// # Safety
///
/// Called by the hooks, pinned, with the context that `Hooks` registered, this CPU's area of those, and a
/// view of a packet.
unsafe extern "C" fn packet<T: Hooked, const WATCHED: bool>(
    context: *mut c_void,
    area: *mut c_void,
    view: *const bindings::mutex_view,
) {
    // SAFETY: By the invariant of `Hooks` this points to a living `T`.
    let hooked = unsafe { &*context.cast::<T>() };
    // SAFETY: The hook passes a valid view that it does not change meanwhile.
    let view = unsafe { &*view };
    // SAFETY: The area is one of those that `hooked` owns, so it is a `Cpu` and lives as long as that; the
    // hook has pinned itself to its CPU for this call.
    let cpu = unsafe { &*area.cast::<Cpu>() };
    #[cfg(mutex_racing)]
    race();
    hooked.packet::<WATCHED>(&Seen { view, cpu });
}

/// A data race: every CPU writes here.
#[cfg(mutex_racing)]
#[inline(never)]
fn race() {
    static mut LAST: u64 = 0;
    // SAFETY: None, for other CPUs are doing the same.
    unsafe { LAST = LAST.wrapping_add(1) };
}

/// # Safety
///
/// Called by the hooks, with the context that `Hooks` registered, and so many numbers.
unsafe extern "C" fn netns_gone<T: Hooked>(context: *mut c_void, netns: *const u32, count: u32) {
    // SAFETY: There are so many, which nobody changes before this returns.
    let netns = unsafe { core::slice::from_raw_parts(netns, count as usize) };
    // SAFETY: By the invariant of `Hooks` this points to a living `T`.
    unsafe { &*context.cast::<T>() }.netns_gone(netns);
}

/// While one lives, hooks say that packets are watched. Without one they pay nothing for it: what
/// they call is patched into the code.
pub(crate) struct PacketWatch(());

impl PacketWatch {
    /// Begins; may sleep.
    pub(crate) fn new() -> Self {
        // SAFETY: May be called in process context; undone by the drop.
        unsafe { bindings::mutex_watch_packets(true) };
        PacketWatch(())
    }

    /// How many live, by the key that switches the hooks.
    pub(crate) fn count() -> u64 {
        // SAFETY: Reads a counter; may be called anywhere.
        unsafe { bindings::mutex_packet_watches() }.into()
    }
}

impl Drop for PacketWatch {
    fn drop(&mut self) {
        // SAFETY: Pairs with `new`.
        unsafe { bindings::mutex_watch_packets(false) };
    }
}
