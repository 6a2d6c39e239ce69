// SPDX-License-Identifier: MIT OR Apache-2.0

//! Which of the two formats of metrics somebody wants (RFC 9110, section 12.5.1).

use mutex_stats::formats::Exposition;

/// What a range of media types is worth, by how well it fits: the closest fit decides.
#[derive(Clone, Copy, Debug, Default)]
struct Worth {
    closeness: u8,
    /// In thousandths.
    quality: u16,
}

/// The format with the highest worth. Prometheus' own where both are worth the same, and where neither is wanted:
/// whoever asks for metrics with something strange gets those that everything reads.
pub fn exposition(accept: &str) -> Exposition {
    let (mut prometheus, mut open) = (Worth::default(), Worth::default());
    for range in accept.split(',') {
        let mut words = range.split(';').map(str::trim);
        let name = words.next().unwrap_or_default().to_ascii_lowercase();
        let (mut quality, mut version) = (1000, None);
        for (key, value) in words.filter_map(|word| word.split_once('=')) {
            let value = value.trim().trim_matches('"');
            match key.trim().to_ascii_lowercase().as_str() {
                "q" => quality = thousandths(value),
                "version" => version = Some(value),
                _ => {}
            }
        }
        let takes = |worth: &mut Worth, kind, subtype, our_version| {
            let closeness = match name.split_once('/') {
                Some((k, s)) if k == kind && s == subtype => match version {
                    None => 3,
                    Some(version) if version == our_version => 4,
                    Some(_) => return,
                },
                Some((k, "*")) if k == kind => 2,
                Some(("*", "*")) => 1,
                _ => return,
            };
            if closeness > worth.closeness {
                *worth = Worth { closeness, quality };
            }
        };
        takes(&mut prometheus, "text", "plain", "0.0.4");
        takes(&mut open, "application", "openmetrics-text", "1.0.0");
    }
    if open.quality > prometheus.quality { Exposition::OpenMetrics } else { Exposition::Prometheus }
}

/// A weight: 0 to 1 with up to three digits behind the point. What is none counts as the least that is wanted.
fn thousandths(text: &str) -> u16 {
    let (whole, digits) = text.split_once('.').unwrap_or((text, ""));
    let is_right = digits.len() <= 3 && digits.bytes().all(|byte| byte.is_ascii_digit());
    match (whole, is_right) {
        ("0", true) => format!("{digits:0<3}").parse().unwrap_or(1),
        ("1", true) => 1000,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_worth_wins() {
        use Exposition::OpenMetrics;
        use Exposition::Prometheus;

        for (accept, expected) in [
            ("", Prometheus),
            ("*/*", Prometheus),
            ("text/html,application/xhtml+xml,*/*;q=0.8", Prometheus),
            ("application/openmetrics-text", OpenMetrics),
            ("application/openmetrics-text; version=1.0.0", OpenMetrics),
            ("Application/OpenMetrics-Text; Version=\"1.0.0\"", OpenMetrics),
            // A version that there is not.
            ("application/openmetrics-text;version=0.0.1", Prometheus),
            ("application/*", OpenMetrics),
            ("application/openmetrics-text;q=0.5, text/plain;q=0.7", Prometheus),
            ("application/openmetrics-text;q=0.7, text/plain;q=0.5", OpenMetrics),
            ("application/openmetrics-text;q=0.75, text/plain;q=0.751", Prometheus),
            ("application/openmetrics-text;q=1.000, text/plain;q=0.999", OpenMetrics),
            // The closest range decides, not the last or the most valuable.
            ("text/plain;q=0.1, */*;q=1, application/openmetrics-text;q=0.2", OpenMetrics),
            ("*/*, application/openmetrics-text;q=0", Prometheus),
            ("text/plain;q=0, */*", OpenMetrics),
            ("text/plain;q=0, application/openmetrics-text;q=0", Prometheus),
            // What Prometheus 2.53 and 3 send.
            (
                "application/openmetrics-text;version=1.0.0;q=0.5,\
                 application/openmetrics-text;version=0.0.1;q=0.4,\
                 text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
                OpenMetrics,
            ),
            (
                "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,\
                 application/openmetrics-text;version=0.0.1;q=0.4,\
                 text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,\
                 text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
                OpenMetrics,
            ),
            ("application/vnd.google.protobuf;q=0.7,text/plain;version=0.0.4;q=0.3", Prometheus),
        ] {
            assert_eq!(exposition(accept), expected, "{accept}");
        }
    }

    #[test]
    fn weights_are_read_as_they_are_written() {
        for (text, expected) in
            [("1", 1000), ("0", 0), ("0.5", 500), ("0.05", 50), ("0.005", 5), ("1.0", 1000)]
        {
            assert_eq!(thousandths(text), expected, "{text}");
        }
        for text in ["", "2", "-1", "0.0005", "a", "0.a", "1e9"] {
            assert_eq!(thousandths(text), 1, "{text}");
        }
    }
}
