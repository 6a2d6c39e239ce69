// SPDX-License-Identifier: MIT OR Apache-2.0

//! Whatever a recording's bytes are, it is read or refused. What was recorded and then damaged gives
//! the images that it held, or an error, and never other ones.

#![no_main]

use std::cell::RefCell;
use std::fs;
use std::io::Read;
use std::path::Path;
use std::path::PathBuf;

use libfuzzer_sys::fuzz_target;
use mutex_stats::visit;
use mutex_stats::Image;
use mutex_stats::Recorder;
use mutex_stats::Recording;
use mutex_stats::Retention;
use mutex_stats::Visitor;

thread_local! {
    static FOLDER: Folder = Folder::new();
}

/// A file of this process in memory, and a recording of three images.
struct Folder {
    path: PathBuf,
    recorded: Vec<u8>,
    images: Vec<Vec<u8>>,
    buffer: RefCell<Vec<u8>>,
}

impl Folder {
    fn new() -> Self {
        let path = PathBuf::from(format!("/dev/shm/mutex-fuzz-{}", std::process::id()));
        let mut recorder = Recorder::new(&path, Retention::default()).expect("there is memory");
        let mut images = Vec::new();
        for time_ns in 1..=3 {
            let mut image = Image::default();
            image.header.time_ns = time_ns;
            let mut bytes = Vec::new();
            image.write(&mut bytes).expect("memory takes everything");
            let feed =
                |mut visitor: &mut dyn Visitor| visit(bytes.as_slice(), &mut visitor).map(drop);
            recorder.append(feed).expect("there is memory");
            images.push(bytes);
        }
        let file = path.read_dir().expect("it is there").next().expect("it was written");
        let recorded = fs::read(file.expect("it is there").path()).expect("it is there");
        fs::remove_dir_all(&path).expect("it is ours");
        Folder { path, recorded, images, buffer: RefCell::default() }
    }

    /// The images of a recording of these bytes, those that can be read.
    fn read(&self, bytes: &[u8]) -> Vec<Vec<u8>> {
        fs::write(&self.path, bytes).expect("there is memory");
        let images = images(&self.path, bytes.len());
        fs::remove_file(&self.path).expect("it is ours");
        images
    }
}

fn images(path: &Path, length: usize) -> Vec<Vec<u8>> {
    let Ok(recording) = Recording::open(path) else { return Vec::new() };
    for cut in recording.cuts() {
        assert_eq!(cut.at + cut.lost, length as u64);
    }
    let mut images = Vec::new();
    for image in recording.images() {
        let mut bytes = Vec::new();
        if recording
            .read(*image)
            .and_then(|mut image| image.read_to_end(&mut bytes).map_err(mutex_stats::Error::Read))
            .is_ok()
        {
            images.push(bytes);
        }
    }
    images
}

/// Makes the checksums of the header and of all heads right.
fn repaired(mut bytes: Vec<u8>) -> Vec<u8> {
    let mut sign = |at: usize, size: usize| {
        let crc = crc32fast::hash(bytes.get(at..at + size)?);
        bytes.get_mut(at + size..at + size + 4)?.copy_from_slice(&crc.to_le_bytes());
        let length = bytes.get(at + 16..at + 20)?;
        Some(u32::from_le_bytes([length[0], length[1], length[2], length[3]]) as usize)
    };
    sign(0, 12);
    let mut at = 16;
    while let Some(length) = sign(at, 28) {
        at += 32 + length;
    }
    bytes
}

fuzz_target!(|bytes: &[u8]| FOLDER.with(|folder| {
    folder.read(bytes);
    folder.read(&repaired(bytes.to_vec()));

    // Two bytes say where, the third what; what is left of the input goes behind it all.
    let [low, high, change, rest @ ..] = bytes else { return };
    let mut damaged = folder.buffer.borrow_mut();
    damaged.clone_from(&folder.recorded);
    let at = usize::from(u16::from_le_bytes([*low, *high])) % damaged.len();
    damaged[at] ^= change;
    damaged.extend(rest);
    let found = folder.read(&damaged);
    // The image that the damage is in is missing, and maybe those after it, but no other is there.
    let is_in_order = {
        let mut known = folder.images.iter();
        found.iter().take(3).all(|image| known.any(|other| other == image))
    };
    assert!(is_in_order, "another image than was recorded");
    if *change == 0 {
        assert!(found.starts_with(&folder.images));
    } else {
        let whole = (at >= 16) as usize * (at - 16.min(at)) / (32 + folder.images[0].len());
        assert!(found.len() >= whole.min(3), "an image before the damage is missing");
    }
}));
