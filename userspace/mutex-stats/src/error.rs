// SPDX-License-Identifier: MIT OR Apache-2.0

//! What can go wrong, each in one sentence.

use std::io;
use std::path::PathBuf;

use crate::Kind;
use crate::reporter::Guid;

/// Why something could not be read or written. No sentence names the image's file: that is for the
/// caller, who knows it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The folder of the kernel's files is not there.
    #[error("MUTEX is not loaded: {} does not exist", folder.display())]
    NotLoaded {
        /// Where it was looked for.
        folder: PathBuf,
    },
    /// The place where the folder should be is something else.
    #[error("{} is not a directory", folder.display())]
    NotAFolder {
        /// Where it was looked for.
        folder: PathBuf,
    },
    /// The folder lacks a file.
    #[error(
        "{} does not exist, although its directory does: MUTEX is being unloaded, or is of another \
         version", path.display()
    )]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// The kernel keeps a file to others.
    #[error("no permission to read {}", path.display())]
    Permission {
        /// The file.
        path: PathBuf,
    },
    /// The kernel keeps a file from being written by others.
    #[error("no permission to write {}", path.display())]
    WritePermission {
        /// The file.
        path: PathBuf,
    },
    /// One of the kernel's files could not be opened or read for another reason.
    #[error("cannot read {}: {}", path.display(), reason(source))]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },

    /// The image's bytes could not be had.
    #[error("cannot read: {}", reason(.0))]
    Read(#[source] io::Error),
    /// A visitor could not write.
    #[error("cannot write: {}", reason(.0))]
    Write(#[source] io::Error),

    /// There are no bytes at all.
    #[error("the image is empty")]
    Empty,
    /// The bytes are something else: they do not start with the magic number.
    #[error("not a MUTEX image")]
    NotAnImage,
    /// The image is of another version of the format.
    #[error("the image has format version {found}; this program reads version {known}")]
    Version {
        /// The image's.
        found: u32,
        /// This library's.
        known: u32,
    },
    /// The image ends too soon.
    #[error("the image is truncated: it ends at byte {at}, {}", inside(*.place))]
    Truncated {
        /// Bytes that were there.
        at: u64,
        /// What they end in; `None` if they end between two blocks.
        place: Option<Place>,
    },
    /// The image goes on behind its end.
    #[error("the image is corrupted: it should end at byte {at} but goes on")]
    Trailing {
        /// Where it should end.
        at: u64,
    },
    /// A checksum says that bytes have changed.
    #[error("the image is corrupted: the checksum of the {place} at byte {at} is wrong")]
    Checksum {
        /// Where it starts.
        at: u64,
        /// What it is.
        place: Place,
    },
    /// A size is beyond reason.
    #[error("the image is corrupted: the {place} at byte {at} claims {what}")]
    Size {
        /// Where it starts.
        at: u64,
        /// What it is.
        place: Place,
        /// What it claims.
        what: String,
    },
    /// A block is where it cannot be.
    #[error("the image is corrupted: the {kind} block at byte {at} {what}")]
    Order {
        /// Where it starts.
        at: u64,
        /// What it is.
        kind: Kind,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The end's counts are not what was there.
    #[error("the image is corrupted: its end counts {claimed} {what}, but there are {found}")]
    Count {
        /// What is counted.
        what: &'static str,
        /// The end's count.
        claimed: u64,
        /// What was there.
        found: u64,
    },

    /// The image holds one network namespace's records, but everybody's totals.
    #[error(
        "the books cannot be balanced: the image was taken inside a network namespace and holds \
         that namespace's connections only"
    )]
    Filtered,

    /// A file or folder is no recording.
    #[error("not a recording of MUTEX")]
    NotARecording,

    /// Another recorder writes to the folder.
    #[error("another process records into it")]
    RecordedAlready,

    /// A filter is none, or none of what it is to filter.
    #[error("the filter is wrong: {0}")]
    Filter(
        /// What is wrong with it.
        String,
    ),
    /// Records have no such field.
    #[error("there is no field `{name}`; there are {known}")]
    NoColumn {
        /// What was asked for.
        name: String,
        /// Those that there are.
        known: String,
    },

    /// There is nothing between two images.
    #[error("the two cannot be compared: {0}")]
    Incomparable(
        /// Why.
        String,
    ),

    /// The kernel has refused what was written to one of its files.
    #[error("{} does not take {what}", path.display())]
    Refused {
        /// The file.
        path: PathBuf,
        /// What was written.
        what: String,
    },
    /// A setting is none, or does not take a value.
    #[error("{0}")]
    Setting(
        /// What is wrong.
        String,
    ),
    /// The stream of events is not as it should be.
    #[error("the stream of events is corrupted: {0}")]
    Events(
        /// What is wrong with it.
        &'static str,
    ),
    /// The module has been unloaded while one of its files was open.
    #[error("MUTEX was unloaded")]
    Unloaded,

    /// A text is no GUID.
    #[error("`{}` is no GUID: expected is one such as 6ba7b810-9dad-11d1-80b4-00c04fd430c8", .0.escape_debug())]
    Guid(
        /// The text.
        String,
    ),
    /// There is a reporter with that GUID.
    #[error("a reporter is registered as {0} already")]
    ReporterRegistered(
        /// The GUID.
        Guid,
    ),
    /// There is no reporter with that GUID.
    #[error("no reporter is registered as {0}")]
    ReporterUnknown(
        /// The GUID.
        Guid,
    ),

    /// The kernel's text is not as it should be.
    #[error("line {line} is not as expected: {what}")]
    Text {
        /// Counted from 1.
        line: usize,
        /// What is wrong with it.
        what: String,
    },
    /// The kernel's text is of another version of the format.
    #[error("the text has format {found}; this program reads format {known}")]
    TextVersion {
        /// The text's.
        found: String,
        /// This library's.
        known: u32,
    },
}

/// A part of an image, as errors name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Place {
    /// The header.
    Header,
    /// A block of a known kind.
    Block(Kind),
    /// A block of a kind that this version does not know.
    UnknownBlock(u16),
    /// The 16 bytes that a block starts with.
    BlockHeader,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Place::Header => f.write_str("header"),
            Place::Block(kind) => write!(f, "{kind} block"),
            Place::UnknownBlock(number) => write!(f, "block of unknown kind {number}"),
            Place::BlockHeader => f.write_str("header of a block"),
        }
    }
}

fn inside(place: Option<Place>) -> String {
    match place {
        Some(place) => format!("inside the {place}"),
        None => String::from("before its end block"),
    }
}

/// What the system said, without the number that Rust adds.
fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error") {
        Some((reason, _)) => reason.to_owned(),
        None => text,
    }
}
