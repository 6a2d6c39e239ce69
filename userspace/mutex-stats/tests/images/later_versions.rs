// SPDX-License-Identifier: MIT OR Apache-2.0

//! Records grow at their end and new kinds of block appear: today's reader reads tomorrow's images
//! and yesterday's.

use mutex_stats::Image;
use mutex_stats::Part;
use mutex_stats::Reader;
use mutex_stats::formats::Binary;
use mutex_stats::visit;

use crate::raw;
use crate::raw::RawBlock;

/// A connection of `size` bytes whose id is 7 and whose last eight bytes are 0xff.
fn connection(size: usize) -> Vec<u8> {
    let mut record = vec![0; size];
    record[0] = 7;
    record[size - 8..].fill(0xff);
    record
}

fn read(bytes: &[u8]) -> Image {
    Image::read(bytes).expect("the image is one of this version")
}

#[test]
fn what_is_new_in_a_record_is_left_out() {
    let mut blocks = raw::zeros();
    blocks[2] = RawBlock::new(3, &[&connection(200), &connection(200)]);
    let image = read(&raw::image(&raw::header(&[]), &blocks));
    assert_eq!(image.connections.len(), 2);
    for connection in image.connections {
        assert_eq!((connection.id, connection.received.payload), (7, 0));
    }
}

#[test]
fn what_is_missing_in_a_record_is_zero() {
    let mut blocks = raw::zeros();
    blocks[2] = RawBlock::new(3, &[&connection(168), &connection(168)]);
    let image = read(&raw::image(&raw::header(&[]), &blocks));
    assert_eq!(image.connections.len(), 2);
    for connection in image.connections {
        assert_eq!(connection.id, 7);
        assert_eq!((connection.received.bytes, connection.received.payload), (u64::MAX, 0));
    }
}

#[test]
fn a_longer_header_is_checked_and_left_out() {
    let mut image = raw::image(&raw::header(&[0xab; 24]), &raw::zeros());
    assert_eq!(read(&image).header.header_size, 96);
    image[90] ^= 1;
    assert!(Image::read(image.as_slice()).is_err());
}

#[test]
fn unknown_blocks_are_checked_and_skipped_wherever_they_are() {
    let blocks = raw::zeros();
    for index in 0..=blocks.len() {
        for kind in [0, 9, u16::MAX] {
            let mut more = blocks.clone();
            more.insert(index, RawBlock::new(kind, &[&[1; 24], &[2; 24]]));
            let mut image = raw::image(&raw::header(&[]), &more);
            assert_eq!(read(&image).connections.len(), 1);

            let before: usize = blocks[..index].iter().map(|block| block.bytes().len()).sum();
            image[72 + before + 20] ^= 1;
            let error = Image::read(image.as_slice()).expect_err("the block is damaged");
            assert!(
                error.to_string().contains(&format!("block of unknown kind {kind}")),
                "{error}"
            );
        }
    }
}

#[test]
fn an_unknown_block_says_what_it_is() {
    let mut blocks = raw::zeros();
    blocks.insert(0, RawBlock::new(99, &[&[1; 8]]));
    let image = raw::image(&raw::header(&[]), &blocks);
    let mut reader = Reader::new(image.as_slice()).expect("the header is right");
    let block = reader.next_block().expect("the block is right").expect("there is one");
    assert!(matches!(block.part(), Part::Unknown(99)));
}

#[test]
fn what_is_not_understood_is_still_copied() {
    let mut blocks = raw::zeros();
    blocks[2] = RawBlock::new(3, &[&connection(200)]);
    blocks.insert(3, RawBlock::new(99, &[&[1; 8]]));
    let image = raw::image(&raw::header(&[0xab; 24]), &blocks);
    let mut copy = Vec::new();
    visit(image.as_slice(), &mut Binary::new(&mut copy)).expect("the image is whole");
    assert_eq!(copy, image);
}

#[test]
fn unknown_reasons_keep_their_traffic() {
    let mut blocks = raw::zeros();
    let mut record = vec![0; 136];
    record[0] = 77;
    record[8] = 5;
    blocks[5] = RawBlock::new(6, &[&record]);
    let image = read(&raw::image(&raw::header(&[]), &blocks));
    assert_eq!((image.untracked[0].reason, image.sum().sent.packets), (77, 5));
}
