// SPDX-License-Identifier: MIT OR Apache-2.0

//! How a recorder keeps what it is given.

use std::time::Duration;

use super::ExportFormat;
use super::Severity;

/// How much a recorder keeps and for how long, and what else it does.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The most events that are kept; the oldest goes for a new one.
    pub max_events: usize,
    /// About the most memory that they take, in bytes; the oldest go for a new one.
    pub max_memory: usize,
    /// The most addresses of peers that are known at a time.
    pub max_peers: usize,
    /// How often what is too old is looked for.
    pub cleanup_interval: Duration,
    /// How long an event is kept, by a clock that nobody sets.
    pub retention_period: Duration,
    /// Whether there are metrics.
    pub enable_metrics: bool,
    /// Whether there is a health check.
    pub enable_health_check: bool,
    /// How often [`Upkeep`](super::Upkeep) checks health.
    pub health_interval: Duration,
    /// What is healthy.
    pub health: HealthSettings,
    /// What is at least as bad is also logged as it comes.
    pub log_level: Severity,
    /// What an export is, unless somebody asks for another.
    pub export_format: ExportFormat,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            max_events: 1000,
            max_memory: 64 << 20,
            max_peers: 1 << 16,
            cleanup_interval: Duration::from_secs(5 * 60),
            retention_period: Duration::from_secs(24 * 60 * 60),
            enable_metrics: true,
            enable_health_check: true,
            health_interval: Duration::from_secs(30),
            health: HealthSettings::default(),
            log_level: Severity::Info,
            export_format: ExportFormat::Json,
        }
    }
}

impl Settings {
    /// For development: few events, all of them logged.
    #[must_use]
    pub fn development() -> Self {
        Settings { max_events: 100, log_level: Severity::Debug, ..Settings::default() }
    }

    /// For a busy host: many events for three days, and a quiet log.
    #[must_use]
    pub fn production() -> Self {
        Settings {
            max_events: 50_000,
            cleanup_interval: Duration::from_secs(10 * 60),
            retention_period: Duration::from_secs(72 * 60 * 60),
            log_level: Severity::Warning,
            ..Settings::default()
        }
    }
}

/// What is healthy.
#[derive(Clone, Debug, PartialEq)]
pub struct HealthSettings {
    /// How far back the check looks.
    pub window: Duration,
    /// With fewer events than these in the window, a share of them says nothing.
    pub min_events: u64,
    /// It is degraded if this share of events is errors.
    pub degraded_error_rate: f64,
    /// It is unhealthy if this share of events is errors.
    pub unhealthy_error_rate: f64,
}

impl Default for HealthSettings {
    fn default() -> Self {
        HealthSettings {
            window: Duration::from_secs(5 * 60),
            min_events: 10,
            degraded_error_rate: 0.1,
            unhealthy_error_rate: 0.5,
        }
    }
}
