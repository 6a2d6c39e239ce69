// SPDX-License-Identifier: GPL-2.0-only OR MIT OR Apache-2.0

//! CRC-32 (IEEE 802.3) with nothing but integers, at several bytes a cycle.
//!
//! A message is a polynomial over GF(2), and its checksum what it leaves modulo P. So multiples of P
//! can be added to it anywhere. One is x^300 + x^155 + x^117 + x^89 + 1: with it, a bit goes out of the
//! message when it is added to the bits that come 145, 183, 211 and 300 after it. Its 64th power is the
//! same polynomial in x^64, so whole words may go in the same way, without a shift, as long as there
//! are 300 more; then bits do, a word of them at a time, down to the last five words, and bytes in the
//! end. (S. Russell, "Chorba: A novel CRC32 implementation", 2024.)

use core::ops::Range;

/// P without its highest term, in reverse.
const POLYNOMIAL: u32 = 0xedb8_8320;

/// How far what goes out of the message is added, in words or bits.
const REACH: usize = 300;

const WORD: usize = size_of::<u64>();

/// As many bytes as words go out together.
const ROUND: usize = REACH * WORD;

/// What a byte leaves.
static TABLE: [u32; 256] = table();

const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < table.len() {
        let mut rest = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            rest = (rest >> 1) ^ if rest & 1 == 1 { POLYNOMIAL } else { 0 };
            bit += 1;
        }
        table[byte] = rest;
        byte += 1;
    }
    table
}

/// The checksum of `bytes`.
pub fn crc32(bytes: &[u8]) -> u32 {
    if bytes.len() < Near::BYTES {
        return !bytes.iter().fold(!0, |crc, byte| add(crc, *byte));
    }
    let (mut near, rest) =
        if bytes.len() < 3 * ROUND { (Near::default(), bytes) } else { far(bytes) };
    let (words, rest) = rest.split_at((rest.len() - Near::BYTES) / WORD * WORD);
    words.chunks_exact(WORD).for_each(|word| near.take(to_word(word)));
    let added = near.0.iter().flat_map(|word| word.to_le_bytes()).chain(core::iter::repeat(0));
    !rest.iter().zip(added).fold(0, |crc, (byte, added)| add(crc, byte ^ added))
}

/// Takes one byte more into account.
#[inline]
fn add(crc: u32, byte: u8) -> u32 {
    (crc >> 8) ^ TABLE[usize::from(crc as u8 ^ byte)]
}

/// Takes most of three rounds' words or more out, and gives what the rest begins with.
#[inline(never)] // Only who has them needs the room.
fn far(bytes: &[u8]) -> (Near, &[u8]) {
    let (rounds, rest) = bytes.split_at((bytes.len() - Near::BYTES) / ROUND * ROUND);
    let (rounds, last) = rounds.split_at(rounds.len() - ROUND);
    // What went out, in the place of the word 300 further.
    let mut out = [0; REACH];
    out[0] = Near::BEFORE;
    for words in rounds.chunks_exact(ROUND) {
        add_words(&mut out, words, 0..145, [155, 117, 89], []);
        add_words(&mut out, words, 145..183, [117, 89], [145]);
        add_words(&mut out, words, 183..211, [89], [145, 183]);
        add_words(&mut out, words, 211..300, [], [145, 183, 211]);
    }
    add_words(&mut out, last, 0..145, [155, 117, 89], []);
    add_words(&mut out, last, 145..183, [117, 89], []);
    add_words(&mut out, last, 183..211, [89], []);
    add_words(&mut out, last, 211..300, [], []);
    let mut near = Near([0; 5]);
    out.iter().for_each(|word| near.take(*word));
    (near, rest)
}

/// Adds the words of a round to what went out 300 before each, with what went out later: of the round
/// before, so that it is still ahead, or of this one, behind.
#[inline(always)]
fn add_words<const A: usize, const B: usize>(
    out: &mut [u64; REACH],
    words: &[u8],
    span: Range<usize>,
    ahead: [usize; A],
    behind: [usize; B],
) {
    let words = words.get(span.start * WORD..span.end * WORD).unwrap_or_default();
    for (i, word) in span.zip(words.chunks_exact(WORD)) {
        let mut sum = out[i] ^ to_word(word);
        for distance in ahead {
            sum ^= out[i + distance];
        }
        for distance in behind {
            sum ^= out[i - distance];
        }
        out[i] = sum;
    }
}

#[inline]
fn to_word(bytes: &[u8]) -> u64 {
    bytes.try_into().map_or(0, u64::from_le_bytes)
}

/// What the bits that went out add to the next five words.
struct Near([u64; 5]);

impl Default for Near {
    /// Nothing went out yet.
    fn default() -> Self {
        Near([Self::BEFORE, 0, 0, 0, 0])
    }
}

impl Near {
    const BYTES: usize = size_of::<Self>();

    /// What the first word is added to.
    const BEFORE: u64 = 0xffff_ffff;

    /// Takes the next word's bits out.
    #[inline(always)]
    fn take(&mut self, word: u64) {
        let [first, second, third, fourth, fifth] = self.0;
        let word = word ^ first;
        self.0 = [
            second,
            third ^ (word << 17) ^ (word << 55),
            fourth ^ (word >> 47) ^ (word >> 9) ^ (word << 19),
            fifth ^ (word >> 45) ^ (word << 44),
            word >> 20,
        ];
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::prelude::v1::*;

    proptest! {
        #[test]
        fn checksums_are_as_everybody_takes_them(
            bytes in proptest::collection::vec(any::<u8>(), 0..20_000),
        ) {
            prop_assert_eq!(crc32(&bytes), crc32fast::hash(&bytes));
        }
    }

    #[test]
    fn any_length_around_where_the_way_changes() {
        let bytes: Vec<u8> = (0..5 * ROUND).map(|i| (i * i / 7) as u8).collect();
        let lengths = (0..200).chain((1..5).flat_map(|n| n * ROUND - 100..n * ROUND + 100));
        for length in lengths {
            let bytes = &bytes[bytes.len() - length..];
            assert_eq!(crc32(bytes), crc32fast::hash(bytes), "{length} bytes");
        }
    }

    #[test]
    fn the_check_value_of_the_standard() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }
}
