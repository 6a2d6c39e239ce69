// SPDX-License-Identifier: GPL-2.0-only OR MIT OR Apache-2.0

//! When a value makes an alert.
//!
//! A [`Rule`] is armed for a subject (a connection, an fd, the host) until it has raised an alert:
//!
//! - armed, and the value is at or over the threshold: an alert, and the rule is raised; but if the
//!   subject's last alert by this rule is younger than the interval, none, and the rule stays armed,
//!   so that the alert comes late if the value stays and not at all if it does not;
//! - raised, and the value is at or over threshold minus hysteresis: nothing, for as long as it
//!   lasts. A value that stays over the line makes one alert, not one an interval;
//! - raised, and the value is below that: armed again;
//! - a threshold of 0 turns the rule off, which arms it again.
//!
//! Hysteresis is a share of the threshold: with 100 percent only the value 0 arms again. The interval
//! holds whatever happens between two alerts, turning the rule off and on included.

use core::sync::atomic::AtomicU16;
use core::sync::atomic::Ordering::Relaxed;

use crate::abi::*;

/// What a measurement is about; the numbers are those of `MUTEX_SCOPE_*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum Scope {
    Connection = MUTEX_SCOPE_CONNECTION as u8,
    Fd = MUTEX_SCOPE_FD as u8,
    Global = MUTEX_SCOPE_GLOBAL as u8,
}

impl Scope {
    /// Every scope, in the order of its number.
    pub const ALL: [Scope; MUTEX_SCOPES as usize] = [Scope::Connection, Scope::Fd, Scope::Global];
}

/// What is measured; the numbers are those of `MUTEX_ALERT_*`, the units are told there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum Kind {
    Latency = MUTEX_ALERT_LATENCY as u8,
    ErrorRate = MUTEX_ALERT_ERROR_RATE as u8,
    RetransmissionRate = MUTEX_ALERT_RETRANSMISSION_RATE as u8,
    DropRate = MUTEX_ALERT_DROP_RATE as u8,
    BandwidthIn = MUTEX_ALERT_BANDWIDTH_IN as u8,
    BandwidthOut = MUTEX_ALERT_BANDWIDTH_OUT as u8,
    /// Of the host only.
    TableFill = MUTEX_ALERT_TABLE_FILL as u8,
}

impl Kind {
    /// How many there are.
    pub const COUNT: usize = MUTEX_ALERT_KINDS as usize;

    /// Every kind, in the order of its number.
    pub const ALL: [Kind; Self::COUNT] = [
        Kind::Latency,
        Kind::ErrorRate,
        Kind::RetransmissionRate,
        Kind::DropRate,
        Kind::BandwidthIn,
        Kind::BandwidthOut,
        Kind::TableFill,
    ];
}

/// How bad it is; the numbers are those of `MUTEX_SEVERITY_*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum Severity {
    Info = MUTEX_SEVERITY_INFO as u8,
    Warning = MUTEX_SEVERITY_WARNING as u8,
    Error = MUTEX_SEVERITY_ERROR as u8,
    Critical = MUTEX_SEVERITY_CRITICAL as u8,
}

impl Severity {
    /// Every severity, in the order of its number.
    pub const ALL: [Severity; 4] =
        [Severity::Info, Severity::Warning, Severity::Error, Severity::Critical];

    /// The severity of that number; the worst for a number that is none.
    pub(crate) fn from_number(number: u64) -> Self {
        Self::ALL
            .into_iter()
            .find(|&severity| severity as u64 == number)
            .unwrap_or(Severity::Critical)
    }
}

/// From when on a measurement is alarming. [`crate::config::Config::rule`] gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Whose measurement.
    pub scope: Scope,
    /// Which.
    pub kind: Kind,
    /// The value that raises; 0 if none does.
    pub threshold: u64,
    /// How bad that is.
    pub severity: Severity,
    /// Percent of the threshold.
    pub hysteresis: u64,
    /// Seconds between two alerts about a subject, at least.
    pub interval: u64,
}

const NANOSECONDS: u64 = 1_000_000_000;

/// Intervals up to this are timed to the second, and longer ones to four.
const FINE: u64 = 32_000;

impl Rule {
    /// Whether no value is alarming.
    #[inline]
    pub fn is_off(&self) -> bool {
        self.threshold == 0
    }

    /// The smallest value that keeps the rule raised.
    #[inline]
    fn holds_from(&self) -> u64 {
        // In parts, because the product of the whole can be too large.
        let (hundreds, rest) = (self.threshold / 100, self.threshold % 100);
        let share = hundreds
            .saturating_mul(self.hysteresis)
            .saturating_add(rest * self.hysteresis.min(100) / 100);
        self.threshold.saturating_sub(share).max(1)
    }

    /// Seconds that a tick of this rule's stamps lasts: a stamp comes again after 65535 ticks, at
    /// least 32000 seconds after the longest interval that is timed with it.
    #[inline]
    fn tick(&self) -> u64 {
        if self.interval <= FINE {
            1
        } else {
            4
        }
    }

    /// The stamp of a moment, from 1 on; 0 stands for never.
    #[inline]
    fn stamp(&self, now: u64) -> u16 {
        (now / (NANOSECONDS * self.tick()) % STAMPS + 1) as u16
    }

    /// Whether the interval has passed between two stamps.
    #[inline]
    fn is_over(&self, last: u16, now: u16) -> bool {
        let ticks = (u64::from(now) + STAMPS).saturating_sub(u64::from(last)) % STAMPS;
        // Both are rounded down, so one tick of the difference can be nothing.
        let past = ticks > self.interval.div_ceil(self.tick()) && ticks <= STAMPS - LATE;
        last == 0 || self.interval == 0 || past
    }
}

/// How many stamps there are; they come again in the same order.
const STAMPS: u64 = u16::MAX as u64;

/// Ticks by which a CPU may be late in judging what it has read the clock for: a stamp that is so
/// little ahead is another CPU's, made meanwhile.
const LATE: u64 = 60;

/// What a subject remembers of its rules, 16 bytes; all zero is armed and never raised.
///
/// Stamps come again after 18 hours (36 for intervals beyond [`FINE`]). One that is older than its
/// interval is forgotten when the value is next judged; a subject that was not judged at all from
/// the end of the interval until its stamp came again (or not by a rule that is on) has its next
/// alert late by at most the interval and a minute.
#[repr(C)]
#[derive(Debug, Default)]
pub struct Armed {
    /// A bit for each kind: raised.
    raised: AtomicU16,
    /// For each kind the [`Rule::stamp`] of the last alert, 0 if it is over.
    last: [AtomicU16; Kind::COUNT],
}

const _: () = assert!(size_of::<Armed>() == 16);

impl Armed {
    /// Judges a value at `now`, nanoseconds since the module was loaded. If it makes an alert that
    /// is returned with its kind, severity, scope, threshold and value.
    ///
    /// Any number of CPUs may judge at once: one of them gets the alert.
    pub fn judge(&self, rule: &Rule, value: u64, now: u64) -> Option<mutex_alert> {
        let last = self.last.get(rule.kind as usize)?;
        let bit = 1 << rule.kind as u16;
        // Most values change nothing, and then nothing is written.
        let is_raised = self.raised.load(Relaxed) & bit != 0;
        if rule.is_off() {
            if is_raised {
                self.raised.fetch_and(!bit, Relaxed);
            }
            return None;
        }
        let now = rule.stamp(now);
        let over = self.forget(last, rule, now);
        if is_raised {
            if value < rule.holds_from() {
                self.raised.fetch_and(!bit, Relaxed);
            }
            return None;
        }
        if value < rule.threshold || !over {
            return None;
        }
        // Whoever stamps first has the alert. Without an interval a stamp is forgotten at once and
        // two can come so far; then the bit decides.
        last.compare_exchange(0, now, Relaxed, Relaxed).ok()?;
        if self.raised.fetch_or(bit, Relaxed) & bit != 0 {
            return None;
        }
        Some(mutex_alert {
            threshold: rule.threshold,
            value,
            kind: rule.kind as u8,
            severity: rule.severity as u8,
            scope: rule.scope as u8,
            ..Default::default()
        })
    }

    /// Forgets the stamp if its interval is over, and says whether it is.
    #[inline]
    fn forget(&self, last: &AtomicU16, rule: &Rule, now: u16) -> bool {
        let stamp = last.load(Relaxed);
        if stamp == 0 || !rule.is_over(stamp, now) {
            return stamp == 0;
        }
        // If another CPU was quicker it has either forgotten the same or raised anew.
        matches!(last.compare_exchange(stamp, 0, Relaxed, Relaxed), Ok(_) | Err(0))
    }

    /// Starts anew. The caller is the only one who knows the record.
    pub fn reset(&self) {
        self.raised.store(0, Relaxed);
        self.last.iter().for_each(|last| last.store(0, Relaxed));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::prelude::v1::*;
    use std::sync::atomic::AtomicU64;
    use std::sync::Barrier;

    const RULE: Rule = Rule {
        scope: Scope::Fd,
        kind: Kind::ErrorRate,
        threshold: 100,
        severity: Severity::Error,
        hysteresis: 10,
        interval: 10,
    };

    fn at_once(rule: Rule) -> Rule {
        Rule { interval: 0, ..rule }
    }

    /// The seconds at which alerts come.
    fn alerts(armed: &Armed, rule: &Rule, values: &[(u64, u64)]) -> Vec<u64> {
        let judged = values
            .iter()
            .map(|&(second, value)| armed.judge(rule, value, second * NANOSECONDS).map(|_| second));
        judged.flatten().collect()
    }

    #[test]
    fn an_alert_says_what_was_found() {
        let alert = Armed::default().judge(&RULE, 123, 0).expect("it is over the threshold");
        let expected = mutex_alert {
            threshold: 100,
            value: 123,
            kind: MUTEX_ALERT_ERROR_RATE as u8,
            severity: MUTEX_SEVERITY_ERROR as u8,
            scope: MUTEX_SCOPE_FD as u8,
            ..Default::default()
        };
        assert_eq!(alert, expected);
        assert!(Armed::default().judge(&RULE, 99, 0).is_none());
        assert!(Armed::default().judge(&RULE, 100, 0).is_some());
    }

    #[test]
    fn a_value_that_stays_or_hovers_makes_one_alert() {
        let armed = Armed::default();
        let hovering: Vec<_> = (0..1000).map(|second| (second, 90 + second % 20)).collect();
        assert_eq!(alerts(&armed, &RULE, &hovering), [10]);
        assert_eq!(alerts(&armed, &RULE, &[(2000, 89), (2001, 99), (2002, 100)]), [2002]);
    }

    #[test]
    fn an_alert_that_the_interval_forbids_comes_when_it_is_over() {
        let armed = Armed::default();
        let values: Vec<_> = (5..40).map(|second| (second, 100 * (second % 2))).collect();
        assert_eq!(alerts(&armed, &RULE, &values), [5, 17, 29]);
        let armed = Armed::default();
        let stays = [(0, 100), (1, 0), (2, 100), (9, 100), (10, 100), (11, 100), (12, 100)];
        assert_eq!(alerts(&armed, &RULE, &stays), [0, 11]);
        let armed = Armed::default();
        assert_eq!(alerts(&armed, &RULE, &[(0, 100), (1, 0), (2, 100), (3, 0), (30, 0)]), [0]);
        let values: Vec<_> = (0..6).map(|second| (second, 100 * (second % 2))).collect();
        assert_eq!(alerts(&Armed::default(), &at_once(RULE), &values), [1, 3, 5]);
    }

    #[test]
    fn turning_a_rule_off_arms_it_but_for_the_interval() {
        let armed = Armed::default();
        let off = Rule { threshold: 0, ..RULE };
        assert!(off.is_off());
        assert_eq!(alerts(&armed, &RULE, &[(0, 100)]), [0]);
        assert_eq!(alerts(&armed, &off, &[(1, u64::MAX)]), []);
        assert_eq!(alerts(&armed, &RULE, &[(2, 100), (11, 100), (12, 100)]), [11]);
    }

    #[test]
    fn kinds_do_not_touch_each_other() {
        let armed = Armed::default();
        for kind in Kind::ALL {
            assert!(armed.judge(&Rule { kind, ..RULE }, 100, 0).is_some());
        }
        for kind in Kind::ALL {
            assert!(armed.judge(&Rule { kind, ..at_once(RULE) }, 100, 0).is_none());
            assert!(armed.judge(&Rule { kind, ..at_once(RULE) }, 0, 0).is_none());
            assert!(armed.judge(&Rule { kind, ..at_once(RULE) }, 100, 0).is_some());
        }
        armed.reset();
        assert!(armed.judge(&RULE, 100, 0).is_some());
    }

    #[test]
    fn hysteresis_goes_from_none_to_all() {
        for (threshold, hysteresis, holds_from) in [
            (100, 0, 100),
            (100, 10, 90),
            (5, 10, 5),
            (1, 100, 1),
            (100, 100, 1),
            (u64::MAX, 0, u64::MAX),
            (u64::MAX, 100, 1),
            (1_000_000_000_000, 33, 670_000_000_000),
        ] {
            assert_eq!(Rule { threshold, hysteresis, ..RULE }.holds_from(), holds_from);
        }
    }

    #[test]
    fn stamps_that_come_again_do_not_silence() {
        // Judged meanwhile: the stamp is forgotten in time.
        let again = STAMPS + 3;
        let armed = Armed::default();
        assert_eq!(alerts(&armed, &RULE, &[(3, 100), (500, 0), (again, 100)]), [3, again]);
        // Still raised all the time, and then armed and raised in the same stamp.
        let armed = Armed::default();
        let values = [(3, 100), (500, 100), (again, 0), (again, 100)];
        assert_eq!(alerts(&armed, &RULE, &values), [3, again]);
        // Not judged meanwhile: late by no more than the interval.
        let armed = Armed::default();
        let values = [(3, 100), (4, 0), (again, 100), (again + 10, 100), (again + 11, 100)];
        assert_eq!(alerts(&armed, &RULE, &values), [3, again + 11]);
        // The second whose number is a multiple of the stamps has one, too.
        for second in [0, STAMPS - 1, STAMPS, STAMPS * 7] {
            let armed = Armed::default();
            let values = [(second, 100), (second + 1, 0), (second + 2, 100), (second + 11, 100)];
            assert_eq!(alerts(&armed, &RULE, &values), [second, second + 11]);
        }
    }

    #[test]
    fn the_longest_interval_is_kept() {
        for interval in [FINE, FINE + 1, 65_535, 86_400] {
            let rule = Rule { interval, ..RULE };
            let values: Vec<_> =
                (0..200_000).step_by(2).flat_map(|s| [(s, 100), (s + 1, 0)]).collect();
            let seconds = alerts(&Armed::default(), &rule, &values);
            assert!(seconds.len() >= 2, "{interval}");
            for pair in seconds.windows(2) {
                let apart = pair[1] - pair[0];
                assert!(apart >= interval && apart <= interval + 10, "{interval} {apart}");
            }
        }
    }

    #[test]
    fn a_cpu_that_is_late_does_not_undo_the_interval() {
        let armed = Armed::default();
        assert_eq!(alerts(&armed, &RULE, &[(100, 100), (99, 0), (98, 100), (101, 100)]), [100]);
    }

    #[test]
    fn cpus_that_judge_at_once_raise_one_alert() {
        const CPUS: u64 = 4;
        for interval in [0, 1] {
            let rule = Rule { interval, ..RULE };
            let armed = Armed::default();
            let raised = AtomicU64::new(0);
            let barrier = Barrier::new(CPUS as usize);
            std::thread::scope(|scope| {
                for _ in 0..CPUS {
                    scope.spawn(|| {
                        for round in 0..2000u64 {
                            barrier.wait();
                            let now = round * 2 * NANOSECONDS;
                            let alert = armed.judge(&rule, 100, now);
                            raised.fetch_add(alert.is_some().into(), Relaxed);
                            barrier.wait();
                            assert_eq!(raised.load(Relaxed), round + 1);
                            assert!(armed.judge(&rule, 0, now).is_none());
                        }
                    });
                }
            });
        }
    }

    proptest! {
        #[test]
        fn between_two_alerts_are_the_interval_and_a_value_that_arms(
            steps in proptest::collection::vec((0u64..30, 0u64..130), 1..200),
            interval in 0u64..60,
            hysteresis in 0u64..=100,
        ) {
            let rule = Rule { interval, hysteresis, ..RULE };
            let armed = Armed::default();
            let (mut now, mut last, mut lowest) = (0, None, u64::MAX);
            for (step, value) in steps {
                now += step * NANOSECONDS / 3;
                lowest = lowest.min(value);
                if armed.judge(&rule, value, now).is_some() {
                    prop_assert!(value >= rule.threshold);
                    if let Some(last) = last {
                        prop_assert!(now - last >= interval * NANOSECONDS);
                        prop_assert!(lowest < rule.holds_from());
                    }
                    (last, lowest) = (Some(now), u64::MAX);
                }
            }
        }
    }
}
