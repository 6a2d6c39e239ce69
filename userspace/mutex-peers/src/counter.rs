// SPDX-License-Identifier: MIT OR Apache-2.0

//! Counters that go on where the kernel's begin anew.

use serde::Deserialize;
use serde::Serialize;

/// A counter that never falls, over one of the kernel's that does when an interface or a peer is made anew.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counter {
    /// All that was counted.
    pub total: u64,
    /// The kernel's number, as it was seen last.
    kernel: u64,
    /// The kernel's number, as it was seen first.
    first: u64,
    /// Whether the kernel's number was seen.
    seen: bool,
}

impl Counter {
    /// Sees the kernel's number. `anew`: it is known to have begun at zero since it was seen last.
    /// Returns whether it has begun anew.
    pub(crate) fn see(&mut self, kernel: u64, anew: bool) -> bool {
        let anew = self.seen && (anew || kernel < self.kernel);
        if !self.seen {
            self.first = kernel;
            self.seen = true;
        }
        self.total += if anew { kernel } else { kernel - self.kernel };
        self.kernel = kernel;
        anew
    }

    /// Adds what was counted before this counter was begun. `same`: the kernel's may not have begun anew since.
    pub(crate) fn add_earlier(&mut self, earlier: &Counter, same: bool) {
        self.total += earlier.total;
        if same && self.first >= earlier.kernel {
            self.total -= earlier.kernel;
        }
        if !self.seen {
            *self = *earlier;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_never_fall_and_miss_nothing() {
        let mut counter = Counter::default();
        assert!(!counter.see(100, false));
        assert!(!counter.see(150, false));
        assert!(counter.see(30, false), "below what it was");
        assert!(counter.see(40, true), "made anew, though it is above what it was");
        assert_eq!(counter.total, 150 + 30 + 40);
    }

    #[test]
    fn what_was_counted_before_is_added_once() {
        let mut earlier = Counter::default();
        earlier.see(100, false);
        earlier.see(20, false);
        assert_eq!(earlier.total, 120);

        let mut later = Counter::default();
        later.see(50, false);
        later.see(60, false);
        let mut other = later;
        later.add_earlier(&earlier, true);
        assert_eq!(later.total, 120 + 40);
        other.add_earlier(&earlier, false);
        assert_eq!(other.total, 120 + 60);

        let mut fallen = Counter::default();
        fallen.see(10, false);
        fallen.add_earlier(&earlier, true);
        assert_eq!(fallen.total, 120 + 10);

        let mut unseen = Counter::default();
        unseen.add_earlier(&earlier, true);
        unseen.see(25, false);
        assert_eq!(unseen.total, 125);
    }
}
