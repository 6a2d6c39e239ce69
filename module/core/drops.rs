// SPDX-License-Identifier: GPL-2.0-only OR MIT OR Apache-2.0

//! Which of the kernel's drops are losses and which are discards.
//!
//! `kfree_skb` reports every packet that is freed without having been consumed. For some of them no
//! receiver misses anything: a duplicate, a frame for another host, what a closing socket left in
//! its queue. These are discards; everything else is a loss, and so is a reason that has no name or
//! a name that is not in [`DISCARDS`]. `docs/drops.md` is the table for people.
//!
//! Reasons are recognised by name, because their numbers differ between kernels.

use crate::abi::MUTEX_DROP_NAME_SIZE;
use crate::parse::protocol;

/// Reasons by which the kernel's own core tells drops apart; those of its subsystems come after.
pub const REASONS: usize = 256;

/// The names of the reasons whose drops are discards.
pub const DISCARDS: [&str; 10] = [
    // A frame for another host, seen because the interface is promiscuous or a bridge floods it.
    "OTHERHOST",
    "IPV6_NDISC_NS_OTHERHOST",
    // TCP had received all of the segment before.
    "TCP_OLD_DATA",
    "TCP_OLD_SEQUENCE",
    "TCP_OFOMERGE",
    "TCP_OFO_DROP",
    // A pure acknowledgement that arrived after a later one.
    "TCP_RFC7323_PAWS_ACK",
    // The fragment had arrived before.
    "DUP_FRAG",
    // A closing socket frees what its program did not read.
    "QUEUE_PURGE",
    "SOCKET_CLOSE",
];

/// The name of the reason for a packet that no socket is there for.
const NO_SOCKET: &str = "NO_SOCKET";

/// How drops for a reason are classified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Loss,
    Discard,
    /// Of ICMP a discard: the ICMP layer frees an echo reply so after the raw sockets that asked
    /// for it have their own copies. Of all other protocols a loss.
    DiscardOfIcmp,
}

fn class_of(name: &[u8]) -> Class {
    if DISCARDS.iter().any(|discard| discard.as_bytes() == name) {
        Class::Discard
    } else if name == NO_SOCKET.as_bytes() {
        Class::DiscardOfIcmp
    } else {
        Class::Loss
    }
}

/// The classification of the reasons of the running kernel, by their numbers.
#[derive(Clone, Debug, Default)]
pub struct Classes {
    discards: [u64; REASONS / 64],
    /// The number of [`NO_SOCKET`].
    no_socket: Option<u32>,
}

impl Classes {
    /// Asks `name` for the names of all reasons, zero-terminated; zeros where there is none.
    pub fn new(name: impl Fn(u32) -> [u8; MUTEX_DROP_NAME_SIZE as usize]) -> Self {
        let mut classes = Classes::default();
        for reason in 0..REASONS as u32 {
            let name = name(reason);
            let name = name.split(|&byte| byte == 0).next().unwrap_or_default();
            match class_of(name) {
                Class::Loss => {}
                Class::Discard => {
                    if let Some(word) = classes.discards.get_mut(reason as usize / 64) {
                        *word |= 1 << (reason % 64);
                    }
                }
                Class::DiscardOfIcmp => classes.no_socket = Some(reason),
            }
        }
        classes
    }

    /// Whether the drop of a packet of that protocol, if it is known, is a discard.
    pub fn is_discard(&self, reason: u32, protocol: Option<u8>) -> bool {
        if self.no_socket == Some(reason) {
            return matches!(protocol, Some(protocol::ICMP | protocol::ICMPV6));
        }
        let word = self.discards.get(reason as usize / 64);
        word.is_some_and(|word| word & 1 << (reason % 64) != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(names: &[(u32, &str)]) -> Classes {
        Classes::new(|reason| {
            let mut room = [0; MUTEX_DROP_NAME_SIZE as usize];
            if let Some((_, name)) = names.iter().find(|(number, _)| *number == reason) {
                room[..name.len()].copy_from_slice(name.as_bytes());
            }
            room
        })
    }

    #[test]
    fn reasons_are_classified_by_name_whatever_their_numbers() {
        for shift in [0, 60, 200] {
            let classes = named(&[
                (2 + shift, "NOT_SPECIFIED"),
                (3 + shift, "NO_SOCKET"),
                (4 + shift, "QUEUE_PURGE"),
                (5 + shift, "TCP_OLD_DATA"),
                (6 + shift, "TCP_OLD_DATA_TOO"),
                (7 + shift, "NETFILTER_DROP"),
                (55 + shift, "DUP_FRAG"),
            ]);
            for reason in 0..300u32 {
                let expected = [4, 5, 55].contains(&reason.wrapping_sub(shift));
                assert_eq!(classes.is_discard(reason, Some(protocol::TCP)), expected, "{reason}");
            }
        }
    }

    #[test]
    fn unknown_reasons_are_losses() {
        let classes = named(&[]);
        for reason in [0, 1, 63, 64, 255, 256, 1 << 16, u32::MAX] {
            assert!(!classes.is_discard(reason, None));
        }
    }

    #[test]
    fn no_socket_is_a_discard_of_icmp_only() {
        let classes = named(&[(3, "NO_SOCKET")]);
        assert!(classes.is_discard(3, Some(protocol::ICMP)));
        assert!(classes.is_discard(3, Some(protocol::ICMPV6)));
        assert!(!classes.is_discard(3, Some(protocol::UDP)));
        assert!(!classes.is_discard(3, Some(protocol::TCP)));
        assert!(!classes.is_discard(3, None));
    }
}
