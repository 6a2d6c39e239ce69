// SPDX-License-Identifier: MIT OR Apache-2.0

//! What is worth a word beside the numbers.

use std::fmt;

use crate::Score;

/// Something that was found while recording. It is in the database, too.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// When, Unix time.
    pub time_ns: u64,
    /// What kind of thing.
    pub kind: FindingKind,
    /// In words and numbers.
    pub reason: String,
    /// Of an unusual value.
    pub score: Option<Score>,
}

/// Kinds of findings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FindingKind {
    /// A value is far from what it was.
    Unusual,
    /// The module, or the host with it, was started anew.
    LoadedAnew,
    /// Somebody has set the clock.
    ClockSet,
    /// A counter went back for no reason.
    WentBack,
    /// The database was damaged, or gone, and a new one was begun.
    BegunAnew,
}

impl FindingKind {
    /// All of them.
    pub const ALL: [FindingKind; 5] = [
        FindingKind::Unusual,
        FindingKind::LoadedAnew,
        FindingKind::ClockSet,
        FindingKind::WentBack,
        FindingKind::BegunAnew,
    ];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            FindingKind::Unusual => "unusual",
            FindingKind::LoadedAnew => "loaded_anew",
            FindingKind::ClockSet => "clock_set",
            FindingKind::WentBack => "went_back",
            FindingKind::BegunAnew => "begun_anew",
        }
    }
}

impl fmt::Display for FindingKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl Finding {
    pub(crate) fn plain(time_ns: u64, kind: FindingKind, reason: String) -> Self {
        Finding { time_ns, kind, reason, score: None }
    }
}
