// SPDX-License-Identifier: MIT OR Apache-2.0

//! Images put together by hand, after `include/mutex.h` and not after the code that is tested.

/// A block: kind, bytes a record, records, and their bytes.
#[derive(Clone, Debug)]
pub struct RawBlock {
    pub kind: u16,
    pub record_size: u32,
    pub count: u32,
    pub records: Vec<u8>,
}

/// CRC-32 as IEEE 802.3 has it, bit by bit.
pub fn crc(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 };
        }
    }
    !crc
}

/// A header of at least 72 bytes, its checksum right.
pub fn header(extra: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend(b"MUTEXSNP");
    bytes.extend(1u32.to_le_bytes());
    bytes.extend(u32::try_from(72 + extra.len()).expect("it is short").to_le_bytes());
    bytes.extend([0; 56]);
    bytes.extend(extra);
    let crc = crc(&bytes);
    bytes[68..72].copy_from_slice(&crc.to_le_bytes());
    bytes
}

impl RawBlock {
    /// A block of these records, each of the same size.
    pub fn new(kind: u16, records: &[&[u8]]) -> Self {
        RawBlock {
            kind,
            record_size: u32::try_from(records[0].len()).expect("it is short"),
            count: u32::try_from(records.len()).expect("they are few"),
            records: records.concat(),
        }
    }

    /// Its bytes, its checksum right.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend(self.kind.to_le_bytes());
        bytes.extend([0; 2]);
        bytes.extend(self.record_size.to_le_bytes());
        bytes.extend(self.count.to_le_bytes());
        bytes.extend([0; 4]);
        bytes.extend(&self.records);
        let crc = crc(&bytes);
        bytes[12..16].copy_from_slice(&crc.to_le_bytes());
        bytes
    }
}

/// An image of these blocks, with the end that they need.
pub fn image(header: &[u8], blocks: &[RawBlock]) -> Vec<u8> {
    let mut bytes = header.to_vec();
    let mut counts = [0u64; 2];
    for block in blocks {
        match block.kind {
            3 => counts[0] += u64::from(block.count),
            4 => counts[1] += u64::from(block.count),
            _ => {}
        }
        bytes.extend(block.bytes());
    }
    let size = (bytes.len() + 16 + 24) as u64;
    let end = [counts[0], counts[1], size].map(u64::to_le_bytes).concat();
    bytes.extend(RawBlock::new(8, &[&end]).bytes());
    bytes
}

/// The blocks of an image of nothing but zeros, without its end.
pub fn zeros() -> Vec<RawBlock> {
    let before = [(1, 216), (2, 128), (3, 368), (4, 320)];
    let since = [(9, 80), (10, 168), (11, 56), (12, 112)];
    let after = [(5, 128), (6, 136), (7, 128)];
    of_zeros(&[&before[..], &since, &after].concat())
}

/// As [`zeros`], of the module that knew neither latency nor alerts.
pub fn zeros_of_the_first_module() -> Vec<RawBlock> {
    of_zeros(&[(1, 136), (2, 128), (3, 176), (4, 152), (5, 128), (6, 136), (7, 128)])
}

/// As [`zeros`], of the module that did not tell losses and discards apart, with nine drops.
pub fn drops_of_an_older_module() -> Vec<RawBlock> {
    let before = [(1, 208), (2, 128), (3, 360), (4, 312)];
    let since = [(9, 80), (10, 160), (11, 48), (12, 112)];
    let after = [(5, 128), (6, 136), (7, 128)];
    let mut blocks = of_zeros(&[&before[..], &since, &after].concat());
    let nine = |size: usize, at: usize| {
        let mut record = vec![0; size];
        record[at] = 9;
        record
    };
    // `drops` is 120 bytes into a quality, which ends a record but for a connection's reasons.
    blocks[2] = RawBlock::new(3, &[&nine(360, 360 - 24 - 160 + 120)]);
    blocks[3] = RawBlock::new(4, &[&nine(312, 312 - 160 + 120)]);
    blocks[5] = RawBlock::new(10, &[&nine(160, 120)]);
    blocks[6] = RawBlock::new(11, &[&nine(48, 8)]);
    blocks
}

fn of_zeros(kinds: &[(u16, usize)]) -> Vec<RawBlock> {
    kinds.iter().map(|&(kind, size)| RawBlock::new(kind, &[&vec![0; size]])).collect()
}

#[test]
fn the_checksum_is_the_one_of_the_standard() {
    assert_eq!(crc(b"123456789"), 0xcbf4_3926);
}
