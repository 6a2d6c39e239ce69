// SPDX-License-Identifier: MIT OR Apache-2.0

//! Images to test with.

use mutex_core::wire::Wire;
use mutex_stats::Alert;
use mutex_stats::Connection;
use mutex_stats::Direction;
use mutex_stats::Dropped;
use mutex_stats::Fd;
use mutex_stats::Header;
use mutex_stats::HostQuality;
use mutex_stats::Image;
use mutex_stats::LatencyBuckets;
use mutex_stats::Quality;
use mutex_stats::Traffic;
use mutex_stats::Untracked;
use proptest::collection::vec;
use proptest::prelude::*;

/// Any record at all: whatever bytes it is made of.
pub fn any_record<T: Wire + std::fmt::Debug>() -> impl Strategy<Value = T> {
    vec(any::<u8>(), T::SIZE).prop_map(|bytes| T::take(&bytes).0)
}

/// Any image at all. What a writer fills in is that of a written one.
pub fn any_image() -> impl Strategy<Value = Image> {
    (
        (any_record::<Header>(), any_record(), any_record(), any_record(), any_record()),
        vec(any_record(), 0..20),
        vec(any_record(), 0..10),
        vec(any_record(), 0..8),
        (vec(any_record(), 0..10), any_record(), vec(any_record(), 0..5), vec(any_record(), 0..10)),
    )
        .prop_map(|(single, connections, fds, untracked, health)| {
            let (header, status, totals_before, closed, totals_after) = single;
            let (latency, quality, drops, alerts) = health;
            let image = Image {
                header,
                status,
                totals_before,
                connections,
                fds,
                latency,
                quality,
                drops,
                alerts,
                closed,
                untracked,
                totals_after,
            };
            let header = Image::read(bytes(&image).as_slice()).expect("it was written so").header;
            Image { header, ..image }
        })
}

/// The image's bytes.
pub fn bytes(image: &Image) -> Vec<u8> {
    let mut bytes = Vec::new();
    image.write(&mut bytes).expect("a vector takes everything");
    bytes
}

/// An image in which every number of every line of the audit is another one and none is zero,
/// with two connections that an fd owns and one that is forwarded, and a bit of all that is no part
/// of the books. They balance, at rest.
pub fn balanced() -> Image {
    let mut last = 0;
    let mut traffic = || {
        last += 1000;
        Traffic { packets: last, buffers: last - 1, bytes: last + 2, payload: last + 1 }
    };
    let connection = |id, flags, sent, received| Connection {
        id,
        fd: u64::from(flags == 0),
        flags,
        protocol: 6,
        family: 4,
        sent,
        received,
        ..Connection::default()
    };
    let connections = vec![
        connection(1, 0, traffic(), traffic()),
        connection(2, 1, traffic(), traffic()),
        connection(3, 0, traffic(), traffic()),
    ];
    let mut fd = Fd { id: 1, ..Fd::default() };
    for owned in connections.iter().filter(|connection| connection.fd == 1) {
        fd.sent.add(&owned.sent);
        fd.received.add(&owned.received);
    }
    let alert = |number| Alert { number, scope: 2, ..Alert::default() };
    let mut image = Image {
        connections,
        fds: vec![fd],
        latency: vec![LatencyBuckets { scope: 2, samples: [1; 8], ..Default::default() }],
        quality: HostQuality { discards: 2, ..Quality { drops: 5, ..Quality::default() }.into() },
        drops: vec![Dropped { reason: 2, packets: 5, discards: 2, ..Dropped::default() }],
        alerts: vec![alert(4), alert(5), alert(7)],
        ..Image::default()
    };
    for direction in Direction::ALL {
        *image.closed.of_mut(direction) = traffic();
        for Untracked { totals, .. } in &mut image.untracked {
            *totals.of_mut(direction) = traffic();
        }
    }
    image.totals_before = image.sum();
    image.totals_after = image.sum();
    image
}
