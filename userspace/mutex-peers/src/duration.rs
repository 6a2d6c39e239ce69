// SPDX-License-Identifier: MIT OR Apache-2.0

//! Durations in settings: a number with a unit, or several, as `90s`, `1m` or `1h30m`.

use std::fmt::Write;
use std::time::Duration;

use serde::Deserialize;
use serde::Deserializer;
use serde::Serializer;
use serde::de::Error as _;

/// Units from the largest to the smallest, in milliseconds.
const UNITS: [(&str, u64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

/// Understands a duration, `None` if the text is none.
fn parse(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    let mut sum = 0_u64;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: u64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let letters = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
        let (_, unit) = UNITS.iter().find(|(name, _)| *name == &rest[..letters])?;
        sum = sum.checked_add(number.checked_mul(*unit)?)?;
        rest = rest[letters..].trim_start();
    }
    Some(Duration::from_millis(sum))
}

/// The duration as settings have it; what is below a millisecond is lost.
fn format(duration: Duration) -> String {
    let mut rest = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let mut text = String::new();
    for (name, unit) in UNITS {
        if rest >= unit {
            let _ = write!(text, "{}{name}", rest / unit);
            rest %= unit;
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

/// For `#[serde(with = "…")]`.
pub(crate) fn serialize<S: Serializer>(
    duration: &Duration,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&format(*duration))
}

/// For `#[serde(with = "…")]`.
pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse(&text).ok_or_else(|| {
        D::Error::custom(format!("'{text}' is no duration: write 500ms, 90s, 1m, 1h30m or 7d"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_numbers_with_units() {
        for (text, milliseconds) in
            [("90s", 90_000), ("1m", 60_000), ("1h30m", 5_400_000), ("7d", 604_800_000), ("5ms", 5)]
        {
            let duration = parse(text).unwrap();
            assert_eq!(duration, Duration::from_millis(milliseconds), "{text}");
            assert_eq!(parse(&format(duration)), Some(duration), "{text}");
        }
        for wrong in
            ["", "1", "s", "1x", "-1s", "1.5s", "99999999999999999999s", "9999999999999999d"]
        {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
        assert_eq!(format(Duration::ZERO), "0s");
    }
}
