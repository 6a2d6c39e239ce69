// SPDX-License-Identifier: GPL-2.0-only OR MIT OR Apache-2.0

//! Rates: bytes in windows of one second.
//!
//! Windows are the seconds since boot, the same for everybody, so rates of connections add up. A
//! rate is what the last whole window held; nothing is averaged over more than that.

/// Nanoseconds of a window.
pub const WINDOW: u64 = 1_000_000_000;

/// The window of a moment.
#[inline]
pub fn window_of(now: u64) -> u64 {
    now / WINDOW
}

/// The last whole window of a flow whose last packet passed at `last_seen`, seen from `now`: what it
/// held, in bytes. `current`: since the window of `last_seen` began. `previous`: in the one before it.
pub fn last_whole(now: u64, last_seen: u64, current: u64, previous: u64) -> u64 {
    match window_of(now).saturating_sub(window_of(last_seen)) {
        0 => previous,
        1 => current,
        _ => 0,
    }
}

/// Bytes a second, each way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rates {
    /// Sent.
    pub sent: u64,
    /// Received.
    pub received: u64,
}

/// `part` of `whole` as so many of 10000, rounded down; 0 if `whole` is less than `least`.
pub fn share(part: u64, whole: u64, least: u64) -> u64 {
    if whole < least.max(1) {
        return 0;
    }
    part.saturating_mul(10_000) / whole
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_of_the_last_whole_window() {
        let last_seen = 7 * WINDOW + 5;
        assert_eq!(last_whole(7 * WINDOW + 9, last_seen, 10, 20), 20);
        assert_eq!(last_whole(8 * WINDOW, last_seen, 10, 20), 10);
        assert_eq!(last_whole(9 * WINDOW, last_seen, 10, 20), 0);
    }

    #[test]
    fn a_share_of_too_few_is_none() {
        assert_eq!(share(5, 19, 20), 0);
        assert_eq!(share(1, 20, 20), 500);
        assert_eq!(share(3, 0, 0), 0);
    }
}
