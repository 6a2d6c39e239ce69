// SPDX-License-Identifier: MIT OR Apache-2.0

//! Subjects, which say who speaks to whom.

use std::fmt::Write as _;

/// Who a message is of, and for whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Subject<'a> {
    /// The sender's name, as a word of a subject.
    pub sender: &'a str,
    /// Whether it is for one node, and not for all.
    pub is_direct: bool,
}

impl<'a> Subject<'a> {
    /// Reads a subject below `prefix`.
    pub(crate) fn parse(prefix: &str, subject: &'a str) -> Option<Self> {
        let mut words = subject.strip_prefix(prefix)?.strip_prefix('.')?.split('.');
        let sender = words.next()?;
        let is_direct = match (words.next()?, words.next()) {
            ("all", None) => false,
            ("to", Some(_)) => true,
            _ => return None,
        };
        words.next().is_none().then_some(Subject { sender, is_direct })
    }

    /// Whether a node of that name is the sender.
    pub(crate) fn is_of(&self, node: &str) -> bool {
        self.sender == token(node)
    }
}

/// Where a node speaks to all.
pub(crate) fn to_all(prefix: &str, node: &str) -> String {
    format!("{prefix}.{}.all", token(node))
}

/// Where a node speaks to another one.
pub(crate) fn to_one(prefix: &str, node: &str, other: &str) -> String {
    format!("{prefix}.{}.to.{}", token(node), token(other))
}

/// Where a node listens: what all say to all, and what all say to it.
pub(crate) fn subscriptions(prefix: &str, node: &str) -> [String; 2] {
    [format!("{prefix}.*.all"), format!("{prefix}.*.to.{}", token(node))]
}

/// A name as a word of a subject: letters, digits, `-` and `_` are themselves, every other byte is `=` and two hexadecimal
/// digits. Different names have different words.
pub(crate) fn token(name: &str) -> String {
    name.bytes().fold(String::new(), |mut token, byte| {
        if byte.is_ascii_alphanumeric() || b"-_".contains(&byte) {
            token.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(token, "={byte:02X}");
        }
        token
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_words_of_subjects_and_different_ones_stay_different() {
        for (name, word) in [
            ("web-1_a", "web-1_a"),
            ("web1.example.com", "web1=2Eexample=2Ecom"),
            ("a=2Eb", "a=3D2Eb"),
            ("*", "=2A"),
            (">", "=3E"),
            ("a b", "a=20b"),
            ("\u{fc}", "=C3=BC"),
        ] {
            assert_eq!(token(name), word);
        }
    }

    #[test]
    fn subjects_say_who_speaks() {
        fn parse(subject: &str) -> Option<Subject<'_>> {
            Subject::parse("mutex.peers", subject)
        }
        let of = |sender, is_direct| Some(Subject { sender, is_direct });
        assert_eq!(parse(&to_all("mutex.peers", "a.b")), of("a=2Eb", false));
        assert_eq!(parse(&to_one("mutex.peers", "a", "b")), of("a", true));
        for wrong in [
            "mutex.peers.all",
            "mutex.peers.a.to",
            "mutex.peers.a.all.b",
            "mutex.peers.a.to.b.c",
            "mutex.a.all",
            "mutex.peersa.all",
        ] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
        assert!(parse("mutex.peers.a=2Eb.all").unwrap().is_of("a.b"));
    }
}
