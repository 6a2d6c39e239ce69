// SPDX-License-Identifier: MIT OR Apache-2.0

//! The text of `/proc/mutex/stats`.

use mutex_core::parse::Untracked as Reason;
use mutex_core::text;
use mutex_core::text::FORMAT;

use crate::Error;
use crate::Image;
use crate::Totals;

/// The host's numbers by the kernel's names, in the kernel's order.
///
/// `uptime_ns` and the like stand for themselves; `DIRECTION_COUNTER` are the host's totals,
/// `closed_DIRECTION_COUNTER` those of connections that are no longer listed, and
/// `untracked_REASON_COUNTER` what belongs to no connection, all directions together.
/// `drop_REASON` are packets that the kernel dropped, `loss_REASON` and `discard_REASON` what of
/// these was lost and what no receiver misses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stats(Vec<(String, u64)>);

impl Stats {
    /// Understands the text. Keys that this version does not know are kept.
    ///
    /// # Errors
    ///
    /// [`Error::TextVersion`] for another format, [`Error::Text`] for what is not `key value` with
    /// an integer, and for a key that comes twice.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let mut lines = text.lines().enumerate();
        check_format(lines.next().map(|(_, line)| line))?;
        if !text.ends_with('\n') {
            let what = String::from("the text ends inside it");
            return Err(Error::Text { line: text.lines().count(), what });
        }
        let mut pairs: Vec<(String, u64)> = Vec::new();
        for (index, line) in lines {
            let wrong = |what| Error::Text { line: index + 1, what };
            let (key, value) = line
                .split_once(' ')
                .ok_or_else(|| wrong(format!("`{}` has no value", shown(line))))?;
            let value = value.parse().map_err(|_| {
                wrong(format!("`{}` of `{}` is not an integer", shown(value), shown(key)))
            })?;
            if pairs.iter().any(|(other, _)| other == key) {
                return Err(wrong(format!("`{}` comes twice", shown(key))));
            }
            pairs.push((key.to_owned(), value));
        }
        Ok(Stats(pairs))
    }

    /// What the kernel's text would say of the host in an image.
    #[must_use]
    pub fn of_image(image: &Image) -> Self {
        let mut text = String::new();
        let untracked = |reason: Reason| {
            let mut sum = Totals::ZERO;
            image
                .untracked
                .iter()
                .filter(|untracked| untracked.reason == reason as u32)
                .for_each(|untracked| sum.add(&untracked.totals));
            sum
        };
        let (status, drops) = (&image.status, image.drops.iter().copied());
        let (totals, closed) = (&image.totals_after, &image.closed);
        // Writing into a string cannot fail.
        let _ = text::stats(&mut text, status, totals, closed, untracked, &image.quality, drops);
        let mut pairs: Vec<(String, u64)> = Vec::new();
        for (key, value) in text.lines().skip(1).filter_map(|line| line.split_once(' ')) {
            // Two reasons of drops can have one name.
            match pairs.iter_mut().find(|(other, _)| other == key) {
                Some((_, sum)) => *sum = sum.wrapping_add(value.parse().unwrap_or(0)),
                None => pairs.push((key.to_owned(), value.parse().unwrap_or(0))),
            }
        }
        Stats(pairs)
    }

    /// The value of `key`, `None` if the kernel does not give it.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<u64> {
        self.iter().find(|(other, _)| *other == key).map(|(_, value)| value)
    }

    /// Whether the kernel has kept the host's numbers back: they take `CAP_NET_ADMIN`, in the first
    /// network namespace. There are numbers of the module itself, and of the reader's namespace.
    #[must_use]
    pub fn is_restricted(&self) -> bool {
        self.get("restricted") == Some(1)
    }

    /// Packets that were lost: drops less discards. Older modules do not tell them apart, so all
    /// drops count.
    #[must_use]
    pub fn losses(&self) -> Option<u64> {
        self.get("losses").or_else(|| self.get("drops"))
    }

    /// Every key with its value, in the kernel's order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u64)> {
        self.0.iter().map(|(key, value)| (key.as_str(), *value))
    }
}

/// Checks the line that each of the kernel's texts starts with.
pub(crate) fn check_format(line: Option<&str>) -> Result<(), Error> {
    let line = line.unwrap_or_default();
    match line.strip_prefix("format ") {
        Some(found) if found == FORMAT.to_string() => Ok(()),
        Some(found) => Err(Error::TextVersion { found: shown(found), known: FORMAT }),
        None => Err(Error::Text { line: 1, what: format!("`{}` is no format", shown(line)) }),
    }
}

/// What is said of a text that is not as expected: not all of it, and nothing that moves a cursor.
fn shown(text: &str) -> String {
    text.chars().take(40).flat_map(char::escape_debug).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use mutex_core::counters::Traffic;
    use proptest::prelude::*;

    #[test]
    fn what_the_kernel_writes_is_understood() {
        let traffic = Traffic { packets: 1, buffers: 2, bytes: u64::MAX, payload: 4 };
        let totals = Totals { received: traffic, ..Totals::ZERO };
        let module = crate::Status { uptime_ns: 7, connection_bytes: 448, ..Default::default() };
        let mut written = String::new();
        let quality = crate::Quality { peak_in: 9, drops: 8, ..Default::default() };
        let quality = crate::HostQuality { quality, discards: 5 };
        let drops = [crate::Dropped { reason: 3, packets: 8, discards: 5, ..Default::default() }];
        text::stats(&mut written, &module, &totals, &totals, |_| totals, &quality, drops)
            .expect("a string takes everything");

        let stats = Stats::parse(&written).expect("the text is the kernel's");
        assert_eq!(stats.get("uptime_ns"), Some(7));
        assert_eq!(stats.get("connection_bytes"), Some(448));
        assert_eq!(stats.get("received_bytes"), Some(u64::MAX));
        assert_eq!(stats.get("closed_received_buffers"), Some(2));
        assert_eq!(stats.get("untracked_policy_payload"), Some(4));
        assert_eq!(stats.get("sent_bytes"), Some(0));
        assert_eq!((stats.get("peak_in"), stats.get("drop_reason_3")), (Some(9), Some(8)));
        let by_reason = ["loss_reason_3", "discard_reason_3"].map(|key| stats.get(key));
        assert_eq!(by_reason, [Some(3), Some(5)]);
        assert_eq!((stats.losses(), stats.get("discards")), (Some(3), Some(5)));
        let older = Stats::parse("format 1\ndrops 8\n").expect("it is an older module's text");
        assert_eq!(older.losses(), Some(8));
        assert_eq!(stats.get("format"), None);
        assert_eq!(stats.iter().count() + 1, written.lines().count());
    }

    #[test]
    fn what_is_wrong_is_said() {
        let error = |text| Stats::parse(text).expect_err("the text is wrong").to_string();
        assert_eq!(error(""), "line 1 is not as expected: `` is no format");
        assert_eq!(error("format 2\n"), "the text has format 2; this program reads format 1");
        assert_eq!(error("format 1\nx\n"), "line 2 is not as expected: `x` has no value");
        assert_eq!(
            error("format 1\na 1\nb -1\n"),
            "line 3 is not as expected: `-1` of `b` is not an integer"
        );
        assert_eq!(error("format 1\na 1\na 1\n"), "line 3 is not as expected: `a` comes twice");
        assert_eq!(
            error("format 1\na 1\nb 12"),
            "line 3 is not as expected: the text ends inside it"
        );
        assert_eq!(
            error("format 1\n\x1b[2J\n"),
            "line 2 is not as expected: `\\u{1b}[2J` has no value"
        );
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(text in ".*", lines in "(format 1\n)?([a-z ]{0,9} [0-9]{0,25}\n){0,5}") {
            let _ = Stats::parse(&text);
            if let Ok(stats) = Stats::parse(&lines) {
                prop_assert!(lines.starts_with("format 1\n"));
                prop_assert_eq!(stats.iter().count() + 1, lines.lines().count());
            }
        }
    }
}
