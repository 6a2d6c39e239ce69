// SPDX-License-Identifier: MIT OR Apache-2.0

//! Numbers for reading. The exact ones are always beside them.

/// Bytes in the largest unit that leaves at least one of it: `1.4 MiB`. Rounded.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

    let mut scale = 1u64;
    let mut unit = "B";
    for larger in UNITS {
        if bytes / scale < 1024 {
            break;
        }
        scale = scale.saturating_mul(1024);
        unit = larger;
    }
    if scale == 1 {
        return format!("{bytes} B");
    }
    // In tenths and in 128 bits, so that nothing is lost but what rounding loses.
    let scale = u128::from(scale);
    let tenths = (u128::from(bytes) * 10 + scale / 2) / scale;
    format!("{}.{} {unit}", tenths / 10, tenths % 10)
}

/// A duration in its two largest units: `2 d 3 h`. Rounded down.
pub fn duration(ns: u64) -> String {
    const UNITS: [(u64, &str); 4] = [(86400, "d"), (3600, "h"), (60, "min"), (1, "s")];

    let seconds = ns / 1_000_000_000;
    let first = UNITS.iter().position(|(size, _)| seconds >= *size).unwrap_or(UNITS.len() - 1);
    let mut rest = seconds;
    let parts = UNITS.iter().skip(first).take(2).map(|(size, unit)| {
        let count = rest / size;
        rest %= size;
        format!("{count} {unit}")
    });
    parts.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1536, "1.5 KiB"),
            (1 << 30, "1.0 GiB"),
            (u64::MAX, "16.0 EiB"),
        ] {
            assert_eq!(size(bytes), text);
        }
    }

    #[test]
    fn durations() {
        for (seconds, text) in
            [(0, "0 s"), (59, "59 s"), (61, "1 min 1 s"), (3600, "1 h 0 min"), (90_000, "1 d 1 h")]
        {
            assert_eq!(duration(seconds * 1_000_000_000 + 999), text);
        }
    }
}
