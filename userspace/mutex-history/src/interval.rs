// SPDX-License-Identifier: MIT OR Apache-2.0

//! From the counters of two snapshots to what happened between them.

use mutex_stats::Header;

use crate::Finding;
use crate::FindingKind;
use crate::Latency;
use crate::Snapshot;
use crate::series::COUNTERS;
use crate::series::Counters;
use crate::series::Sums;
use crate::series::counters;
use crate::series::gauges;
use crate::series::place;

/// How far the clock may drift from that since boot without a word: so much, and this part.
const DRIFT_NS: u64 = 100_000_000;
const DRIFT_PART: u64 = 1000;

/// How long nothing is removed for its age after the clock was set: it may be set right again.
const DOUBT_NS: u64 = 3_600_000_000_000;

/// What a snapshot leaves for the next one to be compared with. It is in the database, too, so that
/// nothing is lost between two runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Baseline {
    pub time_ns: u64,
    pub boottime_ns: u64,
    /// Since boot: before it nothing is removed for its age.
    pub doubted_until_ns: u64,
    /// The last alert that is known.
    pub alert: u64,
    load: Load,
    counters: Counters,
    latency: Latency,
}

/// A load of the module. Its counters begin at 0.
///
/// The header's `loaded_ns` moves when the clock is set, so this is since boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Load {
    boot_id: [u8; 16],
    since_boot_ns: u64,
}

impl Load {
    fn of(snapshot: &Snapshot) -> Self {
        let Header { boot_id, boottime_ns, .. } = snapshot.header;
        Load { boot_id, since_boot_ns: boottime_ns.wrapping_sub(snapshot.status.uptime_ns) }
    }
}

/// What a snapshot says, compared with the one before it.
#[derive(Debug)]
pub(crate) enum Interval {
    /// There was none before it: it is where counting begins.
    First(Box<Baseline>),
    /// It is not newer than the one before it.
    Stale,
    /// What happened since.
    Since(Box<Since>),
}

/// What happened between two snapshots.
#[derive(Debug)]
pub(crate) struct Since {
    pub sums: Sums,
    /// The counters began at 0 meanwhile.
    pub is_anew: bool,
    pub findings: Vec<Finding>,
    pub baseline: Baseline,
}

impl Interval {
    pub fn between(before: Option<&Baseline>, now: &Snapshot) -> Self {
        let mut baseline = Baseline {
            time_ns: now.header.time_ns,
            boottime_ns: now.header.boottime_ns,
            doubted_until_ns: 0,
            alert: now.alerts.iter().map(|alert| alert.number).max().unwrap_or(0),
            load: Load::of(now),
            counters: counters(now),
            latency: now.latency.clone(),
        };
        let Some(before) = before else { return Interval::First(Box::new(baseline)) };
        let is_same_boot = before.load.boot_id == baseline.load.boot_id;
        if is_same_boot && baseline.boottime_ns <= before.boottime_ns {
            return Interval::Stale;
        }
        let mut findings = Vec::new();
        let mut say = |kind, reason| {
            findings.push(Finding::plain(now.header.time_ns, kind, reason));
        };
        let is_anew = baseline.load != before.load;
        let mut elapsed = now.status.uptime_ns;
        if is_same_boot {
            let watched = baseline.boottime_ns - before.boottime_ns;
            elapsed = if is_anew { watched.min(elapsed) } else { watched };
            let by_clock = i128::from(baseline.time_ns) - i128::from(before.time_ns);
            let set_by = by_clock - i128::from(watched);
            baseline.doubted_until_ns = before.doubted_until_ns;
            if set_by.unsigned_abs() > u128::from(DRIFT_NS + watched / DRIFT_PART) {
                baseline.doubted_until_ns = baseline.boottime_ns.saturating_add(DOUBT_NS);
                let way = if set_by > 0 { "forward" } else { "back" };
                say(
                    FindingKind::ClockSet,
                    format!("the clock was set {way} by {}", seconds(set_by)),
                );
            }
        } else {
            // The clock of a machine that has just started may be wrong.
            baseline.doubted_until_ns = baseline.boottime_ns.saturating_add(DOUBT_NS);
        }
        if is_anew {
            let what = if is_same_boot {
                "the module was loaded anew"
            } else {
                "the host was started anew"
            };
            let unseen =
                i128::from(baseline.time_ns) - i128::from(before.time_ns) - i128::from(elapsed);
            let reason =
                format!("{what}; what happened in the {} before is not known", seconds(unseen));
            say(FindingKind::LoadedAnew, reason);
        } else {
            // These are of before the clear of a list that the kernel keeps.
            baseline.alert = baseline.alert.max(before.alert);
        }

        let zero = (&[0; COUNTERS.len()], &Latency::default());
        let then = if is_anew { zero } else { (&before.counters, &before.latency) };
        let mut sums =
            Sums { duration_ns: elapsed, samples: 1, gauges: gauges(now), ..Sums::default() };
        for (place, name) in COUNTERS.iter().enumerate() {
            let came = baseline.counters[place].checked_sub(then.0[place]);
            // What the database cannot hold is no count of anything.
            match came.filter(|came| i64::try_from(*came).is_ok()) {
                Some(came) => sums.counters[place] = came,
                None => say(
                    FindingKind::WentBack,
                    format!(
                        "{name} went from {} to {}, although the module was not loaded anew; it counts \
                         from there",
                        then.0[place], baseline.counters[place]
                    ),
                ),
            }
        }
        match baseline.latency.since(then.1) {
            Some(came) => sums.latency = came,
            None => say(
                FindingKind::WentBack,
                "the histogram of latency went back, although the module was not loaded anew; it counts \
                 from there"
                    .to_owned(),
            ),
        }
        Interval::Since(Box::new(Since { sums, is_anew, findings, baseline }))
    }
}

/// Nanoseconds without their sign, for reading.
fn seconds(ns: i128) -> String {
    let ms = ns.unsigned_abs() / 1_000_000;
    format!("{}.{:03} s", ms / 1000, ms % 1000)
}

impl Baseline {
    /// Whether it and `other` are of the same moment of the same load.
    pub fn is(&self, other: &Baseline) -> bool {
        (self.load, self.boottime_ns) == (other.load, other.boottime_ns)
    }

    /// The number of the last alert that is known of the load of `now`.
    pub fn last_alert(&self, now: &Baseline) -> u64 {
        if self.load == now.load { self.alert } else { 0 }
    }

    /// For the database.
    pub fn to_bytes(&self) -> (Vec<u8>, Vec<u8>) {
        let fixed = [
            self.time_ns,
            self.boottime_ns,
            self.doubted_until_ns,
            self.alert,
            self.load.since_boot_ns,
        ];
        let numbers = fixed.into_iter().chain(self.counters).flat_map(u64::to_le_bytes);
        (self.load.boot_id.into_iter().chain(numbers).collect(), self.latency.to_bytes())
    }

    /// `None` for bytes that are none of [`Baseline::to_bytes`].
    pub fn from_bytes(state: &[u8], latency: &[u8]) -> Option<Self> {
        let (boot_id, numbers) = state.split_first_chunk::<16>()?;
        // The last counter was added later; until then all drops counted as losses.
        let lacks_losses = numbers.len() == (5 + COUNTERS.len() - 1) * 8;
        if numbers.len() != (5 + COUNTERS.len()) * 8 && !lacks_losses {
            return None;
        }
        let mut numbers = numbers.chunks_exact(8).filter_map(|bytes| bytes.try_into().ok());
        let mut next = || numbers.next().map(u64::from_le_bytes);
        let [time_ns, boottime_ns, doubted_until_ns, alert] = [next()?, next()?, next()?, next()?];
        let load = Load { boot_id: *boot_id, since_boot_ns: next()? };
        let mut counters = [0; COUNTERS.len()];
        let drops = place(&COUNTERS, "drops")?;
        for index in 0..counters.len() {
            counters[index] = match next() {
                Some(counter) => counter,
                None if lacks_losses => counters[drops],
                None => return None,
            };
        }
        let latency = Latency::from_bytes(latency)?;
        Some(Baseline { time_ns, boottime_ns, doubted_until_ns, alert, load, counters, latency })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(time_ns: u64, boottime_ns: u64, uptime_ns: u64, bytes: u64) -> Snapshot {
        let mut snapshot = Snapshot::default();
        (snapshot.header.time_ns, snapshot.header.boottime_ns) = (time_ns, boottime_ns);
        snapshot.status.uptime_ns = uptime_ns;
        snapshot.totals.sent.bytes = bytes;
        snapshot
    }

    const S: u64 = 1_000_000_000;

    fn first(snapshot: &Snapshot) -> Baseline {
        match Interval::between(None, snapshot) {
            Interval::First(baseline) => *baseline,
            other => panic!("{other:?}"),
        }
    }

    fn since(before: &Baseline, now: &Snapshot) -> (u64, Sums, Vec<String>) {
        match Interval::between(Some(before), now) {
            Interval::Since(since) => (
                since.baseline.doubted_until_ns,
                since.sums,
                since.findings.into_iter().map(|finding| finding.reason).collect(),
            ),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_set_clock_changes_no_duration_and_is_said() {
        let before = first(&snapshot(1000 * S, 50 * S, 20 * S, 7));
        let (doubt, sums, said) = since(&before, &snapshot(1010 * S, 60 * S, 30 * S, 12));
        assert_eq!((doubt, sums.duration_ns, sums.counter("sent_bytes")), (0, 10 * S, Some(5)));
        assert!(said.is_empty(), "{said:?}");
        let (doubt, sums, said) = since(&before, &snapshot(910 * S, 60 * S, 30 * S, 12));
        assert_eq!(
            (doubt, sums.duration_ns, sums.counter("sent_bytes")),
            (3660 * S, 10 * S, Some(5))
        );
        assert_eq!(said, ["the clock was set back by 100.000 s"]);
        let (_, _, said) = since(&before, &snapshot(1010 * S + S / 2, 60 * S, 30 * S, 12));
        assert_eq!(said, ["the clock was set forward by 0.500 s"]);
    }

    #[test]
    fn counters_that_begin_anew_are_counted_from_zero() {
        let before = first(&snapshot(1000 * S, 50 * S, 20 * S, 700));
        let (_, sums, said) = since(&before, &snapshot(1010 * S, 60 * S, 4 * S, 12));
        assert_eq!((sums.duration_ns, sums.counter("sent_bytes")), (4 * S, Some(12)));
        assert_eq!(
            said,
            ["the module was loaded anew; what happened in the 6.000 s before is not known"]
        );
        // More than before, and still not the difference.
        let (_, sums, _) = since(&before, &snapshot(1010 * S, 60 * S, 4 * S, 900));
        assert_eq!(sums.counter("sent_bytes"), Some(900));
        let mut other = snapshot(2000 * S, 40 * S, 30 * S, 5);
        other.header.boot_id = [1; 16];
        let (doubt, sums, said) = since(&before, &other);
        assert_eq!(
            (doubt, sums.duration_ns, sums.counter("sent_bytes")),
            (3640 * S, 30 * S, Some(5))
        );
        assert_eq!(
            said,
            ["the host was started anew; what happened in the 970.000 s before is not known"]
        );
    }

    #[test]
    fn what_goes_back_for_no_reason_counts_nothing_and_is_said() {
        let before = first(&snapshot(1000 * S, 50 * S, 20 * S, 700));
        let (_, sums, said) = since(&before, &snapshot(1010 * S, 60 * S, 30 * S, 12));
        assert_eq!(sums.counter("sent_bytes"), Some(0));
        assert!(said[0].starts_with("sent_bytes went from 700 to 12, although"), "{said:?}");
        let stale = Interval::between(Some(&before), &snapshot(1000 * S, 50 * S, 20 * S, 800));
        assert!(matches!(stale, Interval::Stale));
    }

    #[test]
    fn what_is_written_is_read() {
        let baseline = first(&snapshot(u64::MAX, 50 * S, 20 * S, u64::MAX - 1));
        let (state, latency) = baseline.to_bytes();
        assert_eq!(Baseline::from_bytes(&state, &latency).as_ref(), Some(&baseline));
        assert_eq!(Baseline::from_bytes(&state[1..], &latency), None);
        assert_eq!(Baseline::from_bytes(&[], &[]), None);
    }
}
