// SPDX-License-Identifier: MIT OR Apache-2.0

//! The stream of events as the library decodes it: however its bytes are cut into pieces, the same
//! events come out of it, and each is JSON.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mutex_core::abi::mutex_event;
use mutex_core::abi::mutex_events_header;
use mutex_core::abi::MUTEX_EVENTS_MAGIC;
use mutex_core::abi::MUTEX_VERSION;
use mutex_core::wire::Wire;
use mutex_stats::formats::event_as_json;
use mutex_stats::Decoder;
use mutex_stats::Event;

/// All events, and what ended them.
fn decode<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<Event>, Option<String>) {
    let (mut decoder, mut events) = (Decoder::default(), Vec::new());
    for piece in pieces {
        decoder.add(piece);
        loop {
            match decoder.next_event() {
                Ok(Some(event)) => events.push(event),
                Ok(None) => break,
                Err(error) => return (events, Some(error.to_string())),
            }
        }
    }
    (events, None)
}

fn bytes_of(record: &impl Wire) -> Vec<u8> {
    let mut bytes = vec![0; 1024];
    let rest = record.put(&mut bytes).map(|rest| rest.len()).expect("it is smaller");
    bytes.truncate(1024 - rest);
    bytes
}

/// A stream of events as the kernel writes it: each byte of the input is one, as long as it says,
/// with the input as its record.
fn stream(input: &[u8]) -> Vec<u8> {
    let mut stream = bytes_of(&mutex_events_header {
        magic: MUTEX_EVENTS_MAGIC,
        version: MUTEX_VERSION,
        header_size: mutex_events_header::SIZE as u32,
        loaded_ns: 1,
        boot_id: [7; 16],
    });
    for (number, byte) in input.iter().take(64).enumerate() {
        let record: Vec<u8> =
            input.iter().cycle().take(usize::from(byte >> 3) * 16).copied().collect();
        let size = (mutex_event::SIZE + record.len()) as u32;
        let sequence = number as u64 + 1;
        let kind = u32::from(byte & 7);
        stream.extend(bytes_of(&mutex_event { size, kind, sequence, ..mutex_event::default() }));
        stream.extend(record);
    }
    stream
}

fn check(bytes: &[u8], piece: usize) -> usize {
    let whole = decode(std::iter::once(bytes));
    assert_eq!(decode(bytes.chunks(piece)), whole, "in pieces of {piece}");
    for event in &whole.0 {
        let mut json = Vec::new();
        event_as_json(&mut json, event).expect("memory takes everything");
        let value: serde_json::Value = serde_json::from_slice(&json).expect("it is JSON");
        assert_eq!(value["sequence"].as_u64(), Some(event.sequence));
    }
    whole.0.len()
}

fuzz_target!(|bytes: &[u8]| {
    let piece = 1 + bytes.first().map_or(0, |byte| usize::from(*byte));
    check(bytes, piece);
    let mut headed = stream(&[]);
    headed.extend(bytes);
    check(&headed, piece);
    assert_eq!(check(&stream(bytes), piece), bytes.len().min(64));
});
