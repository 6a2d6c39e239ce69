// SPDX-License-Identifier: GPL-2.0-only OR MIT OR Apache-2.0

//! The records of `include/mutex.h` as bytes: little-endian, in the header's order.

use crate::abi::*;

/// A value with one fixed representation in bytes.
pub trait Wire: Sized {
    /// Bytes that it takes.
    const SIZE: usize;

    /// Writes it to the start of `out`, of at least [`Wire::SIZE`] bytes, and returns the rest.
    /// A shorter `out` gives `None`.
    fn put<'a>(&self, out: &'a mut [u8]) -> Option<&'a mut [u8]>;

    /// The value whose bytes are zero.
    const ZERO: Self;

    /// Reads one from the start of `bytes` in place of this one, and returns the rest.
    /// Bytes that are missing count as zero, so that records of an older image can be read.
    fn fill<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8];

    /// The same into a new one.
    #[inline]
    fn take(bytes: &[u8]) -> (Self, &[u8]) {
        let mut record = Self::ZERO;
        let rest = record.fill(bytes);
        (record, rest)
    }
}

macro_rules! wire_integer {
    ($($integer:ty),*) => {$(
        impl Wire for $integer {
            const SIZE: usize = size_of::<$integer>();

            #[inline]
            fn put<'a>(&self, out: &'a mut [u8]) -> Option<&'a mut [u8]> {
                let (mine, rest) = out.split_first_chunk_mut()?;
                *mine = self.to_le_bytes();
                Some(rest)
            }

            const ZERO: Self = 0;

            #[inline]
            fn fill<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
                let (value, rest) = match bytes.split_first_chunk() {
                    Some((mine, rest)) => (Self::from_le_bytes(*mine), rest),
                    None => (0, &[][..]),
                };
                *self = value;
                rest
            }
        }
    )*};
}

wire_integer!(u8, u16, u32, u64);

impl<T: Wire, const N: usize> Wire for [T; N] {
    const SIZE: usize = N * T::SIZE;

    #[inline]
    fn put<'a>(&self, mut out: &'a mut [u8]) -> Option<&'a mut [u8]> {
        for item in self {
            out = item.put(out)?;
        }
        Some(out)
    }

    const ZERO: Self = [T::ZERO; N];

    #[inline]
    fn fill<'a>(&mut self, mut bytes: &'a [u8]) -> &'a [u8] {
        for item in self {
            bytes = item.fill(bytes);
        }
        bytes
    }
}

/// Implements [`Wire`] field by field, and checks that the fields are all there, in order and
/// without holes.
macro_rules! wire_record {
    ($record:ident { $($field:ident),* $(,)? }) => {
        impl Wire for $record {
            const SIZE: usize = size_of::<$record>();

            #[inline]
            fn put<'a>(&self, out: &'a mut [u8]) -> Option<&'a mut [u8]> {
                let $record { $($field),* } = self;
                $(let out = $field.put(out)?;)*
                Some(out)
            }

            const ZERO: Self = $record { $($field: Wire::ZERO),* };

            #[inline]
            fn fill<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
                let $record { $($field),* } = self;
                $(let bytes = $field.fill(bytes);)*
                bytes
            }
        }

        const _: () = {
            const fn size_of_field<T>(_: fn(&$record) -> &T) -> usize {
                size_of::<T>()
            }
            let mut offset = 0;
            $(
                assert!(core::mem::offset_of!($record, $field) == offset);
                offset += size_of_field(|record: &$record| &record.$field);
            )*
            assert!(offset == size_of::<$record>());
        };
    };
}

wire_record!(mutex_header {
    magic,
    version,
    header_size,
    flags,
    netns,
    time_ns,
    boottime_ns,
    loaded_ns,
    boot_id,
    reserved,
    crc,
});
wire_record!(mutex_block { kind, reserved, record_size, count, crc });
wire_record!(mutex_traffic { packets, buffers, bytes, payload });
wire_record!(mutex_totals { sent, received, forwarded_sent, forwarded_received });
wire_record!(mutex_untracked { reason, reserved, totals });
wire_record!(mutex_connection {
    id,
    fd,
    cgroup,
    first_seen_ns,
    last_seen_ns,
    closed_ns,
    local_address,
    remote_address,
    local_port,
    remote_port,
    netns,
    scope,
    uid,
    in_interface,
    out_interface,
    family,
    protocol,
    state,
    reserved,
    flags,
    sent,
    received,
    quality,
    drop_reasons,
    discards,
});
wire_record!(mutex_fd {
    id,
    inode,
    cgroup,
    first_seen_ns,
    closed_ns,
    pid,
    uid,
    netns,
    family,
    protocol,
    reserved,
    command,
    active_connections,
    total_connections,
    sent,
    received,
    quality,
    discards,
});
wire_record!(mutex_latency {
    samples,
    last_ns,
    average_ns,
    min_ns,
    max_ns,
    p50_ns,
    p95_ns,
    p99_ns,
});
wire_record!(mutex_quality {
    latency,
    retransmitted_packets,
    retransmitted_bytes,
    retransmissions_failed,
    resets,
    icmp_errors,
    checksum_errors,
    failed_connects,
    drops,
    rate_in,
    rate_out,
    peak_in,
    peak_out,
});
wire_record!(mutex_host_quality { quality, discards });
wire_record!(mutex_drop_count { reason, packets });
wire_record!(mutex_drop { reason, reserved, packets, name, discards });
wire_record!(mutex_latency_buckets { id, scope, octave, samples });
wire_record!(mutex_alert {
    number,
    time_ns,
    subject,
    threshold,
    value,
    local_address,
    remote_address,
    local_port,
    remote_port,
    netns,
    pid,
    kind,
    severity,
    scope,
    family,
    protocol,
    reserved,
    command,
});
wire_record!(mutex_status {
    uptime_ns,
    connections_active,
    connections_total,
    connections_closed,
    fds_active,
    fds_total,
    fds_untracked,
    cache_hits,
    cache_misses,
    table_size,
    table_used,
    table_high_water,
    fd_table_size,
    fd_table_used,
    fd_table_high_water,
    memory_bytes,
    connection_bytes,
    connections_early,
    under_pressure,
    latency_unplaced,
    alerts_raised,
    alerts_overwritten,
    monitors,
    events_produced,
    events_lost,
    packet_monitors,
    alerts_suppressed,
});
wire_record!(mutex_events_header { magic, version, header_size, loaded_ns, boot_id });
wire_record!(mutex_event { size, kind, sequence, lost, time_ns });
wire_record!(mutex_packet {
    connection,
    local_address,
    remote_address,
    local_port,
    remote_port,
    netns,
    interface,
    packets,
    bytes,
    payload,
    family,
    protocol,
    direction,
    reserved,
});
wire_record!(mutex_live_header { magic, version, record_size, first_record, records, bytes });
wire_record!(mutex_live_flow {
    sequence,
    interface,
    last_seen_ns,
    traffic,
    window_base,
    previous_window,
});
wire_record!(mutex_live_connection {
    local_address,
    remote_address,
    local_port,
    remote_port,
    netns,
    protocol,
    family,
    forwarded,
    reserved,
    scope,
    generation,
    state,
    internal,
    received,
    sent,
    id,
    first_seen_ns,
    internal2,
    cgroup,
    uid,
    internal3,
});
wire_record!(mutex_end { connections, fds, bytes });

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::prelude::v1::*;

    proptest! {
        #[test]
        fn any_bytes_are_a_record_and_a_record_is_its_bytes(
            bytes in proptest::collection::vec(any::<u8>(), mutex_connection::SIZE),
        ) {
            let (record, rest) = mutex_connection::take(&bytes);
            prop_assert!(rest.is_empty());
            let mut out = vec![0; mutex_connection::SIZE];
            prop_assert!(record.put(&mut out).is_some());
            prop_assert_eq!(out, bytes);
        }

        #[test]
        fn what_a_shorter_record_lacks_is_zero(cut in 0usize..=mutex_connection::SIZE) {
            let bytes = [0xff; mutex_connection::SIZE];
            let (record, _) = mutex_connection::take(&bytes[..cut]);
            prop_assert_eq!(record.discards == 0, cut < mutex_connection::SIZE);
        }
    }

    #[test]
    fn too_little_room_is_refused() {
        let mut out = [0; mutex_block::SIZE - 1];
        assert!(mutex_block::default().put(&mut out).is_none());
    }
}
