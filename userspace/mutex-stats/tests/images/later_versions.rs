// SPDX-License-Identifier: MIT OR Apache-2.0

//! Records grow at their end and new kinds of block appear: today's reader reads tomorrow's images
//! and yesterday's.

use mutex_stats::Image;
use mutex_stats::Part;
use mutex_stats::Quality;
use mutex_stats::Reader;
use mutex_stats::formats::Binary;
use mutex_stats::formats::Csv;
use mutex_stats::formats::Json;
use mutex_stats::formats::Section;
use mutex_stats::formats::Table;
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
    blocks[2] = RawBlock::new(3, &[&connection(384), &connection(384)]);
    let image = read(&raw::image(&raw::header(&[]), &blocks));
    assert_eq!(image.connections.len(), 2);
    for connection in image.connections {
        assert_eq!((connection.id, connection.quality.peak_out), (7, 0));
        assert_eq!(connection.drop_reasons, [mutex_stats::DropCount::default(); 3]);
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
fn what_an_older_module_did_not_know_is_nothing() {
    let mut blocks = raw::zeros_of_the_first_module();
    blocks[2] = RawBlock::new(3, &[&connection(176), &connection(176)]);
    let bytes = raw::image(&raw::header(&[]), &blocks);
    let image = read(&bytes);
    assert_eq!((image.status.connection_bytes, image.status.events_lost), (0, 0));
    assert_eq!((image.quality, image.fds[0].quality), Default::default());
    assert_eq!((image.fds[0].discards, image.fds[0].losses()), (0, 0));
    for connection in &image.connections {
        assert_eq!((connection.id, connection.received.payload), (7, u64::MAX));
        assert_eq!(connection.quality, Quality::default());
    }
    assert!(image.latency.is_empty() && image.drops.is_empty() && image.alerts.is_empty());

    let mut copy = Vec::new();
    visit(bytes.as_slice(), &mut Binary::new(&mut copy)).expect("the image is whole");
    assert_eq!(copy, bytes);
    // And it says so in every format: as an image of today's that has nothing of it.
    let today = crate::any::bytes(&image);
    let json = |bytes: &[u8]| {
        let mut text = Vec::new();
        visit(bytes, &mut Json::new(&mut text, &Section::ALL)).expect("the image is whole");
        text
    };
    assert_eq!(json(&bytes), json(&today));
    let csv = |bytes: &[u8], table: Table| {
        let mut text = Vec::new();
        let mut output = Some(&mut text);
        let mut csv = Csv::new(|each| output.take_if(|_| each == table));
        visit(bytes, &mut csv).expect("the image is whole");
        drop(csv);
        text
    };
    for table in Table::ALL {
        assert_eq!(csv(&bytes, table), csv(&today, table), "{table:?}");
    }
}

#[test]
fn all_drops_of_an_older_module_are_losses() {
    let bytes = raw::image(&raw::header(&[]), &raw::drops_of_an_older_module());
    let image = read(&bytes);
    let (connection, fd, drop) = (&image.connections[0], &image.fds[0], &image.drops[0]);
    let quality = &image.quality;
    assert_eq!([connection.quality.drops, fd.quality.drops, quality.drops, drop.packets], [9; 4]);
    let losses = [connection.losses(), fd.losses(), quality.losses(), drop.losses()];
    assert_eq!(losses, [9; 4]);
    let discards = [connection.discards, fd.discards, quality.discards, drop.discards];
    assert_eq!(discards, [0; 4]);
    let stats = mutex_stats::Stats::of_image(&image);
    assert_eq!((stats.losses(), stats.get("discards")), (Some(9), Some(0)));
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
        for kind in [0, 13, u16::MAX] {
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
    blocks[2] = RawBlock::new(3, &[&connection(384)]);
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
    let untracked = blocks.iter().position(|block| block.kind == 6).expect("there is one");
    blocks[untracked] = RawBlock::new(6, &[&record]);
    let image = read(&raw::image(&raw::header(&[]), &blocks));
    assert_eq!((image.untracked[0].reason, image.sum().sent.packets), (77, 5));
}
