// SPDX-License-Identifier: MIT OR Apache-2.0

//! Histograms of latency, added up and made small enough to be shown.

use mutex_stats::LatencyBuckets;
use mutex_stats::scope_name;

/// Octaves that there may be.
const OCTAVES: usize = 64;

/// Samples by their octaves: the first is what is below 2 us, each other twice as wide.
#[derive(Clone, Debug)]
pub struct Histogram([u64; OCTAVES]);

impl Default for Histogram {
    fn default() -> Self {
        Histogram([0; OCTAVES])
    }
}

/// A bar of a histogram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bar {
    /// Its lower end; the upper one is that of the next.
    pub from_ns: u64,
    pub samples: u64,
}

impl Histogram {
    /// Of the connection with that id.
    pub fn of_connection(latency: &[LatencyBuckets], id: u64) -> Self {
        Self::of(latency, "connection", |some| some == id)
    }

    /// Of the connections with these ids, which are in their order.
    pub fn of_connections(latency: &[LatencyBuckets], ids: &[u64]) -> Self {
        // Most come in the order of their ids: the next one is where the last one was, or behind it.
        let mut last = 0;
        Self::of(latency, "connection", |id| {
            let near = (last..last + 2).find(|&at| ids.get(at) == Some(&id));
            let found = near.map_or_else(|| ids.binary_search(&id).ok(), Some);
            last = found.unwrap_or(last);
            found.is_some()
        })
    }

    /// Of the fd with that id.
    pub fn of_fd(latency: &[LatencyBuckets], id: u64) -> Self {
        Self::of(latency, "fd", |some| some == id)
    }

    /// Of the whole host.
    pub fn of_host(latency: &[LatencyBuckets]) -> Self {
        Self::of(latency, "global", |_| true)
    }

    fn of(latency: &[LatencyBuckets], scope: &str, mut is_wanted: impl FnMut(u64) -> bool) -> Self {
        let mut histogram = Histogram::default();
        let scope = (0..=u8::MAX).find(|&number| scope_name(number) == scope).map(u32::from);
        let of_scope = latency.iter().filter(|some| Some(some.scope) == scope);
        for some in of_scope.filter(|some| is_wanted(some.id)) {
            if let Some(octave) = histogram.0.get_mut(some.octave as usize) {
                *octave = some.samples.iter().fold(*octave, |sum, &more| sum.saturating_add(more));
            }
        }
        histogram
    }

    pub fn samples(&self) -> u64 {
        self.0.iter().fold(0, |sum, &more| sum.saturating_add(more))
    }

    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|&samples| samples == 0)
    }

    /// At most so many bars, from the first octave that has samples to the last: each is of one, or
    /// of as many as it takes.
    pub fn bars(&self, most: usize) -> Vec<Bar> {
        let has_samples = |&octave: &usize| self.0[octave] > 0;
        let Some(first) = (0..OCTAVES).find(has_samples) else { return Vec::new() };
        let last = (0..OCTAVES).rev().find(has_samples).unwrap_or(first);
        let octaves = &self.0[first..=last];
        let each = octaves.len().div_ceil(most.max(1));
        let bar = |(number, octaves): (usize, &[u64])| Bar {
            from_ns: from_ns(first + number * each),
            samples: octaves.iter().fold(0, |sum, &more| sum.saturating_add(more)),
        };
        octaves.chunks(each).enumerate().map(bar).collect()
    }
}

/// The lower end of an octave. The first has everything that is shorter, too.
fn from_ns(octave: usize) -> u64 {
    let shift = u32::try_from(octave).unwrap_or(u32::MAX);
    match octave {
        0 => 0,
        _ => 1u64.checked_shl(shift).map_or(u64::MAX, |factor| factor.saturating_mul(1000)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn octaves_are_added_up() {
        let of = |id, scope, octave, samples| {
            let mut buckets = LatencyBuckets { id, scope, octave, ..Default::default() };
            buckets.samples[3] = samples;
            buckets
        };
        let all = [of(1, 0, 0, 2), of(1, 0, 3, 5), of(2, 0, 4, 7), of(1, 1, 9, 1), of(0, 2, 9, 8)];
        let one = Histogram::of_connection(&all, 1);
        let bar = |from_ns, samples| Bar { from_ns, samples };
        assert_eq!(one.bars(9), [bar(0, 2), bar(2_000, 0), bar(4_000, 0), bar(8_000, 5)]);
        assert_eq!(one.bars(2), [bar(0, 2), bar(4_000, 5)]);
        let both = Histogram::of_connections(&all, &[1, 2]);
        assert_eq!((both.samples(), both.bars(1)), (14, vec![bar(0, 14)]));
        assert_eq!(Histogram::of_fd(&all, 1).bars(1), [bar(512_000, 1)]);
        assert_eq!(Histogram::of_host(&all).samples(), 8);
        assert!(Histogram::of_fd(&all, 2).is_empty() && Histogram::default().bars(3).is_empty());
    }
}
