// SPDX-License-Identifier: MIT OR Apache-2.0

//! The stream of events, as who reads `/proc/mutex/events` takes it apart: whatever goes into a
//! monitor's queue comes out of it whole, in order, and with every loss told; arbitrary bytes decode
//! to something that encodes to the same bytes.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mutex_core::abi::mutex_alert;
use mutex_core::abi::mutex_connection;
use mutex_core::abi::mutex_event;
use mutex_core::abi::mutex_packet;
use mutex_core::monitor::Offered;
use mutex_core::monitor::Queue;
use mutex_core::monitor::Slot;
use mutex_core::monitor::Taken;
use mutex_core::monitor::EVENT_MAX;
use mutex_core::monitor::SLOTS_MIN;
use mutex_core::wire::Wire;

/// Encodes again what was decoded: the same bytes.
fn survives<T: Wire>(bytes: &[u8]) {
    let mut whole = bytes.to_vec();
    whole.resize(bytes.len().max(T::SIZE), 0);
    let (record, rest) = T::take(&whole);
    let mut out = vec![0; T::SIZE];
    assert_eq!(record.put(&mut out).map(|rest| rest.len()), Some(0));
    assert_eq!((&out[..], rest), whole.split_at(T::SIZE));
}

fuzz_target!(|bytes: &[u8]| {
    survives::<mutex_event>(bytes);
    survives::<mutex_connection>(bytes);
    survives::<mutex_alert>(bytes);
    survives::<mutex_packet>(bytes);

    // Each byte is an event of that many words, or has the reader take some, with little room.
    let slots: Vec<Slot> = std::iter::repeat_with(Slot::default).take(SLOTS_MIN).collect();
    let queue = Queue::new(slots).expect("as many as there have to be");
    let (mut offered, mut delivered, mut lost, mut sequence) = (0u64, 0u64, 0u64, 0u64);
    for (at, byte) in bytes.iter().enumerate() {
        if byte & 0x80 == 0 {
            let size = usize::from(byte & 0x3f) * 9;
            offered += 1;
            let became = queue.push(1 + u32::from(byte & 3), at as u64, |out| {
                let size = size.min(out.len());
                out[..size].fill(*byte);
                size
            });
            lost += u64::from(became == Offered::Lost);
            continue;
        }
        let mut out = [0; EVENT_MAX];
        let room = if byte & 0x40 == 0 { 64 } else { usize::from(byte & 0x3f) } * 8;
        let room = room.min(EVENT_MAX);
        match queue.take(&mut out[..room]) {
            Taken::Event(size) => {
                let (event, record) = mutex_event::take(&out[..size]);
                assert_eq!((event.size as usize, size % 8), (size, 0));
                assert!(event.sequence > sequence && event.lost <= lost);
                delivered += 1;
                assert_eq!(event.sequence, delivered + event.lost);
                sequence = event.sequence;
                let pushed = bytes[event.time_ns as usize];
                assert_eq!(event.kind, 1 + u32::from(pushed & 3));
                let written = record.iter().take_while(|byte| **byte == pushed).count();
                assert!(record[written..].iter().all(|byte| *byte == 0));
            }
            Taken::Nothing => assert!(queue.is_empty()),
            Taken::TooSmall(size) => assert!(size > room),
        }
    }
    let counts = queue.counts();
    assert_eq!((counts.produced, counts.lost, counts.delivered), (offered, lost, delivered));
    assert_eq!(counts.pending, offered - lost - delivered);
});
