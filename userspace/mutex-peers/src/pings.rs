// SPDX-License-Identifier: MIT OR Apache-2.0

//! What came of the pings of a peer.

use std::collections::VecDeque;

use serde::Deserialize;
use serde::Serialize;

/// Stands for the round trip of what was lost.
const LOST: u64 = u64::MAX;

/// The results of all pings of a peer: sums of all, and the newest one by one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pings {
    /// How many were tried.
    pub tried: u64,
    /// How many of them nobody answered in time.
    pub lost: u64,
    /// The round trips of the others together, in nanoseconds.
    pub sum_ns: u64,
    /// The shortest round trip.
    pub min_ns: Option<u64>,
    /// The longest round trip.
    pub max_ns: Option<u64>,
    /// When the last one was tried, in nanoseconds of the Unix epoch.
    pub last_ns: u64,
    /// The newest results, the oldest of them first: when, and the round trip, both in nanoseconds.
    #[serde(skip)]
    newest: VecDeque<(u64, u64)>,
    /// The 95th and the 99th percentile of the newest.
    #[serde(skip)]
    percentiles: (Option<u64>, Option<u64>),
}

impl Pings {
    /// Notes a result; of the newest, so many are kept.
    pub fn record(&mut self, at_ns: u64, result: Option<u64>, kept: usize) {
        self.tried += 1;
        self.last_ns = self.last_ns.max(at_ns);
        match result {
            Some(rtt_ns) => {
                self.sum_ns = self.sum_ns.saturating_add(rtt_ns);
                self.min_ns = Some(self.min_ns.map_or(rtt_ns, |min| min.min(rtt_ns)));
                self.max_ns = Some(self.max_ns.map_or(rtt_ns, |max| max.max(rtt_ns)));
            }
            None => self.lost += 1,
        }
        while self.newest.len() >= kept {
            self.newest.pop_front();
        }
        self.newest.push_back((at_ns, result.unwrap_or(LOST)));
        self.rank();
    }

    /// The last result: `None` before the first ping, `Some(None)` if it was lost.
    #[must_use]
    pub fn last(&self) -> Option<Option<u64>> {
        self.newest.back().map(|(_, rtt_ns)| answered(*rtt_ns))
    }

    /// Whether the last one was answered.
    #[must_use]
    pub fn succeeds(&self) -> bool {
        matches!(self.last(), Some(Some(_)))
    }

    /// Whether any was ever answered.
    #[must_use]
    pub fn ever_succeeded(&self) -> bool {
        self.tried > self.lost
    }

    /// The average of all round trips.
    #[must_use]
    pub fn avg_ns(&self) -> Option<u64> {
        self.sum_ns.checked_div(self.tried - self.lost)
    }

    /// What 95 percent of the newest round trips were at the most, by nearest rank.
    #[must_use]
    pub fn p95_ns(&self) -> Option<u64> {
        self.percentiles.0
    }

    /// What 99 percent of the newest round trips were at the most, by nearest rank.
    #[must_use]
    pub fn p99_ns(&self) -> Option<u64> {
        self.percentiles.1
    }

    /// Pings are rarer than readers, so this is done with each of them.
    fn rank(&mut self) {
        let mut answered: Vec<u64> =
            self.newest.iter().filter_map(|(_, rtt_ns)| answered(*rtt_ns)).collect();
        let count = answered.len();
        let mut at = |percent: usize| {
            let rank = (count * percent).div_ceil(100);
            (rank > 0).then(|| *answered.select_nth_unstable(rank - 1).1)
        };
        self.percentiles = (at(95), at(99));
    }

    /// Which part of the newest was lost, from 0 to 1.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "there are at most as many as settings allow")]
    pub fn loss(&self) -> Option<f64> {
        let lost = self.newest.iter().filter(|(_, rtt_ns)| *rtt_ns == LOST).count();
        (!self.newest.is_empty()).then(|| lost as f64 / self.newest.len() as f64)
    }

    /// The newest results, the oldest of them first: when each was, in nanoseconds of the Unix epoch, and the
    /// round trip in nanoseconds, `None` if it was lost.
    #[must_use]
    pub fn newest(&self) -> impl ExactSizeIterator<Item = (u64, Option<u64>)> + '_ {
        self.newest.iter().map(|(at_ns, rtt_ns)| (*at_ns, answered(*rtt_ns)))
    }

    /// Adds what was known before this was begun; `newest`, the oldest first.
    pub(crate) fn add_earlier(
        &mut self,
        earlier: &Pings,
        newest: impl DoubleEndedIterator<Item = (u64, Option<u64>)>,
        kept: usize,
    ) {
        self.tried += earlier.tried;
        self.lost += earlier.lost;
        self.sum_ns = self.sum_ns.saturating_add(earlier.sum_ns);
        self.min_ns = [self.min_ns, earlier.min_ns].into_iter().flatten().min();
        self.max_ns = self.max_ns.max(earlier.max_ns);
        self.last_ns = self.last_ns.max(earlier.last_ns);
        for (at_ns, result) in newest.rev() {
            if self.newest.len() < kept {
                self.newest.push_front((at_ns, result.unwrap_or(LOST)));
            }
        }
        self.rank();
    }
}

fn answered(rtt_ns: u64) -> Option<u64> {
    (rtt_ns != LOST).then_some(rtt_ns)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_result_counts() {
        let mut pings = Pings::default();
        assert_eq!(
            (pings.last(), pings.avg_ns(), pings.p95_ns(), pings.loss()),
            (None, None, None, None)
        );
        for number in 1..=200 {
            pings.record(number, Some(number * 10), 100);
        }
        assert_eq!(
            (pings.min_ns, pings.avg_ns(), pings.max_ns),
            (Some(10), Some(1005), Some(2000))
        );
        // Of the newest hundred, 1010 to 2000.
        assert_eq!((pings.p95_ns(), pings.p99_ns()), (Some(1950), Some(1990)));
        assert!(pings.succeeds());
        pings.record(201, None, 100);
        assert_eq!((pings.tried, pings.lost, pings.last()), (201, 1, Some(None)));
        assert!(!pings.succeeds() && pings.ever_succeeded());
        assert_eq!((pings.loss(), pings.newest().len()), (Some(0.01), 100));
    }

    #[test]
    fn none_but_lost_ones_have_no_round_trip() {
        let mut pings = Pings::default();
        pings.record(1, None, 10);
        assert_eq!((pings.min_ns, pings.avg_ns(), pings.p99_ns()), (None, None, None));
        assert_eq!((pings.loss(), pings.ever_succeeded()), (Some(1.0), false));
    }

    #[test]
    fn what_was_known_before_comes_first() {
        let mut earlier = Pings::default();
        for rtt in [5, 6, 7] {
            earlier.record(rtt, Some(rtt), 10);
        }
        let mut pings = Pings::default();
        pings.record(8, None, 4);
        pings.record(9, Some(9), 4);
        pings.add_earlier(&earlier, earlier.newest().collect::<Vec<_>>().into_iter(), 4);
        assert_eq!(
            pings.newest().map(|(_, rtt)| rtt).collect::<Vec<_>>(),
            [Some(6), Some(7), None, Some(9)]
        );
        assert_eq!((pings.tried, pings.lost, pings.sum_ns), (5, 1, 27));
        assert_eq!((pings.min_ns, pings.max_ns, pings.last_ns), (Some(5), Some(9), 9));
    }
}
