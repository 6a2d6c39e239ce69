// SPDX-License-Identifier: GPL-2.0-only OR MIT OR Apache-2.0

//! Numbers and addresses as text, written where they belong: of a million lines most is small numbers,
//! and what goes by way of `fmt` takes several times as long.

const fn pairs() -> [[u8; 2]; 100] {
    let mut pairs = [[0; 2]; 100];
    let mut number = 0;
    while number < pairs.len() {
        pairs[number] = [b'0' + number as u8 / 10, b'0' + number as u8 % 10];
        number += 1;
    }
    pairs
}

/// Two digits of each number below a hundred.
static PAIRS: [[u8; 2]; 100] = pairs();

/// Writes the decimal digits of `number` to the start of `out` and says how many there are, at most
/// twenty; `None` if they find no room.
#[inline]
pub fn put_decimal(number: u64, out: &mut [u8]) -> Option<usize> {
    if number < 10 {
        *out.first_mut()? = b'0' + number as u8;
        return Some(1);
    }
    put_long(number, out)
}

fn put_long(mut number: u64, out: &mut [u8]) -> Option<usize> {
    const EIGHT: u64 = 100_000_000;

    let count = number.checked_ilog10().unwrap_or(0) as usize + 1;
    let mut room = out.get_mut(..count)?;
    // Eight at a time, so that no more than a few divisions wait for one another.
    while number >= EIGHT {
        let (before, eight) = room.split_last_chunk_mut()?;
        put_eight((number % EIGHT) as u32, eight);
        number /= EIGHT;
        room = before;
    }
    let mut number = number as u32;
    let (first, pairs) = room.split_at_mut(room.len() % 2);
    for pair in pairs.chunks_exact_mut(2).rev() {
        pair.copy_from_slice(&pair_of(number % 100));
        number /= 100;
    }
    if let [first] = first {
        *first = b'0' + number as u8;
    }
    Some(count)
}

fn put_eight(number: u32, [a, b, c, d, e, f, g, h]: &mut [u8; 8]) {
    let (high, low) = (number / 10_000, number % 10_000);
    [*a, *b] = pair_of(high / 100);
    [*c, *d] = pair_of(high % 100);
    [*e, *f] = pair_of(low / 100);
    [*g, *h] = pair_of(low % 100);
}

/// Of a number below a hundred.
#[inline]
fn pair_of(number: u32) -> [u8; 2] {
    PAIRS.get(number as usize).copied().unwrap_or_default()
}

/// The longest address in characters.
pub const ADDRESS_MAX: usize = 39;

/// Writes an address, IPv4 as `::ffff:a.b.c.d`, to the start of `out`: as IPv4 if `v4` is set, else as
/// RFC 5952 has it. Says how many characters there are, at most [`ADDRESS_MAX`]; `None` if they
/// find no room.
pub fn put_address(v4: bool, address: &[u8; 16], out: &mut [u8]) -> Option<usize> {
    let [head @ .., a, b, c, d] = address;
    if v4 {
        return put_v4([*a, *b, *c, *d], out);
    }
    if *head == [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff] {
        let mapped = b"::ffff:";
        let (start, rest) = out.split_at_mut_checked(mapped.len())?;
        start.copy_from_slice(mapped);
        return Some(mapped.len() + put_v4([*a, *b, *c, *d], rest)?);
    }
    put_v6(address, out)
}

fn put_v4(address: [u8; 4], out: &mut [u8]) -> Option<usize> {
    let mut length = 0;
    for (place, octet) in address.into_iter().enumerate() {
        if place > 0 {
            *out.get_mut(length)? = b'.';
            length += 1;
        }
        length += put_decimal(octet.into(), out.get_mut(length..)?)?;
    }
    Some(length)
}

fn put_v6(address: &[u8; 16], out: &mut [u8]) -> Option<usize> {
    let mut groups = [0; 8];
    for (group, bytes) in groups.iter_mut().zip(address.chunks_exact(2)) {
        *group = bytes.iter().fold(0, |group: u16, byte| (group << 8) | u16::from(*byte));
    }
    let hidden = zeros(&groups);
    let mut length = 0;
    let mut push = |byte| -> Option<()> {
        *out.get_mut(length)? = byte;
        length += 1;
        Some(())
    };
    for (place, group) in groups.into_iter().enumerate() {
        if hidden.contains(&place) {
            if place == hidden.start {
                push(b':')?;
            }
            if place == 7 {
                push(b':')?;
            }
            continue;
        }
        if place > 0 {
            push(b':')?;
        }
        let digits = (16 - group.leading_zeros()).div_ceil(4).max(1);
        for digit in (0..digits).rev() {
            let digit = (group >> (4 * digit)) as u8 & 0xf;
            push(if digit < 10 { b'0' + digit } else { b'a' - 10 + digit })?;
        }
    }
    Some(length)
}

/// The groups that `::` stands for: the first of the longest runs of zeros that are more than one.
fn zeros(groups: &[u16; 8]) -> core::ops::Range<usize> {
    let (mut longest, mut current) = (0..0, 0..0);
    for (place, group) in groups.iter().enumerate() {
        if *group != 0 {
            current = place + 1..place + 1;
            continue;
        }
        current.end = place + 1;
        if current.len() > longest.len().max(1) {
            longest = current.clone();
        }
    }
    longest
}

/// A text in the making, in room that is there already.
#[derive(Debug)]
pub struct Text<'a> {
    room: &'a mut [u8],
    length: usize,
    overflowed: bool,
}

impl<'a> Text<'a> {
    /// Nothing yet.
    pub fn new(room: &'a mut [u8]) -> Self {
        Text { room, length: 0, overflowed: false }
    }

    /// Adds what `put` writes to the rest of the room.
    #[inline(always)]
    fn add(&mut self, put: impl FnOnce(&mut [u8]) -> Option<usize>) {
        match self.room.get_mut(self.length..).and_then(put) {
            Some(count) => self.length += count,
            None => self.overflowed = true,
        }
    }

    /// Adds a word.
    #[inline]
    pub fn word(&mut self, word: &str) {
        self.add(|room| {
            room.get_mut(..word.len())?.copy_from_slice(word.as_bytes());
            Some(word.len())
        });
    }

    /// Adds a character.
    #[inline(always)]
    pub fn sign(&mut self, sign: u8) {
        self.add(|room| {
            *room.first_mut()? = sign;
            Some(1)
        });
    }

    /// Adds a number.
    #[inline(always)]
    pub fn number(&mut self, number: u64) {
        self.add(|room| put_decimal(number, room));
    }

    /// Adds an address as [`put_address`] does.
    pub fn address(&mut self, v4: bool, address: &[u8; 16]) {
        self.add(|room| put_address(v4, address, room));
    }

    /// What there is; `None` if something found no room.
    pub fn finish(self) -> Option<&'a str> {
        let text: &'a [u8] = self.room;
        if self.overflowed {
            return None;
        }
        core::str::from_utf8(text.get(..self.length)?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::net::Ipv6Addr;
    use std::prelude::v1::*;

    fn text(room: usize, write: impl FnOnce(&mut Text<'_>)) -> Option<String> {
        let mut room = vec![0; room];
        let mut text = Text::new(&mut room);
        write(&mut text);
        text.finish().map(ToOwned::to_owned)
    }

    fn address(v4: bool, address: [u8; 16]) -> String {
        text(ADDRESS_MAX, |text| text.address(v4, &address)).expect("there is room")
    }

    proptest! {
        #[test]
        fn numbers_are_as_everybody_writes_them(number: u64, shift in 0u32..64) {
            let number = number >> shift;
            prop_assert_eq!(text(20, |text| text.number(number)), Some(number.to_string()));
        }

        #[test]
        fn addresses_are_as_everybody_writes_them(
            groups: [u16; 8],
            zeros in 0u8..,
            bits in 1u32..=16,
        ) {
            let mut octets = [0; 16];
            for (place, group) in groups.into_iter().enumerate() {
                let group = if zeros & (1 << place) == 0 { group >> (16 - bits) } else { 0 };
                octets[2 * place..2 * place + 2].copy_from_slice(&group.to_be_bytes());
            }
            prop_assert_eq!(address(false, octets), Ipv6Addr::from(octets).to_string());
            octets[..12].copy_from_slice(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff]);
            let mapped = Ipv6Addr::from(octets);
            prop_assert_eq!(address(false, octets), mapped.to_string());
            let v4 = mapped.to_ipv4_mapped().expect("it is one").to_string();
            prop_assert_eq!(address(true, octets), v4);
        }
    }

    #[test]
    fn every_length_of_number() {
        let mut number: u64 = 1;
        for digits in 1..=20 {
            for number in [number - 1, number, number + 1] {
                assert_eq!(text(20, |text| text.number(number)), Some(number.to_string()));
            }
            assert_eq!(text(digits - 1, |text| text.number(number)), None);
            number = number.wrapping_mul(10);
        }
        assert_eq!(text(20, |text| text.number(u64::MAX)), Some(u64::MAX.to_string()));
    }

    #[test]
    fn what_finds_no_room_is_told() {
        assert_eq!(address(false, [0xff; 16]).len(), ADDRESS_MAX);
        let short = |room| text(room, |text| text.address(false, &[0xff; 16]));
        assert!((0..ADDRESS_MAX).all(|room| short(room).is_none()));
        assert_eq!(text(3, |text| text.word("four")), None);
        assert_eq!(text(4, |text| text.word("four")), Some("four".into()));
        assert_eq!(text(0, |text| text.sign(b'-')), None);
    }
}
