// SPDX-License-Identifier: GPL-2.0-only OR MIT OR Apache-2.0

//! The host as a whole: sums over its CPUs, and its windows.
//!
//! Windows of the host are not those of [`crate::rate`]: who sweeps closes one about every second, and
//! divides by the time that really passed. What is forwarded comes in and goes out, so it counts both
//! ways.

use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::Relaxed;

use crate::abi::*;
use crate::alarm::System;
use crate::counters::Totals;
use crate::cpu::Pinned;
use crate::engine::Cpus;
use crate::engine::Engine;
use crate::engine::Memory;
use crate::latency::Histogram;
use crate::latency::LatencySum;
use crate::quality::Closed;
use crate::quality::Fault;
use crate::rate::WINDOW;
use crate::threshold::Armed;
use crate::threshold::Kind;

/// What the host keeps of its windows. Written by who sweeps, one at a time.
#[derive(Debug, Default)]
pub struct Host {
    pub(crate) armed: Armed,
    /// For the fill of the share of the namespace that uses most of its own.
    share_armed: Armed,
    closed_at: AtomicU64,
    at: Sums,
    rate_in: AtomicU64,
    rate_out: AtomicU64,
    peak_in: AtomicU64,
    peak_out: AtomicU64,
    /// Nanoseconds: the mean of the samples of the last window that had any.
    latency: AtomicU64,
}

/// Sums when the window began.
#[derive(Debug, Default)]
struct Sums {
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
    packets_sent: AtomicU64,
    packets_received: AtomicU64,
    retransmitted: AtomicU64,
    faults: AtomicU64,
    losses: AtomicU64,
    samples: AtomicU64,
    latency: AtomicU64,
}

fn since(then: &AtomicU64, now: u64) -> u64 {
    now.wrapping_sub(then.swap(now, Relaxed))
}

fn narrow(value: u64) -> u32 {
    value.min(u32::MAX.into()) as u32
}

fn flows(totals: &Totals) -> [u64; 4] {
    let through = [&totals.forwarded_sent, &totals.forwarded_received];
    let sum = |own: u64, of: fn(&mutex_traffic) -> u64| {
        through.iter().fold(own, |sum, traffic| sum.wrapping_add(of(traffic)))
    };
    [
        sum(totals.received.bytes, |traffic| traffic.bytes),
        sum(totals.sent.bytes, |traffic| traffic.bytes),
        sum(totals.sent.packets, |traffic| traffic.packets),
        sum(totals.received.packets, |traffic| traffic.packets),
    ]
}

impl<M: Memory> Engine<M> {
    /// Closes the host's window if it is nearly a second old, and judges it. One caller at a time.
    pub fn close_host_window<P: Pinned>(&self, pin: impl Fn() -> P, now: u64) {
        let host = &self.host;
        let before = host.closed_at.load(Relaxed);
        let passed = now.saturating_sub(before);
        if passed < WINDOW - WINDOW / 10 {
            return;
        }
        host.closed_at.store(now, Relaxed);
        let [bytes_in, bytes_out, sent, received] = flows(&self.totals());
        let quality = self.counted_quality();
        let latency = self.latency();
        let faults =
            [quality.resets, quality.icmp_errors, quality.checksum_errors, quality.failed_connects];
        let at = &host.at;
        // In microseconds, so that the product fits.
        let a_second = |bytes: u64| bytes.saturating_mul(WINDOW / 1000) / (passed / 1000);
        let rates = [since(&at.bytes_in, bytes_in), since(&at.bytes_out, bytes_out)].map(a_second);
        let closed = Closed {
            sent: narrow(since(&at.packets_sent, sent)),
            received: narrow(since(&at.packets_received, received)),
            retransmitted: narrow(since(&at.retransmitted, quality.retransmitted_packets)),
            faults: narrow(since(&at.faults, faults.iter().fold(0, |a, b| a.wrapping_add(*b)))),
            losses: narrow(since(&at.losses, quality.losses())),
        };
        let samples = since(&at.samples, latency.samples);
        let sum = since(&at.latency, latency.sum);
        if before == 0 {
            return;
        }
        let [rate_in, rate_out] = rates;
        host.rate_in.store(rate_in, Relaxed);
        host.rate_out.store(rate_out, Relaxed);
        host.peak_in.fetch_max(rate_in, Relaxed);
        host.peak_out.fetch_max(rate_out, Relaxed);
        if let Some(mean) = sum.checked_div(samples) {
            host.latency.store(mean, Relaxed);
        }
        let pinned = pin();
        self.judge_host(&pinned, Kind::BandwidthIn, rate_in, now);
        self.judge_host(&pinned, Kind::BandwidthOut, rate_out, now);
        self.judge_host(&pinned, Kind::Latency, sum.checked_div(samples).unwrap_or(0), now);
        for (kind, rate) in self.rates_of(&closed) {
            self.judge_host(&pinned, kind, rate, now);
        }
        let (used, size) = (self.connections.used(), self.connections.size());
        let fill = u64::from(used) * 10_000 / u64::from(size.max(1));
        self.judge_host(&pinned, Kind::TableFill, fill, now);
        let (netns, used) = self.shares.largest().unwrap_or((0, 0));
        let fill = u64::from(used) * 10_000 / u64::from(self.limits().each);
        self.judge_share(&pinned, &host.share_armed, netns, fill, now);
    }

    /// The latency of the whole host, without its histogram.
    pub fn latency(&self) -> LatencySum {
        let mut sum = LatencySum::default();
        self.cpus.for_each(|cpu| cpu.latency.add_to(&mut sum));
        sum
    }

    /// The histogram of that.
    pub fn latency_histogram(&self, histogram: &mut Histogram) {
        histogram.clear();
        self.cpus.for_each(|cpu| cpu.latency.add_to_histogram(histogram));
    }

    /// What CPUs count of quality.
    fn counted_quality(&self) -> mutex_host_quality {
        let mut quality = mutex_host_quality::default();
        self.cpus.for_each(|cpu| {
            let add = |sum: &mut u64, value: u64| *sum = sum.wrapping_add(value);
            add(&mut quality.retransmitted_packets, cpu.retransmitted.packets.get());
            add(&mut quality.retransmitted_bytes, cpu.retransmitted.bytes.get());
            add(&mut quality.retransmissions_failed, cpu.retransmitted.failed.get());
            let fault =
                |fault: Fault| cpu.faults.get(fault as usize).map_or(0, |count| count.get());
            add(&mut quality.resets, fault(Fault::Reset));
            add(&mut quality.icmp_errors, fault(Fault::Icmp));
            add(&mut quality.checksum_errors, fault(Fault::Checksum));
            add(&mut quality.failed_connects, fault(Fault::Connect));
            // Discards first: they are then never more than all drops.
            add(&mut quality.discards, cpu.drops.discards.get());
            add(&mut quality.drops, cpu.drops.all.get());
        });
        quality
    }

    /// The quality of the whole host.
    pub fn host_quality(&self) -> mutex_host_quality {
        let mut quality = self.counted_quality();
        let latency = self.latency();
        let mut histogram = Histogram::default();
        self.latency_histogram(&mut histogram);
        let [p50, p95, p99] = histogram
            .percentiles([50, 95, 99])
            .map(|percentile| percentile.clamp(latency.min, latency.max.max(latency.min)));
        let samples = histogram.samples();
        quality.latency = mutex_latency {
            samples,
            last_ns: latency.last,
            average_ns: match self.host.latency.load(Relaxed) {
                // No window is over since the first sample.
                0 => latency.sum.checked_div(samples).unwrap_or(0),
                average => average,
            },
            min_ns: latency.min,
            max_ns: latency.max,
            p50_ns: p50,
            p95_ns: p95,
            p99_ns: p99,
        };
        quality.rate_in = self.host.rate_in.load(Relaxed);
        quality.rate_out = self.host.rate_out.load(Relaxed);
        quality.peak_in = self.host.peak_in.load(Relaxed);
        quality.peak_out = self.host.peak_out.load(Relaxed);
        quality
    }

    /// The drops of the whole host for one reason, if there are any. Reasons are below
    /// [`crate::cpu::DropCounter::REASONS`].
    pub fn drops(&self, reason: u32) -> Option<mutex_drop> {
        let (mut packets, mut discards) = (0u64, 0u64);
        self.cpus.for_each(|cpu| {
            let (more, of_these) = cpu.drops.get(reason);
            packets = packets.wrapping_add(more);
            discards = discards.wrapping_add(of_these);
        });
        (packets != 0).then(|| mutex_drop {
            reason,
            reserved: 0,
            packets,
            name: self.system.drop_name(reason),
            discards,
        })
    }
}
