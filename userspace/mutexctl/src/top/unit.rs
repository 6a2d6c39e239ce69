// SPDX-License-Identifier: MIT OR Apache-2.0

//! Bytes or bits.

use crate::human;

/// What traffic is shown in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unit {
    #[default]
    Bytes,
    Bits,
}

impl Unit {
    pub fn name(self) -> &'static str {
        match self {
            Unit::Bytes => "bytes",
            Unit::Bits => "bits",
        }
    }

    pub fn other(self) -> Self {
        match self {
            Unit::Bytes => Unit::Bits,
            Unit::Bits => Unit::Bytes,
        }
    }

    /// So many bytes as one word: `1.4MiB` or `11.7Mb`. Rounded.
    pub fn short(self, bytes: u64) -> String {
        match self {
            Unit::Bytes => human::short_size(bytes),
            Unit::Bits => bits(u128::from(bytes) * 8),
        }
    }

    /// So many bytes exactly.
    pub fn exact(self, bytes: u64) -> String {
        match self {
            Unit::Bytes => bytes.to_string(),
            Unit::Bits => (u128::from(bytes) * 8).to_string(),
        }
    }
}

/// In powers of 1000, as links are measured.
fn bits(bits: u128) -> String {
    const UNITS: [&str; 7] = ["kb", "Mb", "Gb", "Tb", "Pb", "Eb", "Zb"];

    // What would be rounded to 1000 of a unit is one of the next.
    let mut size = 1000;
    for unit in UNITS {
        if bits < 1000 {
            break;
        }
        let tenths = (bits * 10 + size / 2) / size;
        if tenths < 10_000 {
            return format!("{}.{}{unit}", tenths / 10, tenths % 10);
        }
        size *= 1000;
    }
    format!("{bits}b")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_and_bits() {
        for (bytes, as_bytes, as_bits) in [
            (0, "0B", "0b"),
            (124, "124B", "992b"),
            (125, "125B", "1.0kb"),
            (124_993, "122.1KiB", "999.9kb"),
            (124_994, "122.1KiB", "1.0Mb"),
            (u64::MAX, "16.0EiB", "147.6Eb"),
        ] {
            assert_eq!(Unit::Bytes.short(bytes), as_bytes);
            assert_eq!(Unit::Bits.short(bytes), as_bits);
        }
        assert_eq!(Unit::Bits.exact(u64::MAX), "147573952589676412920");
    }
}
