// SPDX-License-Identifier: MIT OR Apache-2.0

//! Numbers for reading. The exact ones are always beside them.

use std::time::Duration;

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

/// [`moment`] to the millisecond.
pub fn moment_ms(unix_ns: u64) -> String {
    let ms = unix_ns / 1_000_000 % 1000;
    moment(unix_ns).replace('Z', &format!(".{ms:03}Z"))
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

/// Reads a moment: `2026-01-31T23:59:59Z` as [`moment`] has it (with or without its `Z`, its time, or
/// parts of a second), or seconds since 1970; in nanoseconds of Unix time.
pub fn parse_moment(text: &str) -> Result<u64, String> {
    parse_date(text).or_else(|| parse_seconds(text)).ok_or_else(|| {
        "expected is UTC such as 2026-01-31T23:59:59Z, or seconds since 1970".to_owned()
    })
}

/// A number of seconds with up to nine digits after the point, in nanoseconds.
fn parse_seconds(text: &str) -> Option<u64> {
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !is_number(whole) || !is_number(part) || part.len() > 9 {
        return None;
    }
    let ns = format!("{part:0<9}").parse::<u64>().ok()?;
    whole.parse::<u64>().ok()?.checked_mul(1_000_000_000)?.checked_add(ns)
}

fn parse_date(text: &str) -> Option<u64> {
    let text = text.strip_suffix('Z').unwrap_or(text);
    let (date, time) = text.split_once(['T', ' ']).unwrap_or((text, "00:00:00"));
    let number = |text: &str, from: u64, to: u64| {
        let number = text.parse().ok().filter(|_| text.bytes().all(|b| b.is_ascii_digit()))?;
        (from..=to).contains(&number).then_some(number)
    };
    let mut date = date.splitn(3, '-');
    let year = number(date.next()?, 1970, 2553)?;
    let month = number(date.next()?, 1, 12)?;
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        2 if is_leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    let day = number(date.next()?, 1, length)?;
    let mut time = time.splitn(3, ':');
    let hour = number(time.next()?, 0, 23)?;
    let minute = number(time.next()?, 0, 59)?;
    let second = time.next().unwrap_or("0");
    number(second.split('.').next()?, 0, 59)?;
    // As in `moment`: years that begin in March.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1;
    let seconds = (days - 719_468) * 86400 + hour * 3600 + minute * 60;
    parse_seconds(second)?.checked_add(seconds.checked_mul(1_000_000_000)?)
}

/// Reads a duration: seconds, or a number with `ms`, `s`, `min` or `m`, `h`, `d`.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let split = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let unit = match unit {
        "ms" => Some(1),
        "" | "s" => Some(1_000),
        "m" | "min" => Some(60_000),
        "h" => Some(3_600_000),
        "d" => Some(86_400_000),
        _ => None,
    };
    let ms = unit.and_then(|unit| {
        // In nanoseconds of the unit's thousandth, so that 1.5 h is exact.
        let thousandths = parse_seconds(number)?.checked_div(1_000_000)?;
        thousandths.checked_mul(unit)?.checked_div(1_000)
    });
    match ms {
        Some(ms @ 1..) => Ok(Duration::from_millis(ms)),
        _ => Err("expected is a time such as 500ms, 10s, 5min, 2h or 7d".to_owned()),
    }
}

/// Reads a size: bytes, or a number with `K`, `M`, `G` or `T`, which are powers of 1024.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let split = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let shift = match unit.trim_end_matches("iB") {
        "" => Some(0),
        "K" => Some(10),
        "M" => Some(20),
        "G" => Some(30),
        "T" => Some(40),
        _ => None,
    };
    let size = shift.and_then(|shift| number.parse::<u64>().ok()?.checked_mul(1 << shift));
    size.filter(|&size| size > 0)
        .ok_or_else(|| "expected is a size such as 500000, 64M or 2G".to_owned())
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
    fn what_is_shown_is_read_again() {
        let unix = |days: u64| (days * 86_400 + 3_723) * 1_000_000_000;
        for ns in [0, 59, 789, 19_782, 20_454, 47_000, 200_000 - 6_000].map(unix) {
            assert_eq!(parse_moment(&moment(ns)), Ok(ns), "{}", moment(ns));
        }
        let second = 1_000_000_000;
        assert_eq!(parse_moment("1970-01-02"), Ok(86_400 * second));
        assert_eq!(parse_moment("1970-01-01 00:01"), Ok(60 * second));
        assert_eq!(parse_moment("1970-01-01T00:00:00.25Z"), Ok(second / 4));
        assert_eq!(parse_moment("1.000000001"), Ok(second + 1));
        for wrong in ["", "now", "2026-02-29", "2026-13-01", "2026-01-01T24:00", "1.", "-5", "+5"] {
            assert!(parse_moment(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn durations_and_sizes_are_read() {
        for (text, ms) in
            [("5", 5_000), ("0.5", 500), ("20ms", 20), ("1.5h", 5_400_000), ("2d", 172_800_000)]
        {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for wrong in ["", "0", "s", "5x", "-1", "1e3", "99999999999999999d"] {
            assert!(parse_duration(wrong).is_err(), "{wrong}");
        }
        for (text, bytes) in [("7", 7), ("1K", 1024), ("64MiB", 64 << 20), ("2G", 2 << 30)] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for wrong in ["", "0", "K", "5X", "1.5M", "99999999999T"] {
            assert!(parse_size(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn parts_of_10000() {
        for (number, text) in [(0, "0.00%"), (7, "0.07%"), (125, "1.25%"), (10_000, "100.00%")] {
            assert_eq!(of_10000(number), text);
        }
    }
}
