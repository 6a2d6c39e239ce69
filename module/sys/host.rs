// SPDX-License-Identifier: GPL-2.0-only

//! What the kernel tells about itself.

use kernel::error::to_result;
use kernel::prelude::*;
use mutex_core::snapshot::Moment;

use super::bindings;

/// The parameters that the module was loaded with.
pub(crate) use super::bindings::mutex_parameters as Parameters;

/// Their values.
pub(crate) fn parameters() -> &'static Parameters {
    // SAFETY: They are static, and nobody writes them after the module is loaded.
    unsafe { &*bindings::mutex_parameters() }
}

/// Bytes of a page.
pub(crate) fn page_size() -> usize {
    // SAFETY: May be called anywhere.
    unsafe { bindings::mutex_page_size() as usize }
}

/// Nanoseconds since boot, suspend included, to the tick.
pub(crate) fn now() -> u64 {
    // SAFETY: May be called anywhere.
    unsafe { bindings::mutex_now() }
}

/// Nanoseconds since boot, suspend included, exactly.
pub(crate) fn now_exact() -> u64 {
    // SAFETY: May be called anywhere.
    unsafe { bindings::mutex_now_exact() }
}

/// The present moment on both clocks.
pub(crate) fn moment() -> Moment {
    let mut moment = Moment { unix: 0, boot: 0 };
    // SAFETY: Both pointers are to integers that may be written.
    unsafe { bindings::mutex_moment(&mut moment.unix, &mut moment.boot) };
    moment
}

/// The kernel's boot id, zeros if it can't be read. Process context.
pub(crate) fn boot_id() -> Result<[u8; 16]> {
    let mut id = [0; 16];
    // SAFETY: `id` has the 16 bytes that are written.
    to_result(unsafe { bindings::mutex_boot_id(id.as_mut_ptr()) })?;
    Ok(id)
}

/// Waits until every RCU read side that is running now is over. Process context.
pub(crate) fn grace_period() {
    // SAFETY: Nothing here is inside an RCU read side: only packets are, and they never come here.
    unsafe { bindings::mutex_grace_period() };
}

/// The same for a process that is waited for, which costs the other CPUs an interrupt. Process context.
pub(crate) fn grace_period_soon() {
    // SAFETY: As above.
    unsafe { bindings::mutex_grace_period_soon() };
}

/// Eight unpredictable words.
pub(crate) fn random() -> [u64; 8] {
    let mut words = [0u64; 8];
    // SAFETY: So many bytes may be written there, and any bytes are words.
    unsafe { bindings::mutex_random(words.as_mut_ptr().cast(), size_of_val(&words) as u64) };
    words
}

/// Bytes of memory that the kernel has.
pub(crate) fn memory() -> u64 {
    // SAFETY: May be called anywhere.
    unsafe { bindings::mutex_memory_total() }
}

/// The inode number of the current process's network namespace, and whether it is the first one.
/// Process context.
pub(crate) fn reader_netns() -> (u32, bool) {
    let mut netns = 0;
    // SAFETY: `netns` may be written, and this is process context.
    let is_first = unsafe { bindings::mutex_reader_netns(&mut netns) };
    (netns, is_first != 0)
}

/// Whether the current process may see numbers of the whole host. Process context.
pub(crate) fn may_see_host() -> bool {
    // SAFETY: May be called in process context.
    unsafe { bindings::mutex_may_see_host() }
}

/// The inode number of the first network namespace.
pub(crate) fn first_netns() -> u32 {
    // SAFETY: May be called anywhere.
    unsafe { bindings::mutex_first_netns() }
}

/// A process.
#[derive(Clone, Copy)]
pub(crate) struct Process {
    /// Its id.
    pub(crate) pid: u32,
    /// Its user, in the first user namespace.
    pub(crate) uid: u32,
    /// Its command, zero-terminated.
    pub(crate) command: [u8; 16],
}

/// The current process.
pub(crate) fn current() -> Process {
    let mut process = Process { pid: 0, uid: 0, command: [0; 16] };
    // SAFETY: All three may be written, the command in its whole length.
    unsafe {
        bindings::mutex_current(&mut process.pid, &mut process.uid, process.command.as_mut_ptr())
    };
    process
}

/// A process id of the first PID namespace as the current process sees it, 0 if it does not see that
/// process. Process context.
pub(crate) fn reader_pid(pid: u32) -> u32 {
    // SAFETY: This is process context.
    unsafe { bindings::mutex_reader_pid(pid) }
}

/// Whether the current process may change what concerns the whole host.
pub(crate) fn may_administer() -> bool {
    // SAFETY: May be called in process context.
    unsafe { bindings::mutex_may_administer() }
}

/// Whether another line may be logged about what somebody else did.
pub(crate) fn may_log() -> bool {
    // SAFETY: May be called anywhere.
    unsafe { bindings::mutex_may_log() }
}
