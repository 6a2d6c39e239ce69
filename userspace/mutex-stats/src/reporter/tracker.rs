// SPDX-License-Identifier: MIT OR Apache-2.0

//! From events to calls.

use std::collections::HashMap;
use std::collections::HashSet;

use crate::Connection;
use crate::Direction;
use crate::Happening;
use crate::Packet;
use crate::reporter::ConnectionId;
use crate::reporter::Reporter;
use crate::reporter::registry::Registered;

/// A connection that has not ended.
#[derive(Clone, Copy, Debug)]
struct Live {
    id: ConnectionId,
    /// The registry's generation when it started, if that was seen.
    since: Option<u64>,
}

/// The connections that calls were made for.
#[derive(Debug, Default)]
pub(super) struct Tracker {
    /// By the kernel's numbers, which are never used again.
    live: HashMap<u64, Live>,
    /// The newest between two ends.
    newest: HashMap<ConnectionId, u64>,
}

fn each(reporters: &[Registered], call: impl Fn(&dyn Reporter)) {
    for registered in reporters {
        call(&*registered.reporter);
    }
}

impl Tracker {
    /// Calls the reporters, which are of that generation of the registry, for what has happened.
    pub(super) fn take(&mut self, happening: &Happening, reporters: &[Registered], now: u64) {
        match happening {
            Happening::Start(connection) => self.start(connection, reporters, now),
            Happening::Packet(packet) => self.packet(packet, reporters),
            Happening::End(connection) => self.end(connection, reporters),
            Happening::Alert(_) | Happening::Unknown(_) => {}
        }
    }

    /// Makes it the one between its ends; false if there is a newer one.
    fn begin(&mut self, number: u64, id: ConnectionId, reporters: &[Registered]) -> bool {
        match self.newest.get(&id).copied() {
            Some(newest) if newest > number => return false,
            // The kernel will tell its end, too, but by then this one has packets.
            Some(older) if older < number => self.over(older, reporters),
            _ => {}
        }
        self.newest.insert(id, number);
        self.live.entry(number).or_insert(Live { id, since: None });
        true
    }

    fn start(&mut self, connection: &Connection, reporters: &[Registered], now: u64) {
        let id = ConnectionId::of_connection(connection);
        if !self.begin(connection.id, id, reporters) {
            return;
        }
        if let Some(live) = self.live.get_mut(&connection.id) {
            // On another CPU, a packet can have come before.
            live.since = Some(now);
        }
        each(reporters, |reporter| {
            reporter.on_connection_start(id.protocol, &id.source, &id.destination);
        });
    }

    fn packet(&mut self, packet: &Packet, reporters: &[Registered]) {
        let Some(&direction) = Direction::ALL.get(usize::from(packet.direction)) else { return };
        let id = if let Some(live) = self.live.get(&packet.connection) {
            live.id
        } else {
            let id = ConnectionId::of_packet(packet);
            // What comes late for one that was replaced belongs to the same ends.
            self.begin(packet.connection, id, reporters);
            id
        };
        each(reporters, |reporter| {
            let (source, destination) = (&id.source, &id.destination);
            reporter.on_packet(id.protocol, direction, source, destination, packet.bytes);
        });
    }

    fn end(&mut self, connection: &Connection, reporters: &[Registered]) {
        let Some(live) = self.live.get(&connection.id).copied() else { return };
        let ConnectionId { protocol, source, destination } = &live.id;
        for registered in reporters {
            if live.since.is_some_and(|since| registered.since <= since) {
                let Connection { sent, received, .. } = connection;
                let reporter = &registered.reporter;
                reporter.on_connection_total(*protocol, source, destination, sent, received);
            }
        }
        self.over(connection.id, reporters);
    }

    /// Tells that it is over.
    fn over(&mut self, number: u64, reporters: &[Registered]) {
        let Some(Live { id, .. }) = self.live.remove(&number) else { return };
        if self.newest.get(&id) == Some(&number) {
            self.newest.remove(&id);
        }
        each(reporters, |reporter| {
            reporter.on_connection_end(id.protocol, &id.source, &id.destination);
        });
    }

    /// The connections that are not among those that the kernel lists.
    pub(super) fn missing(&self, listed: &HashSet<u64>) -> Vec<u64> {
        let mut missing: Vec<_> =
            self.live.keys().copied().filter(|number| !listed.contains(number)).collect();
        missing.sort_unstable();
        missing
    }

    /// Tells that these are over, those that are not already.
    pub(super) fn end_missing(&mut self, missing: &[u64], reporters: &[Registered]) {
        for &number in missing {
            self.over(number, reporters);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;
    use std::sync::Arc;
    use std::sync::Mutex;

    use proptest::prelude::*;

    use super::*;
    use crate::Protocol;
    use crate::Traffic;
    use crate::reporter::Endpoint;

    /// Writes the calls down, one a line.
    #[derive(Default)]
    struct Clerk(Mutex<String>);

    impl Clerk {
        fn write(&self, line: std::fmt::Arguments<'_>) {
            writeln!(self.0.lock().unwrap(), "{line}").unwrap();
        }

        fn written(&self) -> String {
            std::mem::take(&mut self.0.lock().unwrap())
        }
    }

    impl Reporter for Clerk {
        fn on_packet(&self, p: Protocol, d: Direction, s: &Endpoint, e: &Endpoint, bytes: u64) {
            self.write(format_args!("{d:?} {s} {e} {p} {bytes}"));
        }

        fn on_connection_start(&self, p: Protocol, s: &Endpoint, d: &Endpoint) {
            self.write(format_args!("start {s} {d} {p}"));
        }

        fn on_connection_total(
            &self,
            _: Protocol,
            s: &Endpoint,
            _: &Endpoint,
            sent: &Traffic,
            received: &Traffic,
        ) {
            self.write(format_args!("total {s} {} {}", sent.bytes, received.bytes));
        }

        fn on_connection_end(&self, p: Protocol, s: &Endpoint, d: &Endpoint) {
            self.write(format_args!("end {s} {d} {p}"));
        }
    }

    fn address(last: u8) -> [u8; 16] {
        let mut address = [0; 16];
        address[10..].copy_from_slice(&[0xff, 0xff, 10, 0, 0, last]);
        address
    }

    /// A connection from 10.0.0.1 to 10.0.0.`to`.
    fn connection(id: u64, to: u8, bytes: u64) -> Box<Connection> {
        Box::new(Connection {
            id,
            family: 4,
            protocol: 17,
            netns: 1,
            local_address: address(1),
            remote_address: address(to),
            local_port: 5,
            remote_port: 53,
            sent: Traffic { bytes, ..Traffic::ZERO },
            ..Connection::default()
        })
    }

    fn packet(connection: u64, to: u8, direction: u8, bytes: u64) -> Happening {
        Happening::Packet(Box::new(Packet {
            connection,
            family: 4,
            protocol: 17,
            netns: 1,
            local_address: address(1),
            remote_address: address(to),
            local_port: 5,
            remote_port: 53,
            direction,
            bytes,
            ..Packet::default()
        }))
    }

    fn reporters(all: &[(&Arc<Clerk>, u64)]) -> Vec<Registered> {
        let one = |&(clerk, since): &(&Arc<Clerk>, u64)| Registered {
            reporter: Arc::clone(clerk) as Arc<dyn Reporter>,
            since,
        };
        all.iter().map(one).collect()
    }

    #[test]
    fn a_life_is_told_in_its_order() {
        let clerk = Arc::new(Clerk::default());
        let reporters = reporters(&[(&clerk, 1)]);
        let mut tracker = Tracker::default();
        for happening in [
            Happening::Start(connection(1, 2, 0)),
            packet(1, 2, 0, 100),
            packet(1, 2, 1, 200),
            Happening::Unknown(99),
            packet(1, 2, 9, 1),
            Happening::End(connection(1, 2, 100)),
            Happening::End(connection(1, 2, 100)),
        ] {
            tracker.take(&happening, &reporters, 1);
        }
        assert_eq!(
            clerk.written(),
            "start 10.0.0.1:5 10.0.0.2:53 udp\n\
             Sent 10.0.0.1:5 10.0.0.2:53 udp 100\n\
             Received 10.0.0.1:5 10.0.0.2:53 udp 200\n\
             total 10.0.0.1:5 100 0\n\
             end 10.0.0.1:5 10.0.0.2:53 udp\n"
        );
        assert!(tracker.live.is_empty() && tracker.newest.is_empty());
    }

    #[test]
    fn totals_are_for_who_was_there_from_the_beginning() {
        let (early, late) = (Arc::new(Clerk::default()), Arc::new(Clerk::default()));
        let mut tracker = Tracker::default();
        tracker.take(&Happening::Start(connection(1, 2, 0)), &reporters(&[(&early, 1)]), 1);
        let both = reporters(&[(&early, 1), (&late, 2)]);
        tracker.take(&packet(7, 3, 0, 10), &both, 2);
        tracker.take(&Happening::End(connection(1, 2, 100)), &both, 2);
        tracker.take(&Happening::End(connection(7, 3, 5_000)), &both, 2);
        let written = early.written();
        assert!(written.contains("total 10.0.0.1:5 100 0\nend"), "{written}");
        // It is older than everybody.
        assert!(!written.contains("5000"), "{written}");
        assert_eq!(
            late.written(),
            "Sent 10.0.0.1:5 10.0.0.3:53 udp 10\n\
             end 10.0.0.1:5 10.0.0.2:53 udp\n\
             end 10.0.0.1:5 10.0.0.3:53 udp\n"
        );
    }

    #[test]
    fn a_packet_may_come_before_its_start() {
        let clerk = Arc::new(Clerk::default());
        let reporters = reporters(&[(&clerk, 1)]);
        let mut tracker = Tracker::default();
        tracker.take(&packet(1, 2, 0, 100), &reporters, 1);
        tracker.take(&Happening::Start(connection(1, 2, 0)), &reporters, 1);
        tracker.take(&Happening::End(connection(1, 2, 100)), &reporters, 1);
        let written = clerk.written();
        assert!(written.ends_with("total 10.0.0.1:5 100 0\nend 10.0.0.1:5 10.0.0.2:53 udp\n"));
        assert_eq!(written.lines().count(), 4, "{written}");
    }

    #[test]
    fn one_that_takes_the_place_of_another_ends_it_first() {
        let clerk = Arc::new(Clerk::default());
        let reporters = reporters(&[(&clerk, 1)]);
        let mut tracker = Tracker::default();
        for happening in [
            Happening::Start(connection(1, 2, 0)),
            packet(1, 2, 0, 100),
            Happening::Start(connection(4, 2, 0)),
            packet(4, 2, 0, 7),
            // The old one's last packet, from another CPU, and its end, `timeout_closed` later.
            packet(1, 2, 0, 3),
            Happening::End(connection(1, 2, 103)),
            packet(4, 2, 0, 8),
            // The start of the next one was lost.
            packet(6, 2, 0, 9),
            Happening::End(connection(6, 2, 1_000)),
        ] {
            tracker.take(&happening, &reporters, 1);
        }
        assert_eq!(
            clerk.written().replace("10.0.0.1:5 10.0.0.2:53 udp", "x"),
            "start x\nSent x 100\nend x\nstart x\nSent x 7\nSent x 3\nSent x 8\nend x\n\
             Sent x 9\nend x\n"
        );
        assert!(tracker.live.is_empty() && tracker.newest.is_empty());
    }

    #[test]
    fn what_the_kernel_no_longer_lists_is_over() {
        let clerk = Arc::new(Clerk::default());
        let reporters = reporters(&[(&clerk, 1)]);
        let mut tracker = Tracker::default();
        for (number, to) in [(1, 2), (2, 3), (3, 4)] {
            tracker.take(&Happening::Start(connection(number, to, 0)), &reporters, 1);
        }
        let missing = tracker.missing(&HashSet::from([2]));
        assert_eq!(missing, [1, 3]);
        // The end of one was on its way.
        tracker.take(&Happening::End(connection(1, 2, 50)), &reporters, 1);
        clerk.written();
        tracker.end_missing(&missing, &reporters);
        assert_eq!(clerk.written(), "end 10.0.0.1:5 10.0.0.4:53 udp\n");
        assert_eq!(tracker.live.len(), 1);
    }

    proptest! {
        /// Whatever comes, no packet is left out or told twice, and nothing is left when all is over.
        #[test]
        fn every_packet_is_told_once(
            steps in prop::collection::vec((0u8..3, 1u64..8, 0u8..4, 1u64..1_000), 0..60),
        ) {
            let clerk = Arc::new(Clerk::default());
            let reporters = reporters(&[(&clerk, 1)]);
            let mut tracker = Tracker::default();
            let mut expected = Vec::new();
            for (what, number, direction, bytes) in steps {
                // Connections 1, 4 and 7 have the same ends, as have 2 and 5, 3 and 6.
                let to = 2 + u8::try_from(number % 3).unwrap();
                let happening = match what {
                    0 => Happening::Start(connection(number, to, 0)),
                    1 => Happening::End(connection(number, to, bytes)),
                    _ => {
                        expected.push((format!("10.0.0.{to}:53"), bytes));
                        packet(number, to, direction, bytes)
                    }
                };
                tracker.take(&happening, &reporters, 1);
                prop_assert!(tracker.newest.len() <= 3 && tracker.live.len() <= 3);
            }
            tracker.end_missing(&tracker.missing(&HashSet::new()), &reporters);
            prop_assert!(tracker.live.is_empty() && tracker.newest.is_empty());
            let written = clerk.written();
            let told: Vec<_> = written
                .lines()
                .map(|line| line.split(' ').collect::<Vec<_>>())
                .filter(|words| words[0].starts_with(['S', 'R', 'F']))
                .map(|words| (words[2].to_owned(), words[4].parse::<u64>().unwrap()))
                .collect();
            prop_assert_eq!(told, expected);
        }
    }
}
