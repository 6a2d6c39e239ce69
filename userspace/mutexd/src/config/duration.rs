// SPDX-License-Identifier: MIT OR Apache-2.0

//! Durations as `500ms`, `10s`, `5m`, `24h`, `7d`.

use std::time::Duration;

use serde::Deserialize;
use serde::Deserializer;
use serde::Serializer;
use serde::de::Error;

/// Units, the largest first, in milliseconds.
const UNITS: [(&str, u64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

pub fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(input)?;
    parse(&text).ok_or_else(|| {
        D::Error::custom(format!(
            "\"{text}\" is no duration; write a whole number and a unit: ms, s, m, h or d, such as \
             \"10s\""
        ))
    })
}

pub fn serialize<S: Serializer>(duration: &Duration, output: S) -> Result<S::Ok, S::Error> {
    output.serialize_str(&shown(*duration))
}

fn parse(text: &str) -> Option<Duration> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let (_, factor) = UNITS.iter().find(|(name, _)| *name == unit.trim_start())?;
    Some(Duration::from_millis(number.parse::<u64>().ok()?.checked_mul(*factor)?))
}

/// In the largest unit that keeps it whole.
pub fn shown(duration: Duration) -> String {
    let milliseconds = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let fits = |(_, factor): &&(&str, u64)| milliseconds % factor == 0;
    let (name, factor) = UNITS.iter().find(fits).unwrap_or(&UNITS[4]);
    match milliseconds {
        0 => "0s".into(),
        _ => format!("{}{name}", milliseconds / factor),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_understood() {
        for (text, milliseconds) in
            [("500ms", 500), ("90s", 90_000), ("1m", 60_000), ("24h", 86_400_000), ("0s", 0)]
        {
            assert_eq!(parse(text), Some(Duration::from_millis(milliseconds)), "{text}");
        }
        for text in ["500ms", "90s", "1m", "1d", "0s"] {
            assert_eq!(shown(parse(text).expect("it is one")), text);
        }
        for text in ["", "5", "s", "-1s", "1.5s", "5 weeks", "99999999999999999999s"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
