// SPDX-License-Identifier: MIT OR Apache-2.0

//! What is written is read, and what is read is written, bit for bit.

use std::io;
use std::io::Read;

use mutex_stats::Image;
use mutex_stats::Untracked;
use mutex_stats::formats::Binary;
use mutex_stats::visit;
use proptest::prelude::*;

use crate::any::any_image;
use crate::any::balanced;
use crate::any::bytes;
use crate::raw;

/// Gives a byte at a time, and is interrupted before each.
struct Slow<'a> {
    bytes: &'a [u8],
    interrupted: bool,
}

impl Read for Slow<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.interrupted = !self.interrupted;
        if self.interrupted {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let one = buffer.len().min(1);
        self.bytes.read(&mut buffer[..one])
    }
}

fn copied(bytes: &[u8]) -> Vec<u8> {
    let mut copy = Vec::new();
    visit(bytes, &mut Binary::new(&mut copy)).expect("the image is whole");
    copy
}

proptest! {
    #[test]
    fn records_survive_writing_and_reading(image in any_image()) {
        let bytes = bytes(&image);
        let read = Image::read(bytes.as_slice()).expect("the image is whole");
        prop_assert_eq!(&read, &image);
        prop_assert_eq!(&crate::any::bytes(&read), &bytes);
        prop_assert_eq!(&copied(&bytes), &bytes);
    }
}

#[test]
fn it_does_not_matter_how_bytes_come() {
    let image = balanced();
    let bytes = bytes(&image);
    let slow = Slow { bytes: &bytes, interrupted: false };
    let read = Image::read(slow).expect("the image is whole");
    assert_eq!(read, Image::read(bytes.as_slice()).expect("the image is whole"));
    assert_eq!(read.connections, image.connections);
}

#[test]
fn many_records_take_many_blocks() {
    let mut image = balanced();
    image.connections = image.connections.repeat(1000);
    image.fds = image.fds.repeat(1000);
    image.latency = image.latency.repeat(1000);
    image.drops = image.drops.repeat(1000);
    image.alerts = image.alerts.repeat(1000);
    let bytes = bytes(&image);
    let read = Image::read(bytes.as_slice()).expect("the image is whole");
    assert_eq!(read.connections, image.connections);
    assert_eq!(read.fds, image.fds);
    assert_eq!(read.latency, image.latency);
    assert_eq!(read.drops, image.drops);
    assert_eq!(read.alerts, image.alerts);
    assert_eq!(copied(&bytes), bytes);
}

#[test]
fn what_is_written_is_what_the_header_specifies() {
    let image = Image { untracked: vec![Untracked::default()], ..Image::default() };
    let mut blocks = raw::zeros();
    blocks.retain(|block| !matches!(block.kind, 3 | 4 | 9 | 11 | 12));
    assert_eq!(bytes(&image), raw::image(&raw::header(&[]), &blocks));
}

#[test]
fn a_writer_keeps_to_the_order() {
    let image = balanced();
    let mut writer = mutex_stats::Writer::new(Vec::new(), &image.header).expect("it is a vector");
    let error = writer.connections(&image.connections).expect_err("the status is missing");
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    assert_eq!(error.to_string(), "the connections block comes too early");
}
