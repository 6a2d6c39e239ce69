// SPDX-License-Identifier: MIT OR Apache-2.0

//! Text that is put together in memory and written in large pieces.
//!
//! Most of an export are small integers, so these do not go by way of `fmt`.

use std::fmt;
use std::fmt::Write as _;
use std::io;
use std::io::Write;

/// From this size on it is worth writing.
const MANY: usize = 128 << 10;

/// Bytes on their way to an output.
#[derive(Debug, Default)]
pub(super) struct Bytes(Vec<u8>);

impl Bytes {
    #[inline]
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// Takes the last so many back.
    pub(super) fn take_back(&mut self, count: usize) {
        self.0.truncate(self.0.len().saturating_sub(count));
    }

    /// The decimal digits of `integer`.
    #[inline]
    pub(super) fn integer(&mut self, integer: u64) {
        if integer < 10 {
            self.0.push(digit(integer));
        } else {
            self.long_integer(integer);
        }
    }

    fn long_integer(&mut self, mut integer: u64) {
        // The largest has twenty.
        let mut digits = [0; 20];
        let mut first = digits.len();
        for place in digits.iter_mut().rev() {
            *place = digit(integer % 10);
            integer /= 10;
            first -= 1;
            if integer == 0 {
                break;
            }
        }
        self.push(digits.get(first..).unwrap_or_default());
    }

    /// What `text` shows; returns it.
    pub(super) fn text(&mut self, text: &dyn fmt::Display) -> &[u8] {
        let start = self.0.len();
        // Fails only where a `Display` does, and none of ours does.
        let _ = write!(Utf8(self), "{text}");
        self.0.get(start..).unwrap_or_default()
    }

    /// Writes what there is, if it is worth it.
    pub(super) fn write_if_many(&mut self, output: &mut impl Write) -> io::Result<()> {
        if self.0.len() < MANY { Ok(()) } else { self.write(output) }
    }

    /// Writes what there is.
    pub(super) fn write(&mut self, output: &mut impl Write) -> io::Result<()> {
        let result = output.write_all(&self.0);
        self.0.clear();
        result
    }
}

impl Write for Bytes {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.push(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Utf8<'a>(&'a mut Bytes);

impl fmt::Write for Utf8<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.push(text.as_bytes());
        Ok(())
    }
}

#[inline]
fn digit(number: u64) -> u8 {
    // Below ten.
    b'0' + (number % 10) as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn integer(integer: u64) -> String {
        let mut bytes = Bytes::default();
        bytes.integer(integer);
        String::from_utf8(bytes.0).expect("digits")
    }

    proptest! {
        #[test]
        fn integers_are_as_everybody_writes_them(number: u64, shift in 0u32..64) {
            prop_assert_eq!(integer(number >> shift), (number >> shift).to_string());
        }
    }

    #[test]
    fn the_smallest_and_the_largest_integer() {
        for number in [0, 9, 10, 99, 100, u64::MAX] {
            assert_eq!(integer(number), number.to_string());
        }
    }
}
