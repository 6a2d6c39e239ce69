// SPDX-License-Identifier: MIT OR Apache-2.0

//! Under which name a reporter is registered.

use std::fmt;
use std::fs;
use std::io;
use std::str::FromStr;

use crate::Error;

/// A globally unique identifier (RFC 9562), by which a reporter is registered and selected.
///
/// ```
/// use mutex_stats::reporter::Guid;
///
/// let guid: Guid = "{6BA7B810-9DAD-11D1-80B4-00C04FD430C8}".parse()?;
/// assert_eq!(guid.to_string(), "6ba7b810-9dad-11d1-80b4-00c04fd430c8");
/// # Ok::<(), mutex_stats::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Guid(u128);

impl Guid {
    /// Hexadecimal digits of each group in the text.
    const GROUPS: [usize; 5] = [8, 4, 4, 4, 12];

    /// The one with those 128 bits, the first in the highest.
    #[must_use]
    pub const fn from_u128(bits: u128) -> Self {
        Guid(bits)
    }

    /// Its 128 bits.
    #[must_use]
    pub const fn as_u128(self) -> u128 {
        self.0
    }

    /// A new one, by the kernel.
    ///
    /// # Errors
    ///
    /// That `/proc/sys/kernel/random/uuid` cannot be read.
    pub fn random() -> io::Result<Self> {
        let text = fs::read_to_string("/proc/sys/kernel/random/uuid")?;
        text.trim().parse().map_err(|error: Error| io::Error::other(error.to_string()))
    }
}

/// As `6ba7b810-9dad-11d1-80b4-00c04fd430c8`, in upper or lower case, with or without hyphens and
/// braces. [`Error::Guid`] for anything else.
impl FromStr for Guid {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let wrong = || Error::Guid(text.to_owned());
        let inner = text.strip_prefix('{').map_or(Some(text), |inner| inner.strip_suffix('}'));
        let inner = inner.ok_or_else(wrong)?;
        let groups: Vec<&str> = inner.split('-').collect();
        let lengths: Vec<usize> = groups.iter().map(|group| group.len()).collect();
        if lengths != [32] && lengths != Self::GROUPS {
            return Err(wrong());
        }
        let digits = groups.concat();
        // A sign is no digit, although it can be read.
        if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(wrong());
        }
        u128::from_str_radix(&digits, 16).map(Guid).map_err(|_| wrong())
    }
}

/// In lower case, with hyphens.
impl fmt::Display for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = format!("{:032x}", self.0);
        let mut rest = digits.as_str();
        for (place, length) in Self::GROUPS.into_iter().enumerate() {
            let (group, others) = rest.split_at(length);
            rest = others;
            write!(f, "{}{group}", if place == 0 { "" } else { "-" })?;
        }
        Ok(())
    }
}

impl fmt::Debug for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Guid({self})")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_shown_is_read_again(bits: u128, braces: bool, upper: bool, hyphens: bool) {
            let guid = Guid::from_u128(bits);
            let mut text = guid.to_string();
            prop_assert_eq!(text.len(), 36);
            if !hyphens {
                text = text.replace('-', "");
            }
            if upper {
                text = text.to_uppercase();
            }
            if braces {
                text = format!("{{{text}}}");
            }
            prop_assert_eq!(text.parse::<Guid>().ok(), Some(guid));
        }

        #[test]
        fn any_text_is_one_or_a_sentence(text: String) {
            match text.parse::<Guid>() {
                Ok(guid) => prop_assert_eq!(guid.to_string().parse::<Guid>().ok(), Some(guid)),
                Err(error) => prop_assert!(error.to_string().contains("is no GUID")),
            }
        }
    }

    #[test]
    fn what_is_none_is_refused() {
        let right = "6ba7b810-9dad-11d1-80b4-00c04fd430c8";
        assert!(right.parse::<Guid>().is_ok());
        for wrong in [
            "",
            "service",
            "6ba7b810-9dad-11d1-80b4-00c04fd430c",
            "6ba7b810-9dad-11d1-80b400c0-4fd430c8",
            "6ba7b8109dad-11d1-80b4-00c04fd430c8",
            "+ba7b810-9dad-11d1-80b4-00c04fd430c8",
            "gba7b810-9dad-11d1-80b4-00c04fd430c8",
            "{6ba7b810-9dad-11d1-80b4-00c04fd430c8",
            "6ba7b810-9dad-11d1-80b4-00c04fd430c8}",
            " 6ba7b810-9dad-11d1-80b4-00c04fd430c8",
        ] {
            let error = wrong.parse::<Guid>().expect_err("it is none").to_string();
            assert!(error.starts_with(&format!("`{wrong}` is no GUID")), "{error}");
        }
    }

    #[test]
    fn new_ones_differ() {
        let [one, other] = [(); 2].map(|()| Guid::random().expect("the kernel has them"));
        assert_ne!(one, other);
    }
}
