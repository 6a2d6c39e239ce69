// SPDX-License-Identifier: MIT OR Apache-2.0

//! Where the kernel's files are.

use std::fs;
use std::io;
use std::io::BufReader;
use std::io::Read;
use std::path::Path;
use std::path::PathBuf;

use crate::Error;
use crate::Reader;
use crate::Stats;

/// One of the kernel's files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum File {
    /// The host's numbers, for everyone.
    Stats,
    /// A line a connection.
    Connections,
    /// A line an fd.
    Fds,
    /// The image.
    Snapshot,
}

impl File {
    /// Its name in the folder.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            File::Stats => "stats",
            File::Connections => "connections",
            File::Fds => "fds",
            File::Snapshot => "snapshot",
        }
    }
}

/// The folder of the kernel's files: `/proc/mutex`, or another one that looks like it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proc(PathBuf);

impl Default for Proc {
    fn default() -> Self {
        Proc::new(Self::FOLDER)
    }
}

impl Proc {
    /// Where the kernel puts its files.
    pub const FOLDER: &str = "/proc/mutex";

    /// The longest text that is read into memory, in bytes.
    const MAX_TEXT: u64 = 1 << 20;

    /// Bytes that the kernel is asked for at a time.
    const BUFFER: usize = 128 << 10;

    /// A folder. It need not be there before something is opened.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Proc(folder.into())
    }

    /// The folder's path.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.0
    }

    /// A file's path.
    #[must_use]
    pub fn path(&self, file: File) -> PathBuf {
        self.0.join(file.name())
    }

    /// Opens a file.
    ///
    /// # Errors
    ///
    /// [`Error::NotLoaded`], [`Error::NotAFolder`], [`Error::Missing`], [`Error::Permission`],
    /// [`Error::File`].
    pub fn open(&self, file: File) -> Result<fs::File, Error> {
        let path = self.path(file);
        fs::File::open(&path).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound if !self.0.exists() => {
                Error::NotLoaded { folder: self.0.clone() }
            }
            io::ErrorKind::NotADirectory => Error::NotAFolder { folder: self.0.clone() },
            io::ErrorKind::NotFound => Error::Missing { path },
            io::ErrorKind::PermissionDenied => Error::Permission { path },
            _ => Error::File { path, source },
        })
    }

    /// Reads a text whole.
    ///
    /// # Errors
    ///
    /// Those of [`Proc::open`].
    pub fn text(&self, file: File) -> Result<String, Error> {
        let mut text = String::new();
        self.open(file)?
            .take(Self::MAX_TEXT)
            .read_to_string(&mut text)
            .map_err(|source| Error::File { path: self.path(file), source })?;
        Ok(text)
    }

    /// Reads `stats`.
    ///
    /// # Errors
    ///
    /// Those of [`Proc::open`] and of [`Stats::parse`].
    pub fn stats(&self) -> Result<Stats, Error> {
        Stats::parse(&self.text(File::Stats)?)
    }

    /// Begins to read `snapshot`.
    ///
    /// # Errors
    ///
    /// Those of [`Proc::open`] and of [`Reader::new`].
    pub fn snapshot(&self) -> Result<Reader<BufReader<fs::File>>, Error> {
        Reader::new(BufReader::with_capacity(Self::BUFFER, self.open(File::Snapshot)?))
    }
}
