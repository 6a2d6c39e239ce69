// SPDX-License-Identifier: MIT OR Apache-2.0

//! What is far from what it was.
//!
//! The score of a value x is (x - median) / (1.4826 * MAD): the robust z-score of B. Iglewicz and
//! D. C. Hoaglin, "How to Detect and Handle Outliers", ASQC Basic References in Quality Control 16,
//! 1993, who write it as 0.6745 * (x - median) / MAD. MAD is the median of the distances from the
//! median; 1.4826 is 1 over the third quartile of the normal distribution, so that the spread of
//! normally distributed values is their standard deviation. Up to half of the values may be
//! arbitrary before the median or the MAD are.

use std::collections::VecDeque;

use crate::Finding;
use crate::FindingKind;
use crate::series::Sums;
use crate::settings::Unusual;

/// Of normally distributed values the standard deviation by the MAD.
const SCALE: f64 = 1.4826;

/// Intervals with fewer samples of latency, or packets sent, say nothing of their share.
const LATENCY_SAMPLES: u64 = 10;
const SENT_PACKETS: u64 = 100;

/// What is watched: its name and unit, and whether a value far below is worth a word.
struct Watched {
    name: &'static str,
    unit: &'static str,
    below: bool,
    floor: fn(&Unusual) -> f64,
    value: fn(&Sums) -> Option<f64>,
}

#[expect(clippy::cast_precision_loss, reason = "a score is rounded anyway")]
const WATCHED: [Watched; 6] = [
    Watched {
        name: "sent_bytes_per_second",
        unit: " bytes/s",
        below: true,
        floor: |settings| settings.rate_floor,
        value: |sums| sums.rate("sent_bytes"),
    },
    Watched {
        name: "received_bytes_per_second",
        unit: " bytes/s",
        below: true,
        floor: |settings| settings.rate_floor,
        value: |sums| sums.rate("received_bytes"),
    },
    Watched {
        name: "latency_p50_ns",
        unit: " ns",
        below: false,
        floor: |settings| settings.latency_floor_ns,
        value: |sums| latency(sums, 50),
    },
    Watched {
        name: "latency_p99_ns",
        unit: " ns",
        below: false,
        floor: |settings| settings.latency_floor_ns,
        value: |sums| latency(sums, 99),
    },
    Watched {
        name: "retransmission_ratio",
        unit: "",
        below: false,
        floor: |settings| settings.retransmission_floor,
        value: |sums| {
            let sent = sums.counter("sent_packets").filter(|&sent| sent >= SENT_PACKETS)?;
            Some(sums.counter("retransmitted_packets")? as f64 / sent as f64)
        },
    },
    Watched {
        name: "losses_per_second",
        unit: " packets/s",
        below: false,
        floor: |settings| settings.loss_floor,
        value: |sums| sums.rate("losses"),
    },
];

#[expect(clippy::cast_precision_loss, reason = "a score is rounded anyway")]
fn latency(sums: &Sums, percent: u8) -> Option<f64> {
    let is_enough = sums.latency.samples() >= LATENCY_SAMPLES;
    sums.latency.percentile(percent).filter(|_| is_enough).map(|ns| ns as f64)
}

/// How far a value is from what is usual.
#[derive(Clone, Debug, PartialEq)]
pub struct Score {
    /// What was measured, with its unit in its name.
    pub series: String,
    /// What was found.
    pub value: f64,
    /// What is usual: the median of the values before.
    pub median: f64,
    /// How far they usually are from it, at least the floor.
    pub spread: f64,
    /// How often the spread the value is away from the median; negative below it.
    pub score: f64,
}

/// Compares values with those before them.
#[derive(Debug)]
pub(crate) struct Detector {
    settings: Unusual,
    series: [Values; WATCHED.len()],
}

#[derive(Debug, Default)]
struct Values {
    last: VecDeque<f64>,
    /// The last value was unusual, and has been told.
    is_told: bool,
}

/// What has been found of an interval, to be kept once that is written.
#[derive(Debug, Default)]
pub(crate) struct Judged {
    values: [Option<(f64, bool)>; WATCHED.len()],
    pub findings: Vec<Finding>,
}

impl Detector {
    pub fn new(settings: Unusual) -> Self {
        Detector { settings, series: std::array::from_fn(|_| Values::default()) }
    }

    /// Judges an interval.
    pub fn judge(&self, time_ns: u64, sums: &Sums) -> Judged {
        let mut judged = Judged::default();
        for (place, watched) in WATCHED.iter().enumerate() {
            let Some(value) = (watched.value)(sums) else { continue };
            let values = &self.series[place];
            let score = self.score(watched, values, value);
            let limit = self.settings.score;
            let distance = score
                .as_ref()
                .map_or(0.0, |score| if watched.below { score.score.abs() } else { score.score });
            // It has to come near again before it is told again.
            let is_told = distance >= limit || (values.is_told && distance >= limit / 2.0);
            judged.values[place] = Some((value, is_told));
            if let Some(score) = score.filter(|_| is_told && !values.is_told) {
                let reason = reason(watched, &score, values.last.len(), limit);
                judged.findings.push(Finding {
                    time_ns,
                    kind: FindingKind::Unusual,
                    reason,
                    score: Some(score),
                });
            }
        }
        judged
    }

    /// Keeps the values of an interval, for the next ones to be compared with.
    pub fn keep(&mut self, judged: &Judged) {
        for (values, judged) in self.series.iter_mut().zip(&judged.values) {
            let Some((value, is_told)) = *judged else { continue };
            if values.last.len() >= self.settings.window {
                values.last.pop_front();
            }
            values.last.push_back(value);
            values.is_told = is_told;
        }
    }

    fn score(&self, watched: &Watched, values: &Values, value: f64) -> Option<Score> {
        if values.last.len() < self.settings.minimum {
            return None;
        }
        let center = median(values.last.iter().copied())?;
        let distance = median(values.last.iter().map(|other| (other - center).abs()))?;
        let relative = self.settings.relative_floor * center.abs();
        let spread = (SCALE * distance).max(relative).max((watched.floor)(&self.settings));
        let score = (value - center) / spread;
        Some(Score { series: watched.name.to_owned(), value, median: center, spread, score })
    }
}

fn reason(watched: &Watched, score: &Score, count: usize, limit: f64) -> String {
    let Watched { name, unit, .. } = watched;
    let way = if score.score > 0.0 { "above" } else { "below" };
    // A ratio is small, everything else has units that are.
    let digits = if unit.is_empty() { 4 } else { 0 };
    format!(
        "{name} is {:.digits$}{unit}, far {way} the usual {:.digits$}{unit}: {:.1} times the spread of \
         {:.digits$}{unit}, of {count} values; unusual is from {limit:.1} on",
        score.value,
        score.median,
        score.score.abs(),
        score.spread,
    )
}

/// The middle one, or the mean of the two in the middle.
fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_unstable_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = *values.get(middle)?;
    if values.len() % 2 == 1 {
        return Some(upper);
    }
    Some(f64::midpoint(*values.get(middle - 1)?, upper))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sums(bytes: u64) -> Sums {
        let mut sums = Sums { duration_ns: 1_000_000_000, samples: 1, ..Sums::default() };
        sums.counters[2] = bytes;
        sums
    }

    /// What is told of these values, one after the other.
    fn told(settings: Unusual, values: impl IntoIterator<Item = u64>) -> Vec<(u64, String)> {
        let mut detector = Detector::new(settings);
        let mut told = Vec::new();
        for (time, value) in (0..).zip(values) {
            let judged = detector.judge(time, &sums(value));
            told.extend(judged.findings.iter().map(|finding| (time, finding.reason.clone())));
            detector.keep(&judged);
        }
        told
    }

    fn settings() -> Unusual {
        Unusual { rate_floor: 10.0, ..Unusual::default() }
    }

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median([5.0, 1.0, 9.0].into_iter()), Some(5.0));
        assert_eq!(median([5.0, 1.0, 9.0, 6.0].into_iter()), Some(5.5));
        assert_eq!(median(std::iter::empty()), None);
    }

    #[test]
    fn the_score_is_that_of_the_source() {
        // Median 1000, distances from it 0 to 300: MAD 150.
        let detector = {
            let mut detector = Detector::new(Unusual { minimum: 3, ..settings() });
            for value in [700, 800, 900, 1000, 1100, 1200, 1300, 850, 1150] {
                let judged = detector.judge(0, &sums(value));
                detector.keep(&judged);
            }
            detector
        };
        let score =
            detector.score(&WATCHED[0], &detector.series[0], 1889.56).expect("enough values");
        assert_eq!((score.median, score.spread), (1000.0, 1.4826 * 150.0));
        assert!((score.score - 4.0).abs() < 1e-9, "{score:?}");
    }

    #[test]
    fn it_is_told_once_with_its_numbers_and_again_after_it_was_usual() {
        let usual = || (0..40u64).map(|n| 1000 + n % 3 * 10);
        let values = usual().chain([9000, 9100, 8000]).chain(usual()).chain([1]);
        let told = told(settings(), values);
        assert_eq!(
            told,
            [
                (
                    40,
                    "sent_bytes_per_second is 9000 bytes/s, far above the usual 1010 bytes/s: 79.1 \
                     times the spread of 101 bytes/s, of 40 values; unusual is from 6.0 on"
                        .to_owned()
                ),
                (
                    83,
                    "sent_bytes_per_second is 1 bytes/s, far below the usual 1010 bytes/s: 10.0 times \
                     the spread of 101 bytes/s, of 83 values; unusual is from 6.0 on"
                        .to_owned()
                ),
            ]
        );
    }

    #[test]
    fn too_few_values_and_small_changes_say_nothing() {
        assert_eq!(told(settings(), (0..29).map(|_| 1000).chain([90_000])), []);
        assert_eq!(told(settings(), (0..30).map(|_| 1000).chain([90_000])).len(), 1);
        // All values are the same, so the spread is nothing but its floor.
        assert_eq!(told(settings(), (0..40).map(|_| 0).chain([59])), []);
        assert_eq!(told(settings(), (0..40).map(|_| 0).chain([60])).len(), 1);
    }

    #[test]
    fn a_new_level_becomes_usual() {
        let values = (0..120).map(|_| 1000).chain((0..200).map(|_| 50_000)).chain([1000]);
        let times: Vec<u64> = told(settings(), values).into_iter().map(|(time, _)| time).collect();
        assert_eq!(times, [120, 320]);
    }
}
