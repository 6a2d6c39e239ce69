// SPDX-License-Identifier: MIT OR Apache-2.0

//! What the kernel says becomes events.

use mutex_stats::Alert;
use mutex_stats::Connection;
use mutex_stats::Event;
use mutex_stats::Happening;
use mutex_stats::Packet;
use mutex_stats::Quality;
use mutex_stats::Traffic;
use mutex_stats::diagnostics::Entry;
use mutex_stats::diagnostics::Kept;
use mutex_stats::diagnostics::KernelFeed;
use mutex_stats::diagnostics::Query;
use mutex_stats::diagnostics::Recorder;
use mutex_stats::diagnostics::Severity;
use mutex_stats::diagnostics::Source;
use proptest::prelude::*;
use std::sync::Arc;

const LOCAL: [u8; 16] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 192, 0, 2, 1];
const REMOTE: [u8; 16] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 192, 0, 2, 2];

fn connection(id: u64) -> Connection {
    Connection {
        id,
        family: 4,
        protocol: 6,
        local_address: LOCAL,
        remote_address: REMOTE,
        local_port: 40000,
        remote_port: 443,
        sent: Traffic { bytes: 100, ..Traffic::ZERO },
        ..Connection::default()
    }
}

fn event(sequence: u64, lost: u64, happening: Happening) -> Event {
    Event { sequence, lost, time_ns: 1000 + sequence, happening }
}

fn alert(number: u64, severity: u8) -> Alert {
    Alert { number, severity, time_ns: 77, scope: 0, kind: 0, value: 9, ..Alert::default() }
}

fn all(recorder: &Recorder) -> Vec<Arc<Kept>> {
    recorder.events(&Query::last(usize::MAX)).expect("it is open")
}

#[test]
fn connections_are_peers_until_their_last_one_ends() {
    let recorder = Recorder::default();
    let mut feed = KernelFeed::default();
    let mut see = |event: &Event| feed.event(&recorder, event).expect("it is open");
    let peers = || recorder.statistics().expect("it is open").active_peers;
    see(&event(1, 0, Happening::Start(Box::new(connection(1)))));
    see(&event(2, 0, Happening::Start(Box::new(connection(2)))));
    assert_eq!(peers(), 1);
    see(&event(3, 0, Happening::End(Box::new(connection(1)))));
    assert_eq!(peers(), 1);
    let quality = Quality { resets: 1, failed_connects: 2, ..Quality::default() };
    see(&event(4, 0, Happening::End(Box::new(Connection { quality, ..connection(2) }))));
    assert_eq!(peers(), 0);

    let events = all(&recorder);
    assert!(events.iter().all(|kept| kept.source == Source::Kernel));
    let entry = |place: usize| &events[place].entry;
    assert_eq!(
        (entry(0).kind.name(), entry(0).severity, entry(0).peer.as_deref(), events[0].time_ns),
        ("peer_connected", Severity::Debug, Some("192.0.2.2"), 1001)
    );
    assert_eq!(entry(0).message, "connection 1 begins: tcp 192.0.2.1:40000 - 192.0.2.2:443");
    assert_eq!(
        (entry(2).severity, &entry(2).metadata["sent_bytes"]),
        (Severity::Debug, &100.into())
    );
    assert_eq!((entry(3).severity, &entry(3).metadata["resets"]), (Severity::Warning, &1.into()));
    assert_eq!(entry(3).metadata["reason"], "resets, failed_connects");
}

#[test]
fn packets_are_messages() {
    let packet = Packet {
        connection: 5,
        family: 4,
        protocol: 17,
        remote_address: REMOTE,
        direction: 1,
        bytes: 60,
        packets: 1,
        ..Packet::default()
    };
    let of = |direction| {
        let packet = Packet { direction, ..packet };
        Entry::of_event(&event(1, 0, Happening::Packet(Box::new(packet)))).expect("it is known")
    };
    assert_eq!((of(1).kind.name(), &*of(1).message), ("message", "received udp, 60 bytes"));
    assert_eq!(of(0).message, "sent udp, 60 bytes");
    assert_eq!(of(2).message, "sent udp, 60 bytes");
    assert!(Entry::of_event(&event(1, 0, Happening::Unknown(9))).is_none());
}

#[test]
fn alerts_come_once_whichever_way_and_missing_ones_are_told() {
    let recorder = Recorder::default();
    let mut feed = KernelFeed::default();
    feed.alerts(&recorder, &[alert(4, 1), alert(5, 2)]).expect("it is open");
    feed.alerts(&recorder, &[alert(4, 1), alert(5, 2), alert(6, 3)]).expect("it is open");
    let of_event = event(1, 0, Happening::Alert(Box::new(alert(6, 3))));
    feed.event(&recorder, &of_event).expect("it is open");
    feed.alerts(&recorder, &[alert(9, 0)]).expect("it is open");
    let said: Vec<_> = all(&recorder)
        .iter()
        .map(|kept| (kept.entry.kind.name().to_owned(), kept.entry.severity))
        .collect();
    let alert = |severity| (String::from("alert"), severity);
    assert_eq!(
        said,
        [
            alert(Severity::Warning),
            alert(Severity::Error),
            alert(Severity::Critical),
            (String::from("alerts_missed"), Severity::Warning),
            alert(Severity::Info),
        ]
    );
    assert_eq!(all(&recorder)[3].entry.metadata["count"], 2);
    assert_eq!(
        (all(&recorder)[0].time_ns, &all(&recorder)[0].entry.metadata["alert"]),
        (77, &4.into())
    );
    feed.start_over();
    feed.alerts(&recorder, &[super::kernel::alert(1, 0)]).expect("it is open");
    assert_eq!(all(&recorder).len(), 6);
}

#[test]
fn alerts_that_were_lost_as_events_are_found_in_the_ring() {
    let recorder = Recorder::default();
    let mut feed = KernelFeed::default();
    let see = |feed: &mut KernelFeed, number| {
        let happening = Happening::Alert(Box::new(alert(number, 1)));
        feed.event(&recorder, &event(number, 0, happening)).expect("it is open");
    };
    feed.alerts(&recorder, &[alert(1, 1)]).expect("it is open");
    for number in [2, 4, 8, 8, 1] {
        see(&mut feed, number);
    }
    // 3 is still there; 5 to 7 are not.
    feed.alerts(&recorder, &[alert(3, 1), alert(4, 1), alert(8, 1), alert(9, 1)])
        .expect("it is open");
    see(&mut feed, 9);
    let said: Vec<_> = all(&recorder)
        .iter()
        .map(|kept| {
            let metadata = &kept.entry.metadata;
            (
                kept.entry.kind.name().to_owned(),
                metadata.get("alert").or(metadata.get("count")).and_then(serde_json::Value::as_u64),
            )
        })
        .collect();
    let said: Vec<_> = said.iter().map(|(kind, number)| (kind.as_str(), *number)).collect();
    let one = |number| ("alert", Some(number));
    assert_eq!(said, [one(1), one(2), one(4), one(8), one(3), ("alerts_missed", Some(3)), one(9)]);
}

#[test]
fn events_that_the_kernel_lost_are_told_once() {
    let recorder = Recorder::default();
    let mut feed = KernelFeed::default();
    for (sequence, lost) in [(1, 0), (4, 2), (5, 2), (10, 6)] {
        let happening = Happening::Start(Box::new(connection(sequence)));
        feed.event(&recorder, &event(sequence, lost, happening)).expect("it is open");
    }
    let lost: Vec<_> = all(&recorder)
        .iter()
        .filter(|kept| kept.entry.kind.name() == "events_lost")
        .map(|kept| kept.entry.metadata["count"].as_u64())
        .collect();
    assert_eq!(lost, [Some(2), Some(4)]);
}

proptest! {
    /// Whatever the kernel writes into a record, it is as an event may be.
    #[test]
    fn any_record_is_recorded(
        connection in crate::any_record::<Connection>(),
        alert in crate::any_record::<Alert>(),
        packet in crate::any_record::<Packet>(),
    ) {
        let recorder = Recorder::default();
        let mut feed = KernelFeed::default();
        let happenings = [
            Happening::Start(Box::new(connection)),
            Happening::End(Box::new(connection)),
            Happening::Alert(Box::new(alert)),
            Happening::Packet(Box::new(packet)),
        ];
        for happening in happenings {
            feed.event(&recorder, &event(1, 0, happening)).expect("it is as it may be");
        }
        prop_assert_eq!(all(&recorder).len(), 4);
    }
}
