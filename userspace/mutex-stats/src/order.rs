// SPDX-License-Identifier: MIT OR Apache-2.0

//! Kinds of block, and the order they come in. Reader and writer both keep it here.

use std::fmt;

use mutex_core::abi;

/// A kind of block that this version knows, in the order of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// One [`Status`](crate::Status).
    Status,
    /// One [`Totals`](crate::Totals), read before the first connection.
    TotalsBefore,
    /// Any number of [`Connection`](crate::Connection).
    Connections,
    /// Any number of [`Fd`](crate::Fd).
    Fds,
    /// Any number of [`LatencyBuckets`](crate::LatencyBuckets).
    Latency,
    /// One [`HostQuality`](crate::HostQuality).
    Quality,
    /// One [`Dropped`](crate::Dropped) a reason that has occurred.
    Drops,
    /// Any number of [`Alert`](crate::Alert), the oldest first.
    Alerts,
    /// One [`Totals`](crate::Totals): what connections that are no longer listed have moved.
    Closed,
    /// One [`Untracked`](crate::Untracked) a reason.
    Untracked,
    /// One [`Totals`](crate::Totals), read after all of the above.
    TotalsAfter,
    /// One [`End`](crate::End).
    End,
}

impl Kind {
    /// Every kind, in the order of an image.
    pub const ALL: [Kind; 12] = [
        Kind::Status,
        Kind::TotalsBefore,
        Kind::Connections,
        Kind::Fds,
        Kind::Latency,
        Kind::Quality,
        Kind::Drops,
        Kind::Alerts,
        Kind::Closed,
        Kind::Untracked,
        Kind::TotalsAfter,
        Kind::End,
    ];

    /// The kind with this number, `None` for one of a later version.
    #[must_use]
    pub fn from_number(number: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.number() == u32::from(number))
    }

    /// `MUTEX_BLOCK_*`.
    #[must_use]
    pub fn number(self) -> u32 {
        match self {
            Kind::Status => abi::MUTEX_BLOCK_STATUS,
            Kind::TotalsBefore => abi::MUTEX_BLOCK_TOTALS_BEFORE,
            Kind::Connections => abi::MUTEX_BLOCK_CONNECTION,
            Kind::Fds => abi::MUTEX_BLOCK_FD,
            Kind::Latency => abi::MUTEX_BLOCK_LATENCY,
            Kind::Quality => abi::MUTEX_BLOCK_QUALITY,
            Kind::Drops => abi::MUTEX_BLOCK_DROP,
            Kind::Alerts => abi::MUTEX_BLOCK_ALERT,
            Kind::Closed => abi::MUTEX_BLOCK_CLOSED,
            Kind::Untracked => abi::MUTEX_BLOCK_UNTRACKED,
            Kind::TotalsAfter => abi::MUTEX_BLOCK_TOTALS_AFTER,
            Kind::End => abi::MUTEX_BLOCK_END,
        }
    }

    /// Whether there is at most one block of it, of exactly one record.
    fn is_single(self) -> bool {
        match self {
            Kind::Status
            | Kind::TotalsBefore
            | Kind::Quality
            | Kind::Closed
            | Kind::TotalsAfter
            | Kind::End => true,
            Kind::Connections
            | Kind::Fds
            | Kind::Latency
            | Kind::Drops
            | Kind::Alerts
            | Kind::Untracked => false,
        }
    }

    /// Whether an image may do without it: it lists things of which there may be none, or older
    /// modules did not write it.
    fn is_optional(self) -> bool {
        match self {
            Kind::Connections
            | Kind::Fds
            | Kind::Latency
            | Kind::Quality
            | Kind::Drops
            | Kind::Alerts => true,
            Kind::Status
            | Kind::TotalsBefore
            | Kind::Closed
            | Kind::Untracked
            | Kind::TotalsAfter
            | Kind::End => false,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Kind::Status => "status",
            Kind::TotalsBefore => "totals before",
            Kind::Connections => "connections",
            Kind::Fds => "fds",
            Kind::Latency => "latency",
            Kind::Quality => "quality",
            Kind::Drops => "drops",
            Kind::Alerts => "alerts",
            Kind::Closed => "closed totals",
            Kind::Untracked => "untracked",
            Kind::TotalsAfter => "totals after",
            Kind::End => "end",
        })
    }
}

/// How far an image has come.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Order(Option<Kind>);

impl Order {
    /// Takes the next block; the error is the sentence that says what is wrong with it.
    pub(crate) fn next(&mut self, kind: Kind, records: u32) -> Result<(), &'static str> {
        match self.0 {
            Some(last) if kind < last => return Err("comes too late"),
            Some(last) if kind == last && kind.is_single() => return Err("comes twice"),
            _ => {}
        }
        let skipped = |between: &Kind| {
            *between < kind && self.0.is_none_or(|last| *between > last) && !between.is_optional()
        };
        if Kind::ALL.iter().any(skipped) {
            return Err("comes too early");
        }
        if kind.is_single() && records != 1 {
            return Err("does not hold exactly one record");
        }
        self.0 = Some(kind);
        Ok(())
    }

    /// Whether the end was there.
    pub(crate) fn is_complete(self) -> bool {
        self.0 == Some(Kind::End)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepts(kinds: &[Kind]) -> bool {
        let mut order = Order::default();
        kinds.iter().all(|&kind| order.next(kind, 1).is_ok()) && order.is_complete()
    }

    #[test]
    fn every_kind_is_found_by_its_number() {
        for kind in Kind::ALL {
            let number = u16::try_from(kind.number()).expect("it fits its field");
            assert_eq!(Kind::from_number(number), Some(kind));
        }
        assert_eq!(Kind::from_number(0), None);
        assert_eq!(Kind::from_number(13), None);
    }

    #[test]
    fn each_kind_has_its_place() {
        assert!(accepts(&Kind::ALL));
        for index in 0..Kind::ALL.len() {
            let mut without = Kind::ALL.to_vec();
            let kind = without.remove(index);
            assert_eq!(accepts(&without), kind.is_optional(), "without {kind}");

            let mut twice = Kind::ALL.to_vec();
            twice.insert(index, kind);
            assert_eq!(accepts(&twice), !kind.is_single(), "{kind} twice");

            let mut swapped = Kind::ALL.to_vec();
            if index > 0 {
                swapped.swap(index - 1, index);
                assert!(!accepts(&swapped), "{kind} too early");
            }
        }
    }

    #[test]
    fn single_records_are_single() {
        assert!(Order::default().next(Kind::Status, 0).is_err());
        assert!(Order::default().next(Kind::Status, 2).is_err());
    }
}
