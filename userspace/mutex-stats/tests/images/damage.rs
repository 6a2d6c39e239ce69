// SPDX-License-Identifier: MIT OR Apache-2.0

//! Whatever happens to an image on its way, nobody takes it for numbers.

use mutex_stats::Error;
use mutex_stats::Image;
use mutex_stats::Reader;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::any::any_image;
use crate::any::balanced;
use crate::any::bytes;
use crate::raw;
use crate::raw::RawBlock;

fn error(bytes: &[u8]) -> Error {
    Image::read(bytes).expect_err("the image is damaged")
}

fn sentence(bytes: &[u8]) -> String {
    error(bytes).to_string()
}

fn swapped(mut blocks: Vec<RawBlock>, a: usize, b: usize) -> Vec<u8> {
    blocks.swap(a, b);
    raw::image(&raw::header(&[]), &blocks)
}

#[test]
fn no_changed_byte_is_overlooked() {
    let whole = bytes(&balanced());
    for at in 0..whole.len() {
        for change in (0..8).map(|bit| 1 << bit).chain([0xff]) {
            let mut damaged = whole.clone();
            damaged[at] ^= change;
            assert!(Image::read(damaged.as_slice()).is_err(), "byte {at} changed by {change:#x}");
        }
    }
}

#[test]
fn no_missing_byte_is_overlooked() {
    let whole = bytes(&balanced());
    assert_eq!(sentence(&[]), "the image is empty");
    for length in 1..whole.len() {
        match error(&whole[..length]) {
            Error::Truncated { at, .. } => assert_eq!(at, length as u64),
            other => panic!("cut to {length}: {other}"),
        }
        let mut cut_out = whole.clone();
        cut_out.remove(length);
        assert!(Image::read(cut_out.as_slice()).is_err(), "byte {length} cut out");
    }
    assert_eq!(
        sentence(&whole[..40]),
        "the image is truncated: it ends at byte 40, inside the header"
    );
    assert_eq!(
        sentence(&whole[..72]),
        "the image is truncated: it ends at byte 72, before its end block"
    );
    assert_eq!(
        sentence(&whole[..80]),
        "the image is truncated: it ends at byte 80, inside the header of a block"
    );
    assert_eq!(
        sentence(&whole[..100]),
        "the image is truncated: it ends at byte 100, inside the status block"
    );
}

#[test]
fn no_added_byte_is_overlooked() {
    let mut image = bytes(&balanced());
    let end = image.len();
    image.push(0);
    assert_eq!(
        sentence(&image),
        format!("the image is corrupted: it should end at byte {end} but goes on")
    );
}

#[test]
fn something_else_is_no_image() {
    for bytes in [&b"{"[..], b"MUTEXSNQ", b"MUTE\n", b"MUTEXSNQ and more of it", b"\x7fELF"] {
        assert_eq!(sentence(bytes), "not a MUTEX image", "{bytes:?}");
    }
    let mut other_end = bytes(&balanced());
    other_end[..8].reverse();
    assert_eq!(sentence(&other_end), "not a MUTEX image");
}

#[test]
fn another_version_is_named_whatever_else_it_has() {
    let mut image = bytes(&balanced());
    image[8..12].copy_from_slice(&2u32.to_le_bytes());
    image.truncate(16);
    assert_eq!(sentence(&image), "the image has format version 2; this program reads version 1");
}

#[test]
fn a_wrong_checksum_is_located() {
    let mut image = bytes(&balanced());
    image[30] ^= 1;
    assert_eq!(
        sentence(&image),
        "the image is corrupted: the checksum of the header at byte 0 is wrong"
    );
    image[30] ^= 1;
    image[100] ^= 1;
    assert_eq!(
        sentence(&image),
        "the image is corrupted: the checksum of the status block at byte 72 is wrong"
    );
}

#[test]
fn sizes_beyond_reason_are_refused_before_they_are_read() {
    for (record_size, count, claim) in [
        (176, u32::MAX, "4294967295 records of 176 bytes"),
        (u32::MAX - 7, 1, "1 records of 4294967288 bytes"),
        (u32::MAX - 7, u32::MAX, "4294967295 records of 4294967288 bytes"),
        (177, 1, "1 records of 177 bytes"),
        (0, 1, "records of no size"),
    ] {
        let mut image = raw::header(&[]);
        image.extend(RawBlock { kind: 1, record_size, count, records: Vec::new() }.bytes());
        assert_eq!(
            sentence(&image),
            format!("the image is corrupted: the status block at byte 72 claims {claim}")
        );
    }
    for size in [0u32, 64, 71, 76, 4104, u32::MAX] {
        let mut header = raw::header(&[]);
        header[12..16].copy_from_slice(&size.to_le_bytes());
        assert_eq!(
            sentence(&header),
            format!("the image is corrupted: the header at byte 0 claims a size of {size} bytes")
        );
    }
}

#[test]
fn blocks_have_an_order_and_a_number() {
    let header = raw::header(&[]);
    let blocks = raw::zeros();
    assert!(Image::read(raw::image(&header, &blocks).as_slice()).is_ok());

    let at_status = "the image is corrupted: the totals before block at byte 72";
    assert_eq!(sentence(&swapped(blocks.clone(), 0, 1)), format!("{at_status} comes too early"));
    for index in 1..blocks.len() {
        let image = swapped(blocks.clone(), index - 1, index);
        assert!(matches!(error(&image), Error::Order { .. }), "block {index} before its turn");
    }
    for index in 0..blocks.len() {
        let optional = matches!(blocks[index].kind, 3 | 4 | 9..=12);
        let mut without = blocks.clone();
        without.remove(index);
        let result = Image::read(raw::image(&header, &without).as_slice());
        assert_eq!(result.is_ok(), optional, "without block {index}");

        let list = matches!(blocks[index].kind, 3 | 4 | 6 | 9 | 11 | 12);
        let mut twice = blocks.clone();
        twice.insert(index, blocks[index].clone());
        let result = Image::read(raw::image(&header, &twice).as_slice());
        assert_eq!(result.is_ok(), list, "block {index} twice");
        let mut two = blocks.clone();
        two[index].count = 2;
        two[index].records = blocks[index].records.repeat(2);
        let result = Image::read(raw::image(&header, &two).as_slice());
        assert_eq!(result.is_ok(), list, "block {index} with two records");
    }
}

#[test]
fn the_end_has_to_count_right() {
    let header = raw::header(&[]);
    let image = raw::image(&header, &raw::zeros());
    let (before, _) = image.split_at(image.len() - 40);
    let size = image.len() as u64;
    for (counts, complaint) in [
        ([2, 1, size], "its end counts 2 connections, but there are 1"),
        ([1, 0, size], "its end counts 0 fds, but there are 1"),
        ([1, 1, size + 1], &*format!("its end counts {} bytes, but there are {size}", size + 1)),
    ] {
        let end = RawBlock::new(8, &[&counts.map(u64::to_le_bytes).concat()]);
        let image = [before, &end.bytes()].concat();
        assert_eq!(sentence(&image), format!("the image is corrupted: {complaint}"));
    }
}

fn any_block() -> impl Strategy<Value = RawBlock> {
    (0..14u16, 0..50u32, 0..4u32).prop_map(|(kind, words, count)| RawBlock {
        kind,
        record_size: words * 8,
        count,
        records: vec![0x5a; (words * 8 * count) as usize],
    })
}

fn read_all(bytes: &[u8]) -> Result<u64, Error> {
    let mut reader = Reader::new(bytes)?;
    let mut blocks = 0;
    while let Some(block) = reader.next_block()? {
        // Also what is in it, not just that it is there.
        let _ = format!("{:?}", block.part());
        blocks += 1;
    }
    Ok(blocks)
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in vec(any::<u8>(), 0..4096)) {
        prop_assert!(read_all(&bytes).is_err());
    }

    #[test]
    fn arbitrary_bytes_after_a_header_never_panic(bytes in vec(any::<u8>(), 0..4096)) {
        let image = [raw::header(&[]), bytes].concat();
        prop_assert!(read_all(&image).is_err());
    }

    #[test]
    fn arbitrary_blocks_with_right_checksums_never_panic(
        blocks in vec(any_block(), 0..12),
        start in 0..12usize,
    ) {
        let mut all = raw::zeros();
        all.truncate(start);
        all.extend(blocks);
        let image = raw::image(&raw::header(&[]), &all);
        if let Ok(count) = read_all(&image) {
            prop_assert_eq!(count, all.len() as u64 + 1);
        }
    }

    #[test]
    fn damage_anywhere_is_found(image in any_image(), at: prop::sample::Index, by in 1..=u8::MAX) {
        let mut bytes = bytes(&image);
        let at = at.index(bytes.len());
        bytes[at] ^= by;
        prop_assert!(read_all(&bytes).is_err());
    }
}
