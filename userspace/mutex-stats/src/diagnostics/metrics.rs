// SPDX-License-Identifier: MIT OR Apache-2.0

//! A recorder's numbers as metrics.

use std::io;
use std::io::Write;

use super::HealthStatus;
use super::Listener;
use super::Recorder;
use crate::formats::Families;
use crate::formats::Kind;
use crate::formats::Number;

impl Recorder {
    /// Writes metrics; none if the settings say so, or if it is closed.
    ///
    /// # Errors
    ///
    /// Whatever `families` gives.
    pub fn write_metrics<W: Write>(&self, families: &mut Families<W>) -> io::Result<()> {
        let statistics = match self.statistics() {
            Ok(statistics) if self.settings().enable_metrics => statistics,
            _ => return Ok(()),
        };
        families.family("mutex_diagnostics_events", Kind::Counter, "Events recorded.")?;
        for (kind, severity, count) in statistics.total.iter() {
            let labels = [("kind", kind), ("severity", severity.name())];
            families.sample(&labels, Number::Integer(count))?;
        }
        families.family("mutex_diagnostics_events_kept", Kind::Gauge, "Events that are kept.")?;
        for (severity, count) in statistics.kept.by_severity() {
            families.sample(&[("severity", severity.name())], Number::Integer(count))?;
        }
        let limit = self.settings().max_events as u64;
        for (name, kind, help, value) in [
            ("events_limit", Kind::Gauge, "The most events that are kept.", limit),
            ("events_refused", Kind::Counter, "Events that were not taken.", statistics.refused),
            ("active_peers", Kind::Gauge, "Peers that are connected.", statistics.active_peers),
            (
                "peers_forgotten",
                Kind::Counter,
                "Connected peers that there was no room to remember.",
                statistics.forgotten_peers,
            ),
            ("memory_bytes", Kind::Gauge, "About the memory of what is kept.", statistics.memory),
        ] {
            families.family(&format!("mutex_diagnostics_{name}"), kind, help)?;
            families.sample(&[], Number::Integer(value))?;
        }
        let help = "Events that had to go, by why.";
        families.family("mutex_diagnostics_events_gone", Kind::Counter, help)?;
        for (reason, count) in [
            ("evicted", statistics.evicted),
            ("expired", statistics.expired),
            ("cleared", statistics.cleared),
        ] {
            families.sample(&[("reason", reason)], Number::Integer(count))?;
        }
        let help = "Errors among the events that are kept.";
        families.family("mutex_diagnostics_error_ratio", Kind::Gauge, help)?;
        families.sample(&[], Number::Float(statistics.error_rate()))?;
        match self.health() {
            Err(_) => Ok(()),
            Ok(health) => {
                let help = "1 for how well it goes.";
                families.family("mutex_diagnostics_health", Kind::Gauge, help)?;
                HealthStatus::ALL.into_iter().try_for_each(|status| {
                    let is_it = u64::from(status == health.status);
                    families.sample(&[("status", status.name())], Number::Integer(is_it))
                })
            }
        }
    }
}

impl Listener {
    /// Writes metrics of what comes over the socket.
    ///
    /// # Errors
    ///
    /// Whatever `families` gives.
    pub fn write_metrics<W: Write>(&self, families: &mut Families<W>) -> io::Result<()> {
        let statistics = self.statistics();
        for (name, kind, help, value) in [
            ("clients", Kind::Gauge, "Programs that are connected.", statistics.clients),
            ("connects", Kind::Counter, "Programs that have connected.", statistics.total_clients),
            (
                "turned_away",
                Kind::Counter,
                "Programs that were turned away, for there were enough.",
                statistics.turned_away,
            ),
        ] {
            families.family(&format!("mutex_diagnostics_socket_{name}"), kind, help)?;
            families.sample(&[], Number::Integer(value))?;
        }
        let help = "Requests over the socket, by what became of them.";
        families.family("mutex_diagnostics_socket_requests", Kind::Counter, help)?;
        for (outcome, count) in [
            ("recorded", statistics.recorded),
            ("answered", statistics.answered),
            ("malformed", statistics.malformed),
            ("refused", statistics.refused),
        ] {
            families.sample(&[("outcome", outcome)], Number::Integer(count))?;
        }
        Ok(())
    }
}
