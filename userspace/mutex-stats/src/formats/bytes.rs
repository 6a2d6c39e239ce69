// SPDX-License-Identifier: MIT OR Apache-2.0

//! Text that is put together in memory and written in large pieces.
//!
//! Most of an export are names and small integers, so these do not go by way of `fmt`, and every
//! piece is copied once, with a length that is known where it stands.

use std::fmt;
use std::fmt::Write as _;
use std::io;
use std::io::Write;

use mutex_core::ascii::ADDRESS_MAX;
use mutex_core::ascii::put_address;
use mutex_core::ascii::put_decimal;

use crate::Address;

/// From this size on it is worth writing.
const MANY: usize = 512 << 10;

/// Room at first.
const LEAST: usize = 8 << 10;

/// Bytes on their way to an output.
#[derive(Debug, Default)]
pub(super) struct Bytes {
    /// What is written, and room for more.
    room: Vec<u8>,
    length: usize,
}

impl Bytes {
    /// Room for `count` bytes, which are then there.
    #[inline]
    fn add(&mut self, count: usize) -> &mut [u8] {
        let start = self.length;
        if self.room.len() - start < count {
            self.grow(count);
        }
        self.length = start + count;
        &mut self.room[start..start + count]
    }

    #[cold]
    fn grow(&mut self, count: usize) {
        let length = (self.length + count).max(2 * self.room.len()).max(LEAST);
        self.room.resize(length, 0);
    }

    #[inline]
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.add(bytes.len()).copy_from_slice(bytes);
    }

    /// `before`, `name` and `after`, as one.
    #[inline]
    pub(super) fn push_around(&mut self, before: [u8; 2], name: &str, after: [u8; 2]) {
        let room = self.add(name.len() + 4);
        room[..2].copy_from_slice(&before);
        room[2..2 + name.len()].copy_from_slice(name.as_bytes());
        room[2 + name.len()..].copy_from_slice(&after);
    }

    /// A key, with what stands around it.
    #[inline]
    pub(super) fn key(&mut self, key: &Key) {
        let start = self.length;
        self.add(Key::ROOM).copy_from_slice(&key.room);
        self.length = start + key.length;
    }

    /// Takes the last so many back.
    pub(super) fn take_back(&mut self, count: usize) {
        self.length = self.length.saturating_sub(count);
    }

    /// The decimal digits of `integer`.
    #[inline]
    pub(super) fn integer(&mut self, integer: u64) {
        self.put(20, |room| put_decimal(integer, room));
    }

    /// An address.
    pub(super) fn address(&mut self, address: &Address) {
        self.put(ADDRESS_MAX, |room| put_address(address.family == 4, &address.address, room));
    }

    /// What `put` writes, which is `most` bytes at the most.
    #[inline]
    fn put(&mut self, most: usize, put: impl FnOnce(&mut [u8]) -> Option<usize>) {
        let start = self.length;
        let count = put(self.add(most)).expect("there is room");
        self.length = start + count;
    }

    /// What `text` shows; returns it.
    pub(super) fn text(&mut self, text: &dyn fmt::Display) -> &[u8] {
        let start = self.length;
        // Fails only where a `Display` does, and none of ours does.
        let _ = write!(Utf8(self), "{text}");
        &self.room[start..self.length]
    }

    /// Writes what there is, if it is worth it.
    pub(super) fn write_if_many(&mut self, output: &mut impl Write) -> io::Result<()> {
        if self.length < MANY { Ok(()) } else { self.write(output) }
    }

    /// Writes what there is.
    pub(super) fn write(&mut self, output: &mut impl Write) -> io::Result<()> {
        let result = output.write_all(&self.room[..self.length]);
        self.length = 0;
        result
    }
}

/// A key of a JSON object with the quotes and signs around it, in room of one size: copying that takes
/// a few instructions, where copying so many bytes would take a call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Key {
    room: [u8; Self::ROOM],
    length: usize,
}

impl Key {
    const ROOM: usize = 32;

    /// `name` is the object's first one or a later one. `None` if it is too long.
    pub(super) fn new(is_first: bool, name: &str) -> Option<Self> {
        let mut room = [0; Self::ROOM];
        let length = name.len() + 4;
        let used = room.get_mut(..length)?;
        used[..2].copy_from_slice(if is_first { b"{\"" } else { b",\"" });
        used[2..length - 2].copy_from_slice(name.as_bytes());
        used[length - 2..].copy_from_slice(b"\":");
        Some(Key { room, length })
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Clone, Debug)]
    enum Piece {
        Bytes(Vec<u8>),
        Integer(u64),
        Around(String),
        Key(bool, String),
        Back(usize),
        Write,
    }

    fn any_piece() -> impl Strategy<Value = Piece> {
        prop_oneof![
            4 => proptest::collection::vec(any::<u8>(), 0..100).prop_map(Piece::Bytes),
            1 => (any::<u8>(), 0..MANY).prop_map(|(byte, count)| Piece::Bytes(vec![byte; count])),
            4 => any::<u64>().prop_map(Piece::Integer),
            4 => "[a-z]{0,20}".prop_map(Piece::Around),
            4 => (any::<bool>(), "[a-z]{0,28}").prop_map(|(first, name)| Piece::Key(first, name)),
            1 => (0usize..10).prop_map(Piece::Back),
            1 => Just(Piece::Write),
        ]
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_nothing_comes_twice(
            pieces in proptest::collection::vec(any_piece(), 0..50),
        ) {
            let (mut bytes, mut output) = (Bytes::default(), Vec::new());
            let (mut expected, mut written) = (Vec::new(), 0);
            for piece in pieces {
                match piece {
                    Piece::Bytes(piece) => {
                        bytes.push(&piece);
                        expected.extend(piece);
                    }
                    Piece::Integer(integer) => {
                        bytes.integer(integer);
                        expected.extend(integer.to_string().bytes());
                    }
                    Piece::Around(name) => {
                        bytes.push_around(*b",\"", &name, *b"\":");
                        expected.extend(format!(",\"{name}\":").bytes());
                    }
                    Piece::Key(is_first, name) => {
                        bytes.key(&Key::new(is_first, &name).expect("it is short enough"));
                        let sign = if is_first { '{' } else { ',' };
                        expected.extend(format!("{sign}\"{name}\":").bytes());
                    }
                    Piece::Back(count) => {
                        bytes.take_back(count);
                        expected.truncate(expected.len().saturating_sub(count).max(written));
                    }
                    Piece::Write => {
                        bytes.write(&mut output).expect("a vector takes everything");
                        written = expected.len();
                    }
                }
            }
            bytes.write(&mut output).expect("a vector takes everything");
            prop_assert!(output == expected);
        }
    }
}
