// SPDX-License-Identifier: MIT OR Apache-2.0

//! Whether the clock that people set can be believed enough to throw away what is old by it.

use crate::Moment;

/// How far that clock may drift from the one that nobody sets without a word: so much, and this part.
const DRIFT_NS: u64 = 100_000_000;
const DRIFT_PART: u64 = 1000;
/// How long it is doubted after it was set, and at the start, since nobody saw what was before: it may be set
/// right again.
const DOUBT_NS: u64 = 3_600_000_000_000;

/// Follows both clocks.
#[derive(Debug, Default)]
pub(crate) struct Age {
    last: Option<Moment>,
    /// By the clock that nobody sets.
    doubted_until_ns: u64,
}

impl Age {
    /// Looks at both clocks; whether what is old by them is old.
    pub(crate) fn is_certain(&mut self, now: Moment) -> bool {
        let was_set = self.last.is_none_or(|last| {
            let by_clock = i128::from(now.time_ns) - i128::from(last.time_ns);
            let passed = now.uptime_ns.saturating_sub(last.uptime_ns);
            let set_by = by_clock - i128::from(passed);
            set_by.unsigned_abs() > u128::from(DRIFT_NS + passed / DRIFT_PART)
        });
        self.last = Some(now);
        if was_set {
            self.doubted_until_ns = now.uptime_ns.saturating_add(DOUBT_NS);
        }
        now.uptime_ns >= self.doubted_until_ns
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;
    const YEAR: i64 = 365 * 86_400;

    #[test]
    fn a_clock_that_was_set_is_doubted_for_an_hour() {
        let mut age = Age::default();
        let mut look = |uptime: u64, set_by: i64| {
            let time = (1_700_000_000 + uptime).saturating_add_signed(set_by);
            age.is_certain(Moment { time_ns: time * SECOND, uptime_ns: uptime * SECOND })
        };
        assert_eq!(
            [look(50, 0), look(3000, 0), look(3649, 0), look(3650, 0)],
            [false, false, false, true]
        );
        assert_eq!([look(4000, YEAR), look(4060, YEAR), look(5000, 0)], [false; 3]);
        assert_eq!([look(8599, 0), look(8600, 0)], [false, true]);
        assert_eq!([look(8700, -1), look(8800, -1)], [false, false]);
    }
}
