// SPDX-License-Identifier: MIT OR Apache-2.0

//! What happened between two images of one host.

use std::collections::HashMap;

use crate::Connection;
use crate::Direction;
use crate::Error;
use crate::HostQuality;
use crate::Image;
use crate::Quality;
use crate::Totals;
use crate::Traffic;
use crate::image::directions;
use crate::records::BootId;

/// What happened between two images of one host: exactly what the host moved meanwhile, by the
/// connections that are listed in the later image, and by those that have closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diff {
    /// Nanoseconds between the two, suspend included. Never 0.
    pub elapsed_ns: u64,
    /// What all connections and untracked packets moved: the sum of all that follows.
    pub totals: Totals,
    /// The connections of the later image, in its order.
    pub connections: Vec<Change>,
    /// What connections that have closed moved before they were no longer listed.
    pub closed: Totals,
    /// What belongs to no connection, all reasons together.
    pub untracked: Totals,
    /// Connections that were opened.
    pub connections_opened: u64,
    /// Connections that ended.
    pub connections_ended: u64,
    /// Connections of the earlier image that the later one does not list.
    pub gone: u64,
    /// The whole host's counters: retransmissions, errors, drops. Latency and rates are the later
    /// image's.
    pub quality: HostQuality,
}

/// What a connection did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The connection, as it is in the later image.
    pub connection: Connection,
    /// What it sent meanwhile.
    pub sent: Traffic,
    /// What it received meanwhile.
    pub received: Traffic,
    /// Segments that TCP sent again meanwhile.
    pub retransmitted_packets: u64,
    /// Packets that the kernel dropped meanwhile.
    pub drops: u64,
    /// Of these, those that were lost.
    pub losses: u64,
    /// Whether it is not in the earlier image.
    pub is_new: bool,
}

impl Diff {
    /// What happened from `before` to `after`.
    ///
    /// # Errors
    ///
    /// [`Error::Incomparable`] if the two are not of one run of the module on one host, the later one
    /// first, or if a counter is less in the later one: then one of the two is damaged.
    pub fn between(before: &Image, after: &Image) -> Result<Self, Error> {
        let elapsed_ns = check(before, after)?;
        let old: HashMap<u64, &Connection> =
            before.connections.iter().map(|connection| (connection.id, connection)).collect();
        let nothing = Connection::default();
        let mut still_listed = 0;
        let mut connections = Vec::with_capacity(after.connections.len());
        // What the ledger gained has been in the earlier image's records in part.
        let mut closed = before.closed;
        for connection in &before.connections {
            let [sent, received] = directions(connection);
            closed.of_mut(sent).add(&connection.sent);
            closed.of_mut(received).add(&connection.received);
        }
        for connection in &after.connections {
            let earlier = old.get(&connection.id).copied();
            still_listed += u64::from(earlier.is_some());
            let then = earlier.unwrap_or(&nothing);
            let less = |what| move || wrong(&format!("{what} of connection {}", connection.id));
            let [sent, received] = directions(connection);
            closed.of_mut(sent).subtract(&then.sent);
            closed.of_mut(received).subtract(&then.received);
            let (now, was) = (&connection.quality, &then.quality);
            connections.push(Change {
                connection: *connection,
                sent: minus(&connection.sent, &then.sent).ok_or_else(less("sent"))?,
                received: minus(&connection.received, &then.received)
                    .ok_or_else(less("received"))?,
                retransmitted_packets: now
                    .retransmitted_packets
                    .checked_sub(was.retransmitted_packets)
                    .ok_or_else(less("retransmitted_packets"))?,
                drops: now.drops.checked_sub(was.drops).ok_or_else(less("drops"))?,
                losses: connection
                    .losses()
                    .checked_sub(then.losses())
                    .ok_or_else(less("losses"))?,
                is_new: earlier.is_none(),
            });
        }
        let sum = |image: &Image| {
            let mut sum = Totals::ZERO;
            image.untracked.iter().for_each(|untracked| sum.add(&untracked.totals));
            sum
        };
        let closed = totals_minus(&after.closed, &closed).ok_or_else(|| wrong("closed"))?;
        let untracked =
            totals_minus(&sum(after), &sum(before)).ok_or_else(|| wrong("untracked"))?;
        let totals = totals_minus(&after.sum(), &before.sum())
            .ok_or_else(|| wrong("all connections together"))?;
        let count =
            |now: u64, then: u64, what: &str| now.checked_sub(then).ok_or_else(|| wrong(what));
        let (now, then) = (&after.status, &before.status);
        Ok(Diff {
            elapsed_ns,
            totals,
            connections,
            closed,
            untracked,
            connections_opened: count(
                now.connections_total,
                then.connections_total,
                "connections_total",
            )?,
            connections_ended: count(
                now.connections_closed,
                then.connections_closed,
                "connections_closed",
            )?,
            gone: before.connections.len() as u64 - still_listed,
            quality: quality_minus(&after.quality, &before.quality)
                .ok_or_else(|| wrong("the host's quality"))?,
        })
    }

    /// A counter's rate: how many a second, rounded down.
    #[must_use]
    pub fn rate(&self, counted: u64) -> u64 {
        let rate = u128::from(counted) * 1_000_000_000 / u128::from(self.elapsed_ns.max(1));
        u64::try_from(rate).unwrap_or(u64::MAX)
    }
}

/// Whether the two can be compared, and the nanoseconds between them.
fn check(before: &Image, after: &Image) -> Result<u64, Error> {
    let (then, now) = (&before.header, &after.header);
    if then.boot_id != now.boot_id {
        let boots = [then, now].map(|header| BootId(header.boot_id).to_string());
        let [then, now] = boots;
        return Err(Error::Incomparable(format!("they are of two boots, {then} and {now}")));
    }
    // Both are of the clock that counts since boot, so this is exact.
    let loaded = |image: &Image| image.header.boottime_ns.wrapping_sub(image.status.uptime_ns);
    if loaded(before) != loaded(after) {
        return Err(Error::Incomparable("the module was loaded anew in between".into()));
    }
    if then.netns != now.netns && (crate::is_filtered(then) || crate::is_filtered(now)) {
        return Err(Error::Incomparable("they were taken in two network namespaces".into()));
    }
    match now.boottime_ns.checked_sub(then.boottime_ns) {
        Some(elapsed @ 1..) => Ok(elapsed),
        _ => Err(Error::Incomparable("the first one is not older than the second".into())),
    }
}

fn wrong(what: &str) -> Error {
    Error::Incomparable(format!("less is counted in the later one: {what}"))
}

fn minus(now: &Traffic, then: &Traffic) -> Option<Traffic> {
    Some(Traffic {
        packets: now.packets.checked_sub(then.packets)?,
        buffers: now.buffers.checked_sub(then.buffers)?,
        bytes: now.bytes.checked_sub(then.bytes)?,
        payload: now.payload.checked_sub(then.payload)?,
    })
}

fn totals_minus(now: &Totals, then: &Totals) -> Option<Totals> {
    let mut difference = Totals::ZERO;
    for direction in Direction::ALL {
        *difference.of_mut(direction) = minus(now.of(direction), then.of(direction))?;
    }
    Some(difference)
}

fn quality_minus(now: &HostQuality, then: &HostQuality) -> Option<HostQuality> {
    let discards = now.discards.checked_sub(then.discards)?;
    let (now, then) = (&now.quality, &then.quality);
    let quality = Quality {
        retransmitted_packets: now.retransmitted_packets.checked_sub(then.retransmitted_packets)?,
        retransmitted_bytes: now.retransmitted_bytes.checked_sub(then.retransmitted_bytes)?,
        retransmissions_failed: now
            .retransmissions_failed
            .checked_sub(then.retransmissions_failed)?,
        resets: now.resets.checked_sub(then.resets)?,
        icmp_errors: now.icmp_errors.checked_sub(then.icmp_errors)?,
        checksum_errors: now.checksum_errors.checked_sub(then.checksum_errors)?,
        failed_connects: now.failed_connects.checked_sub(then.failed_connects)?,
        drops: now.drops.checked_sub(then.drops)?,
        ..*now
    };
    Some(HostQuality { quality, discards })
}
