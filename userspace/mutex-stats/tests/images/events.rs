// SPDX-License-Identifier: MIT OR Apache-2.0

//! The stream of events, as bytes and as a file.

use std::fs;

use mutex_core::abi::MUTEX_EVENTS_MAGIC;
use mutex_core::abi::mutex_event;
use mutex_core::abi::mutex_events_header;
use mutex_core::wire::Wire;
use mutex_stats::Alert;
use mutex_stats::Connection;
use mutex_stats::Decoder;
use mutex_stats::Error;
use mutex_stats::Event;
use mutex_stats::Events;
use mutex_stats::Filter;
use mutex_stats::Filtered;
use mutex_stats::Happening;
use mutex_stats::Packet;
use mutex_stats::Proc;
use proptest::prelude::*;

fn bytes_of(record: &impl Wire) -> Vec<u8> {
    fn size<T: Wire>(_: &T) -> usize {
        T::SIZE
    }
    let mut bytes = vec![0; size(record)];
    let _ = record.put(&mut bytes).expect("there is room");
    bytes
}

fn header() -> mutex_events_header {
    mutex_events_header {
        magic: MUTEX_EVENTS_MAGIC,
        version: 1,
        header_size: 40,
        ..Default::default()
    }
}

fn event(kind: u32, sequence: u64, lost: u64, record: &[u8]) -> Vec<u8> {
    let size = u32::try_from(32 + record.len()).expect("it is small");
    let head = mutex_event { size, kind, sequence, lost, time_ns: sequence * 10 };
    [bytes_of(&head), record.to_vec()].concat()
}

/// A start, a longer end from a later version, an unknown kind, an alert after a loss, a packet.
fn stream() -> Vec<u8> {
    let connection = bytes_of(&Connection { id: 5, ..Connection::default() });
    let longer = [connection.clone(), vec![1; 16]].concat();
    [
        bytes_of(&header()),
        event(1, 1, 0, &connection),
        event(2, 2, 0, &longer),
        event(9, 3, 0, &[0; 8]),
        event(3, 6, 2, &bytes_of(&Alert { number: 7, ..Alert::default() })),
        event(4, 7, 2, &bytes_of(&Packet { bytes: 8, ..Packet::default() })),
    ]
    .concat()
}

fn expected() -> Vec<Event> {
    let connection = || Box::new(Connection { id: 5, ..Connection::default() });
    let alert = Box::new(Alert { number: 7, ..Alert::default() });
    let packet = Box::new(Packet { bytes: 8, ..Packet::default() });
    [
        (1, 0, Happening::Start(connection())),
        (2, 0, Happening::End(connection())),
        (3, 0, Happening::Unknown(9)),
        (6, 2, Happening::Alert(alert)),
        (7, 2, Happening::Packet(packet)),
    ]
    .map(|(sequence, lost, happening)| Event { sequence, lost, time_ns: sequence * 10, happening })
    .into()
}

fn decode(pieces: impl Iterator<Item = Vec<u8>>) -> Result<Vec<Event>, Error> {
    let mut decoder = Decoder::default();
    let mut events = Vec::new();
    for piece in pieces {
        decoder.add(&piece);
        while let Some(event) = decoder.next_event()? {
            events.push(event);
        }
    }
    Ok(events)
}

proptest! {
    #[test]
    fn events_are_the_same_however_they_are_cut(size in 1usize..700) {
        let pieces = stream().chunks(size).map(<[u8]>::to_vec).collect::<Vec<_>>();
        prop_assert_eq!(decode(pieces.into_iter()).expect("it is right"), expected());
    }

    #[test]
    fn any_bytes_give_events_or_a_sentence(bytes: Vec<u8>, at in 0usize..200, byte: u8) {
        let _ = decode(std::iter::once(bytes));
        let mut damaged = stream();
        damaged[at] = byte;
        let _ = decode(std::iter::once(damaged));
    }
}

#[test]
fn what_is_wrong_is_said() {
    let error = |bytes: Vec<u8>| decode(std::iter::once(bytes)).expect_err("it is wrong");
    assert!(matches!(error(vec![7; 40]), Error::Events(_)));
    let later = mutex_events_header { version: 2, ..header() };
    assert!(matches!(error(bytes_of(&later)), Error::Version { found: 2, known: 1 }));
    let size = [bytes_of(&header()), bytes_of(&mutex_event { size: 31, ..Default::default() })];
    assert_eq!(
        error(size.concat()).to_string(),
        "the stream of events is corrupted: an event has an impossible size"
    );
}

#[test]
fn a_monitor_sets_its_filter_and_reads() {
    let folder = tempfile::tempdir().expect("there is room");
    let proc = Proc::new(folder.path());
    fs::write(folder.path().join("events"), stream()).expect("there is room");
    let mut events = Events::open(&proc, &Filter::default()).expect("it is there");
    let mut found = Vec::new();
    while let Some(event) = events.next_event(None).expect("it is right") {
        found.push(event);
    }
    assert_eq!(found, expected());

    let filter = Filter::parse("kind=end port=80", Filtered::Events).expect("it is a filter");
    Events::open(&proc, &filter).expect("it can be written");
    let written = fs::read(folder.path().join("events")).expect("it is there");
    assert!(written.starts_with(b"kind=end port=80"));

    fs::remove_file(folder.path().join("events")).expect("it is there");
    assert!(matches!(Events::open(&proc, &filter), Err(Error::Missing { .. })));
}
