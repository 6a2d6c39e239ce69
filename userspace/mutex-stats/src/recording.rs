// SPDX-License-Identifier: MIT OR Apache-2.0

//! Recordings: images one after the other in files that only grow.
//!
//! A recording is a folder of files `mutex-TIME.rec`, or one such file. A file is a header and
//! frames, all integers little-endian:
//!
//! ```text
//! header   8 bytes "MUTEXREC", u32 version (1), u32 CRC-32 of the 12 bytes before
//! frame    u32 mark "MFRM", u32 flags, u64 time_ns, u32 length, u32 CRC-32 of the payload,
//!          u32 reserved (0), u32 CRC-32 of the 28 bytes before; then `length` bytes of payload
//! ```
//!
//! The payloads from a frame with flag 1 (first) to the next with flag 2 (last) are an image, each
//! of at most 1 MiB; `time_ns` is the image's. Whatever cuts a file off, the images that were whole
//! before can be read.

use std::fs;
use std::fs::File;
use std::io;
use std::io::BufReader;
use std::io::Read;
use std::io::Seek;
use std::io::SeekFrom;
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use crc32fast::hash;
use rustix::fs::FlockOperation;
use rustix::fs::flock;
use rustix::io::Errno;

use crate::Block;
use crate::Error;
use crate::Header;
use crate::Load;
use crate::Part;
use crate::Visitor;

const MAGIC: &[u8; 8] = b"MUTEXREC";
const VERSION: u32 = 1;
const HEADER: usize = 16;
const MARK: &[u8; 4] = b"MFRM";
const FRAME: usize = 32;
const FIRST: u32 = 1;
const LAST: u32 = 2;
/// Bytes of a frame's payload, at the most.
const PAYLOAD: usize = 1 << 20;

/// Whether a file begins like a recording.
#[must_use]
pub fn is_recording(bytes: &[u8]) -> bool {
    bytes.starts_with(MAGIC)
}

/// The head of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Frame {
    flags: u32,
    time_ns: u64,
    length: u32,
    crc: u32,
}

impl Frame {
    fn to_bytes(self) -> [u8; FRAME] {
        let mut bytes = [0; FRAME];
        bytes[..4].copy_from_slice(MARK);
        bytes[4..8].copy_from_slice(&self.flags.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.time_ns.to_le_bytes());
        bytes[16..20].copy_from_slice(&self.length.to_le_bytes());
        bytes[20..24].copy_from_slice(&self.crc.to_le_bytes());
        let crc = hash(&bytes[..28]);
        bytes[28..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// `None` for bytes that are no frame's.
    fn from_bytes(bytes: &[u8; FRAME]) -> Option<Self> {
        let number = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap_or([0; 4]));
        let time_ns = u64::from(number(8)) | (u64::from(number(12)) << 32);
        let frame = Frame { flags: number(4), time_ns, length: number(16), crc: number(20) };
        let is_right = &bytes[..4] == MARK && number(28) == hash(&bytes[..28]);
        (is_right && frame.length as usize <= PAYLOAD).then_some(frame)
    }
}

/// How much of a recording is kept. Files go whole, the oldest first; the newest always stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// A new file is begun when the current one has so many bytes; 64 MiB if there is none.
    pub file_bytes: Option<u64>,
    /// Bytes of all files together.
    pub total_bytes: Option<u64>,
    /// Since a file was last written.
    pub age: Option<Duration>,
}

/// Records images into a folder. Each is on the disk when [`Recorder::append`] returns.
///
/// A folder has one recorder at a time: two would remove each other's files, and their images would
/// not be in the order of time.
#[derive(Debug)]
pub struct Recorder {
    folder: PathBuf,
    retention: Retention,
    current: Option<Current>,
    /// The folder, locked for as long as this is open.
    _lock: File,
}

/// The file that images are appended to. All of them are of one load of the module.
#[derive(Debug)]
struct Current {
    file: File,
    length: u64,
    load: Load,
}

impl Current {
    /// Whether the file has a name: what is written to one that somebody has removed is lost.
    fn is_linked(&self) -> io::Result<bool> {
        Ok(self.file.metadata()?.nlink() > 0)
    }
}

impl Recorder {
    /// Bytes of a file where nothing else is said.
    pub const FILE_BYTES: u64 = 64 << 20;

    /// Begins to record into `folder`, which is made if it is not there. Files and folders that are
    /// made are for their owner: they name connections. What is in it stays as it is: a recorder
    /// always begins a file of its own, and another one with each load of the module.
    ///
    /// # Errors
    ///
    /// [`Error::Write`], [`Error::RecordedAlready`].
    pub fn new(folder: &Path, retention: Retention) -> Result<Self, Error> {
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.map_err(Error::Write)?;
        let lock = File::open(folder).map_err(Error::Write)?;
        // Some file systems have no locks, or none for folders: that is no error.
        let locked = flock(&lock, FlockOperation::NonBlockingLockExclusive);
        if locked == Err(Errno::WOULDBLOCK) {
            return Err(Error::RecordedAlready);
        }
        Ok(Recorder { folder: folder.to_owned(), retention, current: None, _lock: lock })
    }

    /// Records an image that `source` hands to the visitor that it is given, and returns the bytes
    /// that it took.
    ///
    /// # Errors
    ///
    /// Those of `source`, and [`Error::Write`]. Nothing of the image is left then.
    pub fn append(
        &mut self,
        source: impl FnOnce(&mut dyn Visitor) -> Result<(), Error>,
    ) -> Result<u64, Error> {
        let limit = self.retention.file_bytes.unwrap_or(Self::FILE_BYTES);
        let current = match self.current.take() {
            Some(current) if current.length < limit => {
                current.is_linked().map_err(Error::Write)?.then_some(current)
            }
            _ => None,
        };
        let mut frames = Frames::new(&self.folder, current);
        let result = source(&mut frames).and_then(|()| frames.last().map_err(Error::Write));
        let Frames { current, length, .. } = frames;
        if let Err(error) = result {
            // Whoever reads would stop here as well.
            self.current = current.filter(|Current { file, length, .. }| {
                let mut file = file;
                file.set_len(*length).and_then(|()| file.seek(SeekFrom::Start(*length))).is_ok()
            });
            return Err(error);
        }
        self.current =
            current.map(|current| Current { length: current.length + length, ..current });
        self.retain().map_err(Error::Write)?;
        Ok(length)
    }

    /// The load of the module that the last image is of.
    #[must_use]
    pub fn load(&self) -> Option<Load> {
        self.current.as_ref().map(|current| current.load)
    }

    fn retain(&self) -> io::Result<()> {
        let files = files(&self.folder)?;
        let mut total = 0;
        for (index, path) in files.iter().enumerate().rev() {
            let metadata = path.metadata()?;
            total += metadata.len();
            let age = metadata.modified()?.elapsed().unwrap_or_default();
            let too_old = self.retention.age.is_some_and(|most| age > most);
            let too_much = self.retention.total_bytes.is_some_and(|most| total > most);
            if index + 1 < files.len() && (too_old || too_much) {
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }
}

impl Current {
    /// Begins a file, behind those that there are.
    fn begin(folder: &Path, load: Load) -> io::Result<Self> {
        let newest = files(folder)?.last().and_then(|path| number_of(path));
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let now = now.map_or(0, |now| u64::try_from(now.as_nanos()).unwrap_or(u64::MAX));
        // The order of the names is that of the files, even if the clock was set back.
        let mut number = newest.map_or(now, |newest| now.max(newest + 1));
        let mut file = loop {
            let path = folder.join(format!("mutex-{number:020}.rec"));
            match File::options().write(true).create_new(true).mode(0o600).open(path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
                result => break result?,
            }
        };
        let mut header = [MAGIC.as_slice(), &VERSION.to_le_bytes()].concat();
        header.extend(hash(&header).to_le_bytes());
        file.write_all(&header)?;
        // That it has a name is on the disk before anybody counts on it.
        File::open(folder)?.sync_all()?;
        Ok(Current { file, length: HEADER as u64, load })
    }
}

/// A file's number, by which it is ordered.
fn number_of(path: &Path) -> Option<u64> {
    path.file_name()?.to_str()?.strip_prefix("mutex-")?.strip_suffix(".rec")?.parse().ok()
}

/// The files of a recording, the oldest first.
fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = folder.read_dir()?.map(|entry| Ok(entry?.path()));
    let mut files = entries.collect::<io::Result<Vec<_>>>()?;
    files.retain(|path| number_of(path).is_some());
    files.sort_by_key(|path| number_of(path));
    Ok(files)
}

/// Puts an image into frames.
struct Frames<'a> {
    folder: &'a Path,
    /// The file to go on with; none before the first frame if it is to be another one.
    current: Option<Current>,
    header: Header,
    load: Load,
    time_ns: u64,
    flags: u32,
    payload: Vec<u8>,
    length: u64,
}

impl<'a> Frames<'a> {
    fn new(folder: &'a Path, current: Option<Current>) -> Self {
        Frames {
            folder,
            current,
            header: Header::default(),
            load: Load::default(),
            time_ns: 0,
            flags: FIRST,
            payload: Vec::new(),
            length: 0,
        }
    }

    /// The file for the next frame. The first one comes late enough to know the load.
    fn file(&mut self) -> io::Result<&mut File> {
        let current = match self.current.take() {
            Some(current) if current.load == self.load => current,
            _ => Current::begin(self.folder, self.load)?,
        };
        Ok(&mut self.current.insert(current).file)
    }

    fn add(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            if self.payload.len() == PAYLOAD {
                self.write(0)?;
            }
            let (now, later) = bytes.split_at(bytes.len().min(PAYLOAD - self.payload.len()));
            self.payload.extend_from_slice(now);
            bytes = later;
        }
        Ok(())
    }

    fn write(&mut self, flags: u32) -> io::Result<()> {
        let frame = Frame {
            flags: self.flags | flags,
            time_ns: self.time_ns,
            length: u32::try_from(self.payload.len()).map_err(io::Error::other)?,
            crc: hash(&self.payload),
        };
        self.flags = 0;
        let payload = std::mem::take(&mut self.payload);
        let file = self.file()?;
        file.write_all(&frame.to_bytes())?;
        file.write_all(&payload)?;
        self.length += (FRAME + payload.len()) as u64;
        self.payload = payload;
        self.payload.clear();
        Ok(())
    }

    fn last(&mut self) -> io::Result<()> {
        self.write(LAST)?;
        self.file()?.sync_data()
    }
}

impl Visitor for Frames<'_> {
    fn header(&mut self, header: &Header, bytes: &[u8]) -> io::Result<()> {
        (self.time_ns, self.header) = (header.time_ns, *header);
        self.add(bytes)
    }

    fn block(&mut self, block: &Block<'_>) -> io::Result<()> {
        if let Part::Status(status) = block.part() {
            self.load = Load::of(&self.header, &status);
        }
        self.add(block.bytes())
    }

    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Where an image is in a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// When it was taken, in nanoseconds of Unix time.
    pub time_ns: u64,
    file: usize,
    start: u64,
}

/// A file of a recording that does not go on to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The file.
    pub path: PathBuf,
    /// Where the images that are whole end.
    pub at: u64,
    /// Bytes after that.
    pub lost: u64,
}

/// A recording to read from. What is appended after it was opened is not seen.
#[derive(Debug)]
pub struct Recording {
    files: Vec<PathBuf>,
    images: Vec<Recorded>,
    cuts: Vec<Cut>,
}

impl Recording {
    /// Opens a folder or a file, and looks at what frames there are, not at what is in them.
    ///
    /// # Errors
    ///
    /// [`Error::Read`]; [`Error::NotARecording`] for a file that is none, and for a folder without.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let files =
            if path.is_dir() { files(path).map_err(Error::Read)? } else { vec![path.to_owned()] };
        if files.is_empty() {
            return Err(Error::NotARecording);
        }
        let mut recording = Recording { files, images: Vec::new(), cuts: Vec::new() };
        for number in 0..recording.files.len() {
            recording.look_at(number)?;
        }
        Ok(recording)
    }

    fn look_at(&mut self, number: usize) -> Result<(), Error> {
        let Some(path) = self.files.get(number) else { return Ok(()) };
        let mut file = BufReader::new(File::open(path).map_err(Error::Read)?);
        let length = file.get_ref().metadata().map_err(Error::Read)?.len();
        let mut header = [0; HEADER];
        if read_whole(&mut file, &mut header).map_err(Error::Read)? {
            check_header(&header)?;
        } else {
            // Its writer was ended before it had written anything.
            self.cuts.push(Cut { path: path.clone(), at: 0, lost: length });
            return Ok(());
        }
        let (mut at, mut whole) = (HEADER as u64, HEADER as u64);
        let mut begun: Option<Recorded> = None;
        let mut head = [0; FRAME];
        while read_whole(&mut file, &mut head).map_err(Error::Read)? {
            let Some(frame) = Frame::from_bytes(&head) else { break };
            let end = at + (FRAME as u64) + u64::from(frame.length);
            if end > length || (frame.flags & FIRST != 0) != begun.is_none() {
                break;
            }
            let image = begun.take().unwrap_or(Recorded {
                time_ns: frame.time_ns,
                file: number,
                start: at,
            });
            if frame.flags & LAST == 0 {
                begun = Some(image);
            } else {
                self.images.push(image);
                whole = end;
            }
            at = end;
            file.seek_relative(frame.length.into()).map_err(Error::Read)?;
        }
        if whole < length {
            self.cuts.push(Cut { path: path.clone(), at: whole, lost: length - whole });
        }
        Ok(())
    }

    /// The images, in the order in which they were recorded.
    #[must_use]
    pub fn images(&self) -> &[Recorded] {
        &self.images
    }

    /// The files that are cut off or damaged, with what can be read of them.
    #[must_use]
    pub fn cuts(&self) -> &[Cut] {
        &self.cuts
    }

    /// The last image that is not of a later time; without a time the last one.
    #[must_use]
    pub fn at(&self, time_ns: Option<u64>) -> Option<Recorded> {
        let time_ns = time_ns.unwrap_or(u64::MAX);
        let earlier = self.images.iter().filter(|image| image.time_ns <= time_ns);
        earlier.max_by_key(|image| image.time_ns).copied()
    }

    /// The bytes of an image, checked as they are read.
    ///
    /// # Errors
    ///
    /// [`Error::Read`].
    pub fn read(&self, image: Recorded) -> Result<impl Read + use<>, Error> {
        let path = self.files.get(image.file).ok_or(Error::NotARecording)?;
        let mut file = File::open(path).map_err(Error::Read)?;
        file.seek(SeekFrom::Start(image.start)).map_err(Error::Read)?;
        Ok(Payloads { file, payload: Vec::new(), read: 0, is_last: false })
    }
}

/// Reads all of `bytes`; `false` if the file ends before.
fn read_whole(file: &mut impl Read, bytes: &mut [u8]) -> io::Result<bool> {
    match file.read_exact(bytes) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        result => result.map(|()| true),
    }
}

fn check_header(header: &[u8; HEADER]) -> Result<(), Error> {
    let [.., a, b, c, d] = *header;
    if !header.starts_with(MAGIC) || hash(&header[..12]) != u32::from_le_bytes([a, b, c, d]) {
        return Err(Error::NotARecording);
    }
    let version = u32::from_le_bytes([header[8], header[9], header[10], header[11]]);
    if version != VERSION {
        return Err(Error::Version { found: version, known: VERSION });
    }
    Ok(())
}

/// The payloads of an image's frames, as one stream.
struct Payloads {
    file: File,
    payload: Vec<u8>,
    read: usize,
    is_last: bool,
}

impl Read for Payloads {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.read == self.payload.len() {
            if self.is_last {
                return Ok(0);
            }
            let damaged = || io::Error::new(io::ErrorKind::InvalidData, "the recording is damaged");
            let mut head = [0; FRAME];
            if !read_whole(&mut self.file, &mut head)? {
                return Err(damaged());
            }
            let frame = Frame::from_bytes(&head).ok_or_else(damaged)?;
            self.payload.resize(frame.length as usize, 0);
            if !read_whole(&mut self.file, &mut self.payload)? || hash(&self.payload) != frame.crc {
                return Err(damaged());
            }
            self.read = 0;
            self.is_last = frame.flags & LAST != 0;
        }
        let rest = self.payload.get(self.read..).unwrap_or_default();
        let count = rest.len().min(out.len());
        out[..count].copy_from_slice(&rest[..count]);
        self.read += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::Connection;
    use crate::Image;
    use crate::visit;
    use proptest::prelude::*;

    fn image(time_ns: u64, connections: usize) -> Image {
        let mut image = Image::default();
        image.header.time_ns = time_ns;
        image.connections = vec![Connection { id: time_ns, ..Connection::default() }; connections];
        image
    }

    fn bytes(image: &Image) -> Vec<u8> {
        let mut bytes = Vec::new();
        image.write(&mut bytes).expect("a vector takes everything");
        bytes
    }

    fn append(recorder: &mut Recorder, image: &Image) -> u64 {
        let bytes = bytes(image);
        let feed = |mut visitor: &mut dyn Visitor| visit(bytes.as_slice(), &mut visitor).map(drop);
        recorder.append(feed).expect("there is room")
    }

    fn times(recording: &Recording) -> Vec<u64> {
        recording.images().iter().map(|image| image.time_ns).collect()
    }

    fn read(recording: &Recording, image: Recorded) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut input = recording.read(image).expect("it is there");
        input.read_to_end(&mut bytes).expect("it is whole");
        bytes
    }

    #[test]
    fn images_come_back_as_they_were_and_are_found_by_their_time() {
        let folder = tempfile::tempdir().expect("there is room");
        let path = folder.path().join("new/folder");
        // The second needs more than one frame.
        let images = [image(100, 1), image(200, 4_000), image(300, 0)];
        let mut recorder = Recorder::new(&path, Retention::default()).expect("there is room");
        append(&mut recorder, &images[0]);
        append(&mut recorder, &images[1]);
        drop(recorder);
        let mut another = Recorder::new(&path, Retention::default()).expect("there is room");
        append(&mut another, &images[2]);

        let recording = Recording::open(&path).expect("it is a recording");
        assert_eq!((times(&recording), recording.cuts()), (vec![100, 200, 300], &[][..]));
        // They are for nobody else.
        let mode = |path: &Path| path.metadata().expect("it is there").permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(&folder.path().join("new"))), (0o700, 0o700));
        assert!(recording.files.iter().all(|file| mode(file) == 0o600));
        for (image, recorded) in images.iter().zip(recording.images()) {
            assert!(read(&recording, *recorded).starts_with(&bytes(image)[..72]));
            let header = Image::default().header;
            let again = Image::read(recording.read(*recorded).expect("it is there"));
            let again = Image { header, ..again.expect("it is whole") };
            assert_eq!(again, Image { header, ..image.clone() });
        }
        let found = |time| recording.at(time).map(|image| image.time_ns);
        assert_eq!(found(None), Some(300));
        assert_eq!(
            (found(Some(299)), found(Some(300)), found(Some(99))),
            (Some(200), Some(300), None)
        );
    }

    #[test]
    fn what_fails_leaves_nothing_and_the_next_one_is_whole() {
        let folder = tempfile::tempdir().expect("there is room");
        let mut recorder =
            Recorder::new(folder.path(), Retention::default()).expect("there is room");
        append(&mut recorder, &image(100, 1));
        let cut = bytes(&image(200, 4_000));
        let failed =
            recorder.append(|mut visitor| visit(&cut[..cut.len() - 1], &mut visitor).map(drop));
        assert!(matches!(failed, Err(Error::Truncated { .. })));
        append(&mut recorder, &image(300, 1));
        let recording = Recording::open(folder.path()).expect("it is a recording");
        assert_eq!((times(&recording), recording.cuts()), (vec![100, 300], &[][..]));
    }

    #[test]
    fn a_folder_has_one_recorder_at_a_time() {
        let folder = tempfile::tempdir().expect("there is room");
        let old = Retention { age: Some(Duration::ZERO), ..Retention::default() };
        let mut recorder = Recorder::new(folder.path(), old).expect("there is room");
        append(&mut recorder, &image(100, 1));
        // It would remove the file that the first one writes to.
        let second = Recorder::new(folder.path(), old);
        assert!(matches!(second, Err(Error::RecordedAlready)));
        append(&mut recorder, &image(200, 1));
        assert_eq!(times(&Recording::open(folder.path()).expect("it is a recording")), [100, 200]);
        drop(recorder);
        Recorder::new(folder.path(), old).expect("nobody records any more");
    }

    #[test]
    fn a_file_that_somebody_removes_is_not_written_to() {
        let folder = tempfile::tempdir().expect("there is room");
        let mut recorder =
            Recorder::new(folder.path(), Retention::default()).expect("there is room");
        append(&mut recorder, &image(100, 1));
        fs::remove_file(&files(folder.path()).expect("it is there")[0]).expect("it is there");
        append(&mut recorder, &image(200, 1));
        assert_eq!(times(&Recording::open(folder.path()).expect("it is a recording")), [200]);
    }

    #[test]
    fn each_load_of_the_module_has_files_of_its_own() {
        let folder = tempfile::tempdir().expect("there is room");
        let mut recorder =
            Recorder::new(folder.path(), Retention::default()).expect("there is room");
        let of = |time: u64, uptime: u64| {
            let mut image = image(time, 1);
            (image.header.boottime_ns, image.status.uptime_ns) = (time, uptime);
            image
        };
        // Up for more than before, and yet not the same: loaded at 90, then at 101.
        for image in [of(100, 10), of(101, 11), of(160, 59), of(161, 60)] {
            append(&mut recorder, &image);
        }
        assert_eq!(recorder.load().map(|load| load.since_boot_ns), Some(101));
        let recording = Recording::open(folder.path()).expect("it is a recording");
        assert_eq!(times(&recording), [100, 101, 160, 161]);
        let files: Vec<usize> = recording.images().iter().map(|image| image.file).collect();
        assert_eq!(files, [0, 0, 1, 1]);
    }

    #[test]
    fn a_source_that_fails_at_once_leaves_no_file() {
        let folder = tempfile::tempdir().expect("there is room");
        let mut recorder =
            Recorder::new(folder.path(), Retention::default()).expect("there is room");
        assert!(matches!(recorder.append(|_| Err(Error::Unloaded)), Err(Error::Unloaded)));
        assert!(files(folder.path()).expect("it is there").is_empty());
    }

    #[test]
    fn files_rotate_and_the_oldest_go() {
        let folder = tempfile::tempdir().expect("there is room");
        let one = bytes(&image(1, 0)).len() as u64 + FRAME as u64;
        let retention = Retention {
            file_bytes: Some(2 * one),
            total_bytes: Some(5 * one + 3 * HEADER as u64),
            age: None,
        };
        let mut recorder = Recorder::new(folder.path(), retention).expect("there is room");
        for time in 1..=9 {
            append(&mut recorder, &image(time, 0));
        }
        let recording = Recording::open(folder.path()).expect("it is a recording");
        assert_eq!(recording.files.len(), 3);
        assert_eq!(times(&recording), [5, 6, 7, 8, 9]);
        let old = Retention { age: Some(Duration::ZERO), ..Retention::default() };
        drop(recorder);
        std::thread::sleep(Duration::from_millis(20));
        let mut recorder = Recorder::new(folder.path(), old).expect("there is room");
        append(&mut recorder, &image(10, 0));
        assert_eq!(times(&Recording::open(folder.path()).expect("it is a recording")), [10]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn a_cut_file_is_read_up_to_the_cut(cut in 0usize..3000, flip in any::<bool>()) {
            let folder = tempfile::tempdir().expect("there is room");
            let mut recorder =
                Recorder::new(folder.path(), Retention::default()).expect("there is room");
            let mut ends = vec![HEADER as u64];
            for time in 1..=3 {
                let length = append(&mut recorder, &image(time, 1));
                ends.push(ends[ends.len() - 1] + length);
            }
            let path = files(folder.path()).expect("it is there").remove(0);
            let mut content = fs::read(&path).expect("it is there");
            let cut = cut % content.len();
            if flip {
                content[cut] ^= 0x40;
            } else {
                content.truncate(cut);
            }
            fs::write(&path, &content).expect("there is room");
            let recording = match Recording::open(folder.path()) {
                Ok(recording) => recording,
                Err(error) => {
                    prop_assert!(flip && cut < HEADER, "{error}");
                    return Ok(());
                }
            };
            // Every image that ends before the damage is there and whole; none that is not whole is
            // taken for one.
            let before = ends[1..].iter().filter(|&&end| end <= cut as u64).count();
            prop_assert!(recording.images().len() >= before);
            for (index, recorded) in recording.images().iter().enumerate() {
                let input = recording.read(*recorded).expect("it is there");
                prop_assert_eq!(Image::read(input).is_ok(), index != before || !flip);
            }
            if !flip {
                prop_assert_eq!(recording.images().len(), before);
                let lost = cut as u64 - if cut < HEADER { 0 } else { ends[before] };
                let told: u64 = recording.cuts().iter().map(|cut| cut.lost).sum();
                prop_assert_eq!(told, lost);
            }
        }
    }

    #[test]
    fn a_frame_whose_payload_was_changed_is_not_handed_on() {
        let folder = tempfile::tempdir().expect("there is room");
        let mut recorder =
            Recorder::new(folder.path(), Retention::default()).expect("there is room");
        append(&mut recorder, &image(100, 1));
        let path = files(folder.path()).expect("it is there").remove(0);
        let whole = fs::read(&path).expect("it is there");
        // The image would notice most of it, too; what is read here are the bytes alone.
        for at in [HEADER + FRAME, HEADER + FRAME + 50, whole.len() - 1] {
            let mut changed = whole.clone();
            changed[at] ^= 1;
            fs::write(&path, &changed).expect("there is room");
            let recording = Recording::open(folder.path()).expect("it is a recording");
            let mut input = recording.read(recording.images()[0]).expect("it is there");
            let mut bytes = Vec::new();
            let error = input.read_to_end(&mut bytes).expect_err("it is damaged");
            assert_eq!((error.kind(), bytes.len()), (io::ErrorKind::InvalidData, 0), "{at}");
        }
        // A whole image in the place of another one: its own checksums are right, only the frame's is not.
        let other = bytes(&image(100, 2));
        let mut frame = Frame::from_bytes(
            whole[HEADER..HEADER + FRAME].try_into().expect("it is as long as that"),
        )
        .expect("it is a frame");
        frame.length = u32::try_from(other.len()).expect("it is small");
        let content = [&whole[..HEADER], &frame.to_bytes(), &other].concat();
        fs::write(&path, content).expect("there is room");
        let recording = Recording::open(folder.path()).expect("it is a recording");
        let input = recording.read(recording.images()[0]).expect("it is there");
        assert!(matches!(Image::read(input), Err(Error::Read(_))));
    }

    #[test]
    fn what_is_none_is_refused() {
        let folder = tempfile::tempdir().expect("there is room");
        assert!(matches!(Recording::open(folder.path()), Err(Error::NotARecording)));
        let path = folder.path().join("file");
        fs::write(&path, [7; 40]).expect("there is room");
        assert!(matches!(Recording::open(&path), Err(Error::NotARecording)));
        let mut later = [MAGIC.as_slice(), &2u32.to_le_bytes()].concat();
        later.extend(hash(&later).to_le_bytes());
        fs::write(&path, later).expect("there is room");
        assert!(matches!(Recording::open(&path), Err(Error::Version { found: 2, known: 1 })));
    }
}
