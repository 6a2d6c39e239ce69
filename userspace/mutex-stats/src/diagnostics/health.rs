// SPDX-License-Identifier: MIT OR Apache-2.0

//! Whether all is well.

use std::fmt;

use serde_json::Value;
use serde_json::json;

/// How well it goes, from the best.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HealthStatus {
    /// As it should.
    Healthy,
    /// Somebody should look.
    Degraded,
    /// Somebody has to do something.
    Unhealthy,
}

impl HealthStatus {
    /// All of them, from the best.
    pub const ALL: [HealthStatus; 3] =
        [HealthStatus::Healthy, HealthStatus::Degraded, HealthStatus::Unhealthy];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            HealthStatus::Healthy => "healthy",
            HealthStatus::Degraded => "degraded",
            HealthStatus::Unhealthy => "unhealthy",
        }
    }
}

impl fmt::Display for HealthStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What a health check has found.
#[derive(Clone, Debug, PartialEq)]
pub struct Health {
    /// How well it goes.
    pub status: HealthStatus,
    /// Why, for people.
    pub message: String,
    /// When it was checked, in nanoseconds of Unix time.
    pub time_ns: u64,
    /// Events that are kept.
    pub events: u64,
    /// The most that are kept.
    pub max_events: u64,
    /// All that were ever recorded.
    pub total_events: u64,
    /// Events in the window.
    pub recent_events: u64,
    /// Errors in the window, critical ones included.
    pub recent_errors: u64,
    /// Critical events in the window.
    pub recent_critical: u64,
    /// Peers that are connected.
    pub active_peers: u64,
}

impl Health {
    /// As a JSON object.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "status": self.status.name(),
            "message": self.message,
            "time_ns": self.time_ns,
            "events": self.events,
            "max_events": self.max_events,
            "total_events": self.total_events,
            "recent_events": self.recent_events,
            "recent_errors": self.recent_errors,
            "recent_critical": self.recent_critical,
            "active_peers": self.active_peers,
        })
    }
}
