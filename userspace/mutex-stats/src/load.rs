// SPDX-License-Identifier: MIT OR Apache-2.0

//! What tells one load of the kernel module from another.

use crate::Header;
use crate::Status;

/// A load of the module. Its counters begin at 0.
///
/// [`Header::loaded_ns`] moves when the clock is set, so this is the time since boot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Of the boot that it is in.
    pub boot_id: [u8; 16],
    /// When the module was loaded, in nanoseconds since boot. Exact: both of what it is made of are
    /// of one clock and of one moment.
    pub since_boot_ns: u64,
}

impl Load {
    /// The load that an image is of.
    #[must_use]
    pub fn of(header: &Header, status: &Status) -> Self {
        let since_boot_ns = header.boottime_ns.wrapping_sub(status.uptime_ns);
        Load { boot_id: header.boot_id, since_boot_ns }
    }
}
