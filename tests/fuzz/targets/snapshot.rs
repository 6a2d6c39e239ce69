// SPDX-License-Identifier: MIT OR Apache-2.0

//! Whatever an image's bytes are, they are read or refused; what was read is written as it was, every
//! format takes it, and no damage to it goes unseen. The core's checksum is everybody's.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mutex_core::abi::mutex_block;
use mutex_core::abi::mutex_end;
use mutex_core::abi::mutex_header;
use mutex_core::abi::MUTEX_BLOCK_CONNECTION;
use mutex_core::abi::MUTEX_BLOCK_END;
use mutex_core::abi::MUTEX_BLOCK_FD;
use mutex_core::crc::crc32;
use mutex_core::wire::Wire;
use mutex_stats::formats::Json;
use mutex_stats::formats::Section;
use mutex_stats::visit;
use mutex_stats::Audit;
use mutex_stats::Image;

/// Makes every checksum and the counts of the end right, so that what is behind them is reached.
fn repaired(mut bytes: Vec<u8>) -> Vec<u8> {
    let mut at = mutex_header::take(&bytes).0.header_size as usize;
    if at < mutex_header::SIZE || at > bytes.len() {
        return bytes;
    }
    sign(&mut bytes[..at], mutex_header::SIZE - 4);
    let (mut connections, mut fds) = (0, 0);
    while at + mutex_block::SIZE <= bytes.len() {
        let block = mutex_block::take(&bytes[at..]).0;
        let records = u64::from(block.record_size) * u64::from(block.count);
        let end = (at + mutex_block::SIZE) as u64 + records;
        if end > bytes.len() as u64 {
            break;
        }
        let whole = &mut bytes[at..end as usize];
        match u32::from(block.kind) {
            MUTEX_BLOCK_CONNECTION => connections += u64::from(block.count),
            MUTEX_BLOCK_FD => fds += u64::from(block.count),
            MUTEX_BLOCK_END => {
                _ = mutex_end { connections, fds, bytes: end }.put(&mut whole[mutex_block::SIZE..]);
            }
            _ => {}
        }
        sign(whole, mutex_block::SIZE - 4);
        at = end as usize;
    }
    bytes
}

/// Puts the checksum of all bytes at `at`, where zero counts for itself.
fn sign(bytes: &mut [u8], at: usize) {
    bytes[at..at + 4].fill(0);
    let crc = crc32fast::hash(bytes);
    bytes[at..at + 4].copy_from_slice(&crc.to_le_bytes());
}

fn written(image: &Image) -> Vec<u8> {
    let mut bytes = Vec::new();
    image.write(&mut bytes).expect("memory takes everything");
    bytes
}

fn read(bytes: &[u8]) {
    let Ok(image) = Image::read(bytes) else {
        return;
    };
    // One bit is wrong, or the end is missing: where, the content says.
    let chosen = crc32fast::hash(bytes) as usize;
    let mut damaged = bytes.to_vec();
    damaged[chosen / 8 % bytes.len()] ^= 1 << (chosen % 8);
    assert!(Image::read(damaged.as_slice()).is_err(), "a changed bit is not seen");
    assert!(Image::read(&bytes[..chosen % bytes.len()]).is_err(), "a missing end is not seen");

    let again = written(&image);
    assert_eq!(Image::read(again.as_slice()).expect("what is written can be read"), image);
    let mut audit = Audit::default();
    visit(bytes, &mut audit).expect("it was read before");
    let _ = audit.report();
    let mut json = Vec::new();
    visit(bytes, &mut Json::new(&mut json, &Section::ALL)).expect("it was read before");
    let value: serde_json::Value = serde_json::from_slice(&json).expect("it is JSON");
    assert_eq!(value["connections"].as_array().map(Vec::len), Some(image.connections.len()));
}

fuzz_target!(|bytes: &[u8]| {
    // Long enough for words to go out of the sum together.
    let long = bytes.repeat(1 + bytes.len() % 7);
    assert_eq!(crc32(&long), crc32fast::hash(&long), "another sum");
    read(bytes);
    read(&repaired(bytes.to_vec()));
});
