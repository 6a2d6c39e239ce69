// SPDX-License-Identifier: GPL-2.0-only OR MIT OR Apache-2.0

//! How records of latency, quality and drops are told: the names that all formats use.

use core::fmt;
use core::fmt::Write;
use core::ops::Deref;
use core::ops::DerefMut;

use crate::abi::*;

impl mutex_latency {
    /// The numbers with the names that all formats use.
    pub fn fields(&self) -> [(&'static str, u64); 8] {
        [
            ("samples", self.samples),
            ("last_ns", self.last_ns),
            ("average_ns", self.average_ns),
            ("min_ns", self.min_ns),
            ("max_ns", self.max_ns),
            ("p50_ns", self.p50_ns),
            ("p95_ns", self.p95_ns),
            ("p99_ns", self.p99_ns),
        ]
    }
}

impl mutex_quality {
    /// The numbers beside the latency, with the names that all formats use.
    pub fn fields(&self) -> [(&'static str, u64); 12] {
        [
            ("retransmitted_packets", self.retransmitted_packets),
            ("retransmitted_bytes", self.retransmitted_bytes),
            ("retransmissions_failed", self.retransmissions_failed),
            ("resets", self.resets),
            ("icmp_errors", self.icmp_errors),
            ("checksum_errors", self.checksum_errors),
            ("failed_connects", self.failed_connects),
            ("drops", self.drops),
            ("rate_in", self.rate_in),
            ("rate_out", self.rate_out),
            ("peak_in", self.peak_in),
            ("peak_out", self.peak_out),
        ]
    }

    /// Calls `each` with every number, the latency's first, by the name that it has where there is
    /// one level only: as a column or a key.
    pub fn columns<E>(
        &self,
        mut each: impl FnMut(fmt::Arguments<'_>, u64) -> Result<(), E>,
    ) -> Result<(), E> {
        for (name, value) in self.latency.fields() {
            each(format_args!("latency_{name}"), value)?;
        }
        for (name, value) in self.fields() {
            each(format_args!("{name}"), value)?;
        }
        Ok(())
    }
}

impl mutex_host_quality {
    /// The drops that are losses.
    pub fn losses(&self) -> u64 {
        self.quality.drops.saturating_sub(self.discards)
    }

    /// As [`mutex_quality::columns`], with losses and discards last.
    pub fn columns<E>(
        &self,
        mut each: impl FnMut(fmt::Arguments<'_>, u64) -> Result<(), E>,
    ) -> Result<(), E> {
        self.quality.columns(&mut each)?;
        each(format_args!("losses"), self.losses())?;
        each(format_args!("discards"), self.discards)
    }
}

impl Deref for mutex_host_quality {
    type Target = mutex_quality;

    fn deref(&self) -> &mutex_quality {
        &self.quality
    }
}

impl DerefMut for mutex_host_quality {
    fn deref_mut(&mut self) -> &mut mutex_quality {
        &mut self.quality
    }
}

impl From<mutex_quality> for mutex_host_quality {
    /// All drops are losses.
    fn from(quality: mutex_quality) -> Self {
        mutex_host_quality { quality, discards: 0 }
    }
}

impl mutex_connection {
    /// The drops that are losses.
    pub fn losses(&self) -> u64 {
        self.quality.drops.saturating_sub(self.discards)
    }
}

impl mutex_fd {
    /// The drops that are losses.
    pub fn losses(&self) -> u64 {
        self.quality.drops.saturating_sub(self.discards)
    }
}

impl mutex_drop {
    /// The packets whose drops are losses.
    pub fn losses(&self) -> u64 {
        self.packets.saturating_sub(self.discards)
    }

    /// The name as the kernel spells it, up to its zero.
    pub fn name(&self) -> &[u8] {
        self.name.split(|&byte| byte == 0).next().unwrap_or_default()
    }
}

/// The drops that are for a reason: what is left of a record's array without its empty places.
pub fn drop_counts(reasons: &[mutex_drop_count]) -> impl Iterator<Item = &mutex_drop_count> {
    reasons.iter().filter(|drop| drop.reason != 0)
}

/// Shows a connection's drops as `reason:packets` with `separator` between them.
pub struct DropReasons<'a> {
    /// Those of a connection.
    pub reasons: &'a [mutex_drop_count],
    /// What stands between two.
    pub separator: char,
}

impl fmt::Display for DropReasons<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, drop) in drop_counts(self.reasons).enumerate() {
            if index > 0 {
                f.write_char(self.separator)?;
            }
            write!(f, "{}:{}", drop.reason, drop.packets)?;
        }
        Ok(())
    }
}

/// Shows what follows `drop_` in a key: the reason's name in lower case, of which only letters,
/// digits and `_` are kept, or its number where the kernel names none.
pub struct DropKey<'a>(pub &'a mutex_drop);

impl fmt::Display for DropKey<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.name().is_empty() {
            return write!(f, "reason_{}", self.0.reason);
        }
        for byte in self.0.name() {
            let kept = if byte.is_ascii_alphanumeric() { byte.to_ascii_lowercase() } else { b'_' };
            f.write_char(char::from(kept))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::prelude::v1::*;

    #[test]
    fn empty_places_are_no_reasons() {
        let count = |reason, packets| mutex_drop_count { reason, packets };
        let text = |reasons: &[_]| DropReasons { reasons, separator: ',' }.to_string();
        assert_eq!(text(&[count(0, 0), count(0, 0), count(0, 0)]), "");
        assert_eq!(text(&[count(7, 2), count(0, 0), count(3, 1)]), "7:2,3:1");
    }

    #[test]
    fn a_reason_is_one_word_whatever_its_name() {
        let key = |text: &[u8]| {
            let mut drop = mutex_drop { reason: 9, ..Default::default() };
            drop.name[..text.len()].copy_from_slice(text);
            DropKey(&drop).to_string()
        };
        assert_eq!(key(b"TCP_CSUM"), "tcp_csum");
        assert_eq!(key(b"a b\n\xff\0c"), "a_b__");
        assert_eq!(key(b""), "reason_9");
    }
}
