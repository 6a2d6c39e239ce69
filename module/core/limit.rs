// SPDX-License-Identifier: GPL-2.0-only OR MIT OR Apache-2.0

//! So many a minute, and no more.

use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::Relaxed;

const MINUTE: u64 = 60_000_000_000;

/// Counts what is admitted in each minute, and what is refused.
#[derive(Debug, Default)]
pub(crate) struct Limit {
    /// In the higher half the number of the latest minute plus one, in the lower half how many were
    /// admitted in it.
    admitted: AtomicU64,
    refused: AtomicU64,
}

impl Limit {
    /// Whether one more is admitted at `now`, nanoseconds since some moment, if `most` are in a minute;
    /// with 0 all are.
    pub(crate) fn admit(&self, now: u64, most: u64) -> bool {
        if most == 0 {
            return true;
        }
        let minute = now / MINUTE + 1;
        let admitted = self.admitted.fetch_update(Relaxed, Relaxed, |admitted| {
            let (latest, count) = (admitted >> 32, admitted & u64::from(u32::MAX));
            // A CPU that is late counts in the minute that the others have reached.
            let count = if minute > latest { 0 } else { count };
            (count < most.min(u32::MAX.into())).then_some((minute.max(latest) << 32) | (count + 1))
        });
        if admitted.is_err() {
            self.refused.fetch_add(1, Relaxed);
        }
        admitted.is_ok()
    }

    /// How many were refused.
    pub(crate) fn refused(&self) -> u64 {
        self.refused.load(Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::prelude::v1::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn each_minute_has_its_share() {
        let limit = Limit::default();
        // Ten a second for an hour.
        let admitted: Vec<u64> = (0..36_000)
            .map(|tenth| tenth * SECOND / 10)
            .filter(|now| limit.admit(*now, 100))
            .collect();
        assert_eq!(admitted.len(), 60 * 100);
        for minute in 0..60 {
            let of_it = admitted.iter().filter(|now| *now / MINUTE == minute);
            assert_eq!(of_it.count(), 100, "minute {minute}");
        }
        assert_eq!(limit.refused(), 36_000 - 6000);
    }

    #[test]
    fn a_limit_can_change_and_go() {
        let limit = Limit::default();
        let admitted = |most, tries: u64| (0..tries).filter(|_| limit.admit(5, most)).count();
        assert_eq!(admitted(3, 10), 3);
        assert_eq!(admitted(0, 10), 10, "no limit");
        assert_eq!(admitted(5, 10), 2);
        assert_eq!(admitted(1, 10), 0);
        assert_eq!(limit.refused(), 7 + 8 + 10);
    }

    #[test]
    fn a_cpu_that_is_late_does_not_reopen_the_last_minute() {
        let limit = Limit::default();
        assert!(limit.admit(MINUTE, 1));
        assert!(!limit.admit(MINUTE - 1, 1));
        assert!(limit.admit(2 * MINUTE, 1));
    }

    #[test]
    fn cpus_share_one_limit() {
        let limit = Limit::default();
        let admitted: usize = std::thread::scope(|scope| {
            let all: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| (0..10_000).filter(|_| limit.admit(0, 1000)).count()))
                .collect();
            all.into_iter().map(|one| one.join().expect("no panic")).sum()
        });
        assert_eq!(admitted, 1000);
        assert_eq!(limit.refused(), 39_000);
    }
}
