// SPDX-License-Identifier: GPL-2.0-only OR MIT OR Apache-2.0

//! Which of the kernel's drops are losses and which are discards.
//!
//! `kfree_skb` reports every packet that is freed without having been consumed. For some of them no
//! receiver misses anything: a duplicate, a frame for another host, what a closing socket left in
//! its queue. These are discards; everything else is a loss, and so is a reason that has no name or
//! a name that is not in [`DISCARDS`]. Of three reasons the packet itself decides, see [`Known`].
//! `docs/drops.md` is the table for people.
//!
//! Reasons are recognised by name, because their numbers differ between kernels.

use crate::abi::MUTEX_DROP_NAME_SIZE;
use crate::parse::protocol;
use crate::parse::tcp_flag;
use crate::parse::Family;
use crate::parse::Packet;
use crate::parse::Signal;
use crate::state::State;

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

/// The name of the reason for a packet of which the kernel does not say why.
const NOT_SPECIFIED: &str = "NOT_SPECIFIED";

/// The name of the reason for a segment whose timestamp is older than the last one. Kernels without
/// `TCP_RFC7323_PAWS_ACK` use it for pure acknowledgements that arrived after a later one, too.
const PAWS: &str = "TCP_RFC7323_PAWS";

/// What is known of a dropped packet besides its reason.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// IPv4 or IPv6.
    pub family: Family,
    /// The packet from its IP header on, or the start of it; may be empty.
    pub bytes: &'a [u8],
    /// Its protocol, if there is that much of it.
    pub protocol: Option<u8>,
    /// Whether it came in by an interface.
    pub received: bool,
    /// The state of its connection, if it is one that ends here.
    pub state: Option<State>,
}

impl Known<'_> {
    /// Whether it came for a group. The kernel frees without a reason what is for a group that
    /// nothing on this host has joined, or that no socket listens to.
    fn is_for_group(&self) -> bool {
        self.received
            && match self.family {
                Family::V4 => match self.bytes.get(16..20) {
                    Some(&[255, 255, 255, 255]) => true,
                    Some(&[first, ..]) => first & 0xf0 == 0xe0,
                    _ => false,
                },
                Family::V6 => self.bytes.get(24) == Some(&0xff),
            }
    }

    /// Whether it is a TCP segment without data for a connection that waits for its end. The kernel
    /// frees without a reason what a TIME_WAIT socket has answered: the other end's FIN above all.
    fn is_for_time_wait(&self) -> bool {
        matches!(self.state, Some(State::TimeWait | State::FinWait2))
            && self.is_received_without_data(tcp_flag::SYN)
    }

    /// Whether it is a received TCP segment that has no data and none of those flags.
    fn is_received_without_data(&self, flags_without: u8) -> bool {
        if !self.received {
            return false;
        }
        let word = |at: usize| match self.bytes.get(at..at + 2) {
            Some(&[high, low]) => Some(u32::from(u16::from_be_bytes([high, low]))),
            _ => None,
        };
        let length = match self.family {
            Family::V4 => word(2),
            Family::V6 => word(4).map(|payload| payload + 40),
        };
        let Some(length) = length else {
            return false;
        };
        let mut packet = Packet::unread(self.family);
        packet.read(self.bytes, length).is_ok()
            && matches!(packet.signal, Signal::Tcp { flags, .. } if flags & flags_without == 0)
            && length <= packet.headers()
    }
}

/// How drops for a reason are classified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Loss,
    Discard,
    /// Of ICMP a discard: the ICMP layer frees an echo reply so after the raw sockets that asked
    /// for it have their own copies. Of all other protocols a loss.
    DiscardOfIcmp,
    /// Of pure TCP acknowledgements a discard, of all other segments a loss.
    DiscardOfAcknowledgement,
    /// A discard where the packet itself says why nobody misses it, else a loss.
    AsThePacketSays,
}

fn class_of(name: &[u8]) -> Class {
    if DISCARDS.iter().any(|discard| discard.as_bytes() == name) {
        Class::Discard
    } else if name == NO_SOCKET.as_bytes() {
        Class::DiscardOfIcmp
    } else if name == PAWS.as_bytes() {
        Class::DiscardOfAcknowledgement
    } else if name == NOT_SPECIFIED.as_bytes() {
        Class::AsThePacketSays
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
    /// The number of [`PAWS`].
    paws: Option<u32>,
    /// The number of [`NOT_SPECIFIED`].
    not_specified: Option<u32>,
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
                Class::DiscardOfAcknowledgement => classes.paws = Some(reason),
                Class::DiscardOfIcmp => classes.no_socket = Some(reason),
                Class::AsThePacketSays => classes.not_specified = Some(reason),
            }
        }
        classes
    }

    /// Whether the drop of that packet is a discard.
    pub fn is_discard(&self, reason: u32, packet: &Known<'_>) -> bool {
        if self.no_socket == Some(reason) {
            return matches!(packet.protocol, Some(protocol::ICMP | protocol::ICMPV6));
        }
        if self.paws == Some(reason) {
            return packet.is_received_without_data(tcp_flag::SYN | tcp_flag::FIN);
        }
        if self.not_specified == Some(reason) {
            return packet.is_for_group() || packet.is_for_time_wait();
        }
        let word = self.discards.get(reason as usize / 64);
        word.is_some_and(|word| word & (1 << (reason % 64)) != 0)
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

    fn of(protocol: Option<u8>) -> Known<'static> {
        Known { family: Family::V4, bytes: &[], protocol, received: true, state: None }
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
                assert_eq!(
                    classes.is_discard(reason, &of(Some(protocol::TCP))),
                    expected,
                    "{reason}"
                );
            }
        }
    }

    #[test]
    fn unknown_reasons_are_losses() {
        let classes = named(&[]);
        for reason in [0, 1, 63, 64, 255, 256, 1 << 16, u32::MAX] {
            assert!(!classes.is_discard(reason, &of(None)));
        }
    }

    #[test]
    fn no_socket_is_a_discard_of_icmp_only() {
        let classes = named(&[(3, "NO_SOCKET")]);
        let is_discard = |protocol| classes.is_discard(3, &of(protocol));
        assert!(is_discard(Some(protocol::ICMP)) && is_discard(Some(protocol::ICMPV6)));
        assert!(!is_discard(Some(protocol::UDP)) && !is_discard(Some(protocol::TCP)));
        assert!(!is_discard(None));
    }

    #[test]
    fn a_late_acknowledgement_is_a_discard_and_late_data_is_a_loss() {
        let classes = named(&[(9, "TCP_RFC7323_PAWS")]);
        let mut bytes = [0; 41];
        (bytes[0], bytes[3], bytes[9], bytes[32], bytes[33]) = (0x45, 40, 6, 0x50, 0x10);
        let is_discard = |bytes: &[u8]| {
            let protocol = Some(protocol::TCP);
            classes.is_discard(9, &Known { bytes, state: Some(State::Established), ..of(protocol) })
        };
        assert!(is_discard(&bytes));
        bytes[33] = 0x11;
        assert!(!is_discard(&bytes), "a FIN");
        (bytes[3], bytes[33]) = (41, 0x18);
        assert!(!is_discard(&bytes), "data");
        assert!(!is_discard(&[]));
    }

    #[test]
    fn without_a_reason_the_packet_says_what_it_is() {
        let classes = named(&[(2, "NOT_SPECIFIED")]);
        // A FIN and ACK without data, to 10.0.0.2.
        let mut bytes = [0; 41];
        (bytes[0], bytes[3], bytes[9], bytes[32], bytes[33]) = (0x45, 40, 6, 0x50, 0x11);
        bytes[16..20].copy_from_slice(&[10, 0, 0, 2]);
        let is_discard = |bytes: &[u8], state, received| {
            let protocol = Some(protocol::TCP);
            let family = Family::V4;
            classes.is_discard(2, &Known { family, bytes, protocol, received, state })
        };
        assert!(is_discard(&bytes, Some(State::TimeWait), true));
        assert!(is_discard(&bytes, Some(State::FinWait2), true));
        // Of no closing connection, or not received, or cut short, or with data, or a SYN.
        assert!(!is_discard(&bytes, Some(State::Established), true));
        assert!(!is_discard(&bytes, None, true));
        assert!(!is_discard(&bytes, Some(State::TimeWait), false));
        assert!(!is_discard(&bytes[..30], Some(State::TimeWait), true));
        bytes[3] = 41;
        assert!(!is_discard(&bytes, Some(State::TimeWait), true));
        (bytes[3], bytes[33]) = (40, 0x02);
        assert!(!is_discard(&bytes, Some(State::TimeWait), true));
        // Groups, of both families.
        for group in [[224, 0, 0, 251], [239, 255, 255, 250], [255, 255, 255, 255]] {
            bytes[16..20].copy_from_slice(&group);
            assert!(is_discard(&bytes, None, true) && !is_discard(&bytes, None, false));
        }
        let mut six = [0; 40];
        let is_discard =
            |bytes: &[u8]| classes.is_discard(2, &Known { family: Family::V6, bytes, ..of(None) });
        assert!(!is_discard(&six) && !is_discard(&[]));
        six[24] = 0xff;
        assert!(is_discard(&six));
    }
}
