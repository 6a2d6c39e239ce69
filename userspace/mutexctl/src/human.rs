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

/// [`size`] as one word, for tables: `1.4MiB`.
pub fn short_size(bytes: u64) -> String {
    size(bytes).replace(' ', "")
}

/// A short time as one word, in the largest unit that leaves at least one of it: `1.4ms`. Rounded.
pub fn short_duration(ns: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "us")];

    // What would be rounded to 1000 of a unit is one of the next.
    let unit = UNITS.into_iter().find(|(size, _)| ns >= size - size / 20_000);
    let Some((size, unit)) = unit else { return format!("{ns}ns") };
    let (ns, size) = (u128::from(ns), u128::from(size));
    let tenths = (ns * 10 + size / 2) / size;
    format!("{}.{}{unit}", tenths / 10, tenths % 10)
}

/// A number of 10000 as a percentage: `1.25%`. Exact.
pub fn of_10000(number: u64) -> String {
    format!("{}.{:02}%", number / 100, number % 100)
}

/// A moment in UTC as RFC 3339 has it, to the second: `2026-01-31T23:59:59Z`.
pub fn moment(unix_ns: u64) -> String {
    let seconds = unix_ns / 1_000_000_000;
    let (days, second) = (seconds / 86400, seconds % 86400);
    // Years that begin in March, in periods of 400 that are all equally long, so that the day that
    // not every year has is the last one.
    let day = days + 719_468;
    let (period, day) = (day / 146_097, day % 146_097);
    let year = (day - day / 1460 + day / 36524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (year, month) = if month < 10 { (year, month + 3) } else { (year + 1, month - 9) };
    let year = period * 400 + year;
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// A duration in its two largest units: `2 d 3 h`. Rounded down; below a second, rounded to tenths
/// of its unit.
pub fn duration(ns: u64) -> String {
    const UNITS: [(u64, &str); 4] = [(86400, "d"), (3600, "h"), (60, "min"), (1, "s")];

    if (1..1_000_000_000).contains(&ns) {
        let short = short_duration(ns);
        let unit = short.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(short.len());
        let (number, unit) = short.split_at(unit);
        return format!("{number} {unit}");
    }
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
            [(1, "1 s"), (59, "59 s"), (61, "1 min 1 s"), (3600, "1 h 0 min"), (90_000, "1 d 1 h")]
        {
            assert_eq!(duration(seconds * 1_000_000_000 + 999), text);
        }
        for (ns, text, short) in [
            (0, "0 s", "0ns"),
            (999, "999 ns", "999ns"),
            (1_000, "1.0 us", "1.0us"),
            (12_345, "12.3 us", "12.3us"),
            (999_949, "999.9 us", "999.9us"),
            (999_950, "1.0 ms", "1.0ms"),
            (1_500_000, "1.5 ms", "1.5ms"),
            (999_999_999, "1.0 s", "1.0s"),
        ] {
            assert_eq!((duration(ns).as_str(), short_duration(ns).as_str()), (text, short), "{ns}");
        }
        assert_eq!(short_duration(90_000_000_000), "90.0s");
    }

    #[test]
    fn moments() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_800, "2000-03-01T00:00:00Z"),
            (1_798_761_599, "2026-12-31T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (18_446_744_073, "2554-07-21T23:34:33Z"),
        ] {
            assert_eq!(moment(seconds * 1_000_000_000), text);
        }
    }

    #[test]
    fn parts_of_10000() {
        for (number, text) in [(0, "0.00%"), (7, "0.07%"), (125, "1.25%"), (10_000, "100.00%")] {
            assert_eq!(of_10000(number), text);
        }
    }
}
