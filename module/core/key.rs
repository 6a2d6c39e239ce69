// SPDX-License-Identifier: GPL-2.0-only OR MIT OR Apache-2.0

//! What makes a connection this one and no other, and its hash.

use crate::parse::Family;

/// An IPv6 address, or an IPv4 address as `::ffff:a.b.c.d`: its octets as two words in memory.
///
/// Words, because octets that are copied one by one and then read as words stall the processor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Address(pub(crate) [u64; 2]);

impl Address {
    /// An IPv4 address.
    #[inline(always)]
    pub fn v4(octets: [u8; 4]) -> Self {
        let [a, b, c, d] = octets;
        Address([0, u64::from_ne_bytes([0, 0, 0xff, 0xff, a, b, c, d])])
    }

    /// An IPv6 address.
    #[inline(always)]
    pub fn v6(octets: [u8; 16]) -> Self {
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = octets;
        Address([
            u64::from_ne_bytes([a, b, c, d, e, f, g, h]),
            u64::from_ne_bytes([i, j, k, l, m, n, o, p]),
        ])
    }

    /// The sixteen octets, IPv4 as `::ffff:a.b.c.d`.
    pub fn octets(self) -> [u8; 16] {
        let [a, b, c, d, e, f, g, h] = self.0[0].to_ne_bytes();
        let [i, j, k, l, m, n, o, p] = self.0[1].to_ne_bytes();
        [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p]
    }

    /// Whether it is in `fe80::/10`.
    #[inline(always)]
    pub fn is_link_local(self) -> bool {
        let [a, b, ..] = self.0[0].to_ne_bytes();
        a == 0xfe && b & 0xc0 == 0x80
    }
}

/// One end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The address.
    pub address: Address,
    /// Port in host order, 0 where the protocol has none.
    pub port: u16,
}

/// A connection's identity: network namespace, protocol, local and remote endpoint, and whether
/// it passes through this host.
///
/// Six words, so that comparing and hashing take no loop over bytes: local address (2), remote
/// address (2), ports and namespace (1), protocol, family, role and scope (1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Key(pub(crate) [u64; 6]);

/// Everything that a [`Key`] is made from and can be taken apart into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyParts {
    /// Inode number of the network namespace.
    pub netns: u32,
    /// Index of the interface if an address is link-local, else of the VRF's device; see [`scope`].
    pub scope: u32,
    /// IPv4 or IPv6.
    pub family: Family,
    /// Protocol number as in the IP header.
    pub protocol: u8,
    /// Whether the connection passes through this host; `local` is then its initiator.
    pub forwarded: bool,
    /// This host's end.
    pub local: Endpoint,
    /// The other end.
    pub remote: Endpoint,
}

const FORWARDED: u64 = 1 << 16;

/// Where addresses are unique: a link-local address on one interface, another in one VRF (l3mdev; 0
/// is none). Both are indices of interfaces.
#[inline(always)]
pub fn scope(link_local: bool, interface: u32, l3mdev: u32) -> u32 {
    if link_local {
        interface
    } else {
        l3mdev
    }
}

impl Key {
    /// Packs the parts.
    #[inline(always)]
    pub fn new(parts: &KeyParts) -> Self {
        let Address([l0, l1]) = parts.local.address;
        let Address([r0, r1]) = parts.remote.address;
        Key([
            l0,
            l1,
            r0,
            r1,
            u64::from(parts.local.port)
                | (u64::from(parts.remote.port) << 16)
                | (u64::from(parts.netns) << 32),
            u64::from(parts.protocol)
                | (u64::from(parts.family.number()) << 8)
                | if parts.forwarded { FORWARDED } else { 0 }
                | (u64::from(parts.scope) << 32),
        ])
    }

    /// Unpacks the parts.
    pub fn parts(&self) -> KeyParts {
        let [l0, l1, r0, r1, ports, rest] = self.0;
        KeyParts {
            netns: (ports >> 32) as u32,
            scope: (rest >> 32) as u32,
            family: if (rest >> 8) as u8 == 6 { Family::V6 } else { Family::V4 },
            protocol: rest as u8,
            forwarded: rest & FORWARDED != 0,
            local: Endpoint { address: Address([l0, l1]), port: ports as u16 },
            remote: Endpoint { address: Address([r0, r1]), port: (ports >> 16) as u16 },
        }
    }

    /// The same connection seen from its other end.
    #[inline(always)]
    pub fn reversed(&self) -> Self {
        let [l0, l1, r0, r1, ports, rest] = self.0;
        let netns = ports & 0xffff_ffff_0000_0000;
        let swapped = netns | ((ports & 0xffff) << 16) | ((ports >> 16) & 0xffff);
        Key([r0, r1, l0, l1, swapped, rest])
    }

    /// Whether the connection passes through this host.
    #[inline(always)]
    pub fn is_forwarded(&self) -> bool {
        self.0[5] & FORWARDED != 0
    }

    /// Inode number of the network namespace.
    #[inline]
    pub fn netns(&self) -> u32 {
        (self.0[4] >> 32) as u32
    }

    /// Protocol number as in the IP header.
    #[inline]
    pub fn protocol(&self) -> u8 {
        self.0[5] as u8
    }

    /// The words in an order that both directions of a forwarded connection share, so that a
    /// reply finds the record that its request made. A local connection has one orientation only.
    #[inline(always)]
    pub(crate) fn canonical(&self) -> Self {
        if !self.is_forwarded() {
            return *self;
        }
        let reversed = self.reversed();
        if self.0 <= reversed.0 {
            *self
        } else {
            reversed
        }
    }
}

/// The secret of a table's hash: without it nobody can choose keys that collide.
#[derive(Clone, Copy)]
pub struct Secret([u64; 8]);

impl Secret {
    /// `random` has to be unpredictable, and is not to be told to anyone.
    pub const fn new(random: [u64; 8]) -> Self {
        Secret(random)
    }

    /// Hashes `N` words, `N` even and at most 6; 64 well-mixed bits.
    ///
    /// NH of UMAC (Black, Halevi, Krawczyk, Krovetz, Rogaway, CRYPTO '99): pairs of words are
    /// added to secret words and multiplied, the 128-bit products summed. For two different
    /// inputs of the same length it collides with probability 2^-64 over the secret. The sum is
    /// then folded to 64 bits by another secret multiplication.
    #[inline(always)]
    pub(crate) fn hash<const N: usize>(&self, words: &[u64; N]) -> u64 {
        const { assert!(N % 2 == 0 && N <= 6) };
        let mut sum = 0u128;
        for (pair, secret) in words.chunks_exact(2).zip(self.0.chunks_exact(2)) {
            if let ([a, b], [s, t]) = (pair, secret) {
                let product = u128::from(a.wrapping_add(*s)) * u128::from(b.wrapping_add(*t));
                sum = sum.wrapping_add(product);
            }
        }
        let folded =
            u128::from(sum as u64 ^ self.0[6]) * u128::from((sum >> 64) as u64 ^ self.0[7] | 1);
        (folded >> 64) as u64 ^ folded as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::prelude::v1::*;

    fn any_parts() -> impl Strategy<Value = KeyParts> {
        (any::<(u32, u32, bool, u8, bool)>(), any::<([u8; 16], u16)>(), any::<([u8; 16], u16)>())
            .prop_map(|((netns, scope, six, protocol, forwarded), l, r)| KeyParts {
                netns,
                scope,
                family: if six { Family::V6 } else { Family::V4 },
                protocol,
                forwarded,
                local: Endpoint { address: Address::v6(l.0), port: l.1 },
                remote: Endpoint { address: Address::v6(r.0), port: r.1 },
            })
    }

    proptest! {
        #[test]
        fn parts_survive_packing(parts in any_parts()) {
            prop_assert_eq!(Key::new(&parts).parts(), parts);
        }

        #[test]
        fn reversing_swaps_the_ends_and_nothing_else(parts in any_parts()) {
            let swapped = KeyParts { local: parts.remote, remote: parts.local, ..parts };
            prop_assert_eq!(Key::new(&parts).reversed(), Key::new(&swapped));
        }

        #[test]
        fn only_forwarded_connections_share_an_orientation(parts in any_parts()) {
            let key = Key::new(&parts);
            let same = key.canonical() == key.reversed().canonical();
            prop_assert_eq!(same, parts.forwarded || parts.local == parts.remote);
        }
    }

    #[test]
    fn a_flipped_bit_flips_half_of_the_hash() {
        let secret = Secret::new([
            0x243f_6a88_85a3_08d3,
            0x1319_8a2e_0370_7344,
            0xa409_3822_299f_31d0,
            0x082e_fa98_ec4e_6c89,
            0x4528_21e6_38d0_1377,
            0xbe54_66cf_34e9_0c6c,
            0xc0ac_29b7_c97c_50dd,
            0x3f84_d5b5_b547_0917,
        ]);
        let words = [1u64, 2, 3, 4, 5, 6];
        let base = secret.hash(&words);
        let mut flipped = 0;
        for word in 0..6 {
            for bit in 0..64 {
                let mut other = words;
                other[word] ^= 1 << bit;
                flipped += (secret.hash(&other) ^ base).count_ones();
            }
        }
        let mean = f64::from(flipped) / (6.0 * 64.0);
        assert!((24.0..40.0).contains(&mean), "{mean} bits of 64 change on average");
    }
}
