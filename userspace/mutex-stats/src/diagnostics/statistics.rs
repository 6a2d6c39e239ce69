// SPDX-License-Identifier: MIT OR Apache-2.0

//! How many events of what kind.

use std::collections::BTreeMap;

use serde_json::Value;
use serde_json::json;

use super::EntryKind;
use super::Severity;

/// Events by kind and severity.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts(BTreeMap<String, [u64; Severity::ALL.len()]>);

impl Counts {
    /// How many there are.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.0.values().flatten().sum()
    }

    /// Those of a kind.
    #[must_use]
    pub fn of_kind(&self, name: &str) -> u64 {
        self.0.get(name).map_or(0, |counts| counts.iter().sum())
    }

    /// Those of a severity.
    #[must_use]
    pub fn of_severity(&self, severity: Severity) -> u64 {
        self.0.values().map(|counts| counts[severity as usize]).sum()
    }

    /// Every kind that there has been, with how many.
    pub fn by_kind(&self) -> impl Iterator<Item = (&str, u64)> {
        self.0.iter().map(|(name, counts)| (name.as_str(), counts.iter().sum()))
    }

    /// Every severity, with how many.
    pub fn by_severity(&self) -> impl Iterator<Item = (Severity, u64)> {
        Severity::ALL.into_iter().map(|severity| (severity, self.of_severity(severity)))
    }

    /// Every kind and severity that there has been together, with how many.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Severity, u64)> {
        self.0.iter().flat_map(|(name, counts)| {
            let each = Severity::ALL.into_iter().zip(*counts).filter(|(_, count)| *count > 0);
            each.map(|(severity, count)| (name.as_str(), severity, count))
        })
    }

    /// The share of errors, critical ones included; 0 of nothing.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "it is a share")]
    pub fn error_rate(&self) -> f64 {
        let errors = self.of_severity(Severity::Error) + self.of_severity(Severity::Critical);
        errors as f64 / self.events().max(1) as f64
    }

    fn to_json(&self) -> Value {
        let of_kind: BTreeMap<_, _> = self.by_kind().collect();
        let of_severity: BTreeMap<_, _> =
            self.by_severity().map(|(severity, count)| (severity.name(), count)).collect();
        json!({
            "events": self.events(),
            "error_rate": self.error_rate(),
            "by_kind": of_kind,
            "by_severity": of_severity,
        })
    }
}

/// Counts with a bounded number of kinds.
#[derive(Debug, Default)]
pub(super) struct Tally {
    counts: Counts,
}

impl Tally {
    /// Kinds that are told apart; what comes when there are so many is counted as [`Tally::OTHER`].
    pub(super) const MAX_KINDS: usize = 64;
    pub(super) const OTHER: &str = "other";

    /// The name that a kind is counted by.
    pub(super) fn name<'a>(&self, kind: &'a EntryKind) -> &'a str {
        let name = kind.name();
        if self.counts.0.contains_key(name) || self.counts.0.len() < Self::MAX_KINDS {
            return name;
        }
        Self::OTHER
    }

    pub(super) fn add(&mut self, name: &str, severity: Severity) {
        let place = severity as usize;
        if let Some(counts) = self.counts.0.get_mut(name) {
            counts[place] += 1;
            return;
        }
        let mut counts = [0; Severity::ALL.len()];
        counts[place] = 1;
        self.counts.0.insert(name.to_owned(), counts);
    }

    pub(super) fn remove(&mut self, name: &str, severity: Severity) {
        let Some(counts) = self.counts.0.get_mut(name) else { return };
        counts[severity as usize] -= 1;
        if counts.iter().all(|count| *count == 0) {
            self.counts.0.remove(name);
        }
    }

    pub(super) fn counts(&self) -> Counts {
        self.counts.clone()
    }
}

/// What a recorder has been given, and where it went. The books balance: `total` is `kept`,
/// `evicted`, `expired` and `cleared` together.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Statistics {
    /// When the recorder began, in nanoseconds of Unix time: numbers count from there.
    pub began_ns: u64,
    /// All that were ever recorded.
    pub total: Counts,
    /// Those that are kept.
    pub kept: Counts,
    /// How many went for newer ones.
    pub evicted: u64,
    /// How many became too old.
    pub expired: u64,
    /// How many were cleared.
    pub cleared: u64,
    /// How many were not taken, for they were not as they may be.
    pub refused: u64,
    /// Peers that are connected.
    pub active_peers: u64,
    /// How often a peer connected that there was no room to remember.
    pub forgotten_peers: u64,
    /// About the memory that is used for those that are kept, in bytes.
    pub memory: u64,
}

impl Statistics {
    /// The share of errors among the events that are kept.
    #[must_use]
    pub fn error_rate(&self) -> f64 {
        self.kept.error_rate()
    }

    /// As a JSON object, as an export has it.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "began_ns": self.began_ns,
            "total": self.total.to_json(),
            "kept": self.kept.to_json(),
            "evicted": self.evicted,
            "expired": self.expired,
            "cleared": self.cleared,
            "refused": self.refused,
            "active_peers": self.active_peers,
            "forgotten_peers": self.forgotten_peers,
            "memory_bytes": self.memory,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_bounded_and_none_is_uncounted() {
        let mut tally = Tally::default();
        for number in 0..1000 {
            let kind = EntryKind::named(format!("kind{number}"));
            let name = tally.name(&kind);
            tally.add(name, Severity::Warning);
        }
        let counts = tally.counts();
        assert_eq!(counts.events(), 1000);
        assert_eq!(counts.by_kind().count(), Tally::MAX_KINDS + 1);
        assert_eq!(counts.of_kind(Tally::OTHER), 1000 - Tally::MAX_KINDS as u64);
        assert_eq!(counts.of_kind("kind0"), 1);
        assert_eq!(counts.of_severity(Severity::Warning), 1000);
    }

    #[test]
    fn the_error_rate_is_a_share() {
        let mut tally = Tally::default();
        assert!(tally.counts().error_rate().abs() < f64::EPSILON);
        for severity in Severity::ALL {
            tally.add("a", severity);
        }
        assert!((tally.counts().error_rate() - 0.4).abs() < 1e-12);
        for severity in Severity::ALL {
            tally.remove("a", severity);
        }
        assert_eq!(tally.counts(), Counts::default());
    }
}
