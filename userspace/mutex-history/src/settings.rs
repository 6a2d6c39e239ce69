// SPDX-License-Identifier: MIT OR Apache-2.0

//! How much is kept, of what, and what counts as unusual.

use std::time::Duration;

use mutex_stats::Key;

use crate::Error;

/// How finely something is kept, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tier {
    /// What happened in so much time is one row; zero: a row a snapshot.
    pub step: Duration,
    /// Rows that are older are removed.
    pub keep: Duration,
}

/// What a [`History`](crate::History) keeps.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// From fine to coarse. Each step is a multiple of the one before it, each keeps at least as
    /// long. A tier that a database has and that is not among these any more is removed from it.
    pub tiers: Vec<Tier>,
    /// What connections are added up by.
    pub keys: Vec<Key>,
    /// How many groups of each key a snapshot has; all others are one. A row of a coarser tier has
    /// up to four times as many, for what is on top changes.
    pub top: usize,
    /// How large the database may be. When it is, the oldest rows of the finest tier go before their
    /// time.
    pub max_bytes: u64,
    /// How many alerts and notes are kept each, at most.
    pub max_alerts: u64,
    /// What counts as unusual.
    pub unusual: Unusual,
}

impl Default for Settings {
    /// Each snapshot for a day, a minute for 14 days, an hour for 2 years; commands, remotes and
    /// ports, ten of each; 256 MiB.
    fn default() -> Self {
        let hours = |hours: u64| Duration::from_secs(hours * 3600);
        Settings {
            tiers: vec![
                Tier { step: Duration::ZERO, keep: hours(24) },
                Tier { step: Duration::from_secs(60), keep: hours(14 * 24) },
                Tier { step: hours(1), keep: hours(2 * 365 * 24) },
            ],
            keys: vec![Key::Command, Key::Remote, Key::Port],
            top: 10,
            max_bytes: 256 << 20,
            max_alerts: 100_000,
            unusual: Unusual::default(),
        }
    }
}

/// When a value is far from what it was.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Unusual {
    /// How many of the last values one is compared with.
    pub window: usize,
    /// With fewer, nothing is said.
    pub minimum: usize,
    /// From which score on a value is unusual. The source recommends 3.5 for what is distributed
    /// normally; traffic has heavier tails.
    pub score: f64,
    /// The spread counts as at least such a part of the median.
    pub relative_floor: f64,
    /// The spread of rates counts as at least so many bytes a second.
    pub rate_floor: f64,
    /// The spread of latency counts as at least so many nanoseconds.
    pub latency_floor_ns: f64,
    /// The spread of retransmitted packets, as a part of those sent, counts as at least so much.
    pub retransmission_floor: f64,
    /// The spread of losses counts as at least so many packets a second.
    pub loss_floor: f64,
}

impl Default for Unusual {
    fn default() -> Self {
        Unusual {
            window: 120,
            minimum: 30,
            score: 6.0,
            relative_floor: 0.1,
            rate_floor: 125_000.0,
            latency_floor_ns: 1_000_000.0,
            retransmission_floor: 0.005,
            loss_floor: 1.0,
        }
    }
}

/// The smallest size that a database can be bounded to: its tables need that much.
const SMALLEST: u64 = 1 << 20;

impl Settings {
    /// Says what is wrong with them.
    ///
    /// # Errors
    ///
    /// [`Error::Settings`].
    pub fn check(&self) -> Result<(), Error> {
        let wrong = |what: &str| Err(Error::Settings(what.to_owned()));
        if self.tiers.is_empty() {
            return wrong("there is no tier");
        }
        let fits = |time: Duration| i64::try_from(time.as_nanos()).is_ok();
        if self.tiers.iter().any(|tier| tier.keep.is_zero() || !fits(tier.keep) || !fits(tier.step))
        {
            return wrong("a tier keeps nothing, or its times are beyond 292 years");
        }
        for pair in self.tiers.windows(2) {
            let [fine, coarse] = [pair[0].step.as_nanos(), pair[1].step.as_nanos()];
            if coarse <= fine || (fine > 0 && coarse % fine != 0) {
                return wrong("the step of a tier is no multiple of that of the tier before it");
            }
            if pair[1].keep < pair[0].keep {
                return wrong("a tier keeps for a shorter time than the one before it");
            }
        }
        if self.top == 0 || self.top > 1000 {
            return wrong("the number of groups is not between 1 and 1000");
        }
        if self.max_bytes < SMALLEST {
            return wrong("the size is below 1 MiB");
        }
        let Unusual { window, minimum, score, .. } = self.unusual;
        if minimum < 3 || window < minimum || window > 100_000 {
            return wrong(
                "unusual: the minimum is not between 3 and the window, or that is too large",
            );
        }
        let unusual = &self.unusual;
        let floors = [
            unusual.rate_floor,
            unusual.latency_floor_ns,
            unusual.retransmission_floor,
            unusual.loss_floor,
        ];
        if !floors.iter().chain([&score]).all(|&number| number > 0.0 && number.is_finite())
            || !(0.0..=1000.0).contains(&unusual.relative_floor)
        {
            return wrong("unusual: the score and the floors have to be above 0");
        }
        Ok(())
    }
}

/// In nanoseconds, as the database has it.
pub(crate) fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
