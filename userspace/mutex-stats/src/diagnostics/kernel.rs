// SPDX-License-Identifier: MIT OR Apache-2.0

//! What the kernel module says, as events of a recorder.

use std::collections::BTreeSet;

use serde_json::Value;

use super::Entry;
use super::EntryKind;
use super::Error;
use super::Metadata;
use super::Recorder;
use super::Severity;
use super::Source;
use super::Way;
use crate::Address;
use crate::Alert;
use crate::Connection;
use crate::Direction;
use crate::Event;
use crate::Happening;
use crate::Packet;
use crate::Protocol;
use crate::alert_kind_name;
use crate::alert_message;
use crate::command_text;
use crate::has_endpoints;
use crate::has_ports;
use crate::scope_name;

/// Hands the kernel's events and alerts to a recorder, each once, and says what is missing of them.
///
/// A peer is the other end's address; it is active while it has a connection here. A connection that
/// begins is [`EntryKind::PeerConnected`], one that ends [`EntryKind::PeerDisconnected`] with what it
/// moved, a packet is a [`EntryKind::Message`]; these are for debugging, except an end with errors,
/// which is a warning. An alert is as bad as the kernel says.
#[derive(Debug, Default)]
pub struct KernelFeed {
    /// Events that the kernel has lost for who reads them.
    lost: u64,
    /// The last alert of the ring that was seen.
    ring: Option<u64>,
    /// Alerts beyond it that came as events.
    told: BTreeSet<u64>,
}

impl KernelFeed {
    /// Alerts that are remembered until the ring is looked at: more than it has.
    const TOLD: usize = 4096;

    /// Hands over an event.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`].
    pub fn event(&mut self, recorder: &Recorder, event: &Event) -> Result<(), Error> {
        let mut entries = Vec::new();
        // A monitor that was opened again counts from the beginning.
        let lost = event.lost.checked_sub(self.lost).unwrap_or(event.lost);
        self.lost = event.lost;
        if lost > 0 {
            let message =
                format!("{lost} events of the kernel were lost: they were not read in time");
            entries.push(missing("events_lost", message, lost));
        }
        match &event.happening {
            Happening::Alert(alert) => {
                let is_new = self.ring.is_none_or(|last| alert.number > last);
                if is_new && self.told.insert(alert.number) {
                    entries.push(Entry::of_alert(alert));
                }
                if self.told.len() > Self::TOLD {
                    self.told.pop_first();
                }
            }
            _ => entries.extend(Entry::of_event(event)),
        }
        recorder.record_all(Source::Kernel, entries).map(drop)
    }

    /// Hands over those of the ring's alerts that it has not seen, the oldest first.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`].
    pub fn alerts<'a>(
        &mut self,
        recorder: &Recorder,
        alerts: impl IntoIterator<Item = &'a Alert>,
    ) -> Result<(), Error> {
        let mut entries = Vec::new();
        for alert in alerts {
            let number = alert.number;
            if self.ring.is_some_and(|last| number <= last) {
                continue;
            }
            let later = self.told.split_off(&number);
            let told = std::mem::replace(&mut self.told, later);
            if let Some(last) = self.ring.replace(number) {
                let missed = (number - last - 1).saturating_sub(told.range(last..).count() as u64);
                if missed > 0 {
                    let message =
                        format!("{missed} alerts were missed: newer ones took their places");
                    entries.push(missing("alerts_missed", message, missed));
                }
            }
            if !self.told.remove(&number) {
                entries.push(Entry::of_alert(alert));
            }
        }
        recorder.record_all(Source::Kernel, entries).map(drop)
    }

    /// The module was loaded anew: its alerts count from the beginning.
    pub fn start_over(&mut self) {
        *self = KernelFeed::default();
    }
}

fn missing(kind: &str, message: String, count: u64) -> Entry {
    Entry::custom(kind, Severity::Warning, message).with("count", count)
}

fn end(family: u8, protocol: u8, address: [u8; 16], port: u16) -> String {
    let shown = Address { family, address };
    match (has_ports(protocol), family) {
        (false, _) => shown.to_string(),
        (true, 4) => format!("{shown}:{port}"),
        (true, _) => format!("[{shown}]:{port}"),
    }
}

impl Entry {
    /// What an event of the kernel's is to a recorder; `None` for one of a later version.
    #[must_use]
    pub fn of_event(event: &Event) -> Option<Self> {
        let entry = match &event.happening {
            Happening::Start(connection) => Entry::of_start(connection),
            Happening::End(connection) => Entry::of_end(connection),
            Happening::Alert(alert) => Entry::of_alert(alert),
            Happening::Packet(packet) => Entry::of_packet(packet),
            Happening::Unknown(_) => return None,
        };
        Some(Entry { time_ns: Some(event.time_ns), ..entry })
    }

    fn of_start(connection: &Connection) -> Self {
        let peer = Address { family: connection.family, address: connection.remote_address };
        let message = format!("connection {} begins: {}", connection.id, ends(connection));
        Entry::new(EntryKind::PeerConnected, Severity::Debug, message)
            .of_peer(peer.to_string())
            .with_all(of_connection(connection))
    }

    fn of_end(connection: &Connection) -> Self {
        let peer = Address { family: connection.family, address: connection.remote_address };
        let quality = &connection.quality;
        let errors = [
            ("resets", quality.resets),
            ("icmp_errors", quality.icmp_errors),
            ("checksum_errors", quality.checksum_errors),
            ("failed_connects", quality.failed_connects),
        ];
        let names: Vec<_> =
            errors.iter().filter(|(_, count)| *count > 0).map(|(name, _)| *name).collect();
        let reason = if names.is_empty() { String::from("end") } else { names.join(", ") };
        let severity = if names.is_empty() { Severity::Debug } else { Severity::Warning };
        let message =
            format!("connection {} is over ({reason}): {}", connection.id, ends(connection));
        let entry = Entry::new(EntryKind::PeerDisconnected, severity, message)
            .of_peer(peer.to_string())
            .with_all(of_connection(connection))
            .with("reason", reason)
            .with("sent_bytes", connection.sent.bytes)
            .with("received_bytes", connection.received.bytes)
            .with("retransmitted_packets", quality.retransmitted_packets)
            .with("drops", quality.drops)
            .with("losses", connection.losses());
        errors
            .into_iter()
            .filter(|(_, count)| *count > 0)
            .fold(entry, |entry, (name, count)| entry.with(name, count))
    }

    fn of_packet(packet: &Packet) -> Self {
        let peer = Address { family: packet.family, address: packet.remote_address };
        let is_sent = [Direction::Sent, Direction::ForwardedSent]
            .iter()
            .any(|direction| *direction as u8 == packet.direction);
        let way = if is_sent { Way::Sent } else { Way::Received };
        let name = Protocol(packet.protocol).to_string();
        Entry::message(peer.to_string(), &name, way, packet.bytes)
            .with("connection", packet.connection)
            .with("packets", packet.packets)
    }

    /// What an alert of the kernel's is to a recorder.
    #[must_use]
    pub fn of_alert(alert: &Alert) -> Self {
        let severity = Severity::of_alert(alert.severity);
        let entry = Entry::custom("alert", severity, alert_message(alert))
            .with("alert", alert.number)
            .with("kind", alert_kind_name(alert.kind))
            .with("scope", scope_name(alert.scope))
            .with("subject", alert.subject)
            .with("threshold", alert.threshold)
            .with("value", alert.value);
        let mut entry = Entry { time_ns: Some(alert.time_ns), ..entry };
        if has_endpoints(alert) {
            let peer = Address { family: alert.family, address: alert.remote_address };
            entry = entry.of_peer(peer.to_string());
        }
        match command_text(&alert.command) {
            Some(command) => entry.with("pid", alert.pid).with("command", command),
            None => entry,
        }
    }

    fn with_all(self, metadata: Metadata) -> Self {
        Entry { metadata, ..self }
    }
}

fn ends(c: &Connection) -> String {
    let local = end(c.family, c.protocol, c.local_address, c.local_port);
    let remote = end(c.family, c.protocol, c.remote_address, c.remote_port);
    format!("{} {local} - {remote}", Protocol(c.protocol))
}

/// What both ends of a connection's life have in common. Its address is different from that of any
/// other connection, so that a peer remains until its last one is over.
fn of_connection(c: &Connection) -> Metadata {
    let remote = end(c.family, c.protocol, c.remote_address, c.remote_port);
    let pairs: [(&str, Value); 5] = [
        ("address", format!("{remote} {} connection {}", Protocol(c.protocol), c.id).into()),
        ("connection", c.id.into()),
        ("protocol", Protocol(c.protocol).to_string().into()),
        ("netns", c.netns.into()),
        ("local", end(c.family, c.protocol, c.local_address, c.local_port).into()),
    ];
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}
